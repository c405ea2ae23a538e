"""A library of templates: what comes with routelab, files in folders, and the log; versions that never change."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from routelab import strict
from routelab.core.errors import ConfigError, suggest
from routelab.prompting.template import SHORT, Template
from routelab.prompting.written import filed, written

BUILTIN, LOG = "routelab", "log"
LEAST_HASH = 6
_FILE = re.compile(r"(?P<name>[^@]+)@(?P<version>[1-9][0-9]{0,8})\.yaml\Z")
_REFERENCE = re.compile(r"(?P<name>[^@]+?)(?:@(?:(?P<version>[1-9][0-9]{0,8})|sha:(?P<sha>[0-9a-f]+)))?\Z")


class Kept(Protocol):
    """A template as a log keeps it."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def content(self) -> Mapping[str, Any]: ...
    @property
    def note(self) -> str: ...
    @property
    def added_at(self) -> datetime: ...


class Shelf(Protocol):
    """A log that keeps templates (`store.Log` does)."""

    def add_template(self, name: str, content: Mapping[str, Any], note: str = "") -> int:
        """Keep a content and return its version: the next one, or the one that has this content."""

    def templates(self, name: str | None = None) -> Sequence[Kept]:
        """Return the versions of all templates, or of one."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version and where it stands: "routelab", folders, "log"; `added_at` in UTC (of a file: when it was written)."""

    template: Template
    sources: tuple[str, ...]
    added_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Library:
    """Finds templates by reference, and keeps new versions in the first of `folders` and in the `log`, whichever there are.

    A file is called ``NAME@VERSION.yaml`` and holds what `spec_of` gives; one that no longer says what its hash says is an error.

    >>> Library().get("cot").reference
    'cot@1'
    """

    folders: Sequence[Path] = ()
    log: Shelf | None = None
    builtin: bool = True

    def get(self, reference: str) -> Template:
        """Return the template that "qa@3", "qa" (the latest) or "qa@sha:1a2b3c" (at least 6 digits) names; raises ConfigError."""
        asked = _REFERENCE.match(reference)
        if asked is None:
            raise ConfigError(
                f"'{reference}' names no template", hint="qa@3, qa for its latest version, or qa@sha:1a2b3c"
            )
        versions = self.versions(asked["name"])
        if not versions:
            names = self.names()
            near = suggest(asked["name"], names)
            raise ConfigError(
                f"there is no template '{asked['name']}'{'; ' + near if near else ''}",
                hint=None if near else f"templates: {', '.join(names)}",
            )
        if asked["sha"] is not None:
            return _by_hash(versions, asked["sha"], reference)
        wanted = int(asked["version"]) if asked["version"] else versions[-1].template.version
        found = [v for v in versions if v.template.version == wanted]
        if not found:
            have = ", ".join(dict.fromkeys(v.template.reference for v in versions))
            raise ConfigError(f"there is no {reference}", hint=f"versions: {have}")
        if len(found) > 1:
            said = " and ".join(f"{v.template.name}@sha:{v.template.short} ({', '.join(v.sources)})" for v in found)
            raise ConfigError(
                f"{found[0].template.reference} stands for two templates: {said}", hint="name the one that is meant so"
            )
        return found[0].template

    def names(self) -> list[str]:
        """Return the names that there are templates of, sorted."""
        return sorted({*(name for name, _, _ in self._files()), *self._logged_names()})

    def versions(self, name: str) -> list[Version]:
        """Return the versions of a template, oldest first; one that stands in several places is there once.

        Two contents that have got the same number in two places are both there.
        """
        found: dict[tuple[int, str], Version] = {}
        for entry in (*self._filed(name), *self._logged(name)):
            made = entry.template
            assert made.version is not None
            known = found.get((made.version, made.sha256))
            if known is None:
                found[made.version, made.sha256] = entry
                continue
            found[made.version, made.sha256] = Version(
                template=known.template if known.template.note else made,
                sources=(*known.sources, *entry.sources),
                added_at=min((t for t in (known.added_at, entry.added_at) if t is not None), default=None),
            )
        return [found[key] for key in sorted(found)]

    def add(self, template: Template, note: str = "") -> Template:
        """Keep a template and return it with its version: the next number, or that of the version which says the same already.

        `note` says what is new in it. Raises ConfigError when there is nowhere to keep it, and where the log would number it otherwise.
        """
        if self.log is None and not self.folders:
            raise ConfigError(
                f"there is nowhere to keep {template.name}", hint="a library needs a folder or a log to add to"
            )
        versions = self.versions(template.name)
        same = next((v for v in reversed(versions) if v.template.sha256 == template.sha256), None)
        if same is not None:
            return same.template
        number = 1 + max((v.template.version or 0 for v in versions), default=0)
        new = dataclasses.replace(template, version=number, note=note or template.note)
        if self.log is not None:
            _log(self.log, [*(v.template for v in versions), new])
        if self.folders:
            _write(Path(self.folders[0]), new)
        return new

    def _files(self) -> Iterator[tuple[str, int, Any]]:
        places: list[Any] = [resources.files("routelab.prompting").joinpath("builtin")] if self.builtin else []
        for place in (*places, *map(Path, self.folders)):
            if not place.is_dir():
                continue
            for file in sorted(place.iterdir(), key=lambda f: str(f.name)):
                if (asked := _FILE.match(file.name)) is not None:
                    yield asked["name"], int(asked["version"]), file

    def _filed(self, name: str) -> Iterator[Version]:
        for own, number, file in self._files():
            if own != name:
                continue
            shipped = not isinstance(file, Path) or file.parent == resources.files("routelab.prompting") / "builtin"
            template = _read(file, own, number)
            when = None if shipped else datetime.fromtimestamp(file.stat().st_mtime, UTC).replace(tzinfo=None)
            yield Version(template=template, sources=(BUILTIN if shipped else str(file.parent),), added_at=when)

    def _logged_names(self) -> set[str]:
        return set() if self.log is None else {kept.name for kept in self.log.templates()}

    def _logged(self, name: str) -> Iterator[Version]:
        for kept in () if self.log is None else self.log.templates(name):
            doc = strict.Document(values=kept.content, name=f"{kept.name}@{kept.version} in the log")
            said = {
                **kept.content,
                "name": kept.name,
                "version": kept.version,
                "note": kept.note,
                "sha256": kept.sha256,
            }
            yield Version(template=written(said, doc), sources=(LOG,), added_at=kept.added_at)


def _by_hash(versions: Sequence[Version], digits: str, reference: str) -> Template:
    if len(digits) < LEAST_HASH:
        raise ConfigError(f"{reference}: at least {LEAST_HASH} digits of the hash are needed")
    # Two numbers may have one content; it is the same template.
    found = {v.template.sha256: v.template for v in versions if v.template.sha256.startswith(digits)}
    if len(found) == 1:
        return next(iter(found.values()))
    have = ", ".join(f"{v.template.reference} is {v.template.sha256[:SHORT]}" for v in versions)
    raise ConfigError(f"{reference}: {'no version has' if not found else 'several versions have'} this hash", hint=have)


def _read(file: Any, name: str, number: int) -> Template:
    doc = strict.read(file) if isinstance(file, Path) else strict.parse(file.read_text("utf-8"), name=file.name)
    said = {"name": name, "version": number, **doc.values}
    if said["name"] != name or said["version"] != number or isinstance(said["version"], bool):
        raise ConfigError(
            f"{doc.name}: says that it is {said['name']}@{said['version']}", hint=f"it is called {name}@{number}.yaml"
        )
    return written(said, doc)


def _log(log: Shelf, templates: Sequence[Template]) -> None:
    """Put the last template into the log, and before it those that the log lacks: it numbers in the order in which they come."""
    new = templates[-1]
    known = {(kept.version, kept.sha256) for kept in log.templates(new.name)}
    for template in templates:
        if (template.version, template.sha256) in known:
            continue
        got = log.add_template(template.name, template.content, template.note)
        if got != template.version:
            raise ConfigError(
                f"{template.reference} is number {got} in the log, which has had other versions of it",
                hint=f"add it under another name, or put the versions of {template.name} that are missing into the library",
            )


def _write(folder: Path, template: Template) -> None:
    path = folder / f"{template.reference}.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # "x": somebody else's version of the same number stays.
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(filed(template))
    except FileExistsError:
        raise ConfigError(f"{path}: is there already", hint="add it again, it becomes the next version") from None
    except OSError as trouble:
        raise ConfigError(f"{path}: cannot be written ({trouble.strerror})") from None
