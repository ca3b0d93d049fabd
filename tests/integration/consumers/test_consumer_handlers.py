"""Handlers that meddle with their connection: rolling back, going on after errors, setting a row factory."""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from skyconsole.engine.queue import Consumer, Event, RemoteConsumer
from skyconsole.engine.queue.work import WorkUndoneError


class Meddler(Consumer):
    """Writes events down, and on the event `bad` does what it is told."""

    def __init__(self, place: Any, meddle: Any, **settings: Any) -> None:
        super().__init__(place.dsn, place.settings(**settings))
        self.meddle = meddle
        self.calls = 0

    def process_event(self, db: Any, event: Event) -> None:
        db.execute("insert into done values (%s, %s)", (event.ev_id, event.ev_data))
        if event.ev_data == "bad":
            self.calls += 1
            self.meddle(db)


class AsyncMeddler(Consumer):
    def __init__(self, place: Any, meddle: str, **settings: Any) -> None:
        super().__init__(place.dsn, place.settings(**settings))
        self.meddle = meddle

    async def process_event(self, db: Any, event: Event) -> None:
        db.row_factory = dict_row
        await db.execute("insert into done values (%s, %s)", (event.ev_id, event.ev_data))
        if event.ev_data == "bad":
            with suppress(psycopg.Error):
                await db.execute(self.meddle)


class RemoteMeddler(RemoteConsumer):
    def __init__(self, place: Any, target: psycopg.Connection, meddle: Any) -> None:
        super().__init__(place.dsn, place.settings(), remote_dsn=target.info.dsn)
        self.meddle = meddle

    def process_remote_event(self, db: Any, event: Event, dst: Any) -> None:
        dst.execute("insert into done values (%s, %s)", (event.ev_id, event.ev_data))
        if event.ev_data == "bad":
            self.meddle(dst)


def swallow(db: Any) -> None:
    """What careless handlers do."""
    with suppress(psycopg.Error):
        db.execute("select 1 / 0")


def pending(place: Any) -> int:
    """Events that are not finished."""
    return int(place.one("select pending_events from pgq.get_consumer_info(%s)", place.queue))


def letters(place: Any) -> list[tuple[int, str]]:
    """The dead letters, with their reasons."""
    found = place.conn.execute("select ev_id, dl_reason from pgq.get_dead_letters(%s, null)", (place.queue,))
    return [tuple(row) for row in found]


@pytest.mark.parametrize(
    "settings", [{}, {"lazy_fetch": 1}, {"lazy_fetch": 0}, {"on_error": "retry"}], ids=lambda given: str(given)
)
def test_a_handler_that_rolls_back_loses_no_other_events(place: Any, settings: dict[str, Any]) -> None:
    ids = place.insert("good", "bad", "good")
    place.tick()
    roll_back = Meddler(place, lambda db: db.execute("rollback"), **settings)
    with pytest.raises((WorkUndoneError, psycopg.Error)):
        roll_back.run()
    # The batch is not done: an honest handler gets all of it.
    place.conn.execute("delete from done")
    Meddler(place, lambda db: None).run()
    assert place.done() == ids


def test_a_handler_that_rolls_back_is_told_so_and_the_batch_comes_again(
    place: Any, running: Any, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ids = place.insert("good", "bad", "good")
    place.tick()
    roll_back_once = Meddler(
        place, lambda db: db.rollback() if roll_back_once.calls == 1 else None, loop_delay=0.1, exception_sleep=0.05
    )
    with caplog.at_level(logging.ERROR), running(roll_back_once):
        until(lambda: place.one("select last_tick from pgq.get_consumer_info(%s)", place.queue) == 2, "the batch")
    assert set(place.done()) == set(ids)
    assert [record for record in caplog.records if record.exc_info and record.exc_info[0] is WorkUndoneError]


def test_a_handler_that_commits_is_warned_of_and_goes_on(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    ids = place.insert("good", "bad", "good")
    place.tick()
    with caplog.at_level(logging.WARNING):
        Meddler(place, lambda db: db.commit()).run()
    assert place.done() == ids
    assert "ended the transaction" in caplog.text


def test_a_remote_handler_that_rolls_back_leaves_no_mark(place: Any, target: psycopg.Connection) -> None:
    ids = place.insert("good", "bad", "good")
    place.tick()
    with pytest.raises(WorkUndoneError):
        RemoteMeddler(place, target, lambda dst: dst.rollback()).run()
    target.execute("delete from done")
    RemoteMeddler(place, target, lambda dst: None).run()
    assert [row[0] for row in target.execute("select event_id from done order by 1")] == ids


@pytest.mark.parametrize("on_error", ["retry", "dead_letter"])
def test_an_event_whose_sql_error_was_swallowed_is_isolated_alone(place: Any, on_error: str) -> None:
    ids = place.insert("good", "bad", "good", "good")
    place.tick()
    Meddler(place, swallow, on_error=on_error).run()
    assert place.done() == [ids[0], *ids[2:]]
    assert [event for event, _ in letters(place)] == ([ids[1]] if on_error == "dead_letter" else [])


def test_the_same_holds_for_async_handlers(place: Any) -> None:
    ids = place.insert("good", "bad", "good")
    place.tick()
    AsyncMeddler(place, "select 1 / 0", on_error="dead_letter").run()
    assert place.done() == [ids[0], ids[2]]
    place.insert("good", "bad")
    place.tick()
    with pytest.raises(WorkUndoneError):
        AsyncMeddler(place, "rollback").run()


def test_a_handler_may_set_a_row_factory(place: Any) -> None:
    ids = place.insert("bad")
    place.tick()
    ids += place.insert("bad", "good")
    place.tick()
    Meddler(place, lambda db: setattr(db, "row_factory", dict_row)).run()
    assert place.done() == ids
    assert pending(place) == 0


@pytest.mark.parametrize("reason", ["with \0 NUL", "a name \udc80 of bytes", "an arrow →"])
def test_any_text_is_a_reason(place: Any, reason: str) -> None:
    ids = place.insert("bad")
    place.tick()

    class Judge(Consumer):
        def process_event(self, db: Any, event: Event) -> None:
            event.dead(reason)

    Judge(place.dsn, place.settings()).run()
    ((event, stored),) = letters(place)
    assert event == ids[0]
    assert stored == reason.replace("\0", "\\0").replace("\udc80", "\\udc80")


def test_an_event_retried_in_a_million_years_is_retried_in_68(place: Any) -> None:
    place.insert("bad")
    place.tick()

    class Patient(Consumer):
        def process_event(self, db: Any, event: Event) -> None:
            event.retry(3e13)

    Patient(place.dsn, place.settings()).run()
    years = place.one("select extract(year from age(ev_retry_after, now())) from pgq.retry_queue")
    assert 67 <= years <= 69


def test_a_consumer_waits_in_a_process_with_thousands_of_descriptors(place: Any, running: Any, until: Any) -> None:
    resource = pytest.importorskip("resource")
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1200:
        pytest.skip("this account may not open so many")
    with ExitStack() as descriptors:
        for _ in range(550):
            for end in socket.socketpair():
                descriptors.enter_context(end)
        with running(Meddler(place, lambda db: None, loop_delay=5.0)):
            ids = place.insert("good")
            place.tick()
            until(lambda: place.done() == ids, "the event")
