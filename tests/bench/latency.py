"""Latency: from the commit of an insert to the consumer's handler. python tests/bench/latency.py [--help]

A ticker, a consumer and a producer of one event every 20 ms, in processes of their own; all contenders in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rivals import ORIGINAL, OURS, rivals

_TIMERS = Path(__file__).parent / "timers"
_START_SECONDS = 20.0
_END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A ticker and a consumer, with their settings, on one of the databases."""

    name: str
    database: str
    ticker: str
    consumer: str
    queue: Mapping[str, str]
    ticker_settings: str = ""
    consumer_settings: str = ""


_EAGER = {"ticker_max_lag": "0"}
_MOST_EAGER = {"ticker_max_lag": "0", "ticker_max_count": "1"}

CONTENDERS = (
    Contender("original: all defaults", ORIGINAL, "pgqd", "pypi", {}),
    Contender("original: fastest", ORIGINAL, "pgqd", "pypi", _MOST_EAGER, "ticker_period = 0.01", "loop_delay = 0.005"),
    Contender("ours: all defaults", OURS, "ours", "ours", {}),
    Contender("ours: defaults, queue max_lag 0", OURS, "ours", "ours", _EAGER),
    Contender("ours: fastest", OURS, "ours", "ours", _MOST_EAGER, "ticker_min_period = 0.001"),
    Contender("our ticker's defaults, bare LISTEN loop", OURS, "ours", "bare", _EAGER),
    Contender("our ticker fastest, bare LISTEN loop", OURS, "ours", "bare", _MOST_EAGER, "ticker_min_period = 0.001"),
)


def missing(contender: Contender, databases: Mapping[str, str]) -> str:
    """Why this contender cannot take part here; empty if it can."""
    if contender.database not in databases:
        return "the original extension is not installed"
    if contender.ticker == "pgqd" and shutil.which("pgqd") is None:
        return "there is no pgqd"
    if contender.consumer == "pypi" and not os.environ.get("SKYCONSOLE_PEER_PYTHON"):
        return "SKYCONSOLE_PEER_PYTHON names no Python with the package pgq"
    return ""


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=_END_SECONDS)


class Trial:
    """One run of a contender: everything started anew, on a new queue."""

    def __init__(self, contender: Contender, dsn: str, folder: Path, number: int) -> None:
        self._contender = contender
        self._dsn = dsn
        self._folder = folder
        self._queue = f"bench {number}"
        self.connection = psycopg.connect(dsn, autocommit=True)
        run = self.connection.execute
        run("select pgq.create_queue(%s)", (self._queue,))
        for key, setting in contender.queue.items():
            run("select pgq.set_queue_config(%s, %s, %s)", (self._queue, key, setting))
        run("select pgq.register_consumer(%s, 'bench')", (self._queue,))
        self._sent: dict[str, int] = {}

    def close(self) -> None:
        """Leave nothing that the next one's ticker would have to look at."""
        self.connection.execute("select pgq.drop_queue(%s, true)", (self._queue,))
        self.connection.close()

    def run(self, seconds: float, every: float, silences: int, silence: float) -> tuple[list[float], list[float]]:
        """Milliseconds of each event of a steady stream, and of single events after some seconds of silence."""
        with self._ticker(), self._consumer() as consumer:
            self._wait_for_consumer()
            self._send("warm")
            self._pace(int(1.0 / every), every, "warm-up")
            self._pace(int(seconds / every), every, "steady")
            for number in range(silences):
                time.sleep(silence)
                self._send(f"silence {number}")
            self.connection.execute("select pgq.insert_event(%s, 'stop', 'stop')", (self._queue,))
            told, _ = consumer.communicate(timeout=_END_SECONDS)
        seen = json.loads(told)
        if lost := [data for data in self._sent if data not in seen]:
            raise SystemExit(f"{self._contender.name}: {len(lost)} events never came, the first is {lost[0]}")
        took = {data: (seen[data] - sent) / 1e6 for data, sent in self._sent.items()}
        return (
            [ms for data, ms in took.items() if data.startswith("steady")],
            [ms for data, ms in took.items() if data.startswith("silence")],
        )

    def _send(self, data: str) -> None:
        self.connection.execute("select pgq.insert_event(%s, 't', %s)", (self._queue, data), prepare=True)
        self._sent[data] = time.monotonic_ns()

    def _pace(self, events: int, every: float, what: str) -> None:
        begin = time.monotonic()
        for number in range(events):
            time.sleep(max(0.0, begin + number * every - time.monotonic()))
            self._send(f"{what} {number}")

    def _wait_for_consumer(self) -> None:
        """Until it has looked at the queue once, and the ticker has too."""
        deadline = time.monotonic() + _START_SECONDS
        query = "select last_seen < interval '1 minute' from pgq.get_consumer_info(%s, 'bench')"
        sessions = (
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )
        while True:
            seen, others = self._one(query, self._queue), self._one(sessions)
            if seen and isinstance(others, int) and others >= 2:
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"{self._contender.name}: its ticker or consumer did not start")
            time.sleep(0.05)

    def _one(self, query: str, *parameters: object) -> object:
        row = self.connection.execute(query, parameters).fetchone()
        return row[0] if row else None

    def _ticker(self) -> AbstractContextManager[subprocess.Popen[str]]:
        parts = {key: str(given) for key, given in conninfo_to_dict(self._dsn).items()}
        database = parts.pop("dbname")
        config = self._folder / "ticker.ini"
        config.write_text(
            f"[pgqd]\nbase_connstr = {make_conninfo('', **parts)}\ninitial_database = {database}\n"
            f"database_list = {database}\nsyslog = 0\nlogfile = {self._folder / 'ticker.log'}\n"
            f"pidfile = {self._folder / 'ticker.pid'}\n{self._contender.ticker_settings}\n"
        )
        if self._contender.ticker == "pgqd":
            return _process(["pgqd", "-q", str(config)])
        return _process([sys.executable, "-m", "skyconsole", "--headless", "ticker", "-q", str(config)])

    def _consumer(self) -> AbstractContextManager[subprocess.Popen[str]]:
        if self._contender.consumer == "bare":
            return _process([sys.executable, str(_TIMERS / "bare_timer.py"), self._dsn, self._queue])
        config = self._folder / "timer.ini"
        config.write_text(
            f"[timer]\njob_name = bench\nqueue_name = {self._queue}\ndb = {self._dsn}\n"
            f"pidfile = {self._folder / 'timer.pid'}\n{self._contender.consumer_settings}\n"
        )
        if self._contender.consumer == "pypi":
            return _process([os.environ["SKYCONSOLE_PEER_PYTHON"], str(_TIMERS / "pypi_timer.py"), "-q", str(config)])
        return _process([sys.executable, str(_TIMERS / "own_timer.py"), self._dsn, self._queue])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of all values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def report(steady: Mapping[str, list[float]], after: Mapping[str, list[float]], target: Path | None) -> None:
    """Print the figures, and write the same as JSON if a file is given."""
    print(f"{'':44}{'n':>6}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}   after silence: median, max ms")
    facts = {}
    for name, values in steady.items():
        single = after[name]
        facts[name] = {
            "events": len(values),
            "p50": statistics.median(values),
            "p99": percentile(values, 0.99),
            "max": max(values),
            "after_silence_median": statistics.median(single) if single else None,
            "after_silence_max": max(single) if single else None,
        }
        own = facts[name]
        told = f"{statistics.median(single):12.1f}{max(single):9.1f}  (n={len(single)})" if single else ""
        print(f"{name:44}{len(values):6}{own['p50']:9.1f}{own['p99']:9.1f}{own['max']:9.1f}{told}")
    if target is not None:
        target.write_text(json.dumps({"rows": facts}, indent=2) + "\n")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--seconds", type=float, default=10.0, help="of the steady stream in each round")
    options.add_argument("--every", type=float, default=0.02, help="seconds between two events")
    options.add_argument("--silences", type=int, default=3, help="single events after a silence in each round")
    options.add_argument("--silence", type=float, default=3.0, help="seconds of silence before each")
    options.add_argument("--only", default="", help="contenders whose name has this in it")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    steady: dict[str, list[float]] = defaultdict(list)
    after: dict[str, list[float]] = defaultdict(list)
    with rivals() as dsns, tempfile.TemporaryDirectory() as name:
        taking_part = []
        for contender in (contender for contender in CONTENDERS if given.only in contender.name):
            if reason := missing(contender, dsns):
                print(f"left out, {contender.name}: {reason}")
            else:
                taking_part.append(contender)
        for number in range(given.rounds):
            for contender in taking_part:
                trial = Trial(contender, dsns[contender.database], Path(name), number)
                stream, single = trial.run(given.seconds, given.every, given.silences, given.silence)
                trial.close()
                steady[contender.name] += stream
                after[contender.name] += single
        print(f"latency, one event every {given.every * 1000:g} ms, {given.rounds} rounds of {given.seconds:g} s")
        report(steady, after, given.json)


if __name__ == "__main__":
    main()
