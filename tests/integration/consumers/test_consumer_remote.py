"""Remote consumers: exactly once across two databases, crashes between the commits, lost and re-made ticks."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from skyconsole.engine.errors import UsageError
from skyconsole.engine.queue import (
    Event,
    LostPositionError,
    RemoteConsumer,
    RetryPolicy,
    SerialConsumer,
    Step,
    TickRemadeError,
)

INSERT = "insert into done values (%s, %s)"


class Remote(RemoteConsumer):
    """Writes down what it gets, in the other database."""

    def process_remote_event(self, db: psycopg.Connection, event: Event, dst: psycopg.Connection) -> None:
        dst.execute(INSERT, (event.ev_id, event.ev_data))


class AsyncRemote(RemoteConsumer):
    """The same, asynchronously."""

    async def process_remote_event(
        self, db: psycopg.AsyncConnection, event: Event, dst: psycopg.AsyncConnection
    ) -> None:
        await dst.execute(INSERT, (event.ev_id, event.ev_data))


class Serial(SerialConsumer):
    """Writes down what it gets, in order."""

    def process_remote_event(self, db: psycopg.Connection, event: Event, dst: psycopg.Connection) -> None:
        dst.execute(INSERT, (event.ev_id, event.ev_data))


class AsyncSerial(SerialConsumer):
    """The same, asynchronously."""

    async def process_remote_event(
        self, db: psycopg.AsyncConnection, event: Event, dst: psycopg.AsyncConnection
    ) -> None:
        await dst.execute(INSERT, (event.ev_id, event.ev_data))


KINDS = [Remote, AsyncRemote, Serial, AsyncSerial]


class Crash(Exception):
    """The consumer dies here."""


class _CrashAt:
    def __init__(self, step: Step, times: int = 1) -> None:
        self.step = step
        self.times = times

    def on_step(self, step: Step, batch_id: int) -> None:
        if step is self.step and self.times:
            self.times -= 1
            raise Crash


def _done(target: psycopg.Connection) -> list[int]:
    return [row[0] for row in target.execute("select event_id from done order by event_id")]


def _made(
    kind: type[RemoteConsumer], place: Any, target: psycopg.Connection, *, observer: Any = None, **more: Any
) -> Any:
    dsn = place.dsn.replace(place.conn.info.dbname, target.info.dbname)
    return kind(place.dsn, place.settings(**more), remote_dsn=dsn, observer=observer)


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_at_any_step_leaves_each_event_applied_once(
    place: Any, target: psycopg.Connection, kind: type[RemoteConsumer]
) -> None:
    expected: list[int] = []
    for step in (Step.HANDLED, Step.REMOTE_COMMITTED, Step.FINISHING, Step.FINISHED, Step.COMMITTED):
        expected += place.fill(3, 5)
        with pytest.raises(Crash):
            _made(kind, place, target, observer=_CrashAt(step)).run()
        _made(kind, place, target, lazy_fetch=2).run()
        assert _done(target) == expected, step


@pytest.mark.parametrize("kind", [Remote, Serial])
def test_two_processes_apply_each_event_once(
    place: Any, target: psycopg.Connection, running: Any, until: Any, kind: type[RemoteConsumer]
) -> None:
    expected = place.fill(20, 3)
    busy = {"loop_delay": 0.01, "exception_sleep": 0.01}
    with running(_made(kind, place, target, **busy)), running(_made(kind, place, target, **busy)):
        until(lambda: len(_done(target)) >= len(expected), "all is applied")
    assert _done(target) == expected


def test_what_was_tagged_before_a_crash_is_retried_after_it(place: Any, target: psycopg.Connection) -> None:
    class Tagging(RemoteConsumer):
        def process_remote_event(self, db: Any, event: Event, dst: psycopg.Connection) -> None:
            if event.ev_data == "again" and event.ev_retry is None:
                event.retry(0)
            elif event.ev_data == "dead":
                event.dead("hopeless")
            else:
                dst.execute(INSERT, (event.ev_id, event.ev_data))

    policy = RetryPolicy(first=0, most=0, jitter=0)
    done, again, dead = place.insert("done", "again", "dead")
    place.tick()
    with pytest.raises(Crash):
        _made(Tagging, place, target, observer=_CrashAt(Step.REMOTE_COMMITTED)).run()
    consumer = _made(Tagging, place, target, retry=policy)
    consumer.run()
    assert _done(target) == [done]
    place.move_retries()
    consumer.run()
    assert _done(target) == [done, again]
    assert place.one("select ev_id from pgq.get_dead_letters(%s, null)", place.queue) == dead


def _remake_last_tick(place: Any) -> int:
    """What a failover does to a queue: the newest tick is there again, but another one."""
    query = (
        "update pgq.tick set tick_time = tick_time + interval '1 ms' "
        "where tick_id = (select max(tick_id) from pgq.tick) returning tick_id"
    )
    return int(place.one(query))


@pytest.mark.parametrize("kind", [Remote, AsyncSerial])
def test_a_tick_made_again_stops_the_consumer_until_it_is_resynced(
    place: Any, target: psycopg.Connection, kind: type[RemoteConsumer]
) -> None:
    expected = place.fill(2, 3)
    consumer = _made(kind, place, target)
    consumer.run()
    assert consumer.resync().endswith("nothing was changed.")
    remade = _remake_last_tick(place)
    more = place.fill(1, 2)
    with pytest.raises(TickRemadeError, match=f"Tick {remade} was made again") as caught:
        consumer.run()
    assert "resync" in caught.value.hint
    assert _done(target) == expected
    sentence = consumer.resync()
    assert "the last one they share" in sentence
    assert f"the target at {remade}" in sentence
    consumer.run()
    # Nothing is missing; the events of the tick in doubt came twice, as was said.
    assert _done(target) == sorted([*expected, *expected[3:], *more])


@pytest.mark.parametrize("kind", [AsyncRemote, Serial])
def test_a_lost_position_is_told_and_mended(place: Any, target: psycopg.Connection, kind: type[RemoteConsumer]) -> None:
    expected = place.fill(3, 2)
    consumer = _made(kind, place, target)
    consumer.run()
    first = place.one("select min(tick_id) from pgq.tick")
    place.one("select pgq.register_consumer_at(%s, %s, %s)", place.queue, place.settings().consumer_name, first)
    newest = place.one("select max(tick_id) from pgq.tick")
    with pytest.raises(LostPositionError, match=rf"Lost position: batch \d+\.\.\d+, the target has {newest}"):
        consumer.run()
    assert f"go on from tick {newest}, the last one they share" in consumer.resync()
    consumer.run()
    assert _done(target) == expected


def test_rewind_moves_the_queue_and_reset_forgets_the_target(place: Any, target: psycopg.Connection) -> None:
    consumer = _made(Serial, place, target)
    assert "No tick found" in consumer.rewind()
    expected = place.fill(2, 2)
    consumer.run()
    first = place.one("select min(tick_id) from pgq.tick")
    move = "select pgq.register_consumer_at(%s, %s, %s)"
    place.one(move, place.queue, place.settings().consumer_name, first)
    consumer.rewind()
    consumer.run()
    assert _done(target) == expected
    place.one(move, place.queue, place.settings().consumer_name, first)
    consumer.reset()
    consumer.run()
    assert _done(target) == sorted(expected * 2)


def test_a_serial_consumer_retries_nothing(place: Any, target: psycopg.Connection) -> None:
    class Tagging(SerialConsumer):
        def process_remote_event(self, db: Any, event: Event, dst: Any) -> None:
            event.retry(1)

    place.fill(1, 1)
    with pytest.raises(LookupError, match="cannot retry"):
        _made(Tagging, place, target).run()
    with pytest.raises(UsageError, match="on_error"):
        _made(Serial, place, target, on_error="retry")


def test_a_target_without_pgq_ext_is_refused(place: Any) -> None:
    with pytest.raises(UsageError, match="no pgq_ext"):
        Serial(place.dsn, place.settings(), remote_dsn=place.dsn).run()


@pytest.mark.parametrize("kind", [Remote, AsyncSerial])
def test_the_original_extension_serves_as_well(
    original_place: Any, target: psycopg.Connection, kind: type[RemoteConsumer]
) -> None:
    place = original_place
    expected = place.fill(3, 5)
    consumer = kind(
        place.dsn, place.settings(lazy_fetch=2), remote_dsn=target.info.dsn, observer=_CrashAt(Step.FINISHING)
    )
    with pytest.raises(Crash):
        consumer.run()
    consumer.run()
    assert _done(target) == expected
    _remake_last_tick(place)
    place.fill(1, 1)
    with pytest.raises(TickRemadeError):
        consumer.run()
