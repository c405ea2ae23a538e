"""Gates: when an answer is good enough to be accepted. One file a kind, one line in `KINDS`, or in `rules.RULES` for a scorer.

A kind is a dataclass of its settings, which are its keys in YAML, with `asks` (the models it asks, which must be in the fleet
and are not ranked) and `judge(ask)` (who judges live). A kind that only looks at what was said has
``__call__(seen) -> Judgement`` besides and is replayed over recorded texts by itself; for any other kind a replay needs
what it gave then (`Outcomes.gates`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from routelab import strict
from routelab.core.errors import ConfigError, suggest
from routelab.core.plan import Gate
from routelab.core.ports import Judge
from routelab.gates.agreement import Agreement
from routelab.gates.kind import Kind
from routelab.gates.learned import Acceptance
from routelab.gates.logprob import MeanLogprob, MinLogprob
from routelab.gates.recorded import Recorded
from routelab.gates.rules import RULES, Rule
from routelab.gates.seen import Look, Looked, Seen
from routelab.gates.several import All
from routelab.judging import KINDS as JUDGES
from routelab.judging import Ask, Planned, Rubric
from routelab.scoring import KINDS as SCORERS
from routelab.strategies import gated
from routelab.strategies.agreement import LAST
from routelab.strategies.gated import gate_of

__all__ = [
    "KINDS",
    "RULES",
    "Acceptance",
    "Agreement",
    "All",
    "Kind",
    "Look",
    "Looked",
    "MeanLogprob",
    "MinLogprob",
    "Recorded",
    "Rule",
    "Seen",
    "asked_by",
    "check",
    "gate_of",
    "judge_of",
    "kind_of",
    "needs_logprobs",
    "planned",
]

LOGPROBS: Mapping[str, type] = MappingProxyType({"mean_logprob": MeanLogprob, "min_logprob": MinLogprob})
"""Gates of token log-probabilities; the log has columns of the same names, so that they replay."""
KINDS: Mapping[str, type] = MappingProxyType(
    {"agreement": Agreement, "learned": Acceptance, "recorded": Recorded, **LOGPROBS, **JUDGES}
)
"""What a gate's mapping may say for `scorer` besides the rules; ``recorded: NAME`` and ``all: [...]`` say it themselves."""

_HERE = strict.Document(values={}, name="config")


def kind_of(gate: Gate) -> Kind:
    """Return the kind of a gate with its settings; ConfigError for what is not known."""
    return _kind(gate.scorer, gate.spec, ("gate",), _HERE)


def judge_of(gate: Gate, ask: Ask | None = None) -> Judge:
    """Return who judges live answers for a gate; ConfigError when nobody can."""
    return kind_of(gate).judge(ask)


def asked_by(gate: Gate | None) -> tuple[str, ...]:
    """Return the models that a gate asks: they must be in the fleet, and no strategy ranks them."""
    return () if gate is None or gate.scorer is None else kind_of(gate).asks


def needs_logprobs(gate: Gate | None) -> bool:
    """Say whether a gate judges by the log-probabilities of an answer's tokens, which then must be asked for."""
    if gate is None or gate.scorer is None:
        return False
    if gate.scorer == "all":
        return any(needs_logprobs(gate_of(part)) for part in gate.spec.get("all", ()))
    return gate.scorer in LOGPROBS


def planned(gate: Gate | None, author: str) -> tuple[Planned, ...]:
    """Return the calls that judging an answer of the author will make, at most; none for gates that ask nobody."""
    if gate is None or gate.scorer is None:
        return ()
    kind = kind_of(gate)
    rows = [part for _, part in kind.parts] if isinstance(kind, All) else [kind]
    return tuple(call for row in rows if hasattr(row, "calls") for call in row.calls(author))


def check(spec: Mapping[str, Any], key: tuple[str | int, ...] = ("gate",), document: strict.Document = _HERE) -> Kind:
    """Return the kind that a gate's mapping in a file describes; ConfigError names file, line and key of what does not fit."""
    try:
        gated.check(spec)
    except ValueError as trouble:
        place, _, message = str(trouble).removeprefix("gate.").partition(": ")
        raise ConfigError(f"{document.where(*key, *place.split('.'))}: {message}", hint=_hint()) from None
    gate = gate_of(spec)
    if gate.scorer in LOGPROBS and any(
        not 0 <= bar <= 1 for bar in (*gate.bars.values(), *(() if gate.at_least is None else (gate.at_least,)))
    ):
        raise ConfigError(
            f"{document.where(*key, 'at_least')}: must lie between 0 and 1: a probability, not its logarithm",
            hint="a mean log-probability of -0.5 is 0.61",
        )
    return _kind(gate.scorer, gate.spec, key, document)


def _kind(scorer: object, settings: Mapping[str, Any], key: tuple[str | int, ...], document: strict.Document) -> Kind:
    if scorer == "all":
        return _all(settings, key, document)
    if not isinstance(scorer, str) or (scorer not in RULES and scorer not in KINDS):
        raise _unknown(scorer, (*key, "scorer"), document)
    try:
        if scorer in RULES:
            return Rule(scorer=strict.build(RULES[scorer], settings, key, document))
        kind: Kind = strict.build(KINDS[scorer], settings, key, document)
        if isinstance(kind, Rubric) and kind.reference == "given":
            raise ConfigError(
                f"{document.where(*key, 'reference')}: 'given' shows the judge the right answer, which live prompts do not bring",
                hint="own (the judge answers first) or none; lab.judge measures with 'given'",
            )
        return kind
    except ConfigError as trouble:
        raise _placed(trouble, key, document) from None


def _all(settings: Mapping[str, Any], key: tuple[str | int, ...], document: strict.Document) -> Kind:
    extra = next((name for name in settings if name != "all"), None)
    if extra is not None:
        raise ConfigError(f"{document.where(*key, extra)}: unknown key", hint="keys here: all")
    rows = settings["all"]
    if not isinstance(rows, (list, tuple)) or not rows:
        raise ConfigError(f"{document.where(*key, 'all')}: must be a list of gates", hint=_hint())
    parts = []
    for i, row in enumerate(rows):
        place = (*key, "all", i)
        if not isinstance(row, Mapping):
            raise ConfigError(f"{document.where(*place)}: must be `key: value` lines", hint=_hint())
        if row.get("at_least") == gated.FIT:
            raise ConfigError(f"{document.where(*place, 'at_least')}: must be a number here")
        kind = check(row, place, document)
        if isinstance(kind, Agreement) and kind.answer != LAST:
            raise ConfigError(
                f"{document.where(*place, 'answer')}: must be {LAST} here: the other gates may have refused an earlier answer"
            )
        parts.append((gate_of(row), kind))
    return All(parts=tuple(parts))


def _unknown(scorer: object, key: tuple[str | int, ...], document: strict.Document) -> ConfigError:
    if isinstance(scorer, str) and scorer in SCORERS:
        return ConfigError(
            f"{document.where(*key)}: a gate may not look at the reference, and '{scorer}' does", hint=_hint()
        )
    known = (*KINDS, *RULES)
    near = suggest(scorer, known) if isinstance(scorer, str) else None
    return ConfigError(f"{document.where(*key)}: unknown {scorer!r}" + (f"; {near}" if near else ""), hint=_hint())


def _placed(trouble: ConfigError, key: tuple[str | int, ...], document: strict.Document) -> ConfigError:
    """Return what a scorer says about its fields ("scorer.schema: …") with the place in the file."""
    if not trouble.message.startswith("scorer."):
        return trouble
    place, _, message = trouble.message.removeprefix("scorer.").partition(": ")
    return ConfigError(f"{document.where(*key, *place.split('.'))}: {message}", hint=trouble.hint)


def _hint() -> str:
    return f"gates: {', '.join((*RULES, *KINDS))}, all"
