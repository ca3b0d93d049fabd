"""A queue driven step by step, over as many sessions as a test needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

DEADLINE = 20.0


def value(conn: psycopg.Connection[Any], query: str, *args: Any) -> Any:
    """The first column of the first row."""
    row = conn.execute(query, args or None).fetchone()
    assert row is not None, query
    return row[0]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return once the condition holds; fail when it does not within the deadline."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE} s: {what}"
        time.sleep(0.01)


@dataclass
class Sessions:
    """Connections to one database, and calls that run in the background because they wait for a lock."""

    dsn: str
    stack: ExitStack
    pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.pool = self.stack.enter_context(ThreadPoolExecutor(8))

    def open(
        self, isolation: psycopg.IsolationLevel | None = None, *, autocommit: bool = True, role: str | None = None
    ) -> psycopg.Connection[Any]:
        conn = self.stack.enter_context(psycopg.connect(self.dsn))
        # A test that fails may leave it waiting for a lock that nobody will release.
        self.stack.callback(conn.cancel_safe, timeout=5)
        conn.autocommit = autocommit
        if isolation is not None:
            # Not the driver's own setting, which leaves single statements as they are.
            level = isolation.name.lower().replace("_", " ")
            conn.execute("select set_config('default_transaction_isolation', %s, false)", [level])
        if role is not None:
            conn.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        if not autocommit:
            conn.commit()
        return conn

    def start(self, conn: psycopg.Connection[Any], query: str, *args: Any) -> Future[Any]:
        """Run a query in a thread of its own; the future gives its first value."""
        return self.pool.submit(value, conn, query, *args)

    def wait_blocked(self, conn: psycopg.Connection[Any], watcher: psycopg.Connection[Any]) -> None:
        """Return once the session waits for a lock."""
        pid = conn.info.backend_pid
        wait_until(
            lambda: bool(value(watcher, "select cardinality(pg_blocking_pids(%s)) > 0", pid)), f"backend {pid} waits"
        )


@dataclass
class Drive:
    """A queue without delays: each tick is due, each rotation too, and consumers read all they can."""

    sessions: Sessions
    name: str
    conn: psycopg.Connection[Any]

    def create(self, consumer: str | None = "c") -> Drive:
        assert value(self.conn, "select pgq.create_queue(%s)", self.name) == 1
        self.conn.execute(
            "update pgq.queue set queue_rotation_period = '0', queue_ticker_max_lag = '0',"
            " queue_ticker_idle_period = '0' where queue_name = %s",
            [self.name],
        )
        if consumer is not None:
            assert self.register(consumer) == 1
        return self

    @property
    def id(self) -> int:
        return int(value(self.conn, "select queue_id from pgq.queue where queue_name = %s", self.name))

    @property
    def table(self) -> int:
        """Number of the current table."""
        return int(value(self.conn, "select queue_cur_table from pgq.queue where queue_name = %s", self.name))

    def register(self, consumer: str, tick: int | None = None) -> int:
        return int(value(self.conn, "select pgq.register_consumer_at(%s, %s, %s)", self.name, consumer, tick))

    def insert(self, data: str, conn: psycopg.Connection[Any] | None = None) -> int:
        return int(value(conn or self.conn, "select pgq.insert_event(%s, 't', %s)", self.name, data))

    def tick(self, conn: psycopg.Connection[Any] | None = None) -> int | None:
        tick = value(conn or self.conn, "select pgq.ticker(%s)", self.name)
        return None if tick is None else int(tick)

    def ticks(self) -> list[int]:
        rows = self.conn.execute("select tick_id from pgq.tick where tick_queue = %s order by 1", [self.id])
        return [row[0] for row in rows]

    def next_batch(self, consumer: str = "c", conn: psycopg.Connection[Any] | None = None) -> int | None:
        batch = value(conn or self.conn, "select pgq.next_batch(%s, %s)", self.name, consumer)
        return None if batch is None else int(batch)

    def events(self, batch: int, conn: psycopg.Connection[Any] | None = None) -> list[str]:
        rows = (conn or self.conn).execute("select ev_data from pgq.get_batch_events(%s)", [batch])
        return [row[0] for row in rows]

    def finish(self, batch: int, conn: psycopg.Connection[Any] | None = None) -> int:
        return int(value(conn or self.conn, "select pgq.finish_batch(%s)", batch))

    def drain(self, consumer: str = "c") -> list[str]:
        """All events in batches that can be had now."""
        seen: list[str] = []
        while (batch := self.next_batch(consumer)) is not None:
            seen += self.events(batch)
            assert self.finish(batch) == 1
        return seen

    def tick_and_drain(self, consumer: str = "c") -> list[str]:
        self.tick()
        return self.drain(consumer)

    def step1(self, conn: psycopg.Connection[Any] | None = None) -> bool:
        """Whether the first step of a rotation switched tables."""
        query = "select queue_switch_step1 from pgq.queue where queue_name = %s"
        before = value(self.conn, query, self.name)
        assert value(conn or self.conn, "select pgq.maint_rotate_tables_step1(%s)", self.name) == 0
        return bool(value(self.conn, query, self.name) != before)

    def step2(self) -> None:
        assert value(self.conn, "select pgq.maint_rotate_tables_step2()") == 0

    def rotate(self) -> bool:
        switched = self.step1()
        self.step2()
        return switched

    def catch_up(self) -> None:
        """End a switch that is under way, and take the consumer past it, so that the next one is allowed."""
        self.step2()
        self.tick_and_drain()
        self.tick_and_drain()

    def rows(self, number: int) -> int:
        """Events still stored in the data table of this number."""
        return int(value(self.conn, f"select count(*) from pgq.event_{self.id}_{number}"))


@pytest.fixture
def sessions_of() -> Iterator[Callable[[str], Sessions]]:
    """Sessions on a database, closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda dsn: Sessions(dsn, stack)


@pytest.fixture
def drive_of(sessions_of: Callable[[str], Sessions]) -> Callable[..., Drive]:
    """A queue on a database: (dsn, name="q", consumer="c")."""

    def make(dsn: str, name: str = "q", consumer: str | None = "c") -> Drive:
        sessions = sessions_of(dsn)
        return Drive(sessions, name, sessions.open()).create(consumer)

    return make


@pytest.fixture
def queue(pgq_database: str, drive_of: Callable[..., Drive]) -> Drive:
    """A queue "q" with the consumer "c" on our pgq."""
    return drive_of(pgq_database)


@dataclass
class Group(Drive):
    """A cooperative consumer "m" of a queue; a call is made in the session `conn`, or in the common one."""

    def take(self, worker: str, dead: str | None = None, conn: psycopg.Connection[Any] | None = None) -> int | None:
        """The batch that a worker gets."""
        query = "select pgq_coop.next_batch(%s, 'm', %s, %s)"
        batch = value(conn or self.conn, query, self.name, worker, dead)
        return None if batch is None else int(batch)

    def end(self, batch: int, conn: psycopg.Connection[Any] | None = None) -> int:
        return int(value(conn or self.conn, "select pgq_coop.finish_batch(%s)", batch))

    def call(self, function: str, worker: str, *more: Any, conn: psycopg.Connection[Any] | None = None) -> int:
        """A function of pgq_coop that is told queue, group and worker."""
        marks = "".join(", %s" for _ in more)
        return int(
            value(conn or self.conn, f"select pgq_coop.{function}(%s, 'm', %s{marks})", self.name, worker, *more)
        )

    def silence(self, worker: str, hours: int = 2) -> None:
        """Let the worker have been silent for so long."""
        self.conn.execute(
            "update pgq.subscription set sub_active = now() - make_interval(hours => %s)"
            " where sub_consumer = (select co_id from pgq.consumer where co_name = %s)",
            [hours, f"m.{worker}"],
        )

    def fill(self, *texts: str) -> None:
        """One event and one tick each."""
        for text in texts:
            self.insert(text)
            self.tick()

    def rows_by_name(self) -> dict[str, tuple[int | None, int | None, int | None]]:
        """The last tick, batch and end tick of each subscription of the queue."""
        rows = self.conn.execute(
            "select c.co_name, s.sub_last_tick, s.sub_batch, s.sub_next_tick from pgq.subscription s"
            " join pgq.consumer c on c.co_id = s.sub_consumer where s.sub_queue = %s order by 1",
            [self.id],
        )
        return {name: (last, batch, end) for name, last, batch, end in rows}


@pytest.fixture
def group(server: Any, sessions_of: Callable[[str], Sessions]) -> Iterator[Group]:
    """A queue "q" with a group "m" that has no workers yet, on our pgq_coop."""
    name = server.create_database(server.template_of("pgq_coop"))
    sessions = sessions_of(server.dsn(name))
    group = Group(sessions, "q", sessions.open())
    group.create("m")
    yield group
    sessions.stack.close()
    server.drop_database(name)
