"""Templates in the log: each content once under its name, with a number that no other content of that name gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from routelab.core.errors import LogError
from routelab.store.file import Connection
from routelab.store.rows import utc
from routelab.store.text import sha256, storable, to_json


@dataclass(frozen=True, kw_only=True)
class KeptTemplate:
    """A version of a template: `content` as it was given, and its SHA-256, which does not depend on the order of keys.

    Two logs may have numbered different contents alike; after a merge both stand under that number, the hash tells them apart.
    """

    name: str
    version: int
    sha256: str
    content: Mapping[str, Any] = field(repr=False)
    note: str
    added_at: datetime

    @property
    def id(self) -> str:
        """The version's name as `calls.template` has it: "qa@3"."""
        return f"{self.name}@{self.version}"


def adding(
    name: str, content: Mapping[str, Any], note: str, *, at: datetime
) -> Callable[[Connection], tuple[int, Mapping[str, int]]]:
    """Return the work that keeps a content and gives its version and the rows by table; raises LogError for an unusable name."""
    if not name.strip() or "@" in name:
        raise LogError(
            f"a template cannot be called {name!r}", hint='a name such as "qa"; versions are then "qa@1", "qa@2"'
        )
    stored = to_json(dict(content))
    row = (storable(name), mark(content), stored, storable(note), utc(at))

    def work(con: Connection) -> tuple[int, Mapping[str, int]]:
        sql = "select max(version), min(version) filter (sha256 = ?) from templates where name = ?"
        last, known = con.execute(sql, [row[1], row[0]]).fetchall()[0]
        if known is not None:
            return int(known), {}
        version = int(last or 0) + 1
        con.execute("insert into templates values (?, ?, ?, ?, ?, ?)", [row[0], version, *row[1:]]).fetchall()
        return version, {"templates": 1}

    return work


def mark(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a content: equal for equal values, in whatever order the keys stand.

    >>> mark({"a": 1, "b": "x"}) == mark({"b": "x", "a": 1})
    True
    """
    plain = json.loads(to_json(dict(content)))
    return sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def kept(con: Connection, name: str | None) -> list[KeptTemplate]:
    """Return all versions, or those of one name, by name, version and time."""
    sql = """
        select name, version, sha256, content, note, added_at from templates
        where ?::varchar is null or name = ? order by name, version, added_at, sha256"""
    wanted = None if name is None else storable(name)
    return [
        KeptTemplate(
            name=row[0], version=row[1], sha256=row[2], content=json.loads(row[3]), note=row[4], added_at=row[5]
        )
        for row in con.execute(sql, [wanted, wanted]).fetchall()
    ]
