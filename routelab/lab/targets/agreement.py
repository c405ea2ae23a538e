"""What two programs agree on, as values: checks, the rows that differ, and exact intervals of shares."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import beta

from routelab.present import Table


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A prompt that the two treat differently: who is asked, in order, on either side."""

    prompt_id: str
    ours: str
    theirs: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing compared n times; `interval` is a share's (Clopper–Pearson), `wanted` what it must contain."""

    name: str
    n: int
    agreed: int
    disagreements: tuple[Disagreement, ...] = ()
    wanted: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def ok(self) -> bool:
        """Whether everything agreed, or the wanted share lies in the interval; nothing compared is not agreement."""
        if self.interval is not None and self.wanted is not None:
            return self.interval[0] <= self.wanted <= self.interval[1]
        return self.n > 0 and self.agreed == self.n


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What a gateway made of an exported file: one check a row, what was not run, and which version it was."""

    target: str
    version: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def table(self) -> Table:
        """Return one row a check, and the first prompts that disagree."""
        rows = []
        for check in self.checks:
            share = check.interval is not None and check.wanted is not None
            found = f"{check.agreed / check.n:.1%} of {check.n}" if check.n else "nothing compared"
            against = f"{check.wanted:.1%} wanted, [{check.interval[0]:.1%}, {check.interval[1]:.1%}]" if share else ""  # type: ignore[index]
            rows.append([check.name, found, against, "ok" if check.ok else "DIFFERS"])
        notes = [
            f"{check.name}: {d.prompt_id}: ours {d.ours}; theirs {d.theirs}"
            for check in self.checks
            for d in check.disagreements[:3]
        ]
        return Table(
            head=("check", "agreement", "interval", "verdict"),
            rows=rows,
            caption=f"{self.target} {self.version}: {'agrees' if self.ok else 'does not agree'} with routelab",
            notes=[*notes, *self.notes],
        )


def clopper_pearson(k: int, n: int, *, level: float) -> tuple[float, float]:
    """Return the exact interval of a share, k of n (Clopper and Pearson, Biometrika 1934).

    >>> clopper_pearson(0, 10, level=0.95)[0], round(clopper_pearson(0, 10, level=0.95)[1], 4)
    (0.0, 0.3085)
    """
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high
