"""pgq.insert_events: many events in one call, with the limits and messages of one event."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

STORED = "select ev_id, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4 from pgq.event_template order by 1"


def _bulk(conn: psycopg.Connection[Any], queue: str | None, types: Any, datas: Any, **named: Any) -> list[int]:
    more = "".join(f", {name} => %({name})s" for name in named)
    query = f"select pgq.insert_events(%(queue)s, %(types)s::text[], %(datas)s::text[]{more})"
    row = conn.execute(query.encode(), {"queue": queue, "types": types, "datas": datas, **named}).fetchone()
    assert row is not None
    ids: list[int] = row[0]
    return ids


def test_every_field_of_every_event_arrives_under_the_id_at_its_place(each_pgq_database: str, drive_of: Any) -> None:
    queue = drive_of(each_pgq_database, 'a"b [/x]')
    count = 500
    columns = {
        name: [None if n % 7 == at else f"{name} {n} Ünï 🦫 'x' \\ {{}}" for n in range(count)]
        for at, name in enumerate(("type", "data", "ev_extra1s", "ev_extra2s", "ev_extra3s", "ev_extra4s"))
    }
    ids = _bulk(queue.conn, queue.name, columns.pop("type"), columns.pop("data"), **columns)
    assert ids == list(range(1, count + 1))
    fields = ("type", "data", "ev_extra1s", "ev_extra2s", "ev_extra3s", "ev_extra4s")
    assert queue.conn.execute(STORED).fetchall() == [
        (n + 1, *[None if n % 7 == at else f"{name} {n} Ünï 🦫 'x' \\ {{}}" for at, name in enumerate(fields)])
        for n in range(count)
    ]
    assert len(queue.tick_and_drain()) == count


def test_arrays_that_are_left_out_are_null_and_times_too(queue: Any) -> None:
    assert _bulk(queue.conn, "q", None, ["a", "b"], ev_times=["2001-01-01", None]) == [1, 2]
    assert _bulk(queue.conn, "q", ["t"], None, ev_extra4s=["four"]) == [3]
    rows = queue.conn.execute(
        "select ev_type, ev_data, ev_extra4, ev_time = '2001-01-01' from pgq.event_1 order by ev_id"
    )
    assert rows.fetchall() == [(None, "a", None, True), (None, "b", None, False), ("t", None, "four", False)]


def test_the_ids_follow_the_arrays_whatever_their_bounds(queue: Any) -> None:
    query = "select pgq.insert_events('q', '[5:7]={a,b,c}'::text[], '{{x},{y},{z}}'::text[])"
    assert queue.conn.execute(query).fetchone() == ([1, 2, 3],)
    assert [row[1:3] for row in queue.conn.execute(STORED)] == [("a", "x"), ("b", "y"), ("c", "z")]


def test_no_events_are_no_events(queue: Any) -> None:
    assert _bulk(queue.conn, "q", [], []) == []
    assert _bulk(queue.conn, "q", None, None) == []
    assert queue.conn.execute(STORED).fetchall() == []
    assert queue.insert("first") == 1


def test_arrays_of_different_lengths_are_refused(queue: Any) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="different lengths: 2, 2, 1"):
        _bulk(queue.conn, "q", ["a", "b"], ["a", "b"], ev_extra1s=["c"])
    assert queue.conn.execute(STORED).fetchall() == []


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (None, "", "Queue name must not be NULL"),
        ("nope", "", "No such queue"),
        ("q", "update pgq.queue set queue_disable_insert = true", "Insert into queue disallowed"),
        ("q", "update pgq.queue set queue_per_tx_limit = 2", "Queue 'q' allows max 2 events from one TX"),
    ],
)
def test_the_refusals_are_those_of_insert_event(queue: Any, name: str | None, change: str, message: str) -> None:
    if change:
        queue.conn.execute(change)
    with pytest.raises(psycopg.errors.InternalError, match=message) as refusal:
        _bulk(queue.conn, name, ["t"] * 3, ["d"] * 3)
    assert refusal.value.sqlstate == "XX000"
    if "disable" in change:
        queue.conn.execute("set session_replication_role = replica")
        assert len(_bulk(queue.conn, name, ["t"] * 3, ["d"] * 3)) == 3


def test_the_limit_counts_single_events_and_many_together(queue: Any) -> None:
    queue.conn.execute("update pgq.queue set queue_per_tx_limit = 5")
    with queue.conn.transaction():
        queue.insert("one")
        _bulk(queue.conn, "q", ["t"] * 3, ["d"] * 3)
        with pytest.raises(psycopg.errors.InternalError, match="max 5"), queue.conn.transaction():
            _bulk(queue.conn, "q", ["t"] * 2, ["d"] * 2)
        queue.insert("five")
        with pytest.raises(psycopg.errors.InternalError, match="max 5"), queue.conn.transaction():
            queue.insert("six")
    assert len(queue.tick_and_drain()) == 5


def test_a_writer_may_call_it_and_a_reader_may_not(queue: Any) -> None:
    assert _bulk(queue.sessions.open(role="pgq_writer"), "q", ["t"], ["d"]) == [1]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        _bulk(queue.sessions.open(role="pgq_reader"), "q", ["t"], ["d"])


@pytest.mark.parametrize("isolation", list(IsolationLevel))
def test_no_event_of_a_producer_with_an_old_snapshot_is_lost_over_rotations(
    queue: Any, isolation: IsolationLevel
) -> None:
    producer = queue.sessions.open(isolation, autocommit=False)
    producer.execute("select 1 from pgq.queue")
    for _ in range(2):
        queue.tick_and_drain()
        queue.rotate()
        queue.catch_up()
    _bulk(producer, "q", ["t"] * 3, ["a", "b", "c"])
    producer.commit()
    assert [data for _ in range(3) for data in queue.tick_and_drain()] == ["a", "b", "c"]


def test_events_of_a_savepoint_that_was_rolled_back_are_gone(queue: Any) -> None:
    with queue.conn.transaction():
        _bulk(queue.conn, "q", ["t"], ["a"])
        with queue.conn.transaction(force_rollback=True):
            _bulk(queue.conn, "q", ["t"] * 100, ["no"] * 100)
        _bulk(queue.conn, "q", ["t"], ["b"])
    assert queue.tick_and_drain() == ["a", "b"]
