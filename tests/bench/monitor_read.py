"""What watching a big database costs: 1,000 queues and 10,000 consumers, read, derived and kept every 2 seconds.

Run: python tests/bench/monitor_read.py --dsn DSN of a server where it may create a database, or with no DSN on the
first PostgreSQL that is found. Prints seconds and the share of one core; `--readings` says how many are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.model import Part, Snapshot
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.monitor.postgres_source import PostgresSource
from skyconsole.engine.monitor.ring import Ring
from skyconsole.engine.postgres.binaries import find_binaries
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install

NAME = "skyconsole_bench_monitor"
INTERVAL = 2.0


@contextlib.contextmanager
def database(dsn: str | None) -> Iterator[str]:
    """A database of its own, on the server given or on one made for it."""
    with contextlib.ExitStack() as stack:
        if dsn is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="skyconsole-bench-"))
            Path(folder).chmod(0o711)
            cluster = Cluster(Path(folder) / "data", find_binaries())
            cluster.create(options=["--no-sync"])
            stack.callback(cluster.kill)
            cluster.start({"fsync": "off", "max_locks_per_transaction": "512"})
            dsn = cluster.dsn()
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(f"drop database if exists {NAME} with (force)")
            conn.execute(f"create database {NAME}")
            try:
                yield make_conninfo(dsn, dbname=NAME)
            finally:
                conn.execute(f"drop database if exists {NAME} with (force)")


def fill(dsn: str, queues: int, consumers: int) -> None:
    """Queues with a history of ticks and consumers that stand on them."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for first in range(0, queues, 50):
            conn.execute(
                "select pgq.create_queue('queue_' || to_char(n, 'FM00000')) from generate_series(%s::int, %s::int) n",
                (first + 1, min(first + 50, queues)),
            )
        conn.execute(
            "select pgq.register_consumer(queue_name, 'consumer_' || n) from pgq.queue, generate_series(1, %s) n",
            (max(consumers // queues, 1),),
        )
        conn.execute(
            "insert into pgq.tick (tick_queue, tick_id, tick_event_seq)"
            " select queue_id, n, n from pgq.queue, generate_series(2, 100) n"
        )
        conn.execute("analyze pgq.tick, pgq.subscription, pgq.queue, pgq.consumer")


MOVE = """
with ticked as (
    insert into pgq.tick (tick_queue, tick_id, tick_time, tick_event_seq)
    select tick_queue, max(tick_id) + 1, clock_timestamp(), max(tick_event_seq) + 50 from pgq.tick group by tick_queue
    returning tick_queue, tick_id
)
update pgq.subscription
set sub_last_tick = tick_id - 1, sub_active = clock_timestamp()
from ticked
where sub_queue = tick_queue
"""


class Cost:
    """Seconds, of the wall and of our process, of each pass through one stage."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.own: list[float] = []

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        wall, own = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.own.append(time.process_time() - own)

    def told(self) -> str:
        middle = statistics.median
        return (
            f"wall {middle(self.wall) * 1e3:6.1f} ms (max {max(self.wall) * 1e3:6.1f})   "
            f"our CPU {middle(self.own) * 1e3:6.1f} ms (max {max(self.own) * 1e3:6.1f})"
        )


async def measure(dsn: str, readings: int, *, moving: bool) -> None:
    """Print what the readings cost; when moving, every row has changed since the one before."""
    read, derived, kept = Cost(), Cost(), Cost()
    source = PostgresSource(dsn, "bench")
    ring = Ring()
    picture: Picture | None = None
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        for number in range(readings + 2):
            if moving:
                await conn.execute(MOVE)
            stages = (read, derived, kept) if number >= 2 else (Cost(), Cost(), Cost())
            snapshot: Snapshot
            with stages[0].measured():
                snapshot = await source.read(frozenset(Part))
            with stages[1].measured():
                picture = derive(picture, snapshot)
            with stages[2].measured():
                ring.add(picture)
            await asyncio.sleep(0.1)
        row = await (
            await conn.execute("select count(*) from pg_stat_activity where application_name = 'skyconsole'")
        ).fetchone()
        assert row == (1,)
    await source.close()
    assert picture is not None
    print(f"{'every row moves' if moving else 'nothing moves'}: {len(picture.queues)} queues, "
          f"{len(picture.consumers)} consumers, {readings} readings")  # fmt: skip
    for name, cost in (("read", read), ("derive", derived), ("keep", kept)):
        print(f"  {name:7} {cost.told()}")
    total = sum(statistics.fmean(cost.own) for cost in (read, derived, kept))
    print(f"  in all  our CPU {total * 1e3:.1f} ms a reading = {total / INTERVAL:.1%} of a core at {INTERVAL:.0f} s")


def main() -> None:
    """Fill a database, then measure it standing still and moving."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", help="a server where a database may be created")
    parser.add_argument("--queues", type=int, default=1000)
    parser.add_argument("--consumers", type=int, default=10000)
    parser.add_argument("--readings", type=int, default=20)
    options = parser.parse_args()
    with database(options.dsn) as dsn:
        asyncio.run(prepare(dsn))
        fill(dsn, options.queues, options.consumers)
        asyncio.run(measure(dsn, options.readings, moving=False))
        asyncio.run(measure(dsn, options.readings, moving=True))


async def prepare(dsn: str) -> None:
    """Our PgQ in the empty database."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await install(conn, "pgq")


if __name__ == "__main__":
    main()
