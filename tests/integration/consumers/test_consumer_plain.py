"""Plain consumers: every event once, sync and async, in every way of fetching; errors, waiting, filters."""

from __future__ import annotations

import logging
import threading
from typing import Any

import psycopg
import pytest
from skyconsole.engine.errors import UsageError
from skyconsole.engine.queue import (
    AsyncEvents,
    Batch,
    BatchStatistics,
    ColumnConsumer,
    Columns,
    Consumer,
    Event,
    NotRegisteredError,
    Step,
    SyncEvents,
    UnknownColumnError,
)

INSERT = "insert into done values (%s, %s)"


class Writer(Consumer):
    """Writes down what it gets."""

    def process_event(self, db: psycopg.Connection, event: Event) -> None:
        db.execute(INSERT, (event.ev_id, event.ev_data))


class AsyncWriter(Consumer):
    """The same in the asynchronous form."""

    async def process_event(self, db: psycopg.AsyncConnection, event: Event) -> None:
        await db.execute(INSERT, (event.id, event.data))


class BatchWriter(Consumer):
    """Takes whole batches."""

    def process_batch(self, db: psycopg.Connection, batch: Batch, events: SyncEvents) -> None:
        for event in events:
            db.execute(INSERT, (event.ev_id, event["ev_data"]))


class AsyncBatchWriter(Consumer):
    """Takes whole batches, asynchronously."""

    async def process_batch(self, db: psycopg.AsyncConnection, batch: Batch, events: AsyncEvents) -> None:
        async for event in events:
            await db.execute(INSERT, (event.ev_id, event.ev_data))


class ColumnWriter(ColumnConsumer):
    """Takes columns."""

    def process_columns(self, db: psycopg.Connection, batch: Batch, columns: Columns) -> None:
        db.execute("insert into done select * from unnest(%s::bigint[], %s::text[])", (columns.ev_id, columns.ev_data))


class AsyncColumnWriter(ColumnConsumer):
    """Takes columns, asynchronously."""

    async def process_columns(self, db: psycopg.AsyncConnection, batch: Batch, columns: Columns) -> None:
        rows = (columns["ev_id"], columns["ev_data"])
        await db.execute("insert into done select * from unnest(%s::bigint[], %s::text[])", rows)


KINDS = [Writer, AsyncWriter, BatchWriter, AsyncBatchWriter, ColumnWriter, AsyncColumnWriter]
WAYS: list[dict[str, Any]] = [
    {},
    {"lazy_fetch": 0},
    {"lazy_fetch": 0, "autocommit": True},
    {"lazy_fetch": 7},
    {"lazy_fetch": 10},
    {"lazy_fetch": 7, "prefetch": False},
    {"lazy_fetch": 7, "columns": ("ev_data",)},
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_comes_once_and_in_order_in_every_way_of_fetching(place: Any, kind: type[Consumer]) -> None:
    expected: list[int] = []
    for way in WAYS:
        expected += place.fill(batches=4, size=20)
        kind(place.dsn, place.settings(**way)).run()
        found = [row[0] for row in place.conn.execute("select event_id from done order by ctid")]
        assert found == expected, way
    assert place.one("select current_batch from pgq.get_consumer_info(%s)", place.queue) is None


def test_it_works_on_each_version(each_place: Any) -> None:
    expected = each_place.fill(batches=3, size=20)
    Writer(each_place.dsn, each_place.settings(lazy_fetch=7)).run()
    assert each_place.done() == expected


def test_an_event_shows_its_columns_under_all_their_names(place: Any) -> None:
    with place.conn.transaction():
        place.one("select pgq.insert_event(%s, 'ty', 'da', 'one', null, 'three', 'four')", place.queue)
    place.tick()
    seen: list[Event] = []

    class Keeper(Consumer):
        def process_event(self, db: Any, event: Event) -> None:
            seen.append(event)

    Keeper(place.dsn, place.settings()).run()
    (event,) = seen
    row = place.conn.execute("select ev_id, ev_time, ev_txid from pgq.event_template").fetchone()
    assert (event.ev_id, event.ev_time, event.ev_txid) == row
    assert (event.type, event.data, event.extra1, event.extra2) == ("ty", "da", "one", None)
    assert dict(event)["ev_extra4"] == "four"
    assert (event.get_status(), event.queue_name, event.ev_retry) == (1, place.queue, None)
    assert str(event) == f"<id={event.id} type=ty data=da e1=one e2=None e3=three e4=four>"
    with pytest.raises(KeyError):
        event.nonsense  # noqa: B018


def test_a_column_that_was_left_out_is_refused_and_not_empty(place: Any) -> None:
    place.fill(1, 1)

    class Curious(Consumer):
        def process_event(self, db: Any, event: Event) -> None:
            assert event.ev_data == "0/0"
            event.ev_type  # noqa: B018

    with pytest.raises(UnknownColumnError, match="was not fetched"):
        Curious(place.dsn, place.settings(columns=("ev_data",))).run()


def test_a_failing_handler_leaves_nothing_and_the_same_batch_comes_again(place: Any, running: Any, until: Any) -> None:
    expected = place.fill(1, 5)
    batches: list[int] = []

    class Failing(Consumer):
        def process_batch(self, db: psycopg.Connection, batch: Batch, events: SyncEvents) -> None:
            batches.append(batch.batch_id)
            for event in events:
                with db.transaction():
                    db.execute(INSERT, (event.ev_id, ""))
                if len(batches) < 3:
                    raise ValueError("not yet")

    with running(Failing(place.dsn, place.settings(loop_delay=0.05, exception_sleep=0.01))):
        until(lambda: place.done() == expected, "the batch is through")
    assert len(batches) == 3
    assert len(set(batches)) == 1


def test_an_error_ends_a_run_that_does_not_loop(place: Any) -> None:
    place.fill(1, 1)

    class Failing(Consumer):
        async def process_event(self, db: Any, event: Event) -> None:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Failing(place.dsn, place.settings()).run()


def test_who_is_not_registered_is_told_so_at_once(place: Any) -> None:
    with pytest.raises(NotRegisteredError, match='"nobody" is not registered'):
        Writer(place.dsn, place.settings(consumer_name="nobody", loop_delay=1)).run()


def test_a_class_without_a_handler_is_refused(place: Any) -> None:
    with pytest.raises(UsageError, match="has no handler"):
        Consumer(place.dsn, place.settings()).run()


def test_registering_and_unregistering(place: Any) -> None:
    consumer = Writer(place.dsn, place.settings(consumer_name="new"))
    assert (consumer.register(), consumer.register()) == (True, False)
    assert (consumer.unregister(), consumer.unregister()) == (1, 0)


def test_filters_leave_events_out_and_finish_their_batch(place: Any) -> None:
    place.insert("no", extra1="public.other")
    wanted = place.insert("a", extra1="public.t") + place.insert("b", extra1="s.o'\\x")
    place.tick()
    Writer(place.dsn, place.settings(table_filter=("t", "s.o'\\x"))).run()
    assert place.done() == wanted
    more = place.insert("x", ev_type="good") + place.insert("100%", ev_type="good")
    place.insert("y", ev_type="bad")
    place.tick()
    Writer(place.dsn, place.settings(consumer_filter="ev_type = 'good' and ev_data like '%'")).run()
    assert place.done() == wanted + more


def test_a_batch_waits_until_it_is_big_enough(place: Any) -> None:
    ids = place.fill(1, 2)
    consumer = Writer(place.dsn, place.settings(min_count=100_000, min_interval="1 hour"))
    consumer.run()
    assert place.done() == []
    Writer(place.dsn, place.settings(min_count=2)).run()
    assert place.done() == ids
    ids += place.fill(1, 1)
    Writer(place.dsn, place.settings(min_lag="1 hour")).run()
    assert len(place.done()) == 2


def test_events_in_pieces_come_once_and_whole_ones_as_often_as_asked(place: Any) -> None:
    class Twice(Consumer):
        counts: list[int]

        def process_batch(self, db: Any, batch: Batch, events: SyncEvents) -> None:
            first = sum(1 for _ in events)
            self.counts = [len(events), first, sum(1 for _ in events)]

    place.fill(1, 3)
    with pytest.raises(RuntimeError, match="come once"):
        Twice(place.dsn, place.settings()).run()
    whole = Twice(place.dsn, place.settings(lazy_fetch=0))
    whole.run()
    assert whole.counts == [3, 3, 3]


def test_a_loop_that_is_left_early_leaves_nothing_behind(place: Any) -> None:
    place.fill(4, 20)

    class Hasty(Consumer):
        seen = 0

        def process_batch(self, db: Any, batch: Batch, events: SyncEvents) -> None:
            for _ in events:
                self.seen += 1
                break

    hasty = Hasty(place.dsn, place.settings(lazy_fetch=5))
    hasty.run()
    assert hasty.seen == 4


def test_two_processes_under_one_name_do_each_batch_once(place: Any, running: Any, until: Any) -> None:
    expected = place.fill(20, 5)
    one = Writer(place.dsn, place.settings(loop_delay=0.02, exception_sleep=0.01))
    two = AsyncWriter(place.dsn, place.settings(loop_delay=0.02, exception_sleep=0.01))
    with running(one), running(two):
        until(lambda: len(place.done()) >= len(expected), "all batches are through")
    assert place.done() == expected


class _Moved:
    """Moves the consumer back once, just when a batch is committed and the next one is read ahead."""

    def __init__(self, place: Any, tick_id: int) -> None:
        self.place = place
        self.tick_id = tick_id
        self.commits = 0

    def on_step(self, step: Step, batch_id: int) -> None:
        if step is Step.COMMITTED:
            self.commits += 1
            if self.commits == 4:
                query = "select pgq.register_consumer_at(%s, %s, %s)"
                self.place.one(query, self.place.queue, self.place.settings().consumer_name, self.tick_id)


@pytest.mark.parametrize("kind", [Writer, AsyncWriter])
def test_what_was_read_ahead_is_dropped_when_the_consumer_is_moved(place: Any, kind: type[Consumer]) -> None:
    place.fill(1, 3)
    tick_id = place.tick()
    expected = place.fill(8, 20)
    observer = _Moved(place, tick_id)
    kind(place.dsn, place.settings(lazy_fetch=7), observer=observer).run()
    # Batch 1 and the empty one, then two of the eight, then all eight.
    assert place.done() == sorted([*place.done()[:3], *expected, *expected[:40]])
    assert observer.commits == 4 + 8


def test_a_consumer_wakes_up_when_a_tick_is_told(place: Any, running: Any, until: Any) -> None:
    idle = threading.Event()

    class Watch:
        def on_step(self, step: Step, batch_id: int) -> None:
            if step is Step.IDLE:
                idle.set()

    number = place.one("select queue_id from pgq.queue where queue_name = %s", place.queue)
    for kind in (Writer, AsyncWriter):
        idle.clear()
        # A minute's polling is out of the question within the deadline.
        with running(kind(place.dsn, place.settings(loop_delay=60), observer=Watch())):
            assert idle.wait(20)
            expected = place.done() + place.fill(1, 2)
            place.one("select pg_notify(%s, '')", f"pgq_tick_{number}")
            until(lambda expected=expected: place.done() == expected, "the told batch is through", 15)


@pytest.mark.parametrize("kind", [Writer, AsyncWriter])
def test_a_lost_connection_is_made_anew(
    place: Any, running: Any, until: Any, caplog: pytest.LogCaptureFixture, kind: type[Consumer]
) -> None:
    killed = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = %s"
    with running(kind(place.dsn, place.settings(loop_delay=0.05))), caplog.at_level(logging.WARNING):
        first = place.fill(1, 2)
        until(lambda: place.done() == first, "the first batch")
        until(lambda: place.one(killed, place.settings().consumer_name) > 0, "a session to kill")
        second = place.fill(1, 2)
        until(lambda: place.done() == first + second, "the batch after the loss")
    assert "connection is lost" in caplog.text


def test_statistics_tell_what_a_batch_came_to(place: Any) -> None:
    place.fill(2, 3)
    told: list[BatchStatistics] = []
    Writer(place.dsn, place.settings(), report=told.append).run()
    # The queue's first tick was made with it.
    assert [figures.count for figures in told] == [3, 3]
    assert set(told[0].as_dict()) == {"count", "duration", "idle"}


def test_steps_come_in_their_order(place: Any) -> None:
    place.fill(1, 2)
    steps: list[Step] = []

    class Watch:
        def on_step(self, step: Step, batch_id: int) -> None:
            steps.append(step)

    Writer(place.dsn, place.settings(), observer=Watch()).run()
    assert steps == [
        Step.OPENED,
        Step.FETCHED,
        Step.HANDLING,
        Step.HANDLING,
        Step.HANDLED,
        Step.FINISHING,
        Step.FINISHED,
        Step.COMMITTED,
    ]


def test_the_original_extension_serves_as_well(original_place: Any) -> None:
    for kind in KINDS:
        expected = original_place.done() + original_place.fill(batches=3, size=20)
        kind(original_place.dsn, original_place.settings(lazy_fetch=7)).run()
        assert original_place.done() == expected
