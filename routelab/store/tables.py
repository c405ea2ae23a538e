"""Rows in and out of an open connection: bound parameters only, each unit once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb

from routelab.store import trouble
from routelab.store.rows import Row, Unit
from routelab.store.schema import FACTS, FORGOTTEN, TABLES, VERSION, VIEWS
from routelab.store.schema import create as ddl

UPGRADES: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        1: (
            "alter table scores add column judge varchar",
            "alter table scores add column input_tokens bigint",
            "alter table scores add column output_tokens bigint",
            "alter table scores add column simulated boolean",
            f"create or replace view spend_by_day as {VIEWS['spend_by_day']}",
        ),
        2: (
            f"create or replace view spend_by_day as {VIEWS['spend_by_day']}",
            "alter table calls add column mean_logprob double",
            "alter table calls add column min_logprob double",
        ),
        3: (
            "alter table answers add column cache_namespace varchar",
            "alter table answers add column cache_text varchar",
            "alter table answers add column cache_label varchar",
            f"create or replace view cache_hits as {VIEWS['cache_hits']}",
            f"create or replace view cache_misses as {VIEWS['cache_misses']}",
        ),
        4: (
            "alter table calls add column template varchar",
            "create table templates (name varchar, version integer, sha256 varchar, content varchar, note varchar, added_at timestamp)",
            "create table summaries (key varchar, model varchar, text varchar, input_tokens bigint, output_tokens bigint, "
            "cost_usd double, simulated boolean, written_at timestamp)",
            f"create or replace view spend_by_day as {VIEWS['spend_by_day']}",
            f"create or replace view tokens_by_type as {VIEWS['tokens_by_type']}",
        ),
    }
)
"""By schema version, the statements that lead to the next one. They name what that next version had, columns at the end."""

_FORGOTTEN = """
    insert into meta
    select distinct theirs.key, theirs.value, theirs.session, theirs.noted_at from other.main.meta theirs
    where theirs.key = ? and not exists (
        select 1 from meta mine
        where mine.key = theirs.key and mine.value is not distinct from theirs.value
          and mine.session is not distinct from theirs.session and mine.noted_at is not distinct from theirs.noted_at)"""

# Which tables a unit of a table brings along, and the column that ties them to it.
_PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType({"runs": ("events", "calls", "scores", "answers")})


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables and views of an empty log."""
    for statement in ddl():
        con.execute(statement)
    con.execute("insert into meta values ('schema', ?, '', NULL)", [str(VERSION)]).fetchall()


def note(con: duckdb.DuckDBPyConnection, key: str, value: str, *, session: str, at: datetime) -> None:
    """Add a row to `meta`."""
    con.execute("insert into meta values (?, ?, ?, ?)", [key, value, session, at]).fetchall()


def identify(con: duckdb.DuckDBPyConnection, path: Path, *, catalog: str | None = None) -> tuple[int, str]:
    """Return the file's schema version and its log id; raises LogUnreadable for a foreign file or a later schema."""
    meta = "meta" if catalog is None else f"{catalog}.main.meta"
    try:
        rows = con.execute(f"select key, value from {meta} where key in ('schema', 'log')").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise trouble.not_a_log(path) from error
    versions = [int(value) for key, value in rows if key == "schema" and str(value).isdigit()]
    logs = [str(value) for key, value in rows if key == "log"]
    if not versions or not logs:
        raise trouble.not_a_log(path)
    if max(versions) > VERSION:
        raise trouble.newer(path, max(versions), VERSION)
    return max(versions), logs[0]


def upgrade(con: duckdb.DuckDBPyConnection, found: int, upgrades: Mapping[int, tuple[str, ...]] = UPGRADES) -> None:
    """Bring the file from the found version to this one, a transaction a version, so a kill does no harm."""
    for version in range(found, VERSION):
        con.begin()
        for statement in upgrades[version]:
            con.execute(statement).fetchall()
        con.execute("insert into meta values ('schema', ?, '', NULL)", [str(version + 1)]).fetchall()
        con.commit()
    con.execute("checkpoint").fetchall()


def write(con: duckdb.DuckDBPyConnection, units: Sequence[Unit]) -> dict[str, int]:
    """Insert the units that are not there yet, in the caller's transaction, and return the rows by table."""
    rows: dict[str, list[Row]] = {}
    for unit in fresh(con, units):
        for table, found in unit.rows.items():
            rows.setdefault(table, []).extend(found)
    for table, batch in rows.items():
        _insert(con, table, batch)
    return {table: len(batch) for table, batch in rows.items()}


def fresh(con: duckdb.DuckDBPyConnection, units: Iterable[Unit]) -> list[Unit]:
    """Return the units whose keys the tables do not hold, each once, in their order.

    A scan over a million keys takes 2 ms, less than an index costs on every insert.
    """
    new = {(unit.table, unit.key): unit for unit in reversed(list(units))}
    for table in {table for table, _ in new}:
        columns = TABLES[table].key
        if not columns:  # nothing tells such rows apart, and nothing is lost when one comes twice
            continue
        keys = [key for name, key in new if name == table]
        sought = f"select {', '.join(columns)} from {table} where {columns[0]} in (select unnest(?::varchar[]))"
        for found in con.execute(sought, [list({key[0] for key in keys})]).fetchall():
            new.pop((table, tuple(found)), None)
    return list(reversed(new.values()))


def count(con: duckdb.DuckDBPyConnection, names: Sequence[str] = FACTS) -> dict[str, int]:
    """Return the number of rows by table."""
    sql = " union all ".join(f"select '{name}', count(*) from {name}" for name in names)
    return {str(name): int(n) for name, n in con.execute(sql).fetchall()}


def overlay(con: duckdb.DuckDBPyConnection, pending: Sequence[Unit], found: int = VERSION) -> None:
    """Let this read-only connection see units that are not in the file yet, under the tables' and views' own names.

    A file of an earlier version, opened for reading only, shows today's tables, columns and views, which it has no rows for.
    """
    units = fresh(con, pending)
    touched = {table for unit in units for table in unit.rows} | (set(FACTS) if found < VERSION else set())
    if not touched:
        return
    home = con.execute("select current_database()").fetchall()[0][0]
    there = {str(row[0]) for row in con.execute("select table_name from duckdb_tables()").fetchall()}
    for table in touched:
        columns = ", ".join(f"{name} {type_}" for name, type_ in TABLES[table].columns.items())
        con.execute(f"create temp table pending_{table} ({columns})")
        _insert(con, f"temp.pending_{table}", [row for unit in units for row in unit.rows.get(table, ())], like=table)
        # By name: a file of an earlier version, opened for reading only, has fewer columns.
        new = f"select * from temp.pending_{table}"
        both = f'select * from "{home}".main.{table} union all by name {new}' if table in there else new
        con.execute(f"create temp view {table} as {both}")
    for name, sql in VIEWS.items():
        con.execute(f"create temp view {name} as {sql}")


def merge(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Take over what the log attached as `other` has and this one has not, and return the rows by table.

    Of `meta` that is what was forgotten there: the answers of that time are taken over, and must not be given again.
    """
    taken: dict[str, int] = {}
    for owner, table in TABLES.items():
        if not table.key:
            continue
        same = " and ".join(f"mine.{key} is not distinct from theirs.{key}" for key in table.key)
        # The parts go first: they are told from those that are here by the owner's key, which comes last.
        for name in (*_PARTS.get(owner, ()), owner):
            there = _columns(con, name)
            if not there:  # an earlier version had no such table
                continue
            columns = ", ".join(f"theirs.{c}" if c in there else f"null as {c}" for c in TABLES[name].columns)
            sql = (
                f"insert into {name} select {columns} from other.main.{name} theirs "
                f"where not exists (select 1 from {owner} mine where {same})"
            )
            taken[name] = int(con.execute(sql).fetchall()[0][0])
    taken["meta"] = int(con.execute(_FORGOTTEN, [FORGOTTEN]).fetchall()[0][0])
    return taken


def _columns(con: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    """Return the columns that a table of the attached log has: an earlier version has fewer."""
    sql = "select column_name from duckdb_columns() where database_name = 'other' and table_name = ?"
    return {str(row[0]) for row in con.execute(sql, [table]).fetchall()}


def _insert(con: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Row], *, like: str | None = None) -> None:
    """Insert the rows by columns, one bound list each: 7 µs a row against 230 with executemany.

    DuckDB converts bound lists while it holds the interpreter: a thousand rows at a time keep that below 10 ms, so that a
    backlog does not stop the engine's loop.
    """
    types = list(TABLES[like or name].columns.values())
    lists = ", ".join(f"unnest(?::{type_}[])" for type_ in types)
    for start in range(0, len(rows), 1000):
        columns: list[list[Any]] = [list(column) for column in zip(*rows[start : start + 1000], strict=True)]
        con.execute(f"insert into {name} select {lists}", columns).fetchall()
