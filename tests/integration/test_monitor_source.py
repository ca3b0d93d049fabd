"""A live database is read whole, by anybody, and whatever happens to it the source says so and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from skyconsole.engine.clock import SystemClock
from skyconsole.engine.errors import SkyError
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.model import Part, Phase, Snapshot
from skyconsole.engine.monitor.picture import Level
from skyconsole.engine.monitor.postgres_source import PostgresSource
from skyconsole.engine.monitor.sample import SampleSource
from skyconsole.engine.monitor.source import Source
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install
from skyconsole.engine.postgres.sql import queries
from skyconsole.engine.queue.ticks import GUARD_CLASS, GUARD_OBJECT

ALL = frozenset(Part)
ODD = ("[/x]", 'a"b', "x.y", "Ünï", "📦", "q" * 63, "", "tab\tand\nline", "it's", "%s %")


@asynccontextmanager
async def watching(dsn: str, **options: float) -> AsyncIterator[PostgresSource]:
    source = PostgresSource(dsn, "test", **options)  # type: ignore[arg-type]
    try:
        yield source
    finally:
        await source.close()


async def until(source: Source, phase: Phase, seconds: float = 20.0) -> Snapshot:
    """Read until the phase is reached."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        snapshot = await source.read(ALL)
        if snapshot.phase is phase:
            return snapshot
        assert asyncio.get_running_loop().time() < end, (snapshot.phase, snapshot.problems)
        await asyncio.sleep(0.05)


def fill(conn: psycopg.Connection, names: tuple[str, ...] = ODD) -> None:
    """Queues with these names, each with two consumers, five events and three ticks."""
    for name in names:
        conn.execute("select pgq.create_queue(%s)", (name,))
        conn.execute("select pgq.register_consumer(%s, %s)", (name, f"{name}!"))
        conn.execute("select pgq.register_consumer(%s, 'late one')", (name,))
        for number in range(5):
            conn.execute("select pgq.insert_event(%s, 'type', %s)", (name, f"{name} {number}"))
        for _ in range(2):
            conn.execute("select pgq.force_tick(%s)", (name,))
            conn.execute("select pgq.ticker(%s)", (name,))
        conn.execute("select pgq.next_batch(%s, %s)", (name, f"{name}!"))


async def check_against_pgq(conn: psycopg.Connection, source: Source) -> None:
    """What was read is what PgQ's own functions say."""
    snapshot = await source.read(ALL)
    told = conn.execute(
        "select queue_name, queue_ntables, queue_cur_table, queue_ticker_max_count, last_tick_id, ev_new"
        " from pgq.get_queue_info()"
    ).fetchall()
    assert sorted(told) == sorted(
        (
            one.name,
            one.ntables,
            one.cur_table,
            one.max_count,
            one.last_tick_id,
            one.event_seq - (one.last_tick_seq or 0),
        )
        for one in snapshot.queues
    )
    told = conn.execute(
        "select queue_name, consumer_name, last_tick, current_batch, next_tick, pending_events"
        " from pgq.get_consumer_info()"
    ).fetchall()
    rows = derive(None, snapshot).consumers
    assert sorted(told, key=str) == sorted(
        (
            (
                row.facts.queue,
                row.facts.name,
                row.facts.last_tick_id,
                row.facts.batch_id,
                row.facts.next_tick_id,
                row.pending,
            )
            for row in rows
        ),
        key=str,
    )


async def test_what_is_read_is_what_pgq_itself_says(each_pgq_database: str) -> None:
    with psycopg.connect(each_pgq_database, autocommit=True) as conn:
        fill(conn)
        async with watching(each_pgq_database) as source:
            await check_against_pgq(conn, source)
            snapshot = await source.read(ALL)
            assert snapshot.phase is Phase.LIVE
            assert snapshot.problems == ()
            assert snapshot.server is not None
            assert snapshot.server.pgq_origin == "skyconsole"
            assert snapshot.server.can_write
            assert [one.name for one in snapshot.queues] == sorted(ODD)


@pytest.mark.peer
async def test_the_original_extension_is_read_as_ours_is(original_database: str) -> None:
    with psycopg.connect(original_database, autocommit=True) as conn:
        fill(conn)
        async with watching(original_database) as source:
            await check_against_pgq(conn, source)
            snapshot = await source.read(ALL)
            assert snapshot.server is not None
            assert (snapshot.server.pgq_origin, snapshot.server.pgq_version) == ("extension", "3.5")


async def test_times_and_settings_are_read_exactly(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("orders",))
    conn.execute("select pgq.set_queue_config('orders', 'ticker_max_lag', '250 milliseconds')")
    conn.execute("select pgq.set_queue_config('orders', 'ticker_paused', 'true')")
    conn.execute("update pgq.queue set queue_disable_insert = true, queue_per_tx_limit = 9")
    row = conn.execute(
        "select queue_switch_time, (select tick_time from pgq.tick order by tick_id desc limit 1),"
        " (select sub_active from pgq.subscription where sub_batch is not null) from pgq.queue"
    ).fetchone()
    assert row is not None
    async with watching(pgq_database) as source:
        snapshot = await source.read(ALL)
    queue = snapshot.queues[0]
    assert (queue.max_lag, queue.idle_period, queue.rotation_period) == (0.25, 60.0, 7200.0)
    assert (queue.paused, queue.disable_insert, queue.per_tx_limit, queue.external_ticker) == (True, True, 9, False)
    working = next(one for one in snapshot.consumers if one.batch_id is not None)
    for read, real in zip((queue.switch_time, queue.last_tick_time, working.last_seen), row, strict=True):
        assert read is not None
        assert abs(read - real) < timedelta(microseconds=2)
    assert abs(snapshot.server_time - datetime.now(UTC)) < timedelta(seconds=30)


async def test_unchanged_rows_are_the_same_objects(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a", "b"))
    async with watching(pgq_database) as source:
        await source.read(ALL)
        first = await source.read(ALL)
        conn.execute(
            "select pgq.finish_batch(sub_batch) from pgq.subscription where sub_batch is not null and sub_queue = 1"
        )
        second = await source.read(ALL)
        same = [old is new for old, new in zip(first.consumers, second.consumers, strict=True)]
        assert same == [False, True, True, True]
        assert all(old is new for old, new in zip(first.queues, second.queues, strict=True))
        assert first.server is second.server


async def test_only_the_parts_that_are_asked_for_are_read(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a",))
    async with watching(pgq_database) as source:
        whole = await source.read(ALL)
        fill(conn, ("b",))
        some = await source.read(frozenset({Part.SERVER, Part.CONSUMERS}))
        assert some.queues is whole.queues
        assert len(some.consumers) == 4
        assert some.parts == {Part.SERVER, Part.CONSUMERS}
        assert some.times[Part.QUEUES] == whole.times[Part.QUEUES] < some.times[Part.CONSUMERS]


async def test_subconsumers_are_told_from_their_main_consumer(conn: psycopg.Connection, pgq_database: str) -> None:
    conn.execute("select pgq.create_queue('q')")
    for name in ("group", "group.a", "group.b", "other"):
        conn.execute("select pgq.register_consumer('q', %s)", (name,))
    conn.execute(
        "update pgq.subscription set sub_last_tick = null,"
        " sub_id = (select min(sub_id) from pgq.subscription) where sub_consumer in"
        " (select co_id from pgq.consumer where co_name like 'group.%')"
    )
    async with watching(pgq_database) as source:
        snapshot = await source.read(ALL)
    assert {one.name: one.subconsumer for one in snapshot.consumers} == {
        "group": False,
        "group.a": True,
        "group.b": True,
        "other": False,
    }


async def test_retry_events_are_counted(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a",))
    conn.execute("select pgq.batch_retry(sub_batch, 60) from pgq.subscription where sub_batch is not null")
    async with watching(pgq_database) as source:
        await source.read(ALL)
        assert (await source.read(ALL)).queues[0].retry_count == 5


async def test_the_session_cannot_write(conn: psycopg.Connection, pgq_database: str) -> None:
    async with watching(pgq_database) as source:
        await source.read(ALL)
        inner = source._conn
        assert inner is not None
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await inner.execute("select pgq.create_queue('no')")


async def test_anybody_may_look_and_is_told_what_is_refused(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a",))
    conn.execute("drop role if exists monitor_nobody")
    conn.execute("create role monitor_nobody login")
    try:
        async with watching(make_conninfo(pgq_database, user="monitor_nobody")) as source:
            snapshot = await source.read(ALL)
            assert snapshot.phase is Phase.LIVE
            assert (len(snapshot.queues), len(snapshot.consumers)) == (1, 2)
            assert snapshot.server is not None
            assert snapshot.server.can_write is False
            assert snapshot.queues[0].retry_count is None
            assert [(one.sqlstate, one.part) for one in snapshot.problems] == [("42501", Part.QUEUES)]
            with pytest.raises(SkyError, match="pgq_reader"):
                await source.peek_queue("a", 5)
    finally:
        conn.execute("drop role monitor_nobody")


async def test_one_refused_part_does_not_spoil_the_others(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a",))
    conn.execute("revoke select on pgq.queue from public")
    conn.execute("drop role if exists monitor_refused")
    conn.execute("create role monitor_refused login")
    try:
        async with watching(make_conninfo(pgq_database, user="monitor_refused")) as source:
            snapshot = await source.read(ALL)
            assert snapshot.phase is Phase.LIVE
            assert {one.part for one in snapshot.problems} == {Part.QUEUES, Part.CONSUMERS}
            assert snapshot.parts == {Part.SERVER, Part.SESSIONS}
            conn.execute("grant select on pgq.queue to public")
            assert len((await source.read(ALL)).queues) == 1
    finally:
        conn.execute("drop role monitor_refused")


async def test_a_database_without_pgq_is_said_to_have_none(database: str) -> None:
    async with watching(database) as source:
        snapshot = await source.read(ALL)
        assert snapshot.phase is Phase.NO_PGQ
        assert snapshot.server is not None
        assert (snapshot.server.pgq_version, snapshot.server.can_write) == (None, False)
        assert derive(None, snapshot).overview.level is Level.OFF


async def test_pgq_dropped_while_watched_and_made_anew_is_noticed(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a",))
    async with watching(pgq_database) as source:
        picture = derive(None, await source.read(ALL))
        for _ in range(3):
            picture = derive(picture, await source.read(ALL))
        conn.execute("drop schema pgq cascade")
        snapshot = await source.read(ALL)
        assert (snapshot.phase, snapshot.queues, snapshot.consumers) == (Phase.NO_PGQ, (), ())
        async with await psycopg.AsyncConnection.connect(pgq_database, autocommit=True) as other:
            await install(other, "pgq")
        fill(conn, ("b",))
        again = await until(source, Phase.LIVE)
        assert [one.name for one in again.queues] == ["b"]


async def test_a_killed_backend_is_replaced_without_a_word(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a",))
    async with watching(pgq_database) as source:
        await source.read(ALL)
        for _ in range(3):
            conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'skyconsole'")
            snapshot = await source.read(ALL)
            assert (snapshot.phase, len(snapshot.queues)) == (Phase.LIVE, 1)


async def test_a_killed_server_is_lost_with_its_facts_kept_and_comes_back(
    private_cluster: Callable[..., Cluster],
) -> None:
    cluster = private_cluster()
    cluster.start()
    async with await psycopg.AsyncConnection.connect(cluster.dsn(), autocommit=True) as other:
        await install(other, "pgq")
        await other.execute("select pgq.create_queue('a')")
    async with watching(cluster.dsn()) as source:
        first = derive(None, await source.read(ALL))
        cluster.kill()
        lost = await until(source, Phase.LOST)
        assert [one.name for one in lost.queues] == ["a"]
        assert lost.problems
        assert lost.parts == frozenset()
        picture = derive(first, lost)
        assert picture.queues is first.queues
        cluster.start()
        back = await until(source, Phase.LIVE)
        texts = [change.text for change in derive(picture, back).changes]
        assert texts[:2] == ["back again", "restarted"]


async def test_a_password_that_is_refused_is_said_without_being_shown(private_cluster: Callable[..., Cluster]) -> None:
    cluster = private_cluster()
    cluster.start()
    guard(cluster)
    dsn = make_conninfo(cluster.dsn(), user="guarded", password="hunter2")
    async with watching(dsn) as source:
        end = asyncio.get_running_loop().time() + 20
        snapshot = await source.read(ALL)
        while not any(one.sqlstate == "28P01" for one in snapshot.problems):
            # The server takes a moment to read its new rules; until then the role is let in by trust.
            assert asyncio.get_running_loop().time() < end, snapshot.problems
            async with watching(dsn) as another:
                snapshot = await another.read(ALL)
        assert snapshot.phase is Phase.LOST
        assert "hunter2" not in repr(snapshot)


def guard(cluster: Cluster) -> None:
    """Make a role that must show a password."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("create role guarded login password 'right'")
        row = conn.execute("show hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text("utf-8"), "utf-8")
        conn.execute("select pg_reload_conf()")


async def test_a_standby_is_read_like_any_other_and_cannot_be_written(private_cluster: Callable[..., Cluster]) -> None:
    cluster = private_cluster()
    cluster.start()
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        async with await psycopg.AsyncConnection.connect(cluster.dsn(), autocommit=True) as other:
            await install(other, "pgq")
        fill(conn, ("a",))
        row = conn.execute("show data_directory").fetchone()
        assert row is not None
    cluster.stop()
    make_standby(Path(row[0]))
    cluster.start()
    async with watching(cluster.dsn()) as source:
        snapshot = await source.read(ALL)
    assert snapshot.server is not None
    assert (snapshot.server.in_recovery, snapshot.server.can_write) == (True, False)
    assert (snapshot.phase, snapshot.problems) == (Phase.LIVE, ())
    assert [(one.name, one.event_seq > 1) for one in snapshot.queues] == [("a", True)]


def make_standby(data_directory: Path) -> None:
    (data_directory / "standby.signal").touch()


async def test_the_one_ticker_is_told_from_its_spare(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a",))
    dsn = make_conninfo(pgq_database, application_name="skyconsole-ticker")
    take = queries("ticker/ticks.sql")["guard"]
    numbers = {"class": GUARD_CLASS, "object": GUARD_OBJECT}
    with psycopg.connect(dsn, autocommit=True) as spare, psycopg.connect(dsn, autocommit=True) as ticker:
        assert ticker.execute(take, numbers).fetchone() == (True,)
        assert spare.execute(take, numbers).fetchone() == (False,)
        async with watching(pgq_database) as source:
            picture = derive(None, await source.read(ALL))
        assert [(row.state, row.pid) for row in picture.daemons] == [
            ("ticking", ticker.info.backend_pid),
            ("standby", spare.info.backend_pid),
        ]


async def test_a_database_that_does_not_answer_in_time_is_stale(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a",))
    async with watching(pgq_database, statement_timeout=0.3) as source:
        await source.read(ALL)
        with psycopg.connect(pgq_database) as blocker:
            blocker.execute("lock table pgq.queue in access exclusive mode")
            snapshot = await source.read(ALL)
            assert snapshot.phase is Phase.STALE
            assert {one.sqlstate for one in snapshot.problems} <= {"57014", "55P03"}
            assert [one.name for one in snapshot.queues] == ["a"]
            async with watching(pgq_database, statement_timeout=0.3) as newcomer:
                assert (await newcomer.read(ALL)).phase is Phase.STALE
            blocker.rollback()
        snapshot = await source.read(ALL)
        assert (snapshot.phase, snapshot.problems) == (Phase.LIVE, ())


async def test_a_server_on_another_planet_is_lost_with_a_sentence() -> None:
    async with watching("host=/nonexistent/nowhere port=1 dbname=x user=x") as source:
        snapshot = await source.read(ALL)
        assert (snapshot.phase, snapshot.server) == (Phase.LOST, None)
        assert snapshot.problems[0].message
        assert derive(None, snapshot).overview.phase is Phase.LOST


async def test_closing_ends_a_reading_that_waits(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn, ("a",))
    source = PostgresSource(pgq_database, "test", statement_timeout=60.0)
    await source.read(ALL)
    with psycopg.connect(pgq_database) as blocker:
        blocker.execute("lock table pgq.tick in access exclusive mode")
        task = asyncio.create_task(source.read(ALL))
        end = asyncio.get_running_loop().time() + 10
        while not conn.execute("select 1 from pg_stat_activity where wait_event_type = 'Lock'").fetchone():
            assert asyncio.get_running_loop().time() < end
            await asyncio.sleep(0.02)
        began = asyncio.get_running_loop().time()
        await source.close()
        snapshot = await task
        assert asyncio.get_running_loop().time() - began < 5.0
        assert snapshot.phase in (Phase.LOST, Phase.LIVE, Phase.STALE)
    assert (await source.read(ALL)).phase is Phase.LOST


async def test_events_are_peeked_at_and_stay(conn: psycopg.Connection, pgq_database: str) -> None:
    fill(conn)
    async with watching(pgq_database) as source:
        snapshot = await source.read(ALL)
        for one in snapshot.consumers:
            if one.batch_id is not None:
                events = await source.peek_batch(one.batch_id, 3)
                assert [event.ev_data for event in events] == [f"{one.queue} {n}" for n in range(3)]
        for queue in snapshot.queues:
            newest = await source.peek_queue(queue.name, 2)
            assert [event.ev_data for event in newest] == [f"{queue.name} 4", f"{queue.name} 3"]
            assert len(await source.peek_queue(queue.name, 100)) == 5
        with pytest.raises(SkyError, match="Batch 999999 cannot be read"):
            await source.peek_batch(999999, 1)
        with pytest.raises(SkyError, match="no queue"):
            await source.peek_queue("none", 1)
        after = await source.read(ALL)
        assert after.consumers == snapshot.consumers


async def test_who_waits_for_whom_is_seen(conn: psycopg.Connection, pgq_database: str) -> None:
    conn.execute("create table public.invoices (id int)")
    waiter_dsn = make_conninfo(pgq_database, application_name="invoice_export")
    with psycopg.connect(pgq_database) as blocker, psycopg.connect(waiter_dsn, autocommit=True) as waiter:
        blocker.execute("lock table public.invoices in access exclusive mode")
        blocked = asyncio.create_task(asyncio.to_thread(_count_invoices, waiter))
        try:
            async with watching(pgq_database) as source:
                end = asyncio.get_running_loop().time() + 10
                while True:
                    sessions = (await source.read(ALL)).sessions
                    found = [one for one in sessions if one.application == "invoice_export" and one.blocked_by]
                    if found:
                        break
                    assert asyncio.get_running_loop().time() < end, sessions
                    await asyncio.sleep(0.02)
        finally:
            blocker.rollback()
            await blocked
        assert found[0].blocked_by == (blocker.info.backend_pid,)
        assert found[0].wait == "Lock:relation"
        holder = next(one for one in sessions if one.pid == blocker.info.backend_pid)
        assert holder.state == "idle in transaction"
        assert holder.transaction_start is not None


def _count_invoices(waiter: psycopg.Connection) -> None:
    waiter.execute("select count(*) from public.invoices")


async def test_lookups_of_ticks_use_the_index_however_many_there_are(
    conn: psycopg.Connection, pgq_database: str
) -> None:
    fill(conn, ("a", "b"))
    conn.execute(
        "insert into pgq.tick (tick_queue, tick_id, tick_event_seq)"
        " select queue_id, n, n from pgq.queue, generate_series(100, 20000) n"
    )
    for name in ("queues", "consumers"):
        statement = sql.SQL("explain {}").format(sql.SQL(queries("monitor/reads.sql")[name]))
        plan = "\n".join(row[0] for row in conn.execute(statement))
        assert "Seq Scan on tick" not in plan, plan


@pytest.fixture(params=["sample", "postgres"])
async def any_source(
    request: pytest.FixtureRequest, conn: psycopg.Connection, pgq_database: str
) -> AsyncIterator[Source]:
    """A source of each kind, with queues, an open batch and events."""
    if request.param == "sample":
        yield SampleSource(1, SystemClock())
        return
    fill(conn)
    source = PostgresSource(pgq_database, "test")
    yield source
    await source.close()


async def test_sources_of_either_kind_keep_the_same_promises(any_source: Source) -> None:
    first = await any_source.read(ALL)
    second = await any_source.read(ALL)
    for snapshot in (first, second):
        assert type(snapshot) is Snapshot
        assert snapshot.source == any_source.name
        assert snapshot.phase is Phase.LIVE
        assert snapshot.parts == ALL
        assert set(snapshot.times) == ALL
        assert snapshot.taken.tzinfo is not None
        assert snapshot.server_time.utcoffset() == timedelta(0)
        names = [one.name for one in snapshot.queues]
        assert names == sorted(set(names))
        pairs = [(one.queue, one.name) for one in snapshot.consumers]
        assert pairs == sorted(set(pairs))
        assert {queue for queue, _ in pairs} <= set(names)
        for queue in snapshot.queues:
            assert 0 <= queue.cur_table < queue.ntables
            assert queue.event_seq >= (queue.last_tick_seq or 0)
            assert queue.last_tick_time is None or queue.last_tick_time <= snapshot.server_time
            assert isinstance(queue.max_lag, float)
        for consumer in snapshot.consumers:
            assert (consumer.batch_id is None) is (consumer.next_tick_id is None)
            assert (consumer.last_tick_id is None) <= (consumer.last_tick_time is None)
            assert consumer.last_seen <= snapshot.server_time + timedelta(seconds=1)
    assert second.server_time >= first.server_time
    kept = {id(one) for one in first.queues} & {id(one) for one in second.queues}
    assert kept, "an unchanged row is the same object"
    working = next(one for one in second.consumers if one.batch_id is not None)
    assert working.batch_id is not None
    assert len(await any_source.peek_batch(working.batch_id, 2)) == 2
    assert (await any_source.read(frozenset({Part.SERVER}))).consumers == second.consumers
    picture = derive(derive(None, first), second)
    assert len(picture.queues) == len(second.queues)
    assert len(picture.consumers) == len(second.consumers)
