"""On a standby the ticker idles, and begins at its promotion."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from skyconsole.daemons.ticker import Ticker, TickerConfig
from skyconsole.daemons.ticker.record import State
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install


def _copy_as_standby(primary: Cluster, standby: Cluster) -> None:
    """A copy of the primary's files that follows it."""
    with psycopg.connect(primary.dsn(), autocommit=True) as conn:
        conn.execute("checkpoint")
    primary.stop()
    owner = standby.data_dir.stat()
    shutil.rmtree(standby.data_dir)
    shutil.copytree(primary.data_dir, standby.data_dir)
    (standby.data_dir / "standby.signal").touch()
    for path in (standby.data_dir, *standby.data_dir.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    standby.data_dir.chmod(0o700)
    (standby.data_dir / "postmaster.pid").unlink(missing_ok=True)


def _connections(cluster: Cluster) -> int:
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        row = conn.execute(
            "select count(*) from pg_stat_activity where application_name = 'skyconsole-ticker'"
        ).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_ticker_of_primary_and_standby_moves_over_at_promotion(
    private_cluster: Callable[..., Cluster],
    until: Callable[..., Awaitable[None]],
    tmp_path: Path,
) -> None:
    primary, standby = private_cluster(), private_cluster()
    await asyncio.to_thread(primary.start)
    async with await psycopg.AsyncConnection.connect(primary.dsn(), autocommit=True) as conn:
        await install(conn, "pgq")
        await conn.execute("select pgq.create_queue('q')")
        await conn.execute("select pgq.set_queue_config('q', 'ticker_max_lag', '0')")
    await asyncio.to_thread(_copy_as_standby, primary, standby)
    await asyncio.to_thread(primary.start)
    follows = {"primary_conninfo": primary.dsn(), "hot_standby": "on"}
    await asyncio.to_thread(standby.start, follows)

    def config(cluster: Cluster) -> TickerConfig:
        base = {k: v for k, v in psycopg.conninfo.conninfo_to_dict(cluster.dsn()).items() if k != "dbname"}
        return TickerConfig(base_connstr=make_conninfo("", **base), check_period=0.5, syslog=False)

    on_primary, on_standby = Ticker(config(primary)), Ticker(config(standby))
    stop = asyncio.Event()
    tasks = [asyncio.create_task(t.run(stop)) for t in (on_primary, on_standby)]

    def states(ticker: Ticker) -> list[State]:
        return [r.state for r in ticker.records]

    await until(lambda: states(on_primary) == [State.TICKING], "the primary is ticked")
    await until(lambda: states(on_standby) == [State.STANDBY], "the standby is waited for")
    await until(lambda: _connections(standby) == 1, "one idle connection watches the standby")
    assert on_standby.records[0].failed_since is None

    await asyncio.to_thread(primary.kill)
    async with await psycopg.AsyncConnection.connect(standby.dsn(), autocommit=True) as conn:
        await conn.execute("select pg_promote()")
        await until(lambda: states(on_standby) == [State.TICKING], "the promoted server is ticked", 5)
        before = on_standby.records[0].ticks
        await conn.execute("select pgq.insert_event('q', 't', 'x') from generate_series(1, 2)")
        await until(lambda: on_standby.records[0].ticks > before, "its queue gets a tick")
    await until(lambda: states(on_primary) == [State.ERROR], "the lost primary is told")
    stop.set()
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks)


async def test_one_ticker_with_both_hosts_follows_the_server_that_takes_writes(
    private_cluster: Callable[..., Cluster], until: Callable[..., Awaitable[None]]
) -> None:
    primary, standby = private_cluster(), private_cluster()
    await asyncio.to_thread(primary.start)
    async with await psycopg.AsyncConnection.connect(primary.dsn(), autocommit=True) as conn:
        await install(conn, "pgq")
        await conn.execute("select pgq.create_queue('q')")
    await asyncio.to_thread(_copy_as_standby, primary, standby)
    await asyncio.to_thread(primary.start)
    await asyncio.to_thread(standby.start, {"primary_conninfo": primary.dsn(), "hot_standby": "on"})
    parts = [psycopg.conninfo.conninfo_to_dict(c.dsn()) for c in (standby, primary)]
    base = make_conninfo(
        "",
        host=",".join(str(p["host"]) for p in parts),
        port=",".join(str(p.get("port", 5432)) for p in parts),
        user=parts[0]["user"],
        target_session_attrs="read-write",
    )
    ticker, stop = Ticker(TickerConfig(base_connstr=base, check_period=0.5, syslog=False)), asyncio.Event()
    task = asyncio.create_task(ticker.run(stop))
    await until(lambda: [r.state for r in ticker.records] == [State.TICKING], "the primary is ticked")
    assert await asyncio.to_thread(_connections, standby) == 0
    await asyncio.to_thread(primary.kill)
    async with await psycopg.AsyncConnection.connect(standby.dsn(), autocommit=True) as conn:
        await conn.execute("select pg_promote()")
    await until(lambda: _connections(standby) > 0 and ticker.records[0].state is State.TICKING, "it moved over", 30)
    stop.set()
    await task
