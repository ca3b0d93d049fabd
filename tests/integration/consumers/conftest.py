"""A queue to consume from, and consumers that write down what they get."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from skyconsole.engine.queue import Consumer, ConsumerSettings

QUEUE = '[/q] "ü".x'
NAME = "cons.umer [/b]"


class Place:
    """A database with one queue, its consumer, and a table that handlers write to."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.conn = psycopg.connect(dsn, autocommit=True)
        self.queue = QUEUE
        self.one("select pgq.create_queue(%s)", QUEUE)
        self.one("select pgq.register_consumer(%s, %s)", QUEUE, NAME)
        self.conn.execute("create table done (event_id bigint, data text)")

    def one(self, query: str, *parameters: object) -> Any:
        """The first column of the first row."""
        row = self.conn.execute(query.encode(), parameters or None).fetchone()
        return None if row is None else row[0]

    def insert(self, *datas: str, ev_type: str = "t", extra1: str | None = None) -> list[int]:
        """One event for each text, in one transaction; their ids."""
        query = "select pgq.insert_event(%s, %s, %s, %s, null, null, null)"
        with self.conn.transaction():
            return [self.one(query, QUEUE, ev_type, data, extra1) for data in datas]

    def tick(self) -> int:
        """A tick behind all events there are; its id."""
        self.one("select pgq.force_tick(%s)", QUEUE)
        return int(self.one("select pgq.ticker(%s)", QUEUE))

    def fill(self, batches: int, size: int) -> list[int]:
        """So many batches of so many events; the ids."""
        ids: list[int] = []
        for batch in range(batches):
            ids += self.insert(*(f"{batch}/{number}" for number in range(size)))
            self.tick()
        return ids

    def move_retries(self) -> None:
        """What the ticker's maintenance does with retried events that are due, and a tick."""
        while self.one("select pgq.maint_retry_events()"):
            pass
        self.tick()

    def done(self) -> list[int]:
        """The ids that handlers wrote down, sorted."""
        return [row[0] for row in self.conn.execute("select event_id from done order by event_id")]

    def settings(self, **more: Any) -> ConsumerSettings:
        """Settings that end the run when nothing is left, if not told otherwise."""
        return ConsumerSettings(QUEUE, more.pop("consumer_name", NAME), **{"loop_delay": 0, **more})


def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition; fails, saying what was awaited."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)


@contextmanager
def running(consumer: Consumer) -> Iterator[threading.Thread]:
    """The consumer at work in a thread, stopped at the end; its errors are raised."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            consumer.run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        consumer.stop()
        thread.join(20)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., None]:
    """Waits for a condition with a deadline."""
    return until


@pytest.fixture(name="running")
def running_fixture() -> Callable[..., Any]:
    """A context manager: a consumer at work in a thread."""
    return running


def _place(dsn: str) -> Iterator[Place]:
    made = Place(dsn)
    yield made
    made.conn.close()


def _database(server: Any, module: str) -> Iterator[str]:
    name = server.create_database(server.template_of(module))
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture
def place_dsn(server: Any) -> Iterator[str]:
    """A database with our pgq and pgq_coop."""
    yield from _database(server, "pgq_coop")


@pytest.fixture
def place(place_dsn: str) -> Iterator[Place]:
    """A queue on our pgq."""
    yield from _place(place_dsn)


@pytest.fixture
def each_place(each_pgq_database: str) -> Iterator[Place]:
    """A queue on our pgq, on each version."""
    yield from _place(each_pgq_database)


@pytest.fixture
def original_place(original_database: str) -> Iterator[Place]:
    """A queue on the original extension."""
    yield from _place(original_database)


@pytest.fixture
def target(server: Any) -> Iterator[psycopg.Connection]:
    """A database with our pgq_ext and a table `done`, for remote consumers; its `info.dsn` is where it is."""
    for dsn in _database(server, "pgq_ext"):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create table done (event_id bigint, data text)")
            yield connection
