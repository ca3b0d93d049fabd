"""A silent worker's batch goes to another one, and the silent one cannot finish it any more (spec/pgq-coop.md 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

TAKEN = psycopg.errors.ObjectNotInPrerequisiteState


@pytest.fixture
def results(group: Any) -> Callable[[], list[str]]:
    """The work of workers in the queue's own database: what is committed in the table `done`."""
    group.conn.execute("create table done (who text, data text)")
    return lambda: [f"{who} {data}" for who, data in group.conn.execute("select who, data from done order by 1, 2")]


def _work(group: Any, worker: str, batch: int, conn: psycopg.Connection[Any]) -> None:
    """What a batch is for."""
    query = "insert into done select %s, ev_data from pgq.get_batch_events(%s)"
    conn.execute(query, [worker, batch])


def _taken_over(group: Any) -> tuple[int, psycopg.Connection[Any], psycopg.Connection[Any]]:
    """A batch that "new" took over from "old", each in a session of its own."""
    old, new = group.sessions.open(), group.sessions.open()
    group.fill("a")
    batch = group.take("old", conn=old)
    old.autocommit = False
    assert group.take("new", dead="1 hour", conn=new) is None
    group.silence("old")
    assert group.take("new", dead="1 hour", conn=new) == batch
    return batch, old, new


def test_a_worker_that_lost_its_batch_cannot_finish_it_and_its_work_is_undone(group: Any, results: Any) -> None:
    batch, old, new = _taken_over(group)
    _work(group, "old", batch, old)
    with pytest.raises(TAKEN, match=f"batch {batch} was taken over from this worker"):
        group.end(batch, old)
    old.commit()
    with new.transaction():
        _work(group, "new", batch, new)
        assert group.end(batch, new) == 1
    assert results() == ["new a"]


def test_nor_when_the_other_one_has_finished_it(group: Any, results: Any) -> None:
    batch, old, new = _taken_over(group)
    _work(group, "old", batch, old)
    with new.transaction():
        _work(group, "new", batch, new)
        assert group.end(batch, new) == 1
    with pytest.raises(TAKEN):
        group.end(batch, old)
    old.rollback()
    assert results() == ["new a"]
    assert group.take("old", dead="1 hour", conn=old) is None, "it goes on as a new worker"


def test_nor_when_the_other_one_takes_it_over_while_it_finishes(group: Any) -> None:
    group.fill("a")
    old, new = group.sessions.open(), group.sessions.open(autocommit=False)
    batch = group.take("old", conn=old)
    group.silence("old")
    assert group.take("new", dead="1 hour", conn=new) == batch
    finishing = group.sessions.start(old, "select pgq_coop.finish_batch(%s)", batch)
    group.sessions.wait_blocked(old, group.conn)
    new.commit()
    with pytest.raises(TAKEN):
        finishing.result(20)
    assert group.end(batch, new) == 1


def test_it_can_when_the_takeover_is_rolled_back(group: Any) -> None:
    group.fill("a")
    old, new = group.sessions.open(), group.sessions.open(autocommit=False)
    batch = group.take("old", conn=old)
    group.silence("old")
    assert group.take("new", dead="1 hour", conn=new) == batch
    new.rollback()
    assert group.end(batch, old) == 1
    assert group.take("new", conn=new) is None, "nor does the other session believe that it has the batch"
    assert value_of(new, "select pgq_coop.finish_batch(%s)", batch) == 0


def value_of(conn: psycopg.Connection[Any], query: str, *args: Any) -> Any:
    row = conn.execute(query.encode(), args).fetchone()
    assert row is not None
    return row[0]


def test_who_says_who_he_is_is_refused_in_any_session_without_an_error(group: Any) -> None:
    batch, _, _ = _taken_over(group)
    before = group.rows_by_name()
    anywhere = group.sessions.open()
    assert group.call("finish_batch_of", "old", batch, conn=anywhere) == 0
    assert group.call("finish_batch_of", "nobody", batch, conn=anywhere) == 0
    assert group.call("finish_batch_of", "new", batch + 1, conn=anywhere) == 0
    assert group.rows_by_name() == before
    assert group.call("finish_batch_of", "new", batch, conn=anywhere) == 1
    assert group.call("finish_batch_of", "new", batch, conn=anywhere) == 0


def test_a_session_that_was_never_given_the_batch_finishes_it_by_its_id(group: Any) -> None:
    """What remains: a worker that lost its batch, and its session too, and knows nothing but the batch's id."""
    batch, _, _ = _taken_over(group)
    assert group.end(batch, group.sessions.open()) == 1


def test_one_session_may_serve_several_workers(group: Any) -> None:
    """As behind a connection pool: the batch is finished for the worker that got it last in this session."""
    group.fill("a")
    batch = group.take("old")
    group.silence("old")
    assert group.take("new", dead="1 hour") == batch
    assert group.end(batch) == 1


def test_a_pooled_session_that_remembers_the_former_worker_is_put_right_by_asking_again(group: Any) -> None:
    batch, old, _ = _taken_over(group)
    with pytest.raises(TAKEN):
        group.end(batch, old)
    old.rollback()
    assert group.take("new", conn=old) == batch
    assert group.end(batch, old) == 1


def test_the_remembered_batches_do_not_pile_up(group: Any) -> None:
    group.fill(*map(str, range(40)))
    batches = [group.take(f"s{number}") for number in range(40)]
    assert sorted(map(int, value_of(group.conn, "select pgq_coop.claims()"))) == batches[-32:]
    assert [group.end(batch) for batch in batches] == [1] * 40
    assert value_of(group.conn, "select pgq_coop.claims()") == {}


def test_a_touched_worker_keeps_its_batch(group: Any) -> None:
    group.fill("a")
    batch = group.take("slow")
    group.silence("slow")
    assert group.call("touch", "slow") == 1
    assert group.take("new", dead="1 hour") is None
    group.silence("slow")
    assert group.take("new", dead="1 hour") == batch
    assert group.call("touch", "slow") == 0


def test_a_batch_that_was_handed_back_goes_to_whoever_asks_next(group: Any) -> None:
    group.fill("a")
    batch = group.take("old")
    assert group.take("new") is None
    assert group.call("hand_back", "old", batch) == 1
    assert group.take("new") == batch
    assert group.call("hand_back", "old", batch) == 0
    assert group.end(batch) == 1


def test_the_worker_that_handed_a_batch_back_may_get_it_again(group: Any) -> None:
    group.fill("a")
    batch = group.take("old")
    group.call("hand_back", "old", batch)
    assert group.take("old") == batch
    assert group.take("new") is None


def test_of_several_dead_workers_the_one_with_the_oldest_batch_comes_first(group: Any) -> None:
    group.call("register_subconsumer", "idle")
    group.fill("a", "b", "c")
    batches = [group.take(worker) for worker in ("s1", "s2", "s3")]
    for worker, hours in {"idle": 9, "s1": 3, "s2": 5, "s3": 2}.items():
        group.silence(worker, hours)
    taken = []
    for _ in batches:
        taken.append(group.take("new", dead="1 hour"))
        group.end(taken[-1])
    assert taken == batches
    assert group.take("new", dead="1 hour") is None
    assert list(group.rows_by_name()) == ["m", "m.new"]


def test_a_worker_that_is_just_finishing_is_not_waited_for(group: Any) -> None:
    group.fill("a", "b")
    slow, new = group.sessions.open(autocommit=False), group.sessions.open()
    batch = group.take("slow", conn=slow)
    slow.commit()
    group.silence("slow")
    group.end(batch, slow)
    new.execute("set lock_timeout = '1s'")
    other = group.take("new", dead="1 hour", conn=new)
    assert group.events(other) == ["b"]
    slow.commit()
    assert group.rows_by_name()["m.slow"] == (None, None, None)
