"""PgQ twice on one server, ours and the original extension, measured in turn and told as medians and ratios."""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from skyconsole.engine.postgres.binaries import all_binaries
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install

OURS = "ours"
ORIGINAL = "original"

# Durable, as it runs in earnest; big enough that checkpoints do not fall into a round.
_SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB", "autovacuum": "off"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured piece of work: seconds of the clock, seconds of the backend's processor, bytes of WAL, events."""

    wall: float
    cpu: float
    wal: float
    events: int


class Rounds:
    """The samples of all competitors, in the order they were measured.

    A row is compared with the one its samples name as their base; else `ours: way` with `original: way`, and any
    other with the base of all.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._samples: dict[str, list[Sample]] = defaultdict(list)
        self._bases: dict[str, str] = {}

    def add(self, name: str, sample: Sample, base: str | None = None) -> None:
        """One more sample of a competitor, and whom it is to be compared with."""
        self._samples[name].append(sample)
        if base is not None:
            self._bases[name] = base

    def report(self, title: str, target: Path | None) -> None:
        """Print medians, spreads and ratios to the base, and write the same as JSON if a file is given."""
        print(f"{title}\n{platform.platform()}, {platform.processor() or platform.machine()}")
        print(
            f"{'':44}{'events/s':>12}{'min - max':>20}{'ratio':>7}"
            f"{'CPU µs':>9}{'min - max':>15}{'ratio':>7}{'WAL B':>7}"
        )
        facts: dict[str, dict[str, object]] = {}
        for name in self._samples:
            own, base = self._figures(name), self._figures(self._base_of(name))
            rates = sorted(sample.events / sample.wall for sample in self._samples[name])
            loads = sorted(sample.cpu / sample.events * 1e6 for sample in self._samples[name])
            rate_ratio, cpu_ratio = own["rate"] / base["rate"], own["cpu"] / base["cpu"] if base["cpu"] else 0.0
            facts[name] = {
                **own,
                "base": self._base_of(name),
                "rate_ratio": rate_ratio,
                "cpu_ratio": cpu_ratio,
                "rounds": len(rates),
            }
            print(
                f"{name:44}{own['rate']:12,.0f}{f'{rates[0]:,.0f} - {rates[-1]:,.0f}':>20}{rate_ratio:7.2f}"
                f"{own['cpu'] * 1e6:9.1f}{f'{loads[0]:.1f} - {loads[-1]:.1f}':>15}{cpu_ratio:7.2f}{own['wal']:7.0f}"
            )
        if target is not None:
            target.write_text(json.dumps({"title": title, "base": self._base, "rows": facts}, indent=2) + "\n")

    def _base_of(self, name: str) -> str:
        if name in self._bases:
            return self._bases[name]
        same_way = name.replace(f"{OURS}: ", f"{ORIGINAL}: ")
        return same_way if name.startswith(f"{OURS}: ") and same_way in self._samples else self._base

    def _figures(self, name: str) -> dict[str, float]:
        samples = self._samples[name]
        return {
            "rate": statistics.median(sample.events / sample.wall for sample in samples),
            "cpu": statistics.median(sample.cpu / sample.events for sample in samples),
            "wal": statistics.median(sample.wal / sample.events for sample in samples),
        }


@contextmanager
def rivals() -> Iterator[dict[str, str]]:
    """DSNs of two databases on a server of the bench's own; the original is left out, with a word, if not installed."""
    folder = Path(tempfile.mkdtemp(prefix="skyconsole-bench-"))
    folder.chmod(0o711)
    cluster: Cluster | None = None
    try:
        for number, binaries in enumerate(all_binaries()):
            cluster = Cluster(folder / str(number), binaries)
            cluster.create()
            cluster.start(_SETTINGS)
            with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
                found = connection.execute("select 1 from pg_available_extensions where name = 'pgq'").fetchone()
                names = (OURS, ORIGINAL) if found else (OURS,)
                if found:
                    break
            cluster.stop()
        if cluster is None:
            raise SystemExit("No PostgreSQL server programs were found.")
        if ORIGINAL not in names:
            print("The original extension pgq is not installed here: only our own figures follow.")
            cluster.start(_SETTINGS)
        yield {name: _database(cluster, name) for name in names}
    finally:
        if cluster is not None:
            cluster.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _database(cluster: Cluster, name: str) -> str:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    dsn = make_conninfo(cluster.dsn(name))
    if name == OURS:
        asyncio.run(_install(dsn))
    else:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create extension pgq")
    return dsn


async def _install(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await install(connection, "pgq")


def value(connection: psycopg.Connection, question: str, *parameters: object) -> int:
    """The one number a question gives."""
    row = connection.execute(question, parameters).fetchone()
    if row is None:
        raise SystemExit(f"no answer to {question}")
    return int(row[0] or 0)


def backend_cpu(pid: int) -> float:
    """Seconds of processor time this backend has used since it began."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


@contextmanager
def measured(
    connection: psycopg.Connection, rounds: Rounds, name: str, events: int, base: str | None = None
) -> Iterator[None]:
    """Measure what the block makes this connection's backend do with so many events."""
    pid = connection.info.backend_pid
    wal = value(connection, "select pg_current_wal_insert_lsn() - '0/0'")
    cpu = backend_cpu(pid)
    begin = time.perf_counter()
    yield
    wall = time.perf_counter() - begin
    cpu = backend_cpu(pid) - cpu
    wal = value(connection, "select pg_current_wal_insert_lsn() - '0/0'") - wal
    rounds.add(name, Sample(wall, cpu, wal, events), base)
