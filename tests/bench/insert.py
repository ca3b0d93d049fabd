"""Insertion: ours against the original and against a plain INSERT. python tests/bench/insert.py [--help]

Competitors take turns within each round, the first of a round last in the next, so that what else the machine does
falls on all of them. Believe the ratios of processor time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from rivals import ORIGINAL, OURS, Rounds, measured, rivals, value
from skyconsole.engine.queue.producer import Producer

_PAYLOAD = "x" * 100
_FLOOR = """
create table public.floor (like pgq.event_template including defaults);
create index on public.floor (ev_txid);
"""


class Contender:
    """One of the databases: the newest of its queues is written to."""

    def __init__(self, name: str, dsn: str) -> None:
        self.name = name
        self.dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.queues = 0

    def grow(self, queues: int) -> None:
        """Create queues until there are so many, and take a session that has seen none of them."""
        for number in range(self.queues, queues):
            self.connection.execute("select pgq.create_queue(%s)", (f"bench {number}",))
        self.queues = queues
        self.queue = f"bench {queues - 1}"
        self.connection.close()
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        table = self.connection.execute("select pgq.current_event_table(%s)", (self.queue,)).fetchone()
        assert table is not None
        self.table = sql.Identifier(*table[0].split("."))
        for _ in range(20):
            self.connection.execute("select pgq.insert_event(%s, 't', %s)", (self.queue, _PAYLOAD))
        self.empty()

    def row(self, way: str) -> str:
        """The name of a figure."""
        return f"{self.name}: {way}, {self.queues} queue{'s' if self.queues > 1 else ''}"

    def stored(self) -> int:
        """Events in the queue."""
        return value(self.connection, f"select count(*) from {self.table.as_string(self.connection)}")

    def empty(self) -> None:
        """Remove them."""
        self.connection.execute(sql.SQL("truncate {}").format(self.table))

    def one_statement(self, rounds: Rounds, events: int, _: int) -> int:
        with measured(self.connection, rounds, self.row("one statement"), events):
            self.connection.execute(
                "select count(pgq.insert_event(%s, 't', %s)) from generate_series(1, %s)",
                (self.queue, _PAYLOAD, events),
            )
        return events

    def single(self, rounds: Rounds, _: int, transactions: int) -> int:
        with measured(self.connection, rounds, self.row("a transaction each"), transactions):
            for _number in range(transactions):
                self.connection.execute("select pgq.insert_event(%s, 't', %s)", (self.queue, _PAYLOAD))
        return transactions

    def first_call(self, rounds: Rounds, _: int, __: int) -> int:
        with (
            psycopg.connect(self.dsn, autocommit=True) as fresh,
            measured(fresh, rounds, self.row("first call"), 1),
        ):
            fresh.execute("select pgq.insert_event(%s, 't', %s)", (self.queue, _PAYLOAD))
        return 1

    def insert_events(self, rounds: Rounds, events: int, _: int) -> int:
        if self.name != OURS:
            return 0
        base = self.row("one statement").replace(OURS, ORIGINAL, 1)
        with measured(self.connection, rounds, self.row("insert_events"), events, base):
            self.connection.execute(
                "select cardinality(pgq.insert_events(%s, array_agg('t'::text), array_agg(%s::text)))"
                " from generate_series(1, %s)",
                (self.queue, _PAYLOAD, events),
            )
        return events

    def produced(self, rounds: Rounds, events: int, _: int) -> int:
        rows = (("t", _PAYLOAD) for _ in range(events))
        with measured(self.connection, rounds, self.row("Producer"), events):
            Producer(self.connection, self.queue).insert_many(rows)
        return events

    def copied(self, rounds: Rounds, events: int, _: int) -> int:
        now = datetime.now(UTC)
        command = sql.SQL("copy {} (ev_time, ev_type, ev_data) from stdin").format(self.table)
        with (
            measured(self.connection, rounds, self.row("COPY"), events),
            self.connection.cursor().copy(command) as copy,
        ):
            for _number in range(events):
                copy.write_row((now, "t", _PAYLOAD))
        return events

    def ways(self) -> list[Callable[[Rounds, int, int], int]]:
        """Each inserts, measures, and returns how many events there are to be."""
        return [self.one_statement, self.insert_events, self.single, self.first_call, self.produced, self.copied]


def _plain(connection: psycopg.Connection, rounds: Rounds, events: int) -> None:
    with measured(connection, rounds, "plain INSERT with the index, one statement", events):
        connection.execute(
            "insert into public.floor (ev_id, ev_time, ev_type, ev_data) "
            "select n, now(), 't', %s from generate_series(1, %s) n",
            (_PAYLOAD, events),
        )


def _round(contenders: list[Contender], rounds: Rounds, events: int, transactions: int) -> None:
    """Every way once, by every contender in turn; what they say they stored must be there."""
    wanted = dict.fromkeys((contender.name for contender in contenders), 0)
    for ways in zip(*(contender.ways() for contender in contenders), strict=True):
        for contender, way in zip(contenders, ways, strict=True):
            wanted[contender.name] += way(rounds, events, transactions)
    for contender in contenders:
        if contender.stored() != wanted[contender.name]:
            raise SystemExit(f"{contender.name}: {contender.stored()} events stored, not {wanted[contender.name]}")
        contender.empty()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--events", type=int, default=5_000, help="events of a bulk round")
    options.add_argument("--transactions", type=int, default=200, help="transactions of a round of single events")
    options.add_argument("--queues", type=int, nargs="+", default=[1, 300, 1000], help="queues in each database")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with rivals() as dsns:
        contenders = [Contender(name, dsn) for name, dsn in dsns.items()]
        base = ORIGINAL if ORIGINAL in dsns else OURS
        rounds = Rounds(f"{base}: one statement, {min(given.queues)} queue{'s' if min(given.queues) > 1 else ''}")
        with psycopg.connect(dsns[OURS], autocommit=True) as floor:
            floor.execute(_FLOOR)
            for queues in sorted(given.queues):
                for contender in contenders:
                    contender.grow(queues)
                for _ in range(given.rounds):
                    _plain(floor, rounds, given.events)
                    _round(contenders, rounds, given.events, given.transactions)
                    contenders.reverse()
            version = floor.info.server_version // 10000
        title = f"insertion, PostgreSQL {version}, 100 bytes, {given.rounds} rounds of {given.events} events"
        rounds.report(title, given.json)
        for contender in contenders:
            contender.connection.close()


if __name__ == "__main__":
    main()
