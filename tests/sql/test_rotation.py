"""When tables are emptied and when not (spec/pgq.md 1.5, 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel


def _notices_of(conn: psycopg.Connection[Any]) -> list[str]:
    notices: list[str] = []
    conn.add_notice_handler(lambda notice: notices.append(f"{notice.severity}: {notice.message_primary}"))
    return notices


def test_the_ring_goes_round_and_each_table_is_emptied_before_it_is_current(queue: Any) -> None:
    stored = []
    for number in range(7):
        queue.insert(f"e{number}")
        assert queue.tick_and_drain() == [f"e{number}"]
        queue.catch_up()
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
    queue.catch_up()
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
    queue.catch_up()
    assert queue.step1()
    for _ in range(3):
        queue.tick_and_drain()
        assert not queue.step1()
    queue.catch_up()
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
    queue.catch_up()
    assert not queue.step1()
    queue.conn.execute("update pgq.queue set queue_switch_time = now() - interval '61 minutes'")
    assert queue.step1()


def test_any_old_writing_transaction_holds_rotation_back_until_it_ends(queue: Any) -> None:
    queue.catch_up()
    old = queue.sessions.open(autocommit=False)
    old.execute("create table elsewhere (n int)")
    assert queue.step1()
    queue.catch_up()
    assert not queue.step1()
    old.commit()
    queue.catch_up()
    assert queue.step1()


@pytest.mark.parametrize("mode", ["access share", "row exclusive", "share"])
def test_a_lock_on_the_next_table_makes_it_give_up_at_once(queue: Any, mode: str) -> None:
    queue.catch_up()
    holder = queue.sessions.open(autocommit=False)
    holder.execute(f"lock table pgq.event_1_1 in {mode} mode")
    assert not queue.step1()
    holder.rollback()
    assert queue.step1()


def test_a_running_or_prepared_writer_of_the_next_table_is_waited_for(queue: Any) -> None:
    """In doubt is not gone: the event of a prepared transaction is delivered when it is committed."""
    writer = queue.sessions.open(autocommit=False)
    writer.execute("select pgq.current_event_table('q')")
    queue.catch_up()
    assert queue.rotate()
    queue.catch_up()
    assert queue.rotate()
    writer.execute("insert into pgq.event_1_0 (ev_id, ev_time, ev_data) values (77, now(), 'in doubt')")
    queue.catch_up()
    assert not queue.step1()
    writer.execute("prepare transaction 'rotation in doubt'")
    writer.rollback()
    for _ in range(3):
        queue.catch_up()
        assert not queue.step1()
    queue.conn.execute("commit prepared 'rotation in doubt'")
    assert not queue.step1()
    assert queue.tick_and_drain() == ["in doubt"]
    queue.catch_up()
    assert queue.step1()


def test_events_that_were_rolled_back_do_not_hold_rotation_back(queue: Any) -> None:
    queue.catch_up()
    assert queue.rotate()
    queue.catch_up()
    assert queue.rotate()
    writer = queue.sessions.open(autocommit=False)
    writer.execute("insert into pgq.event_1_0 (ev_id, ev_time, ev_data) values (77, now(), 'no')")
    writer.rollback()
    with queue.conn.transaction(force_rollback=True):
        queue.conn.execute("insert into pgq.event_1_0 (ev_id, ev_time, ev_data) values (78, now(), 'no')")
    query = "select max(ev_txid) from pgq.event_1_0"
    assert queue.conn.execute(query).fetchone() == (None,)
    queue.catch_up()
    assert queue.step1()


@pytest.mark.parametrize("isolation", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_above_read_committed_it_only_warns(queue: Any, isolation: IsolationLevel) -> None:
    queue.catch_up()
    maintainer = queue.sessions.open(isolation)
    notices = _notices_of(maintainer)
    assert not queue.step1(maintainer)
    assert [notice for notice in notices if "read committed only" in notice]
    assert queue.step1()


def test_the_end_tick_of_an_open_batch_is_never_deleted(queue: Any) -> None:
    """External ticks out of order: the end of the batch has an older snapshot than its start and the last switch."""
    queue.conn.execute("select pgq.set_queue_config('q', 'external_ticker', 'true')")
    queue.conn.execute("select pgq.ticker('q', 50, now(), 10)")
    queue.register("c", 50)
    assert queue.rotate()
    queue.conn.execute("select pgq.ticker('q', 40, now(), 10)")
    queue.register("c", 40)
    batch = queue.next_batch()
    assert not queue.rotate()
    assert {40, 50} <= set(queue.ticks())
    assert queue.events(batch) == []
    assert queue.finish(batch) == 1
    queue.conn.execute("select pgq.ticker('q', 60, now(), 20)")
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
    queue.catch_up()
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
