"""Exactly one ticker ticks a database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from skyconsole.daemons.ticker import Ticker
from skyconsole.daemons.ticker import database as ticker_database
from skyconsole.daemons.ticker.record import State


async def test_of_two_instances_one_ticks_and_the_other_takes_over(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    await aconn.execute("select pgq.create_queue('q')")
    first = ticking(configured(pgq_database))
    await until(lambda: first.records and first.records[0].state is State.TICKING, "the first ticks")
    second = ticking(configured(pgq_database))
    await until(lambda: second.records and second.records[0].state is State.SPARE, "the second is a hot spare")
    assert "skyconsole-ticker" in second.records[0].error
    await until(lambda: first.records[0].ticks > 0, "the first goes on ticking")
    assert second.records[0].ticks == 0
    answer = first.answer({"command": "release", "database": first.records[0].name, "seconds": 600})
    assert answer["released"] == first.records[0].name
    await until(lambda: second.records[0].state is State.TICKING, "the spare takes over", 5)
    assert first.records[0].state is State.RELEASED


async def test_a_ticker_without_the_guard_is_noticed(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(ticker_database, "AUDIT_PERIOD", 0.3)
    await aconn.execute("select pgq.create_queue('q')")
    await aconn.execute("select pgq.set_queue_config('q', 'ticker_max_lag', '1 hour')")
    ticker = ticking(configured(pgq_database))
    await until(lambda: ticker.records and ticker.records[0].ticks > 0, "ours ticks")
    assert ticker.records[0].foreign == ""
    await aconn.execute(
        """insert into pgq.tick (tick_queue, tick_id, tick_event_seq)
           select queue_id, nextval(queue_tick_seq::regclass), 1 from pgq.queue"""
    )
    await aconn.execute("select pgq.ticker()")
    await until(lambda: "without the guard" in ticker.records[0].foreign, "the other one is noticed")
    assert str(aconn.info.backend_pid) in ticker.records[0].foreign
