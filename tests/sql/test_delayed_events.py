"""pgq.insert_event_at: an event appears at its time, not before, once, and with whichever ticker."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from skyconsole.engine.queue.maintenance import retry_is_due

FIELDS = (
    "select ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4, ev_retry, ev_owner from pgq.event_template"
)


def _delay(queue: Any, data: str, after: str = "-1 second", conn: Any = None, name: str = "q") -> int:
    query = "select pgq.insert_event_at(%s, now() + %s::interval, 't', %s)"
    row = (conn or queue.conn).execute(query, [name, after, data]).fetchone()
    return int(row[0])


def _move(conn: psycopg.Connection[Any]) -> int:
    """All that is due, as a ticker does it; how many calls did something."""
    moved = 0
    while row := conn.execute("select pgq.maint_retry_events()").fetchone():
        if row[0] == 0:
            return moved
        moved += row[0]
    raise AssertionError("no row")


def _is_due(dsn: str) -> bool:
    async def ask() -> bool:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            return await retry_is_due(conn)

    return asyncio.run(ask())


def test_a_delayed_event_appears_when_it_is_due_and_not_before(each_pgq_database: str, drive_of: Any) -> None:
    queue = drive_of(each_pgq_database)
    _delay(queue, "in an hour", "1 hour")
    assert not _is_due(each_pgq_database)
    assert _move(queue.conn) == 0
    assert queue.tick_and_drain() == []
    queue.conn.execute("update pgq.delayed_event set de_at = now() - interval '1 second'")
    assert _is_due(each_pgq_database)
    assert _move(queue.conn) == 1
    assert not _is_due(each_pgq_database)
    assert queue.tick_and_drain() == ["in an hour"]
    assert _move(queue.conn) == 0
    assert queue.tick_and_drain() == []


@pytest.mark.peer
def test_the_look_at_what_is_due_works_on_the_original(original_database: str, drive_of: Any) -> None:
    queue = drive_of(original_database)
    assert not _is_due(original_database)
    retry = "select pgq.event_retry_raw('q', 'c', now(), null, now(), 1, 't', 'd', null, null, null, null)"
    queue.conn.execute(retry)
    assert _is_due(original_database)


def test_all_fields_arrive_with_the_due_time_as_the_events_time(queue: Any) -> None:
    query = "select pgq.insert_event_at('q', '2001-02-03', 'type', null, 'one', 'two', '', 'four')"
    assert queue.conn.execute(query).fetchone() == (1,)
    assert _move(queue.conn) == 1
    assert queue.conn.execute(FIELDS).fetchall() == [("type", None, "one", "two", "", "four", None, None)]
    assert queue.conn.execute("select ev_id, ev_time = '2001-02-03' from pgq.event_1").fetchall() == [(1, True)]


def test_events_of_several_queues_come_in_the_order_of_their_times(queue: Any) -> None:
    queue.conn.execute("select pgq.create_queue('other')")
    for data, after in (("c", "-1 s"), ("a", "-3 s"), ("b", "-2 s"), ("b too", "-2 s")):
        _delay(queue, data, after)
        _delay(queue, f"other {data}", after, name="other")
    assert _move(queue.conn) == 8
    order = "select ev_data from pgq.event_{} order by ev_id"
    assert [row[0] for row in queue.conn.execute(order.format(1))] == ["a", "b", "b too", "c"]
    assert [row[0] for row in queue.conn.execute(order.format(2))] == ["other a", "other b", "other b too", "other c"]


def test_many_are_moved_in_several_calls_and_none_twice(queue: Any) -> None:
    queue.conn.execute("select pgq.insert_event_at('q', now(), 't', n::text) from generate_series(1, 2500) n")
    calls = [queue.conn.execute("select pgq.maint_retry_events()").fetchone()[0] for _ in range(4)]
    assert calls == [1000, 1000, 500, 0]
    assert sorted(map(int, queue.tick_and_drain())) == list(range(1, 2501))


def test_retried_and_delayed_events_are_moved_together(queue: Any) -> None:
    queue.insert("retried")
    queue.tick()
    batch = queue.next_batch()
    queue.conn.execute("select pgq.event_retry(%s, 1, 0)", [batch])
    queue.finish(batch)
    _delay(queue, "delayed")
    assert _move(queue.conn) == 2
    assert sorted(queue.tick_and_drain()) == ["delayed", "retried"]


def test_two_movers_at_once_move_each_event_once(queue: Any) -> None:
    for number in range(5):
        _delay(queue, f"{number}")
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert first.execute("select pgq.maint_retry_events()").fetchone() == (5,)
    waiting = queue.sessions.start(second, "select pgq.maint_retry_events()")
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    assert waiting.result(20) == 0
    assert queue.tick_and_drain() == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("isolation", list(IsolationLevel))
def test_a_delay_lives_and_dies_with_its_transaction(queue: Any, isolation: IsolationLevel) -> None:
    conn = queue.sessions.open(isolation, autocommit=False)
    _delay(queue, "kept", conn=conn)
    with conn.transaction(force_rollback=True):
        _delay(queue, "undone", conn=conn)
    assert _move(queue.conn) == 0
    conn.commit()
    _delay(queue, "never", conn=conn)
    conn.rollback()
    assert _move(conn) == 1
    conn.commit()
    assert queue.tick_and_drain() == ["kept"]


def test_a_disabled_queue_gets_its_delayed_events_when_it_is_enabled_and_the_others_do_not_wait(
    queue: Any, pgq_database: str
) -> None:
    queue.conn.execute("select pgq.create_queue('other')")
    _delay(queue, "kept")
    _delay(queue, "moved", name="other")
    queue.conn.execute("update pgq.queue set queue_disable_insert = true where queue_name = 'q'")
    assert _move(queue.conn) == 1
    assert not _is_due(pgq_database)
    with pytest.raises(psycopg.errors.InternalError, match="Insert into queue disallowed"):
        _delay(queue, "refused")
    queue.conn.execute("update pgq.queue set queue_disable_insert = false")
    assert _is_due(pgq_database)
    assert _move(queue.conn) == 1
    assert queue.tick_and_drain() == ["kept"]


def test_the_limit_of_a_transaction_is_the_callers_not_the_movers(queue: Any) -> None:
    queue.conn.execute("update pgq.queue set queue_per_tx_limit = 2")
    for number in range(3):
        _delay(queue, f"{number}")
    with queue.conn.transaction():
        queue.insert("3")
        _delay(queue, "4")
        with pytest.raises(psycopg.errors.InternalError, match="max 2"), queue.conn.transaction():
            _delay(queue, "5")
    assert _move(queue.conn) == 4
    assert sorted(queue.tick_and_drain()) == ["0", "1", "2", "3", "4"]


def test_null_and_unknown_arguments_are_refused(queue: Any) -> None:
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        queue.conn.execute("select pgq.insert_event_at('q', null, 't', 'd')")
    with pytest.raises(psycopg.errors.InternalError, match="No such queue"):
        queue.conn.execute("select pgq.insert_event_at('nope', now(), 't', 'd')")
    with pytest.raises(psycopg.errors.InternalError, match="Queue name must not be NULL"):
        queue.conn.execute("select pgq.insert_event_at(null, now(), 't', 'd')")
    assert _delay(queue, "never", "infinity" if queue.conn.info.server_version >= 170000 else "1000 years") > 0
    assert _move(queue.conn) == 0


def test_a_dropped_queue_takes_its_delayed_events_along(queue: Any) -> None:
    queue.conn.execute("select pgq.create_queue('other')")
    _delay(queue, "gone")
    _delay(queue, "stays", name="other")
    queue.conn.execute("select pgq.drop_queue('q', true)")
    assert _move(queue.conn) == 1
    assert queue.conn.execute("select ev_data from pgq.event_template").fetchall() == [("stays",)]


def test_a_delay_waits_for_a_queue_that_is_being_dropped_and_then_finds_none(queue: Any) -> None:
    admin, producer = queue.sessions.open(autocommit=False), queue.sessions.open()
    admin.execute("select pgq.drop_queue('q', true)")
    waiting = queue.sessions.start(producer, "select pgq.insert_event_at('q', now(), 't', 'd')")
    queue.sessions.wait_blocked(producer, queue.conn)
    admin.commit()
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        waiting.result(20)


def test_a_writer_delays_and_an_admin_moves(queue: Any) -> None:
    _delay(queue, "e", conn=queue.sessions.open(role="pgq_writer"))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        _delay(queue, "e", conn=queue.sessions.open(role="pgq_reader"))
    assert _move(queue.sessions.open(role="pgq_admin")) == 1
    assert queue.tick_and_drain() == ["e"]
