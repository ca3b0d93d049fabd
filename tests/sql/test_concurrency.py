"""Who waits for whom, and who does not (spec/pgq.md 11)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel


def test_producers_wait_neither_for_ticks_nor_for_rotation_nor_for_a_changed_queue_row(queue: Any) -> None:
    other, producer = queue.sessions.open(autocommit=False), queue.sessions.open()
    producer.execute("set lock_timeout = '1s'")
    for statement in (
        "select pgq.ticker('q')",
        "select pgq.maint_rotate_tables_step1('q')",
        "update pgq.queue set queue_ticker_max_count = 7",
        "select 1 from pgq.queue for update",
        "select pgq.register_consumer('q', 'another')",
    ):
        other.execute(statement)
        assert queue.insert("e", producer) > 0
        other.rollback()


def test_producers_wait_for_a_queue_that_is_being_dropped_and_then_find_none(queue: Any) -> None:
    admin, producer = queue.sessions.open(autocommit=False), queue.sessions.open()
    admin.execute("select pgq.drop_queue('q', true)")
    waiting = queue.sessions.start(producer, "select pgq.insert_event('q', 't', 'd')")
    queue.sessions.wait_blocked(producer, queue.conn)
    admin.commit()
    with pytest.raises(psycopg.Error):
        waiting.result(20)


@pytest.mark.parametrize("statement", ["select pgq.ticker('q')", "select pgq.register_consumer('q', 'new')"])
def test_tickers_and_subscribers_do_not_wait_for_an_ordinary_update_of_the_queue_row(
    queue: Any, statement: str
) -> None:
    admin, other = queue.sessions.open(autocommit=False), queue.sessions.open()
    other.execute("set lock_timeout = '1s'")
    admin.execute("update pgq.queue set queue_ticker_max_count = 7")
    assert other.execute(statement).fetchone() is not None


@pytest.mark.parametrize("statement", ["select pgq.maint_rotate_tables_step1('q')", "select pgq.drop_queue('q', true)"])
def test_rotation_and_dropping_wait_for_an_uncommitted_change_of_the_queue_row(queue: Any, statement: str) -> None:
    admin, other = queue.sessions.open(autocommit=False), queue.sessions.open()
    admin.execute("update pgq.queue set queue_ticker_max_count = 7")
    waiting = queue.sessions.start(other, statement)
    queue.sessions.wait_blocked(other, queue.conn)
    admin.commit()
    assert waiting.result(20) in (0, 1)


def test_two_calls_at_once_for_one_consumer_give_one_batch(queue: Any) -> None:
    queue.insert("e")
    queue.tick()
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    batch = queue.next_batch(conn=first)
    waiting = queue.sessions.start(second, "select pgq.next_batch('q', 'c')")
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    assert waiting.result(20) == batch
    assert queue.events(batch) == ["e"]
    assert queue.finish(batch) == 1


def test_the_second_call_gets_the_following_batch_when_the_first_one_has_finished_its_own(queue: Any) -> None:
    queue.insert("a")
    queue.tick()
    queue.insert("b")
    queue.tick()
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    batch = queue.next_batch(conn=first)
    assert queue.events(batch, first) == ["a"]
    waiting = queue.sessions.start(second, "select pgq.next_batch('q', 'c')")
    queue.sessions.wait_blocked(second, queue.conn)
    queue.finish(batch, first)
    first.commit()
    assert queue.events(waiting.result(20)) == ["b"]


def test_the_second_call_gets_the_batch_itself_when_the_first_one_rolls_back(queue: Any) -> None:
    queue.insert("a")
    queue.tick()
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    queue.next_batch(conn=first)
    waiting = queue.sessions.start(second, "select pgq.next_batch('q', 'c')")
    queue.sessions.wait_blocked(second, queue.conn)
    first.rollback()
    assert queue.events(waiting.result(20)) == ["a"]


def test_consumers_do_not_wait_for_each_other(queue: Any) -> None:
    queue.register("d")
    queue.tick()
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    second.execute("set lock_timeout = '1s'")
    assert queue.next_batch("c", first) is not None
    assert queue.next_batch("d", second) is not None


def test_a_queue_created_twice_at_once_is_created_once(queue: Any) -> None:
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    first.execute("select pgq.create_queue('twin')")
    waiting = queue.sessions.start(second, "select pgq.create_queue('twin')")
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    with pytest.raises(psycopg.errors.UniqueViolation, match="queue_name_uq"):
        waiting.result(20)


def test_a_consumer_registered_twice_at_once_is_registered_once(queue: Any) -> None:
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    first.execute("select pgq.register_consumer('q', 'twin')")
    waiting = queue.sessions.start(second, "select pgq.register_consumer('q', 'twin')")
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    with pytest.raises(psycopg.errors.UniqueViolation, match="consumer_name_uq"):
        waiting.result(20)


def test_one_mover_of_retry_events_at_a_time_while_events_are_added(queue: Any) -> None:
    first, second, consumer = queue.sessions.open(autocommit=False), queue.sessions.open(), queue.sessions.open()
    consumer.execute("set lock_timeout = '1s'")
    add = "select pgq.event_retry_raw('q', 'c', now(), null, now(), 1, 't', 'd', null, null, null, null)"
    consumer.execute(add)
    assert first.execute("select pgq.maint_retry_events()").fetchone() == (1,)
    consumer.execute(add)
    waiting = queue.sessions.start(second, "select pgq.maint_retry_events()")
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    assert waiting.result(20) == 1
    assert queue.tick_and_drain() == ["d", "d"]


def test_reading_the_parent_table_waits_for_a_rotation(queue: Any) -> None:
    queue.insert("e")
    queue.tick_and_drain()
    queue.tick_and_drain()
    maintainer, reader = queue.sessions.open(autocommit=False), queue.sessions.open()
    maintainer.execute("select pgq.maint_rotate_tables_step1('q')")
    waiting = queue.sessions.start(reader, "select count(*) from pgq.event_1")
    queue.sessions.wait_blocked(reader, queue.conn)
    maintainer.commit()
    assert waiting.result(20) == 1


@pytest.mark.parametrize("isolation", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_consumer_above_read_committed_reads_and_finishes_in_one_transaction(
    queue: Any, isolation: IsolationLevel
) -> None:
    consumer = queue.sessions.open(isolation, autocommit=False)
    seen = []
    for number in range(5):
        queue.insert(f"e{number}")
        queue.tick()
        batch = queue.next_batch(conn=consumer)
        seen += queue.events(batch, consumer)
        assert queue.finish(batch, consumer) == 1
        consumer.commit()
        queue.rotate()
    assert seen == [f"e{number}" for number in range(5)]


def test_two_consumers_of_one_name_above_read_committed_fail_to_serialize_rather_than_repeat(queue: Any) -> None:
    queue.insert("e")
    queue.tick()
    late = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    late.execute("select 1")
    assert queue.drain() == ["e"]
    with pytest.raises(psycopg.errors.SerializationFailure):
        queue.next_batch(conn=late)
