"""Draining a queue: our consumer in its ways against the PyPI package's. python tests/bench/drain.py [--help]

The consumer of the package on the original extension is the base. --bare adds loops that only read, without a consumer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow
from rivals import OURS, Rounds, Sample, measured, rivals, value

_QUEUE = "bench"
_PEER = Path(__file__).parent.parent / "interop" / "pypi_consumer.py"
_OWN = Path(__file__).parent / "timers" / "own_counter.py"
_CURSOR_ROWS = 5000
_FOUR = "ev_id, ev_type, ev_data, ev_extra1"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to use our consumer: which handler, and which settings."""

    name: str
    kind: str
    settings: Mapping[str, object]


_CHOSEN: dict[str, object] = {"columns": _FOUR.split(", ")}
_ALONE: dict[str, object] = {"prefetch": False}
WAYS = (
    Way("ten columns, by event", "event", {}),
    Way("ten columns, by event, no prefetch", "event", _ALONE),
    Way("ten columns, by event, lazy_fetch 300", "event", {"lazy_fetch": 300}),
    Way("ten columns, by event, lazy_fetch 5000", "event", {"lazy_fetch": 5000}),
    Way("ten columns, by event, whole batches", "event", {"lazy_fetch": 0}),
    Way("ten columns, by batch", "batch", {}),
    Way("four columns, by event", "event", _CHOSEN),
    Way("four columns, by batch", "batch", _CHOSEN),
    Way("four columns, by batch, no prefetch", "batch", _CHOSEN | _ALONE),
    Way("ten columns, as columns", "columns", {}),
    Way("four columns, as columns", "columns", _CHOSEN),
    Way("four columns, as columns, no prefetch", "columns", _CHOSEN | _ALONE),
)


class Contender:
    """One of the databases, with a queue full of events and a consumer that is put back after each round."""

    def __init__(self, name: str, dsn: str, events: int, ticks: int) -> None:
        self.name = name
        self.dsn = dsn
        self.events = events
        self.connection = psycopg.connect(dsn, autocommit=True)
        run = self.connection.execute
        run("select pgq.create_queue(%s)", (_QUEUE,))
        run("select pgq.set_queue_config(%s, 'ticker_max_count', '1')", (_QUEUE,))
        run("select pgq.register_consumer(%s, 'bench')", (_QUEUE,))
        for _ in range(ticks):
            run(
                "select count(pgq.insert_event(%s, 't', repeat('x', 100))) from generate_series(1, %s)",
                (_QUEUE, events // ticks),
            )
            run("select pgq.force_tick(%s)", (_QUEUE,))
            run("select pgq.ticker()")
        run("vacuum analyze")
        self.sum = value(self.connection, "select sum(ev_id) from pgq.event_template")

    def events_function(self, rounds: Rounds) -> None:
        self._drain(rounds, "get_batch_events", "select * from pgq.get_batch_events(%s)")

    def binary(self, rounds: Rounds) -> None:
        self._drain(rounds, "get_batch_events, binary", "select * from pgq.get_batch_events(%s)", binary=True)

    def four_columns(self, rounds: Rounds) -> None:
        self._drain(rounds, "get_batch_events, four columns", f"select {_FOUR} from pgq.get_batch_events(%s)")

    def by_cursor(self, rounds: Rounds) -> None:
        self._drain(rounds, f"get_batch_cursor, {_CURSOR_ROWS} rows", None)

    def _drain(self, rounds: Rounds, way: str, query: str | None, binary: bool = False) -> None:
        self.connection.execute("select pgq.register_consumer_at(%s, 'bench', 1)", (_QUEUE,))
        count = total = 0
        with measured(self.connection, rounds, f"{self.name}: bare {way}", self.events):
            while batch := value(self.connection, "select pgq.next_batch(%s, 'bench')", _QUEUE):
                with self.connection.transaction():
                    for row in self._by_cursor(batch) if query is None else self._all(query, batch, binary):
                        count += 1
                        total += row[0]
                    self.connection.execute("select pgq.finish_batch(%s)", (batch,))
        if (count, total) != (self.events, self.sum):
            raise SystemExit(f"{self.name}, {way}: {count} events with sum {total}, not {self.events} with {self.sum}")

    def _all(self, query: str, batch: int, binary: bool) -> Iterable[TupleRow]:
        return self.connection.cursor(binary=binary).execute(query, (batch,)).fetchall()

    def _by_cursor(self, batch: int) -> Iterable[TupleRow]:
        cursor = self.connection.cursor(binary=True)
        rows = cursor.execute("select * from pgq.get_batch_cursor(%s, 'walk', %s)", (batch, _CURSOR_ROWS)).fetchall()
        while rows:
            yield from rows
            rows = cursor.execute(f"fetch {_CURSOR_ROWS} from walk").fetchall()
        self.connection.execute("close walk")


class PeerConsumer:
    """The consumer of the PyPI package `pgq` in a process of its own; it tells how long it took, without its start."""

    def __init__(self, python: str, contender: Contender, folder: Path) -> None:
        self._python = python
        self._contender = contender
        self._config = folder / f"{contender.name}.ini"
        self._config.write_text(
            f"[printer]\njob_name = bench\nqueue_name = {_QUEUE}\nloop_delay = 0\n"
            f"db = {contender.dsn}\npidfile = {folder}/{contender.name}.pid\n"
        )

    def drain(self, rounds: Rounds) -> None:
        self._contender.connection.execute("select pgq.register_consumer_at(%s, 'bench', 1)", (_QUEUE,))
        done = subprocess.run(
            [self._python, str(_PEER), "counter", str(self._config)], capture_output=True, text=True, check=True
        )
        told = json.loads(done.stdout)
        if (told["events"], told["sum"]) != (self._contender.events, self._contender.sum):
            raise SystemExit(f"the PyPI consumer read {told}, not {self._contender.events} events")
        rounds.add(self.name_of(self._contender), Sample(told["seconds"], 0.0, 0.0, self._contender.events))

    @staticmethod
    def name_of(contender: Contender) -> str:
        """The name of its row."""
        return f"{contender.name}: PyPI consumer"


def drain_ours(way: Way, contender: Contender, rounds: Rounds, base: str) -> None:
    """Our consumer in a process of its own; it tells how long it took, without its start."""
    contender.connection.execute("select pgq.register_consumer_at(%s, 'bench', 1)", (_QUEUE,))
    command = [sys.executable, str(_OWN), contender.dsn, _QUEUE, way.kind, json.dumps(dict(way.settings))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise SystemExit(f"{way.name}: {done.stderr}")
    told = json.loads(done.stdout)
    if (told["events"], told["sum"]) != (contender.events, contender.sum):
        raise SystemExit(f"our consumer, {way.name}, read {told}, not {contender.events} events")
    name = f"{contender.name}: {way.name}"
    rounds.add(name, Sample(told["seconds"], 0.0, 0.0, contender.events), base)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--ticks", type=int, default=20, help="batches the events lie in")
    options.add_argument("--only", default="", help="our ways whose name has this in it")
    options.add_argument("--bare", action="store_true", help="also loops that only read")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    python = os.environ.get("SKYCONSOLE_PEER_PYTHON")
    if not python:
        print("left out, PyPI consumer: SKYCONSOLE_PEER_PYTHON names no Python with the package pgq")
    ways = [way for way in WAYS if given.only in way.name]
    with rivals() as dsns, tempfile.TemporaryDirectory() as folder:
        contenders = [Contender(name, dsn, given.events, given.ticks) for name, dsn in dsns.items()]
        on_original = contenders[-1]
        base = PeerConsumer.name_of(on_original) if python else f"{OURS}: {ways[0].name}"
        rounds = Rounds(base)
        peers = [PeerConsumer(python, contender, Path(folder)) for contender in contenders if python]
        for _ in range(given.rounds):
            for peer in peers:
                peer.drain(rounds)
            for way in ways:
                drain_ours(way, contenders[0], rounds, base)
            for contender in contenders if given.bare else ():
                contender.events_function(rounds)
                contender.binary(rounds)
                contender.four_columns(rounds)
                contender.by_cursor(rounds)
        version = contenders[0].connection.info.server_version // 10000
        title = f"drain, PostgreSQL {version}, {given.events} events of 100 bytes in {given.ticks} batches"
        rounds.report(title, given.json)
        for contender in contenders:
            contender.connection.close()


if __name__ == "__main__":
    main()
