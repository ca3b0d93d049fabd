"""Workers join a group, get its batches, and leave it (spec/pgq-coop.md)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

IDLE = (None, None, None)


def test_every_batch_goes_to_one_worker_and_the_group_moves_when_it_is_handed_out(group: Any) -> None:
    first = group.ticks()[-1]
    group.fill("a", "b", "c")
    batches = [group.take(worker) for worker in ("s1", "s2", "s3")]
    assert [group.events(batch) for batch in batches] == [["a"], ["b"], ["c"]]
    assert group.rows_by_name() == {
        "m": (first + 3, None, None),
        "m.s1": (first, batches[0], first + 1),
        "m.s2": (first + 1, batches[1], first + 2),
        "m.s3": (first + 2, batches[2], first + 3),
    }
    assert [group.take("s2"), group.take("s4")] == [batches[1], None]
    assert [group.end(batch) for batch in reversed(batches)] == [1, 1, 1]
    assert group.rows_by_name() == {"m": (first + 3, None, None), **{f"m.s{n}": IDLE for n in (1, 2, 3, 4)}}


def test_a_retried_event_comes_back_to_the_group_by_whichever_worker_is_next(group: Any) -> None:
    group.fill("again")
    batch = group.take("s1")
    (event,) = group.conn.execute("select ev_id from pgq.get_batch_events(%s)", [batch]).fetchone()
    group.conn.execute("select pgq.event_retry(%s, %s, 0)", [batch, event])
    group.end(batch)
    group.conn.execute("select pgq.maint_retry_events()")
    group.tick()
    batch = group.take("s2")
    query = "select ev_id, ev_retry, ev_data from pgq.get_batch_events(%s)"
    assert group.conn.execute(query, [batch]).fetchall() == [(event, 1, "again")]


@pytest.mark.parametrize(
    ("conditions", "events"),
    [
        ("null, 3, null", ["a", "b", "c", "d"]),
        ("null, 1, null", ["a", "b"]),
        ("null, 100, null", None),
        ("null, null, '1 hour'", None),
        ("null, null, '0'", ["a"]),
        ("'1 hour', null, null", None),
        ("'0', null, null", ["a"]),
    ],
)
def test_the_conditions_of_a_batch_are_those_of_an_ordinary_consumer(
    group: Any, conditions: str, events: list[str] | None
) -> None:
    group.register("twin")
    group.fill("a", "b", "c", "d")
    (batch,) = group.conn.execute(f"select pgq_coop.next_batch_custom('q', 'm', 's', {conditions})").fetchone()
    (twin,) = group.conn.execute(f"select batch_id from pgq.next_batch_custom('q', 'twin', {conditions})").fetchone()
    assert [None if b is None else group.events(b) for b in (batch, twin)] == [events, events]


def test_the_conditions_do_not_keep_a_worker_from_its_open_batch(group: Any) -> None:
    group.fill("a")
    batch = group.take("s")
    again = group.conn.execute("select pgq_coop.next_batch_custom('q', 'm', 's', '1 day', 99, '1 day')").fetchone()
    assert again == (batch,)


def _rotations(group: Any) -> list[bool]:
    """Whether tables were switched, each time after another worker has done all there is."""
    switched = []
    for _ in range(4):
        group.fill("new")
        while (batch := group.take("other")) is not None:
            group.end(batch)
        switched.append(group.rotate())
    return switched


def test_rotation_waits_for_the_batch_of_a_worker_and_not_for_idle_workers(group: Any) -> None:
    group.call("register_subconsumer", "idle")
    group.fill("old")
    batch = group.take("busy")
    assert _rotations(group)[-1] is False
    assert group.events(batch) == ["old"]
    group.end(batch)
    assert _rotations(group)[-1] is True
    assert group.rows_by_name()["m.idle"] == IDLE


def test_an_ordinary_consumer_with_a_workers_full_name_is_left_as_it_is(group: Any) -> None:
    group.register("m.s")
    group.fill("a")
    position = group.rows_by_name()["m.s"]
    assert group.call("register_subconsumer", "s") == 0
    with pytest.raises(psycopg.errors.RaiseException, match=r'"m\.s" of queue "q" is not a worker of "m"'):
        group.take("s")
    assert group.call("unregister_subconsumer", "s", 1) == 0
    assert group.call("touch", "s") == 0
    assert group.rows_by_name()["m.s"] == position
    assert group.events(group.next_batch("m.s")) == ["a"]


@pytest.mark.parametrize("consumer", ["alone", "m"])
def test_the_batch_of_an_ordinary_or_main_consumer_is_finished_without_losing_its_position(
    group: Any, consumer: str
) -> None:
    group.call("register_subconsumer", "s")
    group.register("alone")
    group.fill("a", "b")
    batch = group.next_batch(consumer)
    assert group.end(batch) == 1
    assert group.events(group.next_batch(consumer)) == ["b"]


def test_one_row_has_two_readings_where_names_have_dots_and_serves_one_group_only(group: Any) -> None:
    register = "select pgq_coop.register_subconsumer('q', %s, %s)"
    assert group.conn.execute(register, ["a.b", "c"]).fetchone() == (1,)
    assert group.conn.execute(register, ["a", "b.c"]).fetchone() == (0,)
    group.fill("x")
    with pytest.raises(psycopg.errors.RaiseException, match="is not a worker of"):
        group.conn.execute("select pgq_coop.next_batch('q', 'a', 'b.c')")
    assert group.conn.execute("select pgq_coop.next_batch('q', 'a.b', 'c')").fetchone() != (None,)


@pytest.mark.parametrize("name", ["", " ", '"', "x.y", "it's", "[/x]", "Ünï 🐘", "x" * 100, "tab\t", "%s", "null"])
def test_groups_and_workers_may_be_named_anything(group: Any, name: str) -> None:
    group.conn.execute("select pgq_coop.register_subconsumer('q', %s, %s)", [name, name])
    group.fill("a")
    take = "select pgq_coop.next_batch('q', %s, %s)"
    (batch,) = group.conn.execute(take, [name, name]).fetchone()
    query = "select pgq_coop.finish_batch_of('q', %s, %s, %s)"
    assert group.conn.execute(query, [name, name, batch]).fetchone() == (1,)
    assert group.rows_by_name()[f"{name}.{name}"] == IDLE


def test_names_that_are_null_are_refused(group: Any) -> None:
    for names in ("null, 's'", "'m', null"):
        with pytest.raises(psycopg.errors.NotNullViolation):
            group.conn.execute(f"select pgq_coop.register_subconsumer('q', {names})")
        with pytest.raises(psycopg.errors.NotNullViolation):
            group.conn.execute(f"select pgq_coop.next_batch('q', {names})")
        query = f"select pgq_coop.touch('q', {names}), pgq_coop.finish_batch_of('q', {names}, 1)"
        assert group.conn.execute(query).fetchone() == (0, 0)
    with pytest.raises(psycopg.errors.RaiseException, match="Event queue not created yet"):
        group.conn.execute("select pgq_coop.next_batch(null, 'm', 's')")


def test_a_worker_that_finds_nothing_writes_nothing(group: Any) -> None:
    group.take("s")
    version = "select array_agg(xmin::text || ' ' || xmax::text order by sub_consumer) from pgq.subscription"
    before = group.conn.execute(version).fetchone()
    assert group.take("s") is None
    assert group.take("s", dead="1 hour") is None
    assert group.conn.execute(version).fetchone() == before
