"""pgq.insert_event_once: one event for a key, whoever else uses it at the same time."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

ONCE = "select pgq.insert_event_once(%s, %s, 't', %s)"


def _once(queue: Any, key: str | None, data: str = "d", conn: Any = None, name: str | None = "q") -> int:
    row = (conn or queue.conn).execute(ONCE, [name, key, data]).fetchone()
    return int(row[0])


def _operations(queue: Any) -> list[str]:
    rows = queue.conn.execute("select func_name from pgq.maint_operations() where func_name ~ 'key'")
    return [row[0] for row in rows]


@pytest.mark.parametrize("key", ["k", "", "[/x] Ünï 🦫 a\"b'\\", "k" * 1000])
def test_the_second_call_with_a_key_gives_the_first_events_id_and_inserts_nothing(
    each_pgq_database: str, drive_of: Any, key: str
) -> None:
    queue = drive_of(each_pgq_database)
    first = _once(queue, key, "first")
    assert _once(queue, key, "second") == first
    assert _once(queue, key + "x" if len(key) < 1000 else "other", "other") == first + 1
    assert queue.tick_and_drain() == ["first", "other"]


def test_all_fields_arrive(queue: Any) -> None:
    queue.conn.execute("select pgq.insert_event_once('q', 'k', 'type', null, 'one', 'two', '', 'four')")
    query = "select ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4 from pgq.event_1"
    assert queue.conn.execute(query).fetchall() == [("type", None, "one", "two", "", "four")]


def test_queues_have_their_own_keys(queue: Any) -> None:
    queue.conn.execute("select pgq.create_queue('other')")
    _once(queue, "k", "q")
    _once(queue, "k", "other", name="other")
    assert queue.conn.execute("select count(*) from pgq.event_template").fetchone() == (2,)


def test_a_second_caller_waits_for_the_first_and_gets_its_id(queue: Any) -> None:
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    id_ = _once(queue, "k", "first", first)
    waiting = queue.sessions.start(second, ONCE, "q", "k", "second")
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    assert waiting.result(20) == id_
    assert queue.tick_and_drain() == ["first"]


def test_a_second_caller_inserts_when_the_first_is_rolled_back(queue: Any) -> None:
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    id_ = _once(queue, "k", "first", first)
    waiting = queue.sessions.start(second, ONCE, "q", "k", "second")
    queue.sessions.wait_blocked(second, queue.conn)
    first.rollback()
    assert waiting.result(20) != id_
    assert queue.tick_and_drain() == ["second"]


@pytest.mark.parametrize("isolation", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_second_caller_with_an_old_snapshot_is_told_to_try_again(queue: Any, isolation: IsolationLevel) -> None:
    late = queue.sessions.open(isolation, autocommit=False)
    late.execute("select 1 from pgq.queue")
    id_ = _once(queue, "k", "first")
    with pytest.raises(psycopg.errors.SerializationFailure):
        _once(queue, "k", "second", late)
    late.rollback()
    assert _once(queue, "k", "again", late) == id_
    late.commit()
    assert queue.tick_and_drain() == ["first"]


def test_a_key_of_a_savepoint_that_was_rolled_back_can_be_used_again(queue: Any) -> None:
    with queue.conn.transaction():
        with queue.conn.transaction(force_rollback=True):
            _once(queue, "k", "undone")
        id_ = _once(queue, "k", "kept")
        assert _once(queue, "k", "again") == id_
    assert queue.tick_and_drain() == ["kept"]


def test_many_sessions_with_the_same_keys_insert_each_once(queue: Any) -> None:
    ids: list[dict[str, int]] = [{} for _ in range(4)]
    failures: list[BaseException] = []

    def producer(mine: dict[str, int]) -> None:
        try:
            conn = queue.sessions.open()
            for number in range(60):
                mine[f"k{number}"] = _once(queue, f"k{number}", f"e{number}", conn)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=producer, args=(mine,)) for mine in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ids[0] == ids[1] == ids[2] == ids[3]
    assert sorted(queue.tick_and_drain()) == sorted(f"e{number}" for number in range(60))


def test_a_key_counts_for_its_period_and_is_removed_after_it(queue: Any) -> None:
    _once(queue, "old", "first")
    _once(queue, "new", "new")
    queue.conn.execute("update pgq.event_key set ek_time = now() - interval '8 days' where ek_key = 'old'")
    assert _operations(queue) == ["pgq.maint_purge_event_keys"]
    _once(queue, "old", "second")
    assert _operations(queue) == []
    assert queue.tick_and_drain() == ["first", "new", "second"]
    queue.conn.execute("update pgq.event_key set ek_time = now() - interval '8 days' where ek_key = 'new'")
    admin = queue.sessions.open(role="pgq_admin")
    assert admin.execute("select pgq.maint_purge_event_keys()").fetchone() == (1,)
    assert admin.execute("select pgq.maint_purge_event_keys()").fetchone() == (0,)
    assert queue.conn.execute("select ek_key from pgq.event_key").fetchall() == [("old",)]
    assert _operations(queue) == []


def test_the_period_is_a_setting_of_the_queue(queue: Any) -> None:
    queue.conn.execute("select pgq.create_queue('other')")
    assert queue.conn.execute("select pgq.set_queue_config('q', 'key_period', '1 hour')").fetchone() == (1,)
    assert queue.conn.execute("select pgq.set_queue_config('q', 'key_period', '2 hours')").fetchone() == (1,)
    for name in ("q", "other"):
        _once(queue, "k", "first", name=name)
    queue.conn.execute("update pgq.event_key set ek_time = now() - interval '3 hours'")
    assert queue.conn.execute("select pgq.maint_purge_event_keys()").fetchone() == (1,)
    _once(queue, "k", "second")
    _once(queue, "k", "second", name="other")
    assert queue.conn.execute(
        "select tableoid::regclass::text, ev_data from pgq.event_template order by 1, 2"
    ).fetchall() == [
        ("pgq.event_1_0", "first"),
        ("pgq.event_1_0", "second"),
        ("pgq.event_2_0", "first"),
    ]
    with pytest.raises(psycopg.errors.InvalidDatetimeFormat):
        queue.conn.execute("select pgq.set_queue_config('q', 'key_period', 'long')")
    with pytest.raises(psycopg.errors.RaiseException, match="No such event queue"):
        queue.conn.execute("select pgq.set_queue_config('nope', 'key_period', '1 hour')")


def test_the_refusals_tell_why(queue: Any) -> None:
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        _once(queue, None)
    with pytest.raises(psycopg.errors.StringDataRightTruncation, match="not 1001"):
        _once(queue, "k" * 1001)
    with pytest.raises(psycopg.errors.InternalError, match="No such queue"):
        _once(queue, "k", name="nope")
    with pytest.raises(psycopg.errors.InternalError, match="Queue name must not be NULL"):
        _once(queue, "k", name=None)
    queue.conn.execute("update pgq.queue set queue_disable_insert = true")
    with pytest.raises(psycopg.errors.InternalError, match="Insert into queue disallowed"):
        _once(queue, "k")
    assert queue.conn.execute("select count(*) from pgq.event_key").fetchone() == (0,)


def test_a_dropped_queue_takes_its_keys_along(queue: Any) -> None:
    _once(queue, "k")
    queue.conn.execute("select pgq.set_queue_config('q', 'key_period', '1 hour')")
    queue.conn.execute("select pgq.drop_queue('q', true)")
    assert queue.conn.execute("select count(*) from pgq.event_key").fetchone() == (0,)
    assert queue.conn.execute("select count(*) from pgq.queue_option").fetchone() == (0,)


def test_keys_taken_while_their_queue_is_being_dropped_leave_nothing_behind(queue: Any) -> None:
    producer, admin = queue.sessions.open(autocommit=False), queue.sessions.open()
    _once(queue, "k", conn=producer)
    dropping = queue.sessions.start(admin, "select pgq.drop_queue('q', true)")
    queue.sessions.wait_blocked(admin, queue.conn)
    producer.commit()
    assert dropping.result(20) == 1
    assert queue.conn.execute("select count(*) from pgq.event_key").fetchone() == (0,)


def test_a_writer_may_use_keys_and_not_read_them(queue: Any) -> None:
    writer = queue.sessions.open(role="pgq_writer")
    assert _once(queue, "k", conn=writer) == _once(queue, "k", conn=writer)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute("select * from pgq.event_key")
