"""What a config decides, as a table that a gateway without Python can carry: a name to call, who is asked first, who next.

The table is not derived a second time: every row is what the strategy itself answers for a prompt of that task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routelab.build import route_of
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import NOBODY
from routelab.core.ports import Strategy
from routelab.core.values import Message, Model, Prompt, Roster
from routelab.stages import Endpoint
from routelab.strategies import Bandit, Cascade, Fixed, Random, Rules, Semantic, Split, kind_of

ENTRY = "route"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A name that callers use. `shares` says who is asked first and how often (one model at 1.0 when nothing is drawn);
    `after` who is asked when that model fails, in order."""

    name: str
    shares: Mapping[str, float]
    after: Mapping[str, tuple[str, ...]]
    task: str | None = None

    @property
    def drawn(self) -> bool:
        """Whether the first model is drawn by chance."""
        return len(self.shares) > 1

    @property
    def first(self) -> str:
        """The model that is asked first (the likeliest when it is drawn)."""
        return max(self.shares, key=lambda model: self.shares[model])

    @property
    def ranking(self) -> tuple[str, ...]:
        """The first model and who is asked after it."""
        return (self.first, *self.after[self.first])


@dataclass(frozen=True, kw_only=True)
class Entries:
    """`default` is for a prompt whose task has no row, `tasks` for the others.

    With a `recogniser`, callers who do not know the task use `front`, and the default has a name of its own.
    """

    default: Entry
    tasks: tuple[Entry, ...] = ()
    recogniser: Rules | None = None
    front: str = ENTRY

    @property
    def all(self) -> tuple[Entry, ...]:
        """Every entry, the default first."""
        return (self.default, *self.tasks)

    @property
    def asks_callers(self) -> bool:
        """Whether a task that the caller gives decides (a recogniser that only detects ignores it)."""
        return bool(self.tasks) and (self.recogniser is None or self.recogniser.tasks != "detect")

    def called(self, task: str | None) -> str:
        """Return the name to call for a prompt with this task, or without one."""
        if not self.asks_callers or task is None:
            return self.front
        return next((entry.name for entry in self.tasks if entry.task == task), self.default.name)

    def without_recogniser(self) -> Entries:
        """Return the same table for a target that cannot find tasks in texts: `front` is then the default."""
        default = dataclasses.replace(self.default, name=self.front)
        return dataclasses.replace(self, default=default, recogniser=None)


def entries_of(config: RouteConfig, endpoints: Mapping[str, Endpoint]) -> Entries:
    """Return the table of a config; ConfigError when its decisions depend on more than the prompt's task and chance."""
    strategy = config.ranking
    shares = _drawn(strategy, config.models)
    if shares is not None:
        after = {model: _order(config, endpoints, Fixed(model=model), None)[1:] for model in shares}
        if isinstance(strategy, Bandit):
            after = _after_drawn(config, endpoints, strategy)
        return Entries(default=Entry(name=ENTRY, shares=shares, after=after))
    if hasattr(type(strategy), "accepts") or isinstance(strategy, Semantic):
        raise _refusal(strategy)
    tasks = _tasks(strategy)
    if tasks is None:
        raise ConfigError(
            f"strategy {kind_of(strategy)}: decides by more than a prompt's task, which no table can hold",
            hint="to='routelab' keeps it as it is",
        )
    for task in tasks:
        if "*" in task or task != task.strip() or not task.isprintable():
            raise ConfigError(
                f"strategy.table: the task {task!r} cannot be part of a model's name in a gateway",
                hint="rename it: no `*`, no blanks around it, printable characters only",
            )
    taken = [name for name in config.names if name == ENTRY or name.startswith(f"{ENTRY}/")]
    if taken:
        raise ConfigError(
            f"models: '{taken[0]}' is what callers of the gateway use", hint="rename the model in the fleet"
        )
    given = _given(strategy)
    recogniser = strategy if isinstance(strategy, Rules) and strategy.tasks != "given" and strategy.patterns else None
    name = ENTRY
    if recogniser is not None:
        name = f"{ENTRY}/default"
        while name.removeprefix(f"{ENTRY}/") in tasks:
            name += "_"
    return Entries(
        default=_entry(name, _order(config, endpoints, given, None), None),
        tasks=tuple(_entry(f"{ENTRY}/{task}", _order(config, endpoints, given, task), task) for task in tasks),
        recogniser=recogniser,
    )


def ladder_of(config: RouteConfig, endpoints: Mapping[str, Endpoint]) -> Entries:
    """Return the one entry of a cascade: its models in order, without those that only fallbacks name.

    For a target that has a gate of its own; the gate is not in the table.
    """
    route = route_of(config, endpoints)
    plan = route.plan([_probe(None)], strict=True)
    order = tuple(route.roster.names[m] for m in plan.order[0][: plan.ladder[0]])
    return Entries(default=_entry(ENTRY, order, None))


def _refusal(strategy: Strategy) -> ConfigError:
    """Return why a strategy is not written though some of it could be: what the file would do is not what was measured."""
    kind = kind_of(strategy)
    if isinstance(strategy, Semantic):
        return ConfigError(
            f"strategy.embedder: a gateway's own embedding model sees other likenesses than {_embedder(strategy)}, so other routes "
            "than those that were measured",
            hint="to='routelab' keeps it as it is; or let callers say the route (rules with tasks: given), and export that",
        )
    if isinstance(strategy, Cascade):
        return ConfigError(
            f"strategy.gate: '{strategy.gate.get('scorer', 'all')}' looks at an answer before it decides whether to ask the next "
            "model; without it the first model would answer every prompt, which is not what was measured",
            hint="to='routelab' keeps it as it is; to='vllm-sr' has a gate on mean_logprob with one bar for all models",
        )
    return ConfigError(
        f"strategy {kind}: compares an answer with others before it decides whether to ask the next model, which no gateway's "
        "file can say",
        hint="to='routelab' keeps it as it is",
    )


def _embedder(strategy: Semantic) -> str:
    spec = strategy.embedder
    return spec if isinstance(spec, str) else str(spec.get("model", spec.get("kind")))


def _drawn(strategy: Strategy, models: Sequence[str]) -> dict[str, float] | None:
    if isinstance(strategy, Random):
        names = strategy.models or tuple(models)
        return {name: 1 / len(names) for name in names}
    if isinstance(strategy, Split):
        total = sum(strategy.weights.values())
        return {name: weight / total for name, weight in strategy.weights.items() if weight > 0}
    if isinstance(strategy, Bandit) and strategy.algorithm != "linucb":
        # What was learned so far draws every prompt with the same chances.
        chances = strategy.chances([_probe(None)], _named(models))[0]
        return dict(zip(models, chances.tolist(), strict=True))
    return None


def _named(models: Sequence[str]) -> Roster:
    return Roster(models=tuple(Model(name=name, provider="", upstream=name) for name in models))


def _after_drawn(
    config: RouteConfig, endpoints: Mapping[str, Endpoint], strategy: Bandit
) -> dict[str, tuple[str, ...]]:
    """Return who is asked after each model that a bandit may draw, in its own order."""
    # The order of the others does not depend on the chances, and even chances draw everybody soon.
    even = dataclasses.replace(strategy, floor=min(0.5, 1 / len(config.models)))
    route = dataclasses.replace(route_of(config, endpoints), strategy=even)
    after: dict[str, tuple[str, ...]] = {}
    number = 0
    while len(after) < len(config.models):
        order = tuple(
            route.roster.names[m] for m in route.plan([_probe(str(number))], strict=True).order[0] if m != NOBODY
        )
        after.setdefault(order[0], order[1:])
        number += 1
    return after


def _tasks(strategy: Strategy) -> tuple[str, ...] | None:
    """Return the tasks that have a row of their own; none for a strategy that asks nothing, None when it asks for more."""
    table = getattr(strategy, "table", None)
    if isinstance(table, Mapping):
        return tuple(str(task) for task in table)
    return () if kind_of(strategy) == "fixed" else None


def _given(strategy: Strategy) -> Strategy:
    return dataclasses.replace(strategy, tasks="given") if isinstance(strategy, Rules) else strategy


def _order(
    config: RouteConfig, endpoints: Mapping[str, Endpoint], strategy: Strategy, task: str | None
) -> tuple[str, ...]:
    route = dataclasses.replace(route_of(config, endpoints), strategy=strategy)
    return tuple(route.roster.names[m] for m in route.plan([_probe(task)], strict=True).order[0] if m != NOBODY)


def _probe(task: str | None) -> Prompt:
    return Prompt(id=f"task:{task}", messages=(Message(role="user", content=""),), task=task)


def _entry(name: str, order: tuple[str, ...], task: str | None) -> Entry:
    return Entry(name=name, task=task, shares={order[0]: 1.0}, after={order[0]: order[1:]})
