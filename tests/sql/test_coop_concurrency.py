"""Many workers of one group at once: each batch is done once, whoever dies, and whenever."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

Connect = Callable[[], psycopg.Connection[Any]]
DEAD = "5 milliseconds"
STEPS = ["asked", "given", "working", "worked", "finishing"]


class Died(Exception):
    """The worker's session was ended at a step."""


def _die(conn: psycopg.Connection[Any], group: Any) -> None:
    """End the session from outside, as the loss of a machine would, and go on only when the server has noticed."""
    query = "select pg_terminate_backend(%s, 10000)"
    with psycopg.connect(group.sessions.dsn, autocommit=True) as other:
        assert other.execute(query, [conn.info.backend_pid]).fetchone() == (True,)
    conn.close()
    raise Died


def _one_batch(group: Any, conn: psycopg.Connection[Any], worker: str, at: Callable[[str], None]) -> bool:
    """One round of a worker whose work is in the queue's own database; False if there was no batch."""
    batch = group.take(worker, dead=DEAD, conn=conn)
    at("asked")
    conn.commit()
    if batch is None:
        return False
    at("given")
    query = "select ev_id, ev_data from pgq.get_batch_events(%s)"
    for number, (event, text) in enumerate(conn.execute(query, [batch]).fetchall()):
        if number:
            at("working")
        conn.execute("insert into done values (%s, %s, %s)", [event, text, worker])
    at("worked")
    group.end(batch, conn)
    at("finishing")
    conn.commit()
    return True


def _nowhere(step: str) -> None:
    """A worker that lives."""


def _done(group: Any) -> Counter[str]:
    return Counter(text for (text,) in group.conn.execute("select text from done"))


@pytest.fixture
def work(group: Any) -> Any:
    """The group with a table of what its workers did."""
    group.conn.execute("create table done (event bigint, text text, worker text)")
    return group


@pytest.mark.parametrize("step", STEPS)
def test_the_batch_of_a_worker_that_dies_at_any_step_is_done_once_by_another(work: Any, step: str) -> None:
    for text in ("a", "b"):
        work.insert(text)
    work.tick()
    dying, living = work.sessions.open(autocommit=False), work.sessions.open(autocommit=False)

    def at(reached: str) -> None:
        if reached == step:
            _die(dying, work)

    with pytest.raises(Died):
        _one_batch(work, dying, "dying", at)
    work.silence("dying")
    assert _one_batch(work, living, "living", _nowhere)
    assert _done(work) == {"a": 1, "b": 1}
    assert not _one_batch(work, living, "living", _nowhere)
    assert {row[1] for row in work.rows_by_name().values()} == {None}


def test_a_worker_that_dies_after_its_commit_has_done_its_batch(work: Any) -> None:
    work.fill("a")
    dying, living = work.sessions.open(autocommit=False), work.sessions.open(autocommit=False)
    _one_batch(work, dying, "dying", _nowhere)
    with pytest.raises(Died):
        _die(dying, work)
    work.silence("dying")
    assert not _one_batch(work, living, "living", _nowhere)
    assert _done(work) == {"a": 1}


def test_the_workers_of_a_group_follow_one_another_in_asking(work: Any) -> None:
    work.fill("a", "b")
    first, second = work.sessions.open(autocommit=False), work.sessions.open()
    batch = work.take("s1", conn=first)
    waiting = work.sessions.start(second, "select pgq_coop.next_batch('q', 'm', 's2')")
    work.sessions.wait_blocked(second, work.conn)
    first.commit()
    assert waiting.result(20) == batch + 1


def test_the_next_one_gets_the_batch_itself_when_the_asking_is_rolled_back(work: Any) -> None:
    work.fill("a")
    first, second = work.sessions.open(autocommit=False), work.sessions.open()
    work.take("s1", conn=first)
    waiting = work.sessions.start(second, "select pgq_coop.next_batch('q', 'm', 's2')")
    work.sessions.wait_blocked(second, work.conn)
    first.rollback()
    assert work.events(waiting.result(20)) == ["a"]


def test_finishing_waits_for_nobody(work: Any) -> None:
    work.fill("a", "b")
    first, second = work.sessions.open(), work.sessions.open(autocommit=False)
    batch = work.take("s1", conn=first)
    work.take("s2", conn=second)
    first.execute("set lock_timeout = '1s'")
    assert work.end(batch, first) == 1


@pytest.mark.parametrize("function", ["register_subconsumer", "next_batch"])
def test_a_new_groups_workers_register_at_the_same_moment(work: Any, function: str) -> None:
    for number in range(5):
        barrier = threading.Barrier(8)

        def join(worker: int, number: int = number, barrier: threading.Barrier = barrier) -> None:
            with psycopg.connect(work.sessions.dsn, autocommit=True) as conn:
                barrier.wait(20)
                conn.execute(f"select pgq_coop.{function}('q', %s, %s)", [f"g{number}", f"s{worker}"])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(join, range(8)))
    query = """
        select count(*), count(distinct s.sub_id)
        from pgq.subscription s
        join pgq.consumer c on c.co_id = s.sub_consumer
        where c.co_name like 'g%'
    """
    assert work.conn.execute(query).fetchone() == (45, 5)


def _live_dangerously(work: Any, name: str, seed: str, finished: threading.Event, deaths: list[str]) -> int:
    """A worker that dies now and then and comes again, until all is done; how often it was too late with a batch."""
    chance = random.Random(seed)
    refusals = 0
    conn: psycopg.Connection[Any] | None = None

    def at(step: str) -> None:
        assert conn is not None
        if chance.random() < 0.05:
            deaths.append(step)
            _die(conn, work)

    while not finished.is_set():
        if conn is None:
            conn = psycopg.connect(work.sessions.dsn)
        try:
            if not _one_batch(work, conn, name, at):
                finished.wait(0.01)
        except psycopg.errors.ObjectNotInPrerequisiteState:
            refusals += 1
            conn.rollback()
        except psycopg.errors.RaiseException as error:
            if not re.search("batch not found|Cannot find data for batch", str(error)):
                raise
            conn.rollback()  # it was taken over and finished before its events were read
        except Died:
            conn = None
    if conn is not None:
        conn.close()
    return refusals


def test_eight_workers_that_die_at_random_do_every_event_exactly_once(work: Any) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    texts = [str(number) for number in range(300)]
    finished = threading.Event()
    deaths: list[str] = []
    for number, text in enumerate(texts):
        work.insert(text)
        if number % 3 == 2:
            work.tick()
    with ThreadPoolExecutor(8) as pool:
        lives = [pool.submit(_live_dangerously, work, f"s{n}", f"{seed}.{n}", finished, deaths) for n in range(8)]
        try:
            until(lambda: sum(_done(work).values()) >= len(texts) or any(life.done() for life in lives))
        finally:
            finished.set()
        refusals = sum(life.result(20) for life in lives)
    print(f"{len(deaths)} deaths, {refusals} refused")
    assert _done(work) == dict.fromkeys(texts, 1), f"seed {seed}"
    assert len(deaths) > 5
    assert {row[1] for row in work.rows_by_name().values()} == {None}, f"seed {seed}: nothing is left open"


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return once the condition holds."""
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        threading.Event().wait(0.05)
    pytest.fail(f"not within {seconds} s")
