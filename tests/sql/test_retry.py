"""Events handed back and moved in again (spec/pgq.md 1.6, 4.4, 7)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest


def _open_batch(queue: Any, *data: str) -> int:
    for each in data:
        queue.insert(each)
    queue.tick()
    batch = queue.next_batch()
    assert queue.events(batch) == list(data)
    return int(batch)


def _retry(queue: Any, batch: int, event: int, seconds: int = 0) -> int:
    (res,) = queue.conn.execute("select pgq.event_retry(%s, %s, %s)", [batch, event, seconds]).fetchone()
    return int(res)


def _move(queue: Any) -> int:
    (res,) = queue.conn.execute("select pgq.maint_retry_events()").fetchone()
    return int(res)


def test_a_retried_event_comes_back_to_its_consumer_only_and_counts_up(queue: Any) -> None:
    queue.register("other")
    batch = _open_batch(queue, "a", "b")
    for count in (1, 2, 3):
        assert _retry(queue, batch, 2) == 1
        queue.finish(batch)
        assert _move(queue) == 1
        queue.tick()
        batch = queue.next_batch()
        query = "select ev_id, ev_retry, ev_data from pgq.get_batch_events(%s)"
        assert queue.conn.execute(query, [batch]).fetchall() == [(2, count, "b")]
    assert queue.drain("other") == ["a", "b"]


def test_an_event_is_moved_when_it_is_due_and_the_oldest_first(queue: Any) -> None:
    batch = _open_batch(queue, "later", "soon", "sooner")
    assert _retry(queue, batch, 1, 3600) == 1
    assert _retry(queue, batch, 2, -10) == 1
    assert _retry(queue, batch, 3, -20) == 1
    queue.finish(batch)
    assert _move(queue) == 2
    assert queue.conn.execute("select ev_data from pgq.event_1 where ev_owner is not null").fetchall() == [
        ("sooner",),
        ("soon",),
    ]
    assert queue.conn.execute("select ev_data from pgq.retry_queue").fetchall() == [("later",)]


def test_a_retried_event_keeps_its_time_and_extras_and_gets_a_new_transaction_id(queue: Any) -> None:
    queue.conn.execute("select pgq.insert_event('q', 't', 'd', '1', '2', '3', '4')")
    queue.tick()
    batch = queue.next_batch()
    query = "select ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4 from pgq.get_batch_events(%s)"
    first = queue.conn.execute(query, [batch]).fetchall()
    _retry(queue, batch, 1)
    queue.finish(batch)
    _move(queue)
    queue.tick()
    assert queue.conn.execute(query, [queue.next_batch()]).fetchall() == first
    assert queue.conn.execute("select count(distinct ev_txid) from pgq.event_1").fetchone() == (2,)


def test_of_an_event_and_its_own_copy_in_one_batch_the_copy_is_retried(queue: Any) -> None:
    batch = _open_batch(queue, "e")
    _retry(queue, batch, 1)
    _move(queue)  # before the batch is finished: the copy is to come, the original is moved back to
    queue.tick()
    queue.register("c", 1)
    queue.conn.execute("delete from pgq.tick where tick_id = 2")
    batch = queue.next_batch()
    assert queue.events(batch) == ["e", "e"]
    assert _retry(queue, batch, 1) == 1
    assert queue.conn.execute("select ev_id, ev_retry from pgq.retry_queue").fetchall() == [(1, 2)]
    queue.conn.execute("delete from pgq.retry_queue")
    assert queue.conn.execute("select pgq.batch_retry(%s, 0)", [batch]).fetchone() == (1,)
    assert queue.conn.execute("select ev_id, ev_retry from pgq.retry_queue").fetchall() == [(1, 2)]


def test_a_disabled_queue_stops_the_mover_and_nothing_is_lost(queue: Any) -> None:
    batch = _open_batch(queue, "a", "b")
    queue.conn.execute("select pgq.batch_retry(%s, 0)", [batch])
    queue.finish(batch)
    queue.conn.execute("update pgq.queue set queue_disable_insert = true")
    with pytest.raises(psycopg.errors.InternalError, match="Insert into queue disallowed"):
        _move(queue)
    queue.conn.execute("update pgq.queue set queue_disable_insert = false")
    assert _move(queue) == 2
    assert queue.tick_and_drain() == ["a", "b"]


def test_retry_events_survive_rotations(queue: Any) -> None:
    batch = _open_batch(queue, "e")
    _retry(queue, batch, 1)
    queue.finish(batch)
    for _ in range(4):
        queue.tick_and_drain()
        queue.tick_and_drain()
        assert queue.rotate()
    assert _move(queue) == 1
    assert queue.tick_and_drain() == ["e"]


def test_unregistering_takes_the_retry_events_along(queue: Any) -> None:
    batch = _open_batch(queue, "a", "b")
    queue.conn.execute("select pgq.batch_retry(%s, 0)", [batch])
    assert queue.conn.execute("select pgq.unregister_consumer('q', 'c')").fetchone() == (1,)
    assert queue.conn.execute("select count(*) from pgq.retry_queue").fetchone() == (0,)


def test_orphans_in_the_retry_queue_block_dropping_as_they_do_in_the_reference(queue: Any) -> None:
    batch = _open_batch(queue, "a")
    _retry(queue, batch, 1)
    queue.conn.execute("update pgq.retry_queue set ev_owner = 999")
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="rq_queue_id_fkey"):
        queue.conn.execute("select pgq.drop_queue('q', true)")


def _as_worker(queue: Any, name: str, last: int | None, next_tick: int | None) -> None:
    queue.register(name)
    queue.conn.execute(
        "update pgq.subscription set sub_id = 1, sub_last_tick = %s, sub_next_tick = %s, sub_batch = %s"
        " where sub_consumer = (select co_id from pgq.consumer where co_name = %s)",
        [last, next_tick, None if next_tick is None else 900 + next_tick, name],
    )


def test_a_worker_of_a_cooperative_consumer_goes_alone_and_the_main_one_takes_all(queue: Any) -> None:
    batch = _open_batch(queue, "e")
    _retry(queue, batch, 1)
    queue.finish(batch)
    _as_worker(queue, "c.1", None, None)
    _as_worker(queue, "c.2", 1, 2)
    _as_worker(queue, "c.3", None, None)
    assert queue.conn.execute("select pgq.unregister_consumer('q', 'c.1')").fetchone() == (1,)
    assert queue.conn.execute("select count(*) from pgq.retry_queue").fetchone() == (1,)
    assert queue.conn.execute("select pgq.unregister_consumer('q', 'c')").fetchone() == (3,)
    assert queue.conn.execute("select count(*) from pgq.subscription").fetchone() == (0,)
    assert queue.conn.execute("select count(*) from pgq.retry_queue").fetchone() == (0,)
    names = [row[0] for row in queue.conn.execute("select co_name from pgq.consumer order by 1")]
    assert names == ["c.1", "c.2", "c.3"], "the workers' names stay"


def test_a_queue_with_workers_is_dropped_by_force(queue: Any) -> None:
    queue.tick()
    _as_worker(queue, "c.1", None, None)
    _as_worker(queue, "c.2", 1, 2)
    with pytest.raises(psycopg.errors.RaiseException, match="consumers still attached"):
        queue.conn.execute("select pgq.drop_queue('q', null)")
    assert queue.conn.execute("select pgq.drop_queue('q', true)").fetchone() == (1,)
    assert queue.conn.execute("select count(*) from pgq.subscription").fetchone() == (0,)
