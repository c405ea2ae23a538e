"""What a collection is made of, as the log's table `experiments` keeps it, and how that differs from what is asked for now."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routelab.core.errors import ConfigError
from routelab.core.ports import Log, Scorer
from routelab.core.values import Model, digest
from routelab.lab.datasets import Dataset

_NAMED = 5
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
ANONYMOUS = "data"
"""The name that `Dataset.of` gives to prompts that come without one: such prompts are named by their content."""
_ROWS = (
    "select experiment, detail from experiments where experiment = ? or starts_with(experiment, ?) order by started_at"
)


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Prompts (id → mark of the content), models, scorer, and the prices at which it was begun, under an experiment's id."""

    experiment: str
    generation: int
    prompts: Mapping[str, str]
    models: tuple[str, ...]
    scorer: str
    prices: Mapping[str, Any]

    @staticmethod
    def of(
        dataset: Dataset, models: Sequence[Model], *, name: str | None, seed: int, scorer: Scorer | None
    ) -> Collection:
        """Return the first collection of the data set for the models under a name (default: the data set's)."""
        called = name or (dataset.name if dataset.name != ANONYMOUS else f"{ANONYMOUS}-{dataset.fingerprint}")
        return Collection(
            experiment=f"collect-{called}-{seed}",
            generation=1,
            prompts={p.id: mark(p) for p in dataset.prompts},
            models=tuple(m.name for m in models),
            scorer=told(scorer),
            prices={m.name: _price(m) for m in models},
        )

    @property
    def detail(self) -> dict[str, Any]:
        """The facts as plain values, as they are kept in `experiments.detail`."""
        return {
            "kind": "collection",
            "generation": self.generation,
            "dataset_fingerprint": digest(sorted(self.prompts.items())),
            "prompts": dict(self.prompts),
            "models": list(self.models),
            "scorer": self.scorer,
            "prices": dict(self.prices),
        }


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How what is asked for now differs from what is in the log: ids of prompts, names of models, the scorer."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    models_added: tuple[str, ...] = ()
    models_removed: tuple[str, ...] = ()
    scorer: tuple[str, str] | None = None

    @property
    def nothing(self) -> bool:
        """Whether there is no difference."""
        return self == Difference()

    @property
    def only_more(self) -> bool:
        """Whether prompts and models were added and everything else is as it was."""
        return not (self.removed or self.changed or self.models_removed or self.scorer)

    def __str__(self) -> str:
        parts = [
            f"{len(ids)} prompt{'s' if len(ids) > 1 else ''} {word} ({_some(ids)})"
            for word, ids in (("added", self.added), ("removed", self.removed), ("changed", self.changed))
            if ids
        ]
        parts += [
            f"model{'s' if len(names) > 1 else ''} {word}: {', '.join(names)}"
            for word, names in (("added", self.models_added), ("removed", self.models_removed))
            if names
        ]
        if self.scorer is not None:
            parts.append(f"scorer {self.scorer[1]} instead of {self.scorer[0]}")
        return "; ".join(parts) or "no difference"


def difference(before: Collection, now: Collection) -> Difference:
    """Return how a collection differs from an earlier one; the order of prompts and models does not matter."""
    common = before.prompts.keys() & now.prompts.keys()
    return Difference(
        added=tuple(i for i in now.prompts if i not in before.prompts),
        removed=tuple(i for i in before.prompts if i not in now.prompts),
        changed=tuple(i for i in now.prompts if i in common and now.prompts[i] != before.prompts[i]),
        models_added=tuple(m for m in now.models if m not in before.models),
        models_removed=tuple(m for m in before.models if m not in now.models),
        scorer=None if before.scorer == now.scorer else (before.scorer, now.scorer),
    )


def settled(log: Log, now: Collection, *, force: bool, extend: bool) -> Collection:
    """Return the collection to go on with: the one in the log, that one with more models or prompts, or a new one.

    Raises ConfigError that shows the difference when the log's collection of this name is another one. `force` starts a new
    one, and only then: when nothing differs there is nothing to force, and the one in the log goes on.
    """
    before = latest(log, now.experiment)
    if before is None:
        return now
    found = difference(before, now)
    if found.nothing or (extend and found.only_more):
        prices = {**now.prices, **{m: p for m, p in before.prices.items() if m in now.prices}}
        return dataclasses.replace(now, experiment=before.experiment, generation=before.generation, prices=prices)
    if force:
        generation = before.generation + 1
        return dataclasses.replace(now, experiment=f"{now.experiment}~{generation}", generation=generation)
    more = "extend=True adds them to it; " if found.only_more else ""
    raise ConfigError(
        f"the log has another collection under the name '{now.experiment}': {found}",
        hint=f"{more}force=True starts a new one and asks everything again; name=... keeps both",
    )


def latest(log: Log, experiment: str) -> Collection | None:
    """Return the newest collection that the log holds under an experiment's id, or None."""
    found: Collection | None = None
    for name, detail in log.query(_ROWS, [experiment, experiment + "~"]):
        facts = json.loads(detail) if detail else {}
        number = name.removeprefix(experiment).removeprefix("~")
        if facts.get("kind") != "collection" or not (number == "" or number.isdecimal()):
            continue
        if found is None or facts["generation"] >= found.generation:
            found = Collection(
                experiment=name,
                generation=facts["generation"],
                prompts=facts["prompts"],
                models=tuple(facts["models"]),
                scorer=facts["scorer"],
                prices=facts["prices"],
            )
    return found


def mark(prompt: Any) -> str:
    """Return 16 hexadecimal digits that change with what a model sees of the prompt or a scorer measures by."""
    return digest([(m.role, m.content) for m in prompt.messages], prompt.reference, prompt.scorer)


def told(scorer: Scorer | None) -> str:
    """Return what tells one scorer from another in every process: a value's repr, else the name of the function or class."""
    if scorer is None:
        return "the prompts' own"
    if dataclasses.is_dataclass(scorer):
        return _ADDRESS.sub("", repr(scorer))
    of = scorer if hasattr(scorer, "__qualname__") else type(scorer)
    return f"{of.__module__}.{getattr(of, '__qualname__', 'scorer')}"


def _price(model: Model) -> dict[str, Any] | None:
    price = model.price
    if price is None:
        return None
    return {
        "usd_per_mtok_in": price.usd_per_mtok_in,
        "usd_per_mtok_out": price.usd_per_mtok_out,
        "as_of": None if price.as_of is None else price.as_of.isoformat(),
    }


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (f", … {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")
