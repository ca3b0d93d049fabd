"""The look decides as pgq.ticker(queue) does, and costs nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from skyconsole.daemons.ticker import Ticker, TickerConfig
from skyconsole.engine.queue import ticks

STATES = 120


def _random_state(conn: psycopg.Connection, rng: random.Random, name: str) -> None:
    """A queue whose ticks, sequence and settings lie around every edge of the decision."""
    conn.execute("select pgq.create_queue(%s)", (name,))
    max_lag, max_count = rng.choice([0, 3, 3, 10, 60]), rng.choice([0, 2, 500, 500, 500])
    conn.execute(
        """update pgq.queue
           set queue_ticker_max_lag = make_interval(secs => %s), queue_ticker_max_count = %s,
               queue_ticker_idle_period = make_interval(secs => %s)
           where queue_name = %s""",
        (max_lag, max_count, rng.choice([1, 60, 60]), name),
    )
    queue_id = conn.execute("select queue_id from pgq.queue where queue_name = %s", (name,)).fetchone()[0]  # type: ignore[index]
    conn.execute("delete from pgq.tick where tick_queue = %s", (queue_id,))
    lag, prevlag = rng.choice([0, 0.4, 1.4, 1.6, 2.9, 4, 30, 59, 70]), rng.choice([0.1, 0.7, 1, 40, 400])
    kept = rng.choice([0, 1, 2, 2, 2, 2, 3])
    for number in range(kept):
        back = lag + prevlag * (kept - 1 - number)
        conn.execute(
            """insert into pgq.tick (tick_queue, tick_id, tick_time, tick_event_seq)
               values (%s, %s, now() - make_interval(secs => %s), %s)""",
            (queue_id, number + 1, back, rng.choice([1, 1, 5])),
        )
    conn.execute("select setval(%s, 10)", (f"pgq.event_{queue_id}_tick_seq",))
    if rng.random() < 0.8:
        conn.execute("select setval(%s, %s)", (f"pgq.event_{queue_id}_id_seq", rng.choice([1, 2, 5, 6, 504, 505])))


async def _agrees(dsn: str, seed: int) -> None:
    rng = random.Random(seed)
    with psycopg.connect(dsn, autocommit=True) as conn:
        for number in range(STATES):
            _random_state(conn, rng, f"queue {number}")
        async with await psycopg.AsyncConnection.connect(dsn) as aconn:
            looked = {q.name for q in (await ticks.look(aconn)).due}
            decided = set()
            for number in range(STATES):
                # The same transaction: the decision is taken at the same now().
                row = await (await aconn.execute("select pgq.ticker(%s)", (f"queue {number}",))).fetchone()
                if row is not None and row[0] is not None:
                    decided.add(f"queue {number}")
    assert looked == decided
    assert 10 < len(decided) < STATES - 10, "the states cover both answers"


@pytest.mark.thorough
async def test_the_look_decides_as_the_tick_function_does(each_pgq_database: str) -> None:
    for seed in (1, 2):
        with psycopg.connect(each_pgq_database, autocommit=True) as conn:
            conn.execute("select pgq.drop_queue(queue_name, true) from pgq.queue")
        await _agrees(each_pgq_database, seed)


async def test_the_look_decides_as_the_original_does(original_database: str) -> None:
    await _agrees(original_database, 3)


async def test_the_look_leaves_paused_external_and_excluded_queues_alone(aconn: psycopg.AsyncConnection) -> None:
    for name in ("plain", "paused", "external", "excluded"):
        await aconn.execute("select pgq.create_queue(%s)", (name,))
    await aconn.execute("select pgq.set_queue_config('paused', 'ticker_paused', 'true')")
    await aconn.execute("select pgq.set_queue_config('external', 'external_ticker', 'true')")
    row = await (await aconn.execute("select queue_id from pgq.queue where queue_name = 'excluded'")).fetchone()
    assert row is not None
    look = await ticks.look(aconn, [row[0]])
    assert [q.name for q in look.due] == ["plain"]


async def test_a_look_takes_no_transaction_id_and_writes_no_wal(aconn: psycopg.AsyncConnection) -> None:
    for number in range(20):
        await aconn.execute("select pgq.create_queue(%s)", (f"q{number}",))

    async def position() -> tuple[object, ...]:
        cursor = await aconn.execute("select pg_current_wal_insert_lsn(), txid_snapshot_xmax(txid_current_snapshot())")
        return await cursor.fetchone()  # type: ignore[return-value]

    # A checkpoint or the autovacuum may write between two readings: one quiet try out of a few is the proof.
    for _ in range(5):
        before = await position()
        for _ in range(50):
            await ticks.look(aconn)
        if await position() == before:
            return
    raise AssertionError("looks wrote WAL or took transaction ids")


async def test_a_tick_is_told_to_listeners_with_its_id(aconn: psycopg.AsyncConnection, pgq_database: str) -> None:
    await aconn.execute("select pgq.create_queue('told')")
    look = await ticks.look(aconn)
    async with await psycopg.AsyncConnection.connect(pgq_database, autocommit=True) as listener:
        channel = ticks.tick_channel(look.due[0].queue_id)
        await listener.execute(psycopg.sql.SQL("listen {}").format(psycopg.sql.Identifier(channel)))
        made = await ticks.tick(aconn, look.due)
        told = [n async for n in listener.notifies(timeout=10, stop_after=1)]
    assert [(n.channel, n.payload) for n in told] == [(channel, str(made[0].tick_id))]


async def test_an_idle_database_is_looked_at_at_most_once_a_second_and_a_busy_one_at_once(
    pgq_database: str,
    aconn: psycopg.AsyncConnection,
    ticking: Callable[..., Ticker],
    configured: Callable[..., TickerConfig],
    until: Callable[..., object],
) -> None:
    await aconn.execute("select pgq.create_queue('eager')")
    await aconn.execute(
        "update pgq.queue set queue_ticker_max_lag = '0', queue_ticker_max_count = 1, queue_ticker_idle_period = '1h'"
    )
    ticker = ticking(configured(pgq_database))
    await until(lambda: ticker.records and ticker.records[0].distance == 1.0, "looks one second apart in silence")  # type: ignore[misc]
    record = ticker.records[0]
    await aconn.execute("select pgq.insert_event('eager', 't', 'x') from generate_series(1, 3)")
    await until(lambda: 0 < record.distance < 0.2, "a look soon after the look that saw events")  # type: ignore[misc]
    await until(lambda: record.distance == 1.0, "one second again after the events ended", 30)  # type: ignore[misc]


async def test_a_notify_makes_the_ticker_look_at_once(
    pgq_database: str,
    aconn: psycopg.AsyncConnection,
    ticking: Callable[..., Ticker],
    configured: Callable[..., TickerConfig],
    until: Callable[..., object],
) -> None:
    await aconn.execute("select pgq.create_queue('eager')")
    await aconn.execute("update pgq.queue set queue_ticker_max_lag = '0', queue_ticker_max_count = 1")
    ticker = ticking(configured(pgq_database, ticker_period=3600.0))
    await until(lambda: ticker.records and ticker.records[0].distance > 1, "a long wait")  # type: ignore[misc]
    looks = ticker.records[0].looks
    await aconn.execute("select pgq.insert_event('eager', 't', 'x') from generate_series(1, 2)")
    await aconn.execute("notify pgq_ticker")
    await until(lambda: ticker.records[0].looks > looks, "the look that the NOTIFY asked for", 5)  # type: ignore[misc]


async def test_a_storm_of_notifies_makes_no_storm_of_looks(
    pgq_database: str,
    aconn: psycopg.AsyncConnection,
    ticking: Callable[..., Ticker],
    configured: Callable[..., TickerConfig],
    until: Callable[..., object],
) -> None:
    await aconn.execute("select pgq.create_queue('q')")
    ticker = ticking(configured(pgq_database, ticker_min_period=0.2))
    await until(lambda: ticker.records and ticker.records[0].looks > 2, "looks")  # type: ignore[misc]
    looks, started = ticker.records[0].looks, time.monotonic()
    for number in range(300):
        await aconn.execute("select pg_notify('pgq_ticker', %s)", (str(number),))
    await until(lambda: time.monotonic() - started > 1.0, "a second")  # type: ignore[misc]
    made, span = ticker.records[0].looks - looks, time.monotonic() - started
    assert 1 < made <= span / 0.2 + 2


async def test_operators_that_somebody_made_in_public_are_not_called(
    each_pgq_database: str,
    ticking: Callable[..., Ticker],
    configured: Callable[..., TickerConfig],
    until: Callable[..., Awaitable[None]],
) -> None:
    with psycopg.connect(each_pgq_database, autocommit=True) as conn:
        conn.execute("create sequence public.called")
        for left, operator, right, result in (
            ("text", "||", "integer", "$1::text || $2::text"),
            ("interval", "/", "integer", "$1 / $2::float8"),
        ):
            conn.execute(
                f"create function public.trap({left}, {right}) returns {left} language sql"
                f" as $$ select nextval('public.called'); select {result} $$"
            )
            conn.execute(
                f"create operator public.{operator} (function = public.trap, leftarg = {left}, rightarg = {right})"
            )
        conn.execute("select pgq.create_queue('q')")
        conn.execute("update pgq.queue set queue_rotation_period = '0'")
        ticker = ticking(configured(each_pgq_database))
        await until(lambda: ticker.records and ticker.records[0].cycles, "a cycle of maintenance")
        await until(lambda: ticker.records[0].ticks, "a tick")
        assert conn.execute("select is_called from public.called").fetchone() == (False,)
