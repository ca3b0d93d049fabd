"""Our ticker on the original's extension."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from skyconsole.daemons.ticker import Ticker, TickerConfig
from skyconsole.daemons.ticker.config import DatabaseList
from skyconsole.daemons.ticker.record import State
from skyconsole.engine.queue.ticks import tick_channel

pytestmark = pytest.mark.peer


@asynccontextmanager
async def _ticking(dsn: str) -> AsyncIterator[Ticker]:
    parts = {k: str(v) for k, v in conninfo_to_dict(dsn).items()}
    names = DatabaseList((parts.pop("dbname"),))
    config = TickerConfig(
        base_connstr=make_conninfo("", **parts), database_list=names, syslog=False, maint_period=0.5, retry_period=0.3
    )
    ticker, stop = Ticker(config), asyncio.Event()
    task = asyncio.create_task(ticker.run(stop))
    try:
        yield ticker
    finally:
        stop.set()
        await task


async def _until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 20
    while not await condition():
        assert time.monotonic() < deadline, f"not within 20 s: {what}"
        await asyncio.sleep(0.05)


async def _value(conn: psycopg.AsyncConnection[Any], query: str) -> Any:
    row = await (await conn.execute(query)).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


async def test_events_are_ticked_told_retried_and_rotated(original_database: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(original_database, autocommit=True) as conn,
        await psycopg.AsyncConnection.connect(original_database, autocommit=True) as listener,
    ):
        await conn.execute("select pgq.create_queue('q')")
        await conn.execute("select pgq.register_consumer('q', 'c')")
        await conn.execute("select pgq.set_queue_config('q', 'ticker_max_lag', '0')")
        queue_id = await _value(conn, "select queue_id from pgq.queue")
        await listener.execute(psycopg.sql.SQL("listen {}").format(psycopg.sql.Identifier(tick_channel(queue_id))))
        async with _ticking(original_database) as ticker:
            told = [n async for n in listener.notifies(timeout=10, stop_after=1)]
            assert told
            await conn.execute("select pgq.insert_event('q', 't', 'x') from generate_series(1, 5)")

            async def event() -> bool:
                batch = await _value(conn, "select pgq.next_batch('q', 'c')")
                if batch is None:
                    return False
                count = await _value(conn, f"select count(*) from pgq.get_batch_events({batch})")
                if count:
                    await conn.execute(
                        f"select pgq.event_retry({batch}, ev_id, 0) from pgq.get_batch_events({batch}) limit 1"
                    )
                await conn.execute(f"select pgq.finish_batch({batch})")
                return bool(count == 5 or count == 1)

            await _until(event, "a batch of events")

            async def moved() -> bool:
                return bool(await _value(conn, "select count(*) = 0 from pgq.retry_queue"))

            await _until(moved, "the retried event returns")
            await _until(event, "its batch")
            await conn.execute("select pgq.set_queue_config('q', 'rotation_period', '0')")
            await conn.execute("select pgq.unregister_consumer('q', 'c')")

            async def rotated() -> bool:
                return bool(await _value(conn, "select queue_cur_table <> 0 from pgq.queue"))

            await _until(rotated, "a rotation")
            assert ticker.records[0].state is State.TICKING
            assert ticker.records[0].failures == {}
            assert ticker.records[0].pgq_version


async def test_an_idle_database_of_the_original_spends_no_transaction_ids(original_database: str) -> None:
    async with await psycopg.AsyncConnection.connect(original_database, autocommit=True) as conn:
        await conn.execute("select pgq.create_queue('q' || n) from generate_series(1, 5) as n")
        await conn.execute("update pgq.queue set queue_ticker_idle_period = '1 hour', queue_ticker_max_lag = '1 hour'")
        await conn.execute("select pgq.ticker()")
        async with _ticking(original_database) as ticker:

            async def settled() -> bool:
                return bool(ticker.records and ticker.records[0].looks > 2 and ticker.records[0].cycles > 0)

            await _until(settled, "the first looks")
            for _ in range(5):
                before, looks = await _value(conn, "select txid_current()"), ticker.records[0].looks

                async def looked(looks: int = looks) -> bool:
                    return ticker.records[0].looks >= looks + 2

                await _until(looked, "more looks")
                if await _value(conn, "select txid_current()") == before + 1:
                    return
            raise AssertionError("looks spend transaction ids")
