"""The ticker goes on when backends, servers, queues and the log fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from skyconsole.daemons.ticker import Ticker
from skyconsole.daemons.ticker.record import State
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install

BACKENDS = (
    "select pid from pg_stat_activity where datname = current_database() and application_name = 'skyconsole-ticker'"
)


async def _busy(conn: psycopg.AsyncConnection[Any], name: str) -> None:
    """A queue that is due whenever an event is in it."""
    await conn.execute("select pgq.create_queue(%s)", (name,))
    await conn.execute("select pgq.set_queue_config(%s, 'ticker_max_lag', '0')", (name,))


async def _newest(conn: psycopg.AsyncConnection[Any], name: str) -> int:
    cursor = await conn.execute(
        "select coalesce(max(tick_id), 0) from pgq.tick join pgq.queue on queue_id = tick_queue where queue_name = %s",
        (name,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def _event(conn: psycopg.AsyncConnection[Any], name: str) -> None:
    await conn.execute("select pgq.insert_event(%s, 't', 'x') from generate_series(1, 2)", (name,))


async def test_ticks_resume_within_two_seconds_after_the_backend_was_killed(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    await _busy(aconn, "q")
    ticker = ticking(configured(pgq_database))
    await until(lambda: ticker.records and ticker.records[0].state is State.TICKING, "ticking")
    for _ in range(3):
        before = await _newest(aconn, "q")
        await aconn.execute(f"select pg_terminate_backend(pid) from ({BACKENDS}) as backends")
        await _event(aconn, "q")
        killed = time.monotonic()

        async def ticked(before: int = before) -> bool:
            return await _newest(aconn, "q") > before

        await until(ticked, "a tick after the backend was killed", 10)
        assert time.monotonic() - killed < 2.0


async def test_ticks_resume_after_the_server_crashed_and_was_started_again(
    private_cluster: Callable[..., Cluster],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    cluster = private_cluster()
    await asyncio.to_thread(cluster.start)
    async with await psycopg.AsyncConnection.connect(cluster.dsn(), autocommit=True) as conn:
        await install(conn, "pgq")
        await _busy(conn, "q")
    ticker = ticking(configured(cluster.dsn()))
    await until(lambda: ticker.records and ticker.records[0].ticks > 0, "ticking")
    await asyncio.to_thread(cluster.kill)
    await until(lambda: ticker.records[0].state is State.ERROR, "the loss is seen")
    assert ticker.records[0].error
    assert ticker.records[0].failed_since is not None
    await asyncio.to_thread(cluster.start)
    await until(lambda: ticker.records[0].state is State.TICKING, "ticking again", 30)
    assert ticker.records[0].failed_since is None
    async with await psycopg.AsyncConnection.connect(cluster.dsn(), autocommit=True) as conn:
        before = await _newest(conn, "q")
        await _event(conn, "q")

        async def ticked() -> bool:
            return await _newest(conn, "q") > before

        await until(ticked, "a tick after the restart")


async def test_one_broken_queue_is_named_and_the_others_are_ticked(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    for name in ("broken [/x]", "sound"):
        await _busy(aconn, name)
    await aconn.execute(
        """update pgq.tick set tick_snapshot = '999999999:999999999:', tick_time = now() - interval '1 hour'
           where tick_queue = (select queue_id from pgq.queue where queue_name = 'broken [/x]')"""
    )
    ticker = ticking(configured(pgq_database))
    await until(lambda: ticker.records and ticker.records[0].broken_queues, "the broken queue is named")
    record = ticker.records[0]
    assert list(record.broken_queues) == ["broken [/x]"]
    assert "Invalid PgQ state" in record.broken_queues["broken [/x]"].error
    before = await _newest(aconn, "sound")
    await _event(aconn, "sound")

    async def ticked() -> bool:
        return await _newest(aconn, "sound") > before

    await until(ticked, "the sound queue is ticked")
    await aconn.execute("delete from pgq.tick where tick_snapshot::text = '999999999:999999999:'")
    await until(lambda: not record.broken_queues, "the queue is forgiven when it ticks again", 20)


async def test_a_drop_that_does_not_end_stops_only_its_own_queue(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    for name in ("dropped", "other"):
        await _busy(aconn, name)
    ticker = ticking(configured(pgq_database, lock_timeout=0.2))
    await until(lambda: ticker.records and ticker.records[0].ticks > 0, "ticking")
    async with await psycopg.AsyncConnection.connect(pgq_database) as dropping:
        await dropping.execute("select pgq.drop_queue('dropped')")
        before = await _newest(aconn, "other")
        await _event(aconn, "other")

        async def ticked() -> bool:
            return await _newest(aconn, "other") > before

        await until(ticked, "the other queue is ticked while the drop is open")
        await until(lambda: "dropped" in ticker.records[0].broken_queues, "the queue in the way is named")
        await dropping.rollback()
    await _event(aconn, "dropped")
    await until(lambda: "dropped" not in ticker.records[0].broken_queues, "it is ticked after the rollback", 30)


async def test_pgq_removed_and_installed_again_is_followed(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    ticker = ticking(configured(pgq_database))
    await until(lambda: ticker.records and ticker.records[0].state is State.TICKING, "ticking")
    await aconn.execute("drop schema pgq cascade")
    await until(lambda: ticker.records[0].state is State.NO_PGQ, "the schema is missed")
    await install(aconn, "pgq")
    await until(lambda: ticker.records[0].state is State.TICKING, "ticking again")


async def test_an_old_or_nameless_version_of_pgq_is_refused_with_a_sentence(
    database: str,
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute("create schema pgq")
        await conn.execute("create function pgq.version() returns text language sql as $$ select '2.1.8'::text $$")
        ticker = ticking(configured(database))
        await until(lambda: ticker.records and ticker.records[0].state is State.BAD_VERSION, "the version is refused")
        assert "2.1.8" in ticker.records[0].error
        await conn.execute(
            "create or replace function pgq.version() returns text language sql as $$ select null::text $$"
        )
        await until(lambda: "none" in ticker.records[0].error, "a version that is not there is refused")
        await conn.execute(
            "create or replace function pgq.version() returns text language sql as $$ select '3.0'::text $$"
        )
        await until(lambda: "3.1 or newer" in ticker.records[0].error, "a version without maint_operations is refused")
