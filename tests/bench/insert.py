"""Insertion: ours against the original and against a plain INSERT. python tests/bench/insert.py [--help]"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from rivals import ORIGINAL, OURS, Rounds, measured, rivals, value

_PAYLOAD = "x" * 100
_FLOOR = """
create table public.floor (like pgq.event_template including defaults);
create index on public.floor (ev_txid);
"""


class Contender:
    """One of the databases, with a queue among others."""

    def __init__(self, name: str, dsn: str, queues: int) -> None:
        self.name = name
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.dsn = dsn
        self.queue = f"bench {queues - 1}"
        for number in range(queues):
            self.connection.execute("select pgq.create_queue(%s)", (f"bench {number}",))
        table = self.connection.execute("select pgq.current_event_table(%s)", (self.queue,)).fetchone()
        assert table is not None
        self.table = sql.Identifier(*table[0].split("."))

    def stored(self) -> int:
        return value(self.connection, "select count(*) from pgq.event_template")

    def one_statement(self, rounds: Rounds, events: int) -> None:
        with measured(self.connection, rounds, f"{self.name}: insert_event, one statement", events):
            self.connection.execute(
                "select count(pgq.insert_event(%s, 't', %s)) from generate_series(1, %s)",
                (self.queue, _PAYLOAD, events),
            )

    def single(self, rounds: Rounds, events: int) -> None:
        with measured(self.connection, rounds, f"{self.name}: insert_event, a transaction each", events):
            for _ in range(events):
                self.connection.execute("select pgq.insert_event(%s, 't', %s)", (self.queue, _PAYLOAD))

    def copied(self, rounds: Rounds, events: int) -> None:
        now = datetime.now(UTC)
        command = sql.SQL("copy {} (ev_time, ev_type, ev_data) from stdin").format(self.table)
        with (
            measured(self.connection, rounds, f"{self.name}: COPY into the current table", events),
            self.connection.cursor().copy(command) as copy,
        ):
            for _ in range(events):
                copy.write_row((now, "t", _PAYLOAD))

    def first_call(self, rounds: Rounds) -> None:
        with (
            psycopg.connect(self.dsn, autocommit=True) as fresh,
            measured(fresh, rounds, f"{self.name}: first call of a session", 1),
        ):
            fresh.execute("select pgq.insert_event(%s, 't', %s)", (self.queue, _PAYLOAD))

    def plain(self, rounds: Rounds, events: int) -> None:
        with measured(self.connection, rounds, "plain INSERT with the index, one statement", events):
            self.connection.execute(
                "insert into public.floor (ev_id, ev_time, ev_type, ev_data) "
                "select n, now(), 't', %s from generate_series(1, %s) n",
                (_PAYLOAD, events),
            )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--events", type=int, default=20_000, help="events of a bulk round")
    options.add_argument("--transactions", type=int, default=500, help="transactions of a round of single events")
    options.add_argument("--queues", type=int, default=1, help="queues in each database")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with rivals() as dsns:
        contenders = [Contender(name, dsn, given.queues) for name, dsn in dsns.items()]
        ours = contenders[0].connection
        ours.execute(_FLOOR)
        base = ORIGINAL if ORIGINAL in dsns else OURS
        rounds = Rounds(f"{base}: insert_event, one statement")
        for _ in range(given.rounds):
            contenders[0].plain(rounds, given.events)
            for contender in contenders:
                before = contender.stored()
                contender.one_statement(rounds, given.events)
                contender.copied(rounds, given.events)
                contender.single(rounds, given.transactions)
                contender.first_call(rounds)
                wanted = given.events * 2 + given.transactions + 1
                if contender.stored() - before != wanted:
                    raise SystemExit(f"{contender.name}: {contender.stored() - before} events stored, not {wanted}")
                contender.connection.execute(sql.SQL("truncate {}").format(contender.table))
        version = ours.info.server_version // 10000
        title = f"insertion, PostgreSQL {version}, 100 bytes, {given.queues} queues, {given.rounds} rounds"
        rounds.report(title, given.json)
        for contender in contenders:
            contender.connection.close()


if __name__ == "__main__":
    main()
