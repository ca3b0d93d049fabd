"""The queue's database crashes, loses its last moments or fails over under remote consumers: nothing is skipped."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install
from skyconsole.engine.queue import (
    ConsumerSettings,
    LostPositionError,
    RemoteConsumer,
    SerialConsumer,
    Step,
    TickRemadeError,
)

SAFE = {"fsync": "off", "max_wal_senders": "4", "autovacuum": "off"}
"""Processes are killed here, never the machine: what was handed to the system is not lost."""

FORGETFUL = {**SAFE, "synchronous_commit": "off", "wal_writer_delay": "10s", "full_page_writes": "off"}


class SerialCopy(SerialConsumer):
    """Copies events into the table of its name in the other database."""

    def process_remote_event(self, db: Any, event: Any, dst: Any) -> None:
        dst.execute("insert into serial (text) values (%s)", [event.ev_data])


class RemoteCopy(RemoteConsumer):
    """The same for a consumer that marks batches."""

    def process_remote_event(self, db: Any, event: Any, dst: Any) -> None:
        dst.execute("insert into remote (text) values (%s)", [event.ev_data])


COPIES: dict[str, type[RemoteConsumer]] = {"serial": SerialCopy, "remote": RemoteCopy}


@dataclass
class Queue:
    """The queue "q" on a cluster that may die, and two consumers of it that work in another database."""

    cluster: Cluster
    target: str
    settings: dict[str, str] = field(default_factory=lambda: SAFE)

    def sql(self, query: str, *arguments: Any) -> Any:
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as conn:
            cursor = conn.execute(query.encode(), arguments or None)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def start(self) -> Queue:
        self.cluster.start(self.settings)
        return self

    def consumer(self, kind: str, **more: Any) -> Any:
        settings = ConsumerSettings("q", kind, **{"loop_delay": 0, "exception_sleep": 0.1, "listen": False, **more})
        return COPIES[kind](self.cluster.dsn(), settings, remote_dsn=self.target)

    def insert(self, *texts: str) -> None:
        """A tick after each event."""
        for text in texts:
            self.sql("select pgq.insert_event('q', 't', %s)", text)
            assert self.sql("select pgq.ticker('q')") is not None

    def drain(self) -> None:
        """Both consumers work until nothing is left."""
        for kind in COPIES:
            self.consumer(kind).run()

    def copied(self, kind: str) -> list[str]:
        with psycopg.connect(self.target, autocommit=True) as conn:
            return [text for (text,) in conn.execute(f"select text from {kind} order by n")]

    def last_tick(self) -> int:
        return int(self.sql("select max(tick_id) from pgq.tick"))

    def positions(self) -> list[int]:
        """The consumers' last ticks, as the queue knows them."""
        return list(self.sql("select array_agg(last_tick) from pgq.get_consumer_info('q')"))


async def _install(dsn: str, module: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await install(conn, module)


@pytest.fixture
def target(server: Any) -> Iterator[str]:
    """The database where the consumers work; it never dies here."""
    name = server.create_database(server.template_of("pgq_ext"))
    with psycopg.connect(server.dsn(name), autocommit=True) as conn:
        for kind in COPIES:
            conn.execute(f"create table {kind} (n serial, text text)")
    yield server.dsn(name)
    server.drop_database(name)


def _copy(source: Cluster, copy: Cluster) -> None:
    """The files of a stopped server, for another one."""
    owner = source.data_dir.stat()
    shutil.copytree(source.data_dir, copy.data_dir)
    for path in (copy.data_dir, *copy.data_dir.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    copy.data_dir.chmod(0o700)


@pytest.fixture(scope="module")
def original(servers: Any, server: Any) -> Iterator[Cluster]:
    """A stopped server with the queue "q" and its two consumers, to be copied."""
    cluster = servers.new_cluster(server.cluster.binaries, "failover")
    cluster.start(SAFE)
    asyncio.run(_install(cluster.dsn(), "pgq"))
    queue = Queue(cluster, "")
    queue.sql("select pgq.create_queue('q')")
    queue.sql("update pgq.queue set queue_ticker_max_lag = '0', queue_ticker_idle_period = '0'")
    for kind in COPIES:
        queue.sql("select pgq.register_consumer('q', %s)", kind)
    cluster.stop()
    yield cluster
    cluster.remove()


@pytest.fixture
def place(original: Cluster) -> Iterator[Callable[..., Cluster]]:
    """Stopped servers that the test may start, kill and break: (name, empty=False). With `empty` there are no files."""
    made: list[Cluster] = []

    def make(name: str, *, empty: bool = False) -> Cluster:
        made.append(Cluster(original.data_dir.with_name(f"failover_{name}"), original.binaries))
        if not empty:
            _copy(original, made[-1])
        return made[-1]

    yield make
    for cluster in made:
        cluster.remove()


@pytest.fixture
def queue(place: Callable[..., Cluster], target: str) -> Queue:
    return Queue(place("primary"), target).start()


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"not within 60 s: {what}"
        threading.Event().wait(0.02)


class KillAt:
    """Kills the server of the queue once at each of these steps, and starts it again."""

    def __init__(self, queue: Queue, steps: list[Step]) -> None:
        self.queue = queue
        self.steps = steps
        self.killed: list[Step] = []

    def on_step(self, step: Step, batch_id: int) -> None:
        if step in self.steps:
            self.steps.remove(step)
            self.queue.cluster.kill()
            self.queue.cluster.start(self.queue.settings)
            self.killed.append(step)


@pytest.mark.parametrize("kind", list(COPIES))
def test_a_primary_killed_while_batches_are_in_work_costs_nothing_and_gives_nothing_twice(
    queue: Queue, kind: str
) -> None:
    steps = [Step.OPENED, Step.HANDLED, Step.REMOTE_COMMITTED, Step.FINISHED]
    killer = KillAt(queue, list(steps))
    texts = [str(number) for number in range(8)]
    queue.insert(*texts)
    consumer = queue.consumer(kind, loop_delay=0.05)
    consumer._observer = killer
    running = threading.Thread(target=consumer.run, daemon=True)
    running.start()
    try:
        _until(lambda: len(queue.copied(kind)) >= 8 and len(killer.killed) == len(steps), "all is copied")
        queue.insert("last")
        _until(lambda: "last" in queue.copied(kind), "the last event is copied")
    finally:
        consumer.stop()
        running.join(20)
    assert not running.is_alive()
    assert Counter(queue.copied(kind)) == dict.fromkeys([*texts, "last"], 1)


def _freeze_writers(queue: Queue) -> None:
    """From now on nothing that is committed asynchronously reaches the disk."""
    query = "select pid from pg_stat_activity where backend_type in ('walwriter', 'background writer', 'checkpointer')"
    with psycopg.connect(queue.cluster.dsn(), autocommit=True) as conn:
        for (pid,) in conn.execute(query).fetchall():
            os.kill(pid, signal.SIGSTOP)


def _lose_in_a_crash(queue: Queue, texts: list[str]) -> Queue:
    """The server acknowledges these events and forgets them, as without synchronous commit it may."""
    queue.sql("checkpoint")
    _freeze_writers(queue)
    queue.insert(*texts)
    queue.drain()
    queue.cluster.kill()
    queue.cluster.start(queue.settings)
    return queue


def _copy_as_standby(primary: Cluster, standby: Cluster) -> None:
    """A copy of the primary that follows it."""
    primary.stop()
    _copy(primary, standby)
    (standby.data_dir / "standby.signal").touch()
    primary.start(SAFE)
    standby.start({**SAFE, "primary_conninfo": primary.dsn(), "hot_standby": "on"})


def _lose_in_a_failover(queue: Queue, texts: list[str], promoted: Queue) -> Queue:
    """These events are on the primary only when it dies and its asynchronous standby is promoted."""
    queue.sql("create table followed ()")
    _until(lambda: promoted.sql("select to_regclass('followed')") is not None, "the standby follows")
    promoted.cluster.stop()
    queue.insert(*texts)
    queue.drain()
    queue.cluster.kill()
    promoted.cluster.start(SAFE)
    promoted.sql("select pg_promote()")
    return promoted


@dataclass(frozen=True)
class Loss:
    """A queue that has lost what its consumers have copied after `last_tick`, and has new events under the same ids."""

    queue: Queue
    last_tick: int
    """The last tick that the queue has still."""
    position: int
    """The last tick that the queue knows to be finished; the event "kept" lies between the two."""

    @property
    def behind(self) -> int:
        """The least count that makes one batch of all that is not finished."""
        query = "select max(tick_event_seq) - min(tick_event_seq) from pgq.tick where tick_id >= %s"
        return int(self.queue.sql(query, self.position))


@pytest.fixture
def lose(place: Callable[..., Cluster], target: str) -> Callable[[str], Loss]:
    """Lets a queue lose three events and ticks, which its consumers have copied, and makes three new ones: (how)."""

    def make(how: str) -> Loss:
        queue = Queue(place("primary"), target, FORGETFUL if how == "crash" else SAFE).start()
        queue.insert("before")
        queue.drain()
        (position,) = set(queue.positions())
        queue.insert("kept")
        ticks = queue.last_tick()
        if how == "failover":
            promoted = Queue(place("promoted", empty=True), target)
            _copy_as_standby(queue.cluster, promoted.cluster)
        lost = ["lost 1", "lost 2", "lost 3"]
        queue = _lose_in_a_crash(queue, lost) if how == "crash" else _lose_in_a_failover(queue, lost, promoted)
        assert (queue.last_tick(), set(queue.positions())) == (ticks, {position}), "the loss has come about"
        queue.insert("new 1", "new 2", "new 3")
        assert queue.last_tick() == ticks + 3, "the ids of the ticks are given a second time"
        return Loss(queue, ticks, position)

    return make


COPIED = ["before", "kept", "lost 1", "lost 2", "lost 3"]
NEW = ["new 1", "new 2", "new 3"]


@pytest.mark.parametrize("how", ["crash", "failover"])
def test_after_a_loss_the_consumers_stop_and_resync_goes_on_without_a_gap_and_without_repeating(
    lose: Callable[[str], Loss], how: str
) -> None:
    loss = lose(how)
    queue = loss.queue
    for kind in COPIES:
        # One batch whose end has the id of the tick that the target has applied: without a digest it is skipped.
        for _ in range(2):
            with pytest.raises(TickRemadeError, match=f"Tick {loss.last_tick + 3} was made again") as stopped:
                queue.consumer(kind, min_count=loss.behind).run()
            assert "resync" in stopped.value.hint
        assert queue.copied(kind) == COPIED

        queue.consumer(kind).resync()
        queue.consumer(kind).run()

        assert queue.copied(kind) == COPIED + NEW
    queue.insert("after")
    queue.drain()
    assert [queue.copied(kind) for kind in COPIES] == [[*COPIED, *NEW, "after"]] * 2


def test_a_batch_that_begins_elsewhere_stops_them_and_the_queue_is_not_moved_to_a_tick_made_again(
    lose: Callable[[str], Loss],
) -> None:
    loss = lose("crash")
    queue = loss.queue
    for kind in COPIES:
        with pytest.raises(LostPositionError, match=f"Lost position: batch {loss.position}.."):
            queue.consumer(kind).run()
        assert queue.copied(kind) == COPIED
    serial, remote = (queue.consumer(kind) for kind in COPIES)
    remote.resync()
    remote.run()
    assert queue.copied("remote") == COPIED + NEW

    with pytest.raises(TickRemadeError, match=f"Tick {loss.last_tick + 3} was made again"):
        serial.rewind()
    # Somebody does it by hand.
    queue.sql("select pgq.register_consumer_at('q', 'serial', %s)", loss.last_tick + 3)
    queue.insert("after")
    with pytest.raises(TickRemadeError, match=f"Tick {loss.last_tick + 3} was made again"):
        serial.run()
    assert queue.copied("serial") == COPIED
    serial.resync()
    serial.run()
    assert queue.copied("serial") == [*COPIED, *NEW, "after"]


def test_without_digests_events_are_skipped_silently(lose: Callable[[str], Loss], target: str) -> None:
    """The control: what the others are about happens to a target that knows nothing but the ticks' ids."""
    with psycopg.connect(target, autocommit=True) as conn:
        conn.execute("drop function pgq_ext.set_last_tick_digest(text, text, bigint, text) cascade")
        conn.execute("drop function pgq_ext.set_last_tick(text, text, bigint)")
        conn.execute("""
            create function pgq_ext.set_last_tick(a_consumer text, a_subconsumer text, a_tick_id bigint) returns integer
            language sql as $$
                delete from pgq_ext.completed_tick where consumer_id = a_consumer;
                insert into pgq_ext.completed_tick
                select a_consumer, a_subconsumer, a_tick_id where a_tick_id is not null;
                select 1;
            $$
        """)
    loss = lose("crash")
    loss.queue.consumer("serial", min_count=loss.behind).run()
    assert loss.queue.copied("serial") == COPIED
