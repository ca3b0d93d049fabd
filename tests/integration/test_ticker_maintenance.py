"""Maintenance and retry: every operation runs in every cycle, whatever another one does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from skyconsole.daemons.ticker import Ticker
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install


async def test_with_autovacuum_off_every_operation_runs_in_every_cycle(
    private_cluster: Callable[..., Cluster],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    cluster = private_cluster()
    await asyncio.to_thread(cluster.start, {"autovacuum": "off"})
    async with await psycopg.AsyncConnection.connect(cluster.dsn(), autocommit=True) as conn:
        await install(conn, "pgq")
        await conn.execute("select pgq.create_queue('q')")
        # The two operations that come after every vacuum.
        await conn.execute("create schema londiste")
        await conn.execute("create table londiste.calls (n int)")
        await conn.execute(
            """create function londiste.periodic_maintenance() returns int language sql as
               $$ insert into londiste.calls values (1); select 0 $$"""
        )
        listed = await (await conn.execute("select func_name, func_arg from pgq.maint_operations()")).fetchall()
        vacuumed = [table for name, table in listed if name == "vacuum"]
        assert len(vacuumed) >= 5

        ticker = ticking(configured(cluster.dsn()))

        async def all_done() -> bool:
            await conn.execute("select pg_stat_clear_snapshot()")
            stats = await conn.execute(
                "select schemaname || '.' || relname from pg_stat_user_tables where vacuum_count >= 2"
            )
            seen = {row[0] for row in await stats.fetchall()}
            calls = await (await conn.execute("select count(*) from londiste.calls")).fetchone()
            return set(vacuumed) <= seen and calls is not None and calls[0] >= 2

        await until(all_done, "two cycles with every vacuum and what comes after", 30)
        assert ticker.records[0].failures == {}


async def test_a_failing_operation_is_counted_and_later_ones_still_run(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    await aconn.execute("select pgq.create_queue('q')")
    await aconn.execute("create table calls (n int)")
    await aconn.execute(
        """create function public.fails(text) returns int language plpgsql as
           $$ begin raise exception 'no luck with %', $1; end $$"""
    )
    await aconn.execute(
        """create function public."Works Well"(text) returns int language sql as
           $$ insert into calls values (1); select 0 $$"""
    )
    await aconn.execute("update pgq.queue set queue_extra_maint = array['public.fails', 'Works Well']")
    ticker = ticking(configured(pgq_database))
    await until(lambda: ticker.records and "public.fails(q)" in ticker.records[0].failures, "the failure is counted")
    assert ticker.records[0].failures["public.fails(q)"].error == "no luck with q"

    async def called() -> bool:
        row = await (await aconn.execute("select count(*) from calls")).fetchone()
        return row is not None and row[0] > 1

    await until(called, "the later operation runs in every cycle")
    await aconn.execute("create or replace function public.fails(text) returns int language sql as $$ select 0 $$")
    await until(lambda: ticker.records[0].failures == {}, "it is forgotten when it works")


async def test_an_operation_that_always_asks_again_does_not_hold_up_the_cycle(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    await aconn.execute("select pgq.create_queue('q')")
    await aconn.execute("create function public.greedy(text) returns int language sql as $$ select 1 $$")
    await aconn.execute("update pgq.queue set queue_extra_maint = array['public.greedy']")
    ticker = ticking(configured(pgq_database))
    await until(lambda: ticker.records and ticker.records[0].cycles >= 1, "the cycle ends", 30)


async def test_queues_rotate_and_a_consumer_that_holds_one_up_is_named_with_its_lag(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    for name in ("free", "held"):
        await aconn.execute("select pgq.create_queue(%s)", (name,))
        await aconn.execute("select pgq.set_queue_config(%s, 'rotation_period', '1 second')", (name,))
    await aconn.execute("select pgq.register_consumer('held', 'the slow [one]')")
    ticker = ticking(configured(pgq_database))

    async def rotated() -> bool:
        row = await (
            await aconn.execute("select queue_cur_table <> 0 from pgq.queue where queue_name = 'free'")
        ).fetchone()
        return row is not None and bool(row[0])

    await until(rotated, "the free queue rotates")
    await until(lambda: ticker.records[0].held, "the held rotation is reported")
    held = ticker.records[0].held[0]
    assert (held.queue, held.consumer, held.behind) == ("held", "the slow [one]", True)
    assert held.lag is not None
    assert held.lag > 0


async def test_due_retry_events_come_back_and_others_wait(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
) -> None:
    await aconn.execute("select pgq.create_queue('q')")
    await aconn.execute("select pgq.register_consumer('q', 'c')")
    for number in range(25):
        after = "1 hour" if number == 0 else "-1 second"
        await aconn.execute(
            """select pgq.event_retry_raw(
                   'q', 'c', now() + %s::interval, null, now(), 1, 't', 'x', null, null, null, null)""",
            (after,),
        )
    ticking(configured(pgq_database))

    async def only_one_waits() -> bool:
        row = await (await aconn.execute("select count(*) from pgq.retry_queue")).fetchone()
        return row == (1,)

    await until(only_one_waits, "24 events return, one waits for its hour")
    events = await (
        await aconn.execute("select count(*) from pgq.event_template where ev_owner is not null")
    ).fetchone()
    assert events == (24,)


async def test_the_prometheus_file_tells_ticks_consumers_and_odd_names(
    pgq_database: str,
    aconn: psycopg.AsyncConnection[Any],
    ticking: Callable[..., Ticker],
    configured: Callable[..., Any],
    until: Callable[..., Awaitable[None]],
    tmp_path: Any,
    monkeypatch: Any,
) -> None:
    from skyconsole.daemons.ticker import database, server

    monkeypatch.setattr(database, "AUDIT_PERIOD", 0.2)
    monkeypatch.setattr(server, "METRICS_PERIOD", 0.2)
    await aconn.execute("select pgq.create_queue(%s)", ('a"b\n[/x]',))
    await aconn.execute("select pgq.register_consumer(%s, 'Ünï')", ('a"b\n[/x]',))
    path = tmp_path / "pgq.prom"
    ticking(configured(pgq_database, metrics_file=path))
    wanted = 'queue="a\\"b\\n[/x]",consumer="Ünï"}'
    await until(lambda: path.exists() and wanted in path.read_text("utf-8"), "the consumer is in the file")
    content = path.read_text("utf-8")
    for line in content.splitlines():
        assert (
            line.startswith("#")
            or line.rpartition(" ")[2].replace(".", "").replace("e-", "").replace("-", "").isdigit()
        )
    assert [p.name for p in tmp_path.iterdir()] == ["pgq.prom"], "no half-written file stays"
