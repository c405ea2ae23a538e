"""The prompt library of a lab: templates in its log and in the folder `prompts`, what they cost, and what a new version breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routelab import strict
from routelab.core.errors import ConfigError
from routelab.lab.promptruns import Course, Regression, planned, regression
from routelab.present import Table, bundle, usd
from routelab.prompting import FOLDER, Difference, Library, Template, Version, diff, template_of

if TYPE_CHECKING:
    from routelab.config import RouteConfig
    from routelab.core.ports import Strategy
    from routelab.lab.promptruns import Rerun
    from routelab.lab.session import Lab

DIGITS = 8
"""Of a hash in a table: more than a reference by hash needs."""
_USED = """
    select template, count(*), avg(input_tokens), avg(output_tokens), count(*) filter (finish = 'length'),
           1000 * avg(cost_usd), count(*) filter (cost_usd is null), bool_and(simulated), bool_or(simulated)
    from calls where not cached and template <> '' and status = 'answered' group by 1
"""


@dataclass(frozen=True, kw_only=True)
class Used:
    """What calls with a template used, answered and not from a cache: means a call, USD a thousand calls of those with a price."""

    calls: int
    tokens_in: float | None
    tokens_out: float | None
    cut: int
    thousand_usd: float | None
    unpriced: int
    simulated: bool | None
    """Whether the calls were; None when some were and some were not."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Prompts:
    """Templates by name and version: what comes with routelab, the folder `prompts`, and the lab's log.

    A cell that ends with `lab.prompts` shows them with what their calls used.
    """

    lab: Lab
    folder: Path = Path(FOLDER)

    @property
    def library(self) -> Library:
        """The library that references are looked up in."""
        return Library(folders=(self.folder,), log=self.lab.log)

    def names(self) -> list[str]:
        """Return the names that there are templates of."""
        return self.library.names()

    def versions(self, name: str) -> list[Version]:
        """Return the versions of a template, oldest first, with where they stand and since when."""
        return self.library.versions(name)

    def get(self, reference: str) -> Template:
        """Return the template that "qa@3", "qa" (the latest) or "qa@sha:1a2b3c" names; raises ConfigError."""
        return self.library.get(reference)

    def add(
        self,
        template: Template | Mapping[str, Any],
        *,
        note: str = "",
        name: str | None = None,
        file: bool | None = None,
    ) -> Template:
        """Keep a template in the log and return it with its version: a new one only where it says something new.

        `template` may be a mapping such as ``{"name": "qa", "user": "..."}``. With `file` it is kept as ``prompts/NAME@N.yaml``, too;
        None: if there is such a folder. Raises ConfigError for what is no template.
        """
        given: Template | Mapping[str, Any] = template
        if name is not None:
            own = {"note": given.note, **given.content} if isinstance(given, Template) else given
            given = {**own, "name": name}
        made = template_of(given, strict.Document(values={}, name="template"), ())
        kept = self.library
        if not (self.folder.is_dir() if file is None else file):
            if any(str(self.folder) in v.sources for v in kept.versions(made.name)):
                raise ConfigError(
                    f"{made.name} has versions in {self.folder}, so a new one belongs there",
                    hint="leave out file=False",
                )
            kept = Library(log=self.lab.log)
        return kept.add(made, note)

    def diff(self, one: str | Template, two: str | Template) -> Difference:
        """Return the difference between two templates, given themselves or by reference."""
        return diff(self._of(one), self._of(two))

    def regression(
        self,
        data: object,
        config: str | RouteConfig | Strategy,
        old: str | Template,
        new: str | Template,
        *,
        course: Course | None = None,
        **terms: Any,
    ) -> Regression:
        """Play a config with two versions of a template on the same prompts and return what became of the answers.

        First comes a sample; what that settles beyond doubt is not paid for any further. `terms` are the fields of `Course`:
        margin, sample, budget_usd, seed, jobs, scorer. The result says fine, regression or inconclusive, and lists the prompts
        that got worse and better.
        """
        return regression(self.lab, data, config, (self._of(old), self._of(new)), course or Course(**terms))

    def planned(
        self,
        data: object,
        config: str | RouteConfig | Strategy,
        old: str | Template,
        new: str | Template,
        course: Course,
    ) -> Rerun:
        """Return what `regression` would play, ready to be played as a job."""
        return planned(self.lab, data, config, (self._of(old), self._of(new)), course)

    def used(self) -> dict[str, Used]:
        """Return what calls used by their template's reference, out of the log."""
        return {
            str(name): Used(
                calls=calls,
                tokens_in=given,
                tokens_out=made,
                cut=cut,
                thousand_usd=cost,
                unpriced=unpriced,
                simulated=None if every != some else bool(every),
            )
            for name, calls, given, made, cut, cost, unpriced, every, some in self.lab.log.query(_USED)
        }

    def listed(self) -> tuple[list[Version], list[str]]:
        """Return all versions by name, and a line for each name of which a version cannot be read."""
        found: list[Version] = []
        trouble: list[str] = []
        for name in self.names():
            try:
                found += self.versions(name)
            except ConfigError as unreadable:
                trouble.append(f"✗ {unreadable.message}")
        return found, trouble

    def table(self) -> Table:
        """Return every version with its hash, date, note and what its calls used; templates that only calls know come last."""
        used = self.used()
        versions, trouble = self.listed()
        known = {version.template.reference for version in versions}
        rows = [_row(version, used.get(version.template.reference)) for version in versions]
        rows += [(name, "–", "–", "calls only", *cells(u), "") for name, u in sorted(used.items()) if name not in known]
        made = [u.simulated for u in used.values()]
        return Table(
            head=("template", "hash", "since", "where", "calls", "tokens in + out", "cost of 1,000", "what is new"),
            rows=rows,
            numbers=frozenset((4, 5, 6)),
            caption="templates" + (" (all calls are simulated)" if made and all(made) else ""),
            notes=trouble,
        )

    def _of(self, which: str | Template) -> Template:
        return which if isinstance(which, Template) else self.get(which)

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self.table())


def _row(version: Version, used: Used | None) -> tuple[str, ...]:
    template = version.template
    figures = ("0", "–", "–") if used is None else cells(used)
    since = "–" if version.added_at is None else f"{version.added_at:%Y-%m-%d}"
    return (template.reference, template.sha256[:DIGITS], since, ", ".join(version.sources), *figures, template.note)


def cells(used: Used) -> tuple[str, str, str]:
    """Return calls, mean tokens in and out, and the cost of a thousand calls, as texts."""
    calls = f"{used.calls:,}" + (" (some simulated)" if used.simulated is None else "")
    unpriced = f" ({used.unpriced:,} unpriced)" if used.unpriced else ""
    return calls, f"{_mean(used.tokens_in)} + {_mean(used.tokens_out)}", usd(used.thousand_usd) + unpriced


def _mean(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"
