"""How often a confirm split was looked at: every look chooses a little, so each one is counted and told.

A look is one comparison of certain arms on a certain split. The same comparison made again tells nothing new and is
not counted again; another set of arms, margin or baseline on the same prompts is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from routelab.core.errors import ConfigError, LogError
from routelab.core.values import digest
from routelab.lab.compare import Comparison
from routelab.lab.outcomes import Outcomes
from routelab.lab.report import config_of
from routelab.store import Log


@dataclass(frozen=True, kw_only=True)
class Look:
    """One comparison on one confirm split: `split` is equal for equal prompts, seed and share."""

    split: str
    dataset: str
    seed: int
    arms: Mapping[str, Any]
    detail: Mapping[str, Any]

    @property
    def key(self) -> str:
        """16 hexadecimal digits, equal for the same comparison."""
        return digest(self.split, self.arms, self.detail)


class Ledger(Protocol):
    """Remembers looks at confirm splits."""

    def count(self, look: Look) -> int:
        """Take a look and return how many different ones its split has had, this one included; raises LogError."""


@dataclass(frozen=True, kw_only=True)
class InLog:
    """The ledger in the log's table `experiments`: one row a look, named `confirm-` and the split."""

    log: Log

    def count(self, look: Look) -> int:
        """Take a look and return how many different ones its split has had."""
        name = f"confirm-{look.split}"
        self.log.record_experiment(name, dataset=look.dataset, arms=look.arms, seed=look.seed, detail=look.detail)
        return int(self.log.query("select count(distinct sha256) from experiments where experiment = ?", [name])[0][0])


@dataclass(frozen=True, kw_only=True)
class Beside:
    """The ledger of work without a log: a JSONL file, such as the one beside a result, that only grows."""

    path: Path

    def count(self, look: Look) -> int:
        """Take a look and return how many different ones its split has had; ConfigError when the file cannot be used."""
        line = json.dumps({"split": look.split, "look": look.key, "arms": list(look.arms)}, ensure_ascii=False)
        try:
            known = self._looks(look.split)
            if look.key not in known:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
        except OSError as trouble:
            raise ConfigError(f"{self.path}: cannot be used ({trouble.strerror})", hint="name a file") from None
        return len(known | {look.key})

    def _looks(self, split: str) -> set[str]:
        if not self.path.exists():
            return set()
        looks = set()
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                row = json.loads(line)
                if row["split"] == split:
                    looks.add(str(row["look"]))
            except (ValueError, TypeError, KeyError):
                raise ConfigError(
                    f"{self.path}:{number}: is not a count of looks at confirm splits", hint="name another file"
                ) from None
        return looks


def split_of(outcomes: Outcomes, *, seed: int, confirm: float) -> str:
    """Return 16 hexadecimal digits of a split: of the prompts, the seed and the share, whichever models answered."""
    content = hashlib.sha256()
    for prompt in outcomes.prompts:
        content.update(repr((prompt.id, prompt.group, prompt.text)).encode("utf-8", "backslashreplace"))
    return digest(outcomes.dataset, content.hexdigest(), seed, float(confirm))


def counted(comparison: Comparison, outcomes: Outcomes, ledger: Ledger, *, confirm: float) -> Comparison:
    """Return the comparison with its look at the confirm split counted: in `terms.confirm_uses` and in the notes.

    Without a confirm split nothing was used up. When the ledger is busy or broken, the note says that it was not
    counted.
    """
    terms = comparison.terms
    if not terms.tune:
        return comparison
    look = Look(
        split=split_of(outcomes, seed=terms.seed, confirm=confirm),
        dataset=terms.dataset or "",
        seed=terms.seed,
        arms={arm.name: _written(arm.config) for arm in comparison.arms},
        detail={"confirm": confirm, "margin": terms.margin, "baseline": _written(comparison.baseline.config)},
    )
    try:
        uses: int | None = ledger.count(look)
        note = told(uses)
    except LogError as trouble:
        uses, note = None, f"this use of the confirm split could not be counted: {trouble.message}"
    notes = (*(n for n in terms.notes if n != told(None)), note)
    changed = dataclasses.replace(terms, confirm_uses=uses, notes=notes)
    return dataclasses.replace(comparison, terms=changed)


def told(uses: int | None) -> str:
    """Return the sentence about the uses of a confirm split.

    >>> told(1)
    'confirm split used 1 time'
    """
    if uses is None:
        return "the uses of the confirm split are not counted: there is no log"
    if uses == 1:
        return "confirm split used 1 time"
    return f"confirm split used {uses:,} times, so its figures are no longer those of prompts never looked at"


def _written(config: Any) -> Any:
    # A config by its fingerprint: short, and equal for equal decisions.
    return getattr(config, "fingerprint", None) or repr(config_of(config))
