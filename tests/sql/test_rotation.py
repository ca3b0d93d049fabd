"""When tables are emptied and when not (spec/pgq.md 1.5, 7), and who may meet a rotation half-way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel


def _ready(queue: Any, consumer: str = "c") -> None:
    """All consumers past the last switch, so that the next one is allowed."""
    queue.step2()
    queue.tick_and_drain(consumer)
    queue.tick_and_drain(consumer)


def _notices_of(conn: psycopg.Connection[Any]) -> list[str]:
    notices: list[str] = []
    conn.add_notice_handler(lambda notice: notices.append(f"{notice.severity}: {notice.message_primary}"))
    return notices


def test_the_ring_goes_round_and_each_table_is_emptied_before_it_is_current(queue: Any) -> None:
    stored = []
    for number in range(7):
        queue.insert(f"e{number}")
        assert queue.tick_and_drain() == [f"e{number}"]
        _ready(queue)
        assert queue.step1()
        stored.append((queue.table, [queue.rows(n) for n in range(3)]))
    assert stored[:3] == [(1, [1, 0, 0]), (2, [1, 1, 0]), (0, [0, 1, 1])]
    assert stored[3:6] == [(1, [1, 0, 1]), (2, [1, 1, 0]), (0, [0, 1, 1])]


def test_a_consumer_that_stands_before_the_last_switch_holds_rotation_back(queue: Any) -> None:
    queue.register("dead")
    queue.tick_and_drain()
    assert queue.step1() is False
    queue.drain("dead")
    assert queue.step1()
    queue.step2()
    for _ in range(3):
        queue.tick_and_drain()
    assert not queue.step1()
    queue.drain("dead")
    assert queue.step1()


def test_an_idle_worker_without_a_tick_does_not_hold_rotation_back_and_a_working_one_does(queue: Any) -> None:
    queue.register("c.worker")
    query = """
        update pgq.subscription
        set sub_id = (select min(sub_id) from pgq.subscription), sub_last_tick = %s, sub_next_tick = %s
        where sub_consumer = (select co_id from pgq.consumer where co_name = 'c.worker')
    """
    first = queue.ticks()[0]
    second = queue.tick()
    queue.conn.execute(query, [first, second])
    _ready(queue)
    assert queue.step1() is False
    queue.conn.execute(query, [None, None])
    assert queue.step1()


def test_a_queue_without_subscriptions_always_rotates(queue: Any) -> None:
    queue.conn.execute("select pgq.unregister_consumer('q', 'c')")
    for number in range(6):
        queue.insert("e")
        assert queue.rotate(), number
    assert sum(queue.rows(n) for n in range(3)) <= 3


def test_the_second_step_must_come_before_the_next_switch(queue: Any) -> None:
    _ready(queue)
    assert queue.step1()
    for _ in range(3):
        queue.tick_and_drain()
        assert not queue.step1()
    _ready(queue)
    assert queue.step1()


def test_both_steps_in_one_transaction_lose_nothing(queue: Any) -> None:
    producer = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    producer.execute("select 1")
    seen = []
    for number in range(6):
        queue.insert(f"e{number}")
        with queue.conn.transaction():
            queue.step1()
            queue.step2()
        seen += queue.tick_and_drain()
    queue.insert("late", producer)
    producer.commit()
    for _ in range(6):
        with queue.conn.transaction():
            queue.step1()
            queue.step2()
        seen += queue.tick_and_drain()
    assert seen == [*(f"e{number}" for number in range(6)), "late"]


def test_a_rotation_period_that_is_not_over_holds_rotation_back(queue: Any) -> None:
    queue.conn.execute("select pgq.set_queue_config('q', 'rotation_period', '1 hour')")
    _ready(queue)
    assert not queue.step1()
    queue.conn.execute("update pgq.queue set queue_switch_time = now() - interval '61 minutes'")
    assert queue.step1()


def test_any_old_writing_transaction_holds_rotation_back_until_it_ends(queue: Any) -> None:
    _ready(queue)
    old = queue.sessions.open(autocommit=False)
    old.execute("create table elsewhere (n int)")
    assert queue.step1()
    _ready(queue)
    assert not queue.step1()
    old.commit()
    _ready(queue)
    assert queue.step1()


@pytest.mark.parametrize("mode", ["access share", "row exclusive", "share"])
def test_a_lock_on_the_next_table_makes_it_give_up_at_once(queue: Any, mode: str) -> None:
    _ready(queue)
    holder = queue.sessions.open(autocommit=False)
    holder.execute(f"lock table pgq.event_1_1 in {mode} mode")
    assert not queue.step1()
    holder.rollback()
    assert queue.step1()


def test_a_running_or_prepared_writer_of_the_next_table_is_waited_for(queue: Any) -> None:
    """In doubt is not gone: the event of a prepared transaction is delivered when it is committed."""
    writer = queue.sessions.open(autocommit=False)
    writer.execute("select pgq.current_event_table('q')")
    _ready(queue)
    assert queue.rotate()
    _ready(queue)
    assert queue.rotate()
    writer.execute("insert into pgq.event_1_0 (ev_id, ev_time, ev_data) values (77, now(), 'in doubt')")
    _ready(queue)
    assert not queue.step1()
    writer.execute("prepare transaction 'rotation in doubt'")
    writer.rollback()
    for _ in range(3):
        _ready(queue)
        assert not queue.step1()
    queue.conn.execute("commit prepared 'rotation in doubt'")
    assert not queue.step1()
    assert queue.tick_and_drain() == ["in doubt"]
    _ready(queue)
    assert queue.step1()


def test_events_that_were_rolled_back_do_not_hold_rotation_back(queue: Any) -> None:
    _ready(queue)
    assert queue.rotate()
    _ready(queue)
    assert queue.rotate()
    writer = queue.sessions.open(autocommit=False)
    writer.execute("insert into pgq.event_1_0 (ev_id, ev_time, ev_data) values (77, now(), 'no')")
    writer.rollback()
    with queue.conn.transaction(force_rollback=True):
        queue.conn.execute("insert into pgq.event_1_0 (ev_id, ev_time, ev_data) values (78, now(), 'no')")
    query = "select max(ev_txid) from pgq.event_1_0"
    assert queue.conn.execute(query).fetchone() == (None,)
    _ready(queue)
    assert queue.step1()


@pytest.mark.parametrize("isolation", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_above_read_committed_it_only_warns(queue: Any, isolation: IsolationLevel) -> None:
    _ready(queue)
    maintainer = queue.sessions.open(isolation)
    notices = _notices_of(maintainer)
    assert not queue.step1(maintainer)
    assert [notice for notice in notices if "read committed only" in notice]
    assert queue.step1()


def test_of_two_maintainers_one_switches(queue: Any) -> None:
    _ready(queue)
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    first.execute("select pgq.maint_rotate_tables_step1('q')")
    waiting = queue.sessions.start(second, "select pgq.maint_rotate_tables_step1('q')")
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    assert waiting.result(20) == 0
    assert queue.table == 1


def test_a_reader_of_a_batch_holds_no_lock_on_the_next_table(queue: Any) -> None:
    """Consumers that always have a transaction open would otherwise keep tables from ever being emptied."""
    queue.insert("e")
    queue.tick()
    reader = queue.sessions.open(autocommit=False)
    batch = queue.next_batch(conn=reader)
    assert queue.events(batch, reader) == ["e"]
    reader.execute("select pgq.get_batch_cursor(%s, 'cur', 1)", [batch])
    query = """
        select relation::regclass::text
        from pg_locks
        where pid = %s and relation::regclass::text ~ '^pgq.event_1_.$'
        order by 1
    """
    held = [row[0] for row in queue.conn.execute(query, [reader.info.backend_pid])]
    assert held == ["pgq.event_1_0", "pgq.event_1_2"], "previous and current only"
    reader.commit()


def test_while_a_long_reader_is_at_work_the_others_tables_rotate(queue: Any) -> None:
    """A reader whose batch lies in the current table lets the next one be emptied."""
    queue.register("reader")
    _ready(queue)
    queue.drain("reader")
    assert queue.rotate()
    queue.insert("e")
    for _ in range(2):
        queue.tick_and_drain()
    reader = queue.sessions.open(autocommit=False)
    batch = queue.next_batch("reader", reader)
    while not queue.events(batch, reader):
        queue.finish(batch, reader)
        batch = queue.next_batch("reader", reader)
    reader.execute("select pgq.finish_batch(%s)", [batch])
    reader.commit()
    queue.drain("reader")
    _ready(queue)
    queue.drain("reader")
    queue.insert("f")
    queue.tick()
    batch = queue.next_batch("reader", reader)
    assert queue.events(batch, reader) == ["f"]
    queue.drain()
    assert queue.step1(), "the reader's open transaction kept the next table"


@pytest.mark.parametrize("isolation", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_reader_with_an_old_snapshot_finds_its_whole_batch_after_rotations(
    queue: Any, isolation: IsolationLevel
) -> None:
    """TRUNCATE empties a table for old snapshots too: nothing that an open batch needs may be truncated."""
    queue.register("other")
    for data in ("a", "b", "c"):
        queue.insert(data)
    queue.tick()
    reader = queue.sessions.open(isolation, autocommit=False)
    reader.execute("select 1 from pgq.queue")
    for _ in range(5):
        queue.insert("x")
        queue.tick_and_drain("other")
        queue.rotate()
    assert queue.events(queue.next_batch(conn=reader), reader) == ["a", "b", "c"]
    reader.commit()
    assert queue.drain() == ["a", "b", "c", *"xxxxx"]


def test_an_open_batch_stays_whole_while_everybody_else_goes_on(queue: Any) -> None:
    queue.register("other")
    queue.insert("kept")
    queue.tick()
    batch = queue.next_batch()
    for _ in range(6):
        queue.tick_and_drain("other")
        queue.rotate()
    assert queue.events(batch) == ["kept"]


def test_ticks_that_a_subscription_refers_to_are_never_deleted(queue: Any) -> None:
    """External ticks out of order: the end tick of the open batch has an older snapshot than its start."""
    queue.conn.execute("select pgq.set_queue_config('q', 'external_ticker', 'true')")
    queue.conn.execute("select pgq.ticker('q', 50, now(), 10)")
    queue.conn.execute("select pgq.ticker('q', 40, now(), 10)")
    queue.register("c", 40)
    batch = queue.next_batch()
    for number in range(4):
        queue.rotate()
        queue.conn.execute("select pgq.ticker('q', %s, now(), 20)", [60 + number])
    assert {40, 50} <= set(queue.ticks())
    assert queue.events(batch) == []
    assert queue.finish(batch) == 1
    assert queue.next_batch() is not None


def test_a_late_event_is_kept_by_the_lowest_xmin_not_by_the_lowest_tick_id(queue: Any) -> None:
    queue.conn.execute("select pgq.set_queue_config('q', 'external_ticker', 'true')")
    producer = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    producer.execute("select 1 from pgq.queue")
    number = 100
    for _ in range(2):
        for _ in range(2):
            number += 1
            queue.conn.execute("select pgq.ticker('q', %s, now(), %s)", [number, number])
            queue.drain()
        assert queue.rotate()
    queue.conn.execute("select pgq.ticker('q', 300, now(), 300)")
    queue.insert("late", producer)
    producer.commit()
    queue.conn.execute("select pgq.ticker('q', 200, now(), 200)")
    queue.conn.execute("select pgq.ticker('q', 201, now(), 200)")
    queue.register("c", 201)
    queue.register("behind", 300)
    assert not queue.step1(), "tick 300 has the older snapshot: the event is still to come for its consumer"
    assert queue.rows(0) == 1


def test_a_consumer_placed_on_an_old_tick_while_a_rotation_runs_is_refused_or_keeps_its_events(queue: Any) -> None:
    first = queue.ticks()[0]
    _ready(queue)
    assert queue.rotate()
    _ready(queue)
    maintainer, admin = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert first in queue.ticks()
    maintainer.execute("select pgq.maint_rotate_tables_step1('q')")
    waiting = queue.sessions.start(admin, "select pgq.register_consumer_at('q', 'new', %s)", first)
    queue.sessions.wait_blocked(admin, queue.conn)
    maintainer.commit()
    with pytest.raises(psycopg.errors.RaiseException, match="cannot reposition, tick not found"):
        waiting.result(20)
    assert queue.table == 2


def test_a_rotation_waits_for_a_consumer_that_is_just_being_placed_and_then_respects_it(queue: Any) -> None:
    first = queue.ticks()[0]
    _ready(queue)
    assert queue.rotate()
    _ready(queue)
    admin, maintainer = queue.sessions.open(autocommit=False), queue.sessions.open()
    admin.execute("select pgq.register_consumer_at('q', 'new', %s)", [first])
    waiting = queue.sessions.start(maintainer, "select pgq.maint_rotate_tables_step1('q')")
    queue.sessions.wait_blocked(maintainer, queue.conn)
    admin.commit()
    assert waiting.result(20) == 0
    assert queue.table == 1
    assert first in queue.ticks()


def test_a_consumer_placed_in_a_transaction_older_than_the_rotation_fails_to_serialize(queue: Any) -> None:
    first = queue.ticks()[0]
    _ready(queue)
    assert queue.rotate()
    _ready(queue)
    admin = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    admin.execute("select 1")
    assert queue.rotate()
    assert first not in queue.ticks()
    with pytest.raises(psycopg.errors.SerializationFailure):
        admin.execute("select pgq.register_consumer_at('q', 'new', %s)", [first])


def test_a_tick_that_is_not_committed_yet_makes_the_rotation_wait(queue: Any) -> None:
    queue.conn.execute("select pgq.unregister_consumer('q', 'c')")
    ticker, maintainer = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert queue.tick(ticker) is not None
    waiting = queue.sessions.start(maintainer, "select pgq.maint_rotate_tables_step1('q')")
    queue.sessions.wait_blocked(maintainer, queue.conn)
    ticker.commit()
    assert waiting.result(20) == 0
    assert queue.table == 1


def test_a_ticker_waits_for_a_rotation_and_sees_what_it_emptied_as_finished(queue: Any) -> None:
    _ready(queue)
    maintainer, ticker = queue.sessions.open(autocommit=False), queue.sessions.open()
    maintainer.execute("select pgq.maint_rotate_tables_step1('q')")
    waiting = queue.sessions.start(ticker, "select pgq.ticker('q')")
    queue.sessions.wait_blocked(ticker, queue.conn)
    maintainer.commit()
    tick = waiting.result(20)
    query = """
        select txid_visible_in_snapshot(q.queue_switch_step1, t.tick_snapshot)
        from pgq.tick t join pgq.queue q on q.queue_id = t.tick_queue
        where t.tick_id = %s
    """
    assert queue.conn.execute(query, [tick]).fetchone() == (True,)


def test_dropping_a_queue_waits_for_its_rotation(queue: Any) -> None:
    queue.conn.execute("select pgq.unregister_consumer('q', 'c')")
    maintainer, admin = queue.sessions.open(autocommit=False), queue.sessions.open()
    maintainer.execute("select pgq.maint_rotate_tables_step1('q')")
    waiting = queue.sessions.start(admin, "select pgq.drop_queue('q')")
    queue.sessions.wait_blocked(admin, queue.conn)
    maintainer.commit()
    assert waiting.result(20) == 1
    assert queue.conn.execute("select pgq.maint_rotate_tables_step1('q')").fetchone() == (0,)


@pytest.mark.parametrize("tables", [1, 2, 4])
def test_rings_of_other_sizes_lose_and_repeat_nothing(
    pgq_database: str, drive_of: Callable[..., Any], tables: int
) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as admin:
        admin.execute(f"alter table pgq.queue alter column queue_ntables set default {tables}")
    queue = drive_of(pgq_database)
    producer = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    producer.execute("select 1")
    seen, switches = [], 0
    for number in range(12):
        queue.insert(str(number))
        if number == 6:
            queue.insert("late", producer)
            producer.commit()
        seen += queue.tick_and_drain()
        switches += queue.rotate()
    seen += queue.tick_and_drain()
    assert sorted(seen) == sorted([*map(str, range(12)), "late"])
    assert switches >= 3


def test_a_missing_tick_of_any_subscription_stops_the_rotation_with_its_number(queue: Any) -> None:
    _ready(queue)
    queue.register("lost")
    tick = queue.ticks()[-1]
    queue.conn.execute(
        "update pgq.subscription set sub_last_tick = 999 where sub_last_tick = %s and sub_id = 2", [tick]
    )
    with pytest.raises(psycopg.errors.RaiseException, match="queue q maint failure: tick 999 not found"):
        queue.step1()


def test_the_greatest_transaction_id_of_a_table_is_read_from_its_index(queue: Any) -> None:
    queue.conn.execute(
        "insert into pgq.event_1_1 (ev_id, ev_time, ev_txid) select n, now(), n from generate_series(1, 20000) n"
    )
    plan = "\n".join(row[0] for row in queue.conn.execute("explain select max(ev_txid) from pgq.event_1_1"))
    assert "Index Only Scan Backward" in plan
    assert "Seq Scan" not in plan


def test_every_arm_of_a_batch_query_is_an_index_scan(queue: Any) -> None:
    """On tables that nobody ever analyzed, with a long list of old transactions."""
    queue.tick()
    old = ",".join(str(1000 + 200 * n) for n in range(150))
    queue.conn.execute("update pgq.tick set tick_snapshot = %s::txid_snapshot where tick_id = 1", [f"1000:50000:{old}"])
    queue.conn.execute("update pgq.tick set tick_snapshot = '51000:51000:' where tick_id = 2")
    queue.conn.execute("update pgq.queue set queue_switch_step1 = 2000, queue_switch_step2 = 2000")
    for number in range(3):
        queue.conn.execute(
            f"insert into pgq.event_1_{number} (ev_id, ev_time, ev_txid, ev_data)"
            " select n, now(), n, repeat('x', 100) from generate_series(1, 60000) n"
        )
    batch = queue.next_batch()
    query = queue.conn.execute("select pgq.batch_event_sql(%s)", [batch]).fetchone()[0]
    plan = "\n".join(row[0] for row in queue.conn.execute(f"explain {query}".encode()))
    assert plan.count("_txid_idx") >= 6
    assert "Seq Scan" not in plan
    assert len(queue.events(batch)) == 3 * (150 + 1001 - 1)
