"""Ticks come at a fixed rate, whatever the machine's wall clock does."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from skyconsole.daemons.ticker import Ticker
from skyconsole.daemons.ticker.record import State


class JumpingClock:
    """A wall clock that somebody sets."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def monotonic(self) -> float:
        return time.monotonic()


async def _always_due(conn: psycopg.AsyncConnection[Any]) -> None:
    await conn.execute("select pgq.create_queue('q')")
    await conn.execute("update pgq.queue set queue_ticker_max_lag = '0', queue_ticker_idle_period = '0'")


async def test_jumps_of_the_clock_neither_stop_nor_hurry_the_ticks(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    await _always_due(aconn)
    clock = JumpingClock()
    ticker = ticking(configured(pgq_database, ticker_period=0.1), clock)
    await until(lambda: ticker.records and ticker.records[0].ticks > 2, "ticks")
    for jump in (timedelta(days=-2), timedelta(days=400), timedelta(hours=-1)):
        clock.offset += jump
        before, started = ticker.records[0].ticks, time.monotonic()
        await until(
            lambda before=before: ticker.records[0].ticks >= before + 10, f"ten ticks after a jump of {jump}", 5
        )
        assert time.monotonic() - started > 0.7, "the rate stays"
        assert ticker.records[0].state is State.TICKING
        assert ticker.status()["healthy"]


async def test_ticks_come_at_a_fixed_rate_with_little_jitter(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
) -> None:
    await _measure(aconn, ticking, configured(pgq_database, ticker_period=0.1), seconds=4, period=0.1)


async def test_ten_milliseconds_are_kept(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
) -> None:
    config = configured(pgq_database, ticker_period=0.01, ticker_min_period=0.001)
    await _measure(aconn, ticking, config, seconds=3, period=0.01, share=0.4)


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_ticks_have_at_most_a_second_of_jitter_for_minutes(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
) -> None:
    seconds = float(os.environ.get("SKYCONSOLE_SOAK_SECONDS", "180"))
    await aconn.execute("select pgq.create_queue('rotating')")
    await aconn.execute("select pgq.set_queue_config('rotating', 'rotation_period', '1 second')")
    await _measure(aconn, ticking, configured(pgq_database, ticker_period=1.0), seconds=seconds, period=1.0)


async def _measure(
    conn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    config: Any,
    *,
    seconds: float,
    period: float,
    share: float = 0.7,
) -> None:
    await _always_due(conn)
    ticking(config)
    await asyncio.sleep(seconds)  # what is measured is this span itself
    cursor = await conn.execute(
        """select extract(epoch from t.tick_time)::float8 from pgq.tick as t
           join pgq.queue as q on q.queue_id = t.tick_queue
           where q.queue_name = 'q' and t.tick_time > now() - make_interval(secs => %s) order by 1""",
        (seconds - min(1.0, seconds / 4),),
    )
    times = [row[0] for row in await cursor.fetchall()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    expected = (times[-1] - times[0]) / period
    print(f"{len(times)} ticks, gap max {max(gaps) * 1000:.1f} ms, expected {period * 1000:.0f} ms")
    assert share * expected <= len(gaps) <= 1.1 * expected + 1, "a fixed rate"
    assert max(gaps) < period + 1.0
