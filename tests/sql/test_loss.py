"""No event is lost across a rotation, whatever its producer's isolation level and however long it was held up.

Each test runs on our SQL and, where it is installed, on the original extension, which loses the event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

HIGHER = [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]
LATE = "committed late"


def _rotate_past_consumers(queue: Any) -> list[str]:
    """One whole rotation, and the consumer well past it; what the consumer was given meanwhile."""
    seen: list[str] = queue.tick_and_drain()
    assert queue.rotate(), "the rotation was held back"
    return [*seen, *queue.tick_and_drain(), *queue.tick_and_drain()]


def _deliver_rest(queue: Any) -> list[str]:
    return [data for _ in range(3) for data in queue.tick_and_drain()]


def _late_by_snapshot(queue: Any, isolation: IsolationLevel, rotations: int) -> list[str]:
    """The producer's snapshot is older than the rotations, its transaction id newer."""
    producer = queue.sessions.open(isolation, autocommit=False)
    seen = [*queue.tick_and_drain()]
    producer.execute("select queue_cur_table from pgq.queue")
    for _ in range(rotations):
        seen += _rotate_past_consumers(queue)
    queue.insert(LATE, producer)
    producer.commit()
    return seen + _deliver_rest(queue)


def _late_by_bulk_load(queue: Any, rotations: int) -> list[str]:
    """A READ COMMITTED producer asks for the current table, is held up, and writes to it after the rotations."""
    producer = queue.sessions.open(autocommit=False)
    (table,) = producer.execute("select pgq.current_event_table(%s)", [queue.name]).fetchone()
    seen = []
    for _ in range(rotations):
        seen += _rotate_past_consumers(queue)
    with producer.cursor().copy(f"copy {table} (ev_id, ev_time, ev_data) from stdin") as copy:
        copy.write_row((1000, "2026-01-01", LATE))
    producer.commit()
    return seen + _deliver_rest(queue)


def _late_by_lock(queue: Any) -> list[str]:
    """insert_event in READ COMMITTED waits for a lock on the table it has chosen while the rotation goes on."""
    # The first value of a sequence is logged, which takes a transaction id; the next thirty-odd are not.
    queue.insert("earlier")
    assert queue.tick_and_drain() == ["earlier"]
    holder = queue.sessions.open(autocommit=False)
    producer = queue.sessions.open()
    holder.execute(f"lock table pgq.event_{queue.id}_{queue.table} in share mode")
    waiting = queue.sessions.start(producer, "select pgq.insert_event(%s, 't', %s)", queue.name, LATE)
    queue.sessions.wait_blocked(producer, queue.conn)
    seen = _rotate_past_consumers(queue)
    holder.commit()
    assert waiting.result(20) > 0
    return seen + _deliver_rest(queue)


@pytest.mark.parametrize("rotations", [1, 2, 3, 4])
@pytest.mark.parametrize("isolation", HIGHER)
def test_an_event_of_a_producer_with_an_old_snapshot_is_delivered(
    each_pgq_database: str, drive_of: Callable[..., Any], isolation: IsolationLevel, rotations: int
) -> None:
    queue = drive_of(each_pgq_database)
    assert _late_by_snapshot(queue, isolation, rotations) == [LATE]


@pytest.mark.parametrize("rotations", [1, 2, 3, 4])
def test_an_event_of_a_bulk_load_that_was_held_up_is_delivered(
    each_pgq_database: str, drive_of: Callable[..., Any], rotations: int
) -> None:
    assert _late_by_bulk_load(drive_of(each_pgq_database), rotations) == [LATE]


def test_an_event_whose_insert_waited_for_its_table_is_delivered(
    each_pgq_database: str, drive_of: Callable[..., Any]
) -> None:
    queue = drive_of(each_pgq_database)
    assert _late_by_lock(queue) == [LATE]
    query = "select ev_txid < queue_switch_step2 from pgq.event_template, pgq.queue where ev_data = %s"
    assert queue.conn.execute(query, [LATE]).fetchone() == (True,), "its transaction id was taken before the table"


@pytest.mark.peer
@pytest.mark.parametrize("rotations", [1, 2])
@pytest.mark.parametrize("isolation", HIGHER)
def test_the_original_loses_the_event_of_a_producer_with_an_old_snapshot(
    original_database: str, drive_of: Callable[..., Any], isolation: IsolationLevel, rotations: int
) -> None:
    queue = drive_of(original_database)
    assert _late_by_snapshot(queue, isolation, rotations) == []
    assert queue.conn.execute("select ev_data from pgq.event_1").fetchall() == [(LATE,)], "it is stored, yet not seen"


@pytest.mark.peer
@pytest.mark.parametrize("rotations", [1, 2])
def test_the_original_loses_the_event_of_a_bulk_load_that_was_held_up(
    original_database: str, drive_of: Callable[..., Any], rotations: int
) -> None:
    queue = drive_of(original_database)
    assert _late_by_bulk_load(queue, rotations) == []
    assert queue.conn.execute("select ev_data from pgq.event_1").fetchall() == [(LATE,)], "it is stored, yet not seen"


@pytest.mark.peer
def test_the_original_loses_the_event_whose_insert_waited_for_its_table(
    original_database: str, drive_of: Callable[..., Any]
) -> None:
    assert _late_by_lock(drive_of(original_database)) == []


@pytest.mark.parametrize("rotations", [1, 2])
def test_a_late_event_reaches_a_consumer_that_is_behind_and_then_lets_its_table_be_emptied(
    pgq_database: str, drive_of: Callable[..., Any], rotations: int
) -> None:
    queue = drive_of(pgq_database)
    producer = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    producer.execute("select 1 from pgq.queue")
    for _ in range(rotations):
        _rotate_past_consumers(queue)
    queue.register("slow")
    queue.insert(LATE, producer)
    producer.commit()
    assert queue.tick_and_drain() == [LATE]
    for _ in range(3):
        queue.tick_and_drain()
        queue.rotate()
    assert queue.rows(0) == 1, "emptied although the slow consumer has not had it"
    assert queue.drain("slow") == [LATE]
    for _ in range(3):
        queue.tick_and_drain()
        queue.drain("slow")
        queue.rotate()
    assert queue.rows(0) == 0


def test_a_rotation_keeps_the_last_event_when_the_reference_would_empty_its_table(
    pgq_database: str, drive_of: Callable[..., Any]
) -> None:
    """Every consumer is past the last switch, yet the next table holds an event that none of them has had."""
    queue = drive_of(pgq_database)
    producer = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    producer.execute("select 1 from pgq.queue")
    _rotate_past_consumers(queue)
    _rotate_past_consumers(queue)
    queue.insert(LATE, producer)
    producer.commit()
    query = """
        select txid_snapshot_xmin(t.tick_snapshot) > q.queue_switch_step2
        from pgq.subscription s
        join pgq.queue q on q.queue_id = s.sub_queue
        join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_last_tick
    """
    assert queue.conn.execute(query).fetchall() == [(True,)], "the reference's condition holds"
    assert not queue.step1()
    assert queue.tick_and_drain() == [LATE]
    queue.tick_and_drain()
    assert queue.step1()
    assert queue.rows(0) == 0


@pytest.mark.peer
def test_the_original_empties_the_table_with_an_event_that_nobody_has_had(
    original_database: str, drive_of: Callable[..., Any]
) -> None:
    queue = drive_of(original_database)
    producer = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    producer.execute("select 1 from pgq.queue")
    _rotate_past_consumers(queue)
    _rotate_past_consumers(queue)
    queue.insert(LATE, producer)
    producer.commit()
    assert queue.step1()
    assert queue.conn.execute("select ev_data from pgq.event_1").fetchall() == []
    assert _deliver_rest(queue) == []


def test_a_tick_that_lies_before_a_truncated_event_is_gone(pgq_database: str, drive_of: Callable[..., Any]) -> None:
    queue = drive_of(pgq_database)
    producer = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    producer.execute("select 1 from pgq.queue")
    _rotate_past_consumers(queue)
    _rotate_past_consumers(queue)
    queue.tick_and_drain()
    before = queue.ticks()[-1]
    queue.insert(LATE, producer)
    producer.commit()
    assert queue.tick_and_drain() == [LATE]
    queue.tick_and_drain()
    assert before in queue.ticks()
    assert queue.step1()
    assert min(queue.ticks()) > before
    with pytest.raises(psycopg.errors.RaiseException, match="cannot reposition"):
        queue.register("c", before)
