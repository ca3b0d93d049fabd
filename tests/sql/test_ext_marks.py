"""Marks of what a consumer has done, from several sessions at once (spec/pgq-ext.md 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def sessions(server: Any, sessions_of: Callable[[str], Any]) -> Iterator[Any]:
    """Sessions on a database with our pgq_ext."""
    name = server.create_database(server.template_of("pgq_ext"))
    sessions = sessions_of(server.dsn(name))
    yield sessions
    sessions.stack.close()
    server.drop_database(name)


@pytest.mark.parametrize(
    "mark",
    [
        "select pgq_ext.set_batch_done('c', 7)",
        "select pgq_ext.set_batch_done('c', 's', 7)",
        "select pgq_ext.set_event_done('c', 7, 1)",
    ],
)
@pytest.mark.parametrize(("ends", "second"), [("commit", False), ("rollback", True)])
def test_of_two_sessions_that_record_the_same_the_second_learns_what_became_of_the_first(
    sessions: Any, mark: str, ends: str, second: bool
) -> None:
    one, two = sessions.open(autocommit=False), sessions.open()
    assert one.execute(mark).fetchone() == (True,)
    waiting = sessions.start(two, mark)
    sessions.wait_blocked(two, sessions.open())
    getattr(one, ends)()
    assert waiting.result(20) is second
    assert two.execute(mark).fetchone() == (False,)


def test_marks_of_consumers_and_subconsumers_are_apart(sessions: Any) -> None:
    conn = sessions.open()
    names = [("c", ""), ("c", "s"), ("", ""), ("", "c"), ('a"b', "Ünï 🐘"), ("c.s", ""), ("x" * 200, "\t")]
    for number, (consumer, sub) in enumerate(names, 1):
        conn.execute("select pgq_ext.set_batch_done(%s, %s, %s)", [consumer, sub, number])
        conn.execute("select pgq_ext.set_last_tick(%s, %s, %s)", [consumer, sub, number])
        conn.execute("select pgq_ext.set_event_done(%s, %s, %s, 1)", [consumer, sub, number])
    for number, (consumer, sub) in enumerate(names, 1):
        query = """
            select pgq_ext.is_batch_done(%(c)s, %(s)s, %(n)s), pgq_ext.get_last_tick(%(c)s, %(s)s),
                pgq_ext.is_event_done(%(c)s, %(s)s, %(n)s, 1)
        """
        assert conn.execute(query, {"c": consumer, "s": sub, "n": number}).fetchone() == (True, number, True)


def test_the_marks_of_events_go_with_the_first_event_of_the_next_batch(sessions: Any) -> None:
    conn = sessions.open()
    for event in (1, 2, 3):
        conn.execute("select pgq_ext.set_event_done('c', 7, %s)", [event])
        conn.execute("select pgq_ext.set_event_done('other', 7, %s)", [event])
    conn.execute("select pgq_ext.set_event_done('c', 8, 3)")
    query = "select consumer_id, batch_id, event_id from pgq_ext.completed_event order by 1, 2, 3"
    assert conn.execute(query).fetchall() == [("c", 8, 3), *(("other", 7, event) for event in (1, 2, 3))]


def test_what_clients_write_without_types_finds_its_function(sessions: Any) -> None:
    conn = sessions.open()
    for call, result in {
        "set_last_tick('c', NULL)": 1,
        "set_last_tick('c', 5)": 1,
        "set_last_tick('c', 's', NULL)": 1,
        "is_batch_done('c', 6)": False,
        "is_batch_done('c', '', 6)": False,
        "set_batch_done('c', '6')": True,
        "get_last_tick('c')": 5,
        "is_event_done('c', 6, 1)": False,
    }.items():
        assert conn.execute(f"select pgq_ext.{call}").fetchone() == (result,), call


def test_work_and_mark_are_undone_together(sessions: Any) -> None:
    conn = sessions.open()
    conn.execute("create table work (n int)")
    with conn.transaction(force_rollback=True):
        conn.execute("insert into work values (1)")
        conn.execute("select pgq_ext.set_batch_done('c', 1), pgq_ext.set_last_tick_digest('c', '', 2, 'd')")
    query = "select pgq_ext.is_batch_done('c', 1), pgq_ext.get_last_tick('c'), (select count(*) from work)"
    assert conn.execute(query).fetchone() == (False, None, 0)
