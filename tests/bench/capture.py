"""Capture: what a trigger adds to an UPDATE, ours against the original's in C. python tests/bench/capture.py [--help]

One table in each database (a key and five columns), one trigger at a time, so that all write the same bytes; a hash
over the events is compared. Backend CPU, the UPDATE included, is what to look at.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from rivals import ORIGINAL, OURS, Rounds, measured, rivals, value

KINDS = ("logutriga", "sqltriga", "jsontriga")
FORMS = ("row", "statement")
_QUEUE = "bench"
_TABLE = "public.bench"

_CREATE = """
create table public.bench (
    id int primary key,
    n int,
    note text,
    amount numeric(12, 2),
    seen timestamptz,
    code text
)
"""

_FILL = """
insert into public.bench
select
    i, i * 7, 'note number ' || i, mod(i, 1000) + 0.25,
    timestamptz '2026-01-01 00:00:00+00' + i * interval '1.5 seconds', md5(i::text)
from generate_series(1, %s) as i
"""

_BULK = "update public.bench set n = n + 1"

_SINGLE = """
do $$
begin
    for i in 1..{rows} loop
        update public.bench set n = n + 1 where id = i;
    end loop;
end $$
"""

_DIGEST = """
select
    count(*),
    md5(string_agg(
        md5(concat_ws('|', ev_type, coalesce(ev_data, '-'), coalesce(ev_extra1, '-'), coalesce(ev_extra2, '-'))),
        '' order by ev_id
    ))
from pgq.event_template
where ev_id > %s
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """One trigger in one database: of a kind, generic or compiled to a form; without a kind no trigger at all."""

    database: str
    kind: str | None
    form: str | None = None

    @property
    def name(self) -> str:
        if self.kind is None:
            return "no trigger"
        return f"{self.database}: {self.kind}" + (f" compiled, {self.form}" if self.form else "")


class Table:
    """The table of one database, where the contenders take turns."""

    def __init__(self, dsn: str, rows: int) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.rows = rows
        self.connection.execute("set jit = off")
        self.connection.execute("set timezone = 'UTC'")
        self.connection.execute("select pgq.create_queue(%s)", (_QUEUE,))
        current = self.connection.execute("select pgq.current_event_table(%s)", (_QUEUE,)).fetchone()
        assert current is not None
        self._events = sql.Identifier(*current[0].split("."))

    def prepare(self, contender: Contender) -> None:
        """The same rows as ever, no events, this contender's trigger, and its functions loaded."""
        run = self.connection.execute
        # Not the trigger alone: by statement there are more.
        run("drop table if exists public.bench")
        run(_CREATE)
        run(_FILL, (self.rows,))
        run(sql.SQL("truncate {}").format(self._events))
        if contender.kind is not None:
            run(
                sql.SQL(
                    "create trigger capture after insert or update or delete on public.bench"
                    " for each row execute function pgq.{}({})"
                ).format(sql.Identifier(contender.kind), sql.Literal(_QUEUE))
            )
        if contender.form is not None:
            row = run("select pgq.compile_capture(%s::regclass, 'capture', %s)", (_TABLE, contender.form)).fetchone()
            assert row is not None
            if row[0] != contender.form:
                raise SystemExit(f"{contender.name}: compile_capture gave {row[0]}")
        run("vacuum (analyze) public.bench")
        run("update public.bench set n = n where id = 1")

    def missing(self, contender: Contender) -> str:
        """Why this contender is not installed here; empty if it is."""
        try:
            self.prepare(contender)
        except psycopg.errors.UndefinedFunction as error:
            return str(error).splitlines()[0]
        return ""

    def measure(self, contender: Contender, statement: str, rounds: Rounds, name: str, base: str, rows: int) -> str:
        """Run the statement under this contender; the hash of the events it wrote."""
        self.prepare(contender)
        mark = value(self.connection, "select max(ev_id) from pgq.event_template")
        with measured(self.connection, rounds, name, rows, base):
            self.connection.execute(statement)
        digest = self.connection.execute(_DIGEST, (mark,)).fetchone()
        assert digest is not None
        if digest[0] != (0 if contender.kind is None else rows):
            raise SystemExit(f"{name}: {digest[0]} events for {rows} rows")
        return str(digest[1])


def contenders(databases: Iterable[str], kinds: Sequence[str], forms: Sequence[str]) -> list[Contender]:
    """All that may take part, the base first."""
    found = [Contender(OURS, None)]
    for kind in kinds:
        found += [Contender(database, kind) for database in (ORIGINAL, OURS) if database in databases]
        found += [Contender(OURS, kind, form) for form in forms]
    return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rows", type=int, default=100_000, help="rows of the table, and of a bulk UPDATE")
    options.add_argument("--single", type=int, default=5_000, help="single-row UPDATEs of a round")
    options.add_argument("--kinds", default=",".join(KINDS), help="the trigger functions, by commas")
    options.add_argument("--forms", default=",".join(FORMS), help="the compiled forms, by commas; empty: none")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    kinds = [kind for kind in given.kinds.split(",") if kind]
    forms = [form for form in given.forms.split(",") if form]
    with rivals() as dsns:
        tables = {name: Table(dsn, given.rows) for name, dsn in dsns.items()}
        taking_part = []
        for contender in contenders(dsns, kinds, forms):
            if reason := tables[contender.database].missing(contender):
                print(f"left out, {contender.name}: {reason}")
            else:
                taking_part.append(contender)
        names = {contender.name for contender in taking_part}
        rounds = Rounds(f"{taking_part[0].name}, bulk")
        digests: dict[tuple[str | None, str], dict[str, str]] = {}
        for _ in range(given.rounds):
            for contender in taking_part:
                # Without the original, and for no trigger at all, the first of the list is the base.
                rival = f"{ORIGINAL}: {contender.kind or kinds[0]}"
                base = rival if rival in names else taking_part[0].name
                for way, statement, rows in (
                    ("bulk", _BULK, given.rows),
                    ("single rows", _SINGLE.format(rows=given.single), given.single),
                ):
                    name = f"{contender.name}, {way}"
                    table = tables[contender.database]
                    digest = table.measure(contender, statement, rounds, name, f"{base}, {way}", rows)
                    digests.setdefault((contender.kind, way), {})[contender.name] = digest
        for (kind, way), found in digests.items():
            if len(set(found.values())) > 1:
                raise SystemExit(f"{kind}, {way}: the events differ: {found}")
        version = tables[OURS].connection.info.server_version // 10000
        rounds.report(f"capture, PostgreSQL {version}, {given.rows} rows, {given.rounds} rounds", given.json)
        print(f"The events of all contenders of a kind are the same: {', '.join(sorted(names - {'no trigger'}))}")
        for table in tables.values():
            table.connection.close()


if __name__ == "__main__":
    main()
