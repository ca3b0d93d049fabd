"""Retries, dead letters, and events that fail alone."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from skyconsole.engine.errors import UsageError
from skyconsole.engine.queue import ColumnConsumer, Columns, Consumer, Event, RetryPolicy

INSERT = "insert into done values (%s, %s)"
AT_ONCE = RetryPolicy(first=0, most=0, jitter=0, attempts=2)


def _letters(place: Any) -> list[tuple[Any, ...]]:
    query = "select ev_id, ev_data, ev_retry, dl_reason, consumer_name from pgq.get_dead_letters(%s, null)"
    return list(place.conn.execute(query, (place.queue,)))


class Fussy(Consumer):
    """Fails on some events, after it has written."""

    def process_event(self, db: psycopg.Connection, event: Event) -> None:
        db.execute(INSERT, (event.ev_id, event.ev_data))
        if event.ev_data == "bad":
            raise ValueError("bad data\nin two lines")
        if event.ev_data == "broken":
            db.execute("select 1/0")


class AsyncFussy(Consumer):
    """The same, asynchronously."""

    async def process_event(self, db: psycopg.AsyncConnection, event: Event) -> None:
        await db.execute(INSERT, (event.ev_id, event.ev_data))
        if event.ev_data == "bad":
            raise ValueError("bad data\nin two lines")
        if event.ev_data == "broken":
            await db.execute("select 1/0")


def test_a_tagged_event_comes_again_and_only_to_its_consumer(place: Any) -> None:
    place.one("select pgq.register_consumer(%s, 'other')", place.queue)
    ids = place.insert("once", "again", "taken back")
    place.tick()
    retries: list[int | None] = []

    class Tagger(Consumer):
        def process_event(self, db: Any, event: Event) -> None:
            retries.append(event.ev_retry)
            if event.ev_retry is None and event.data != "once":
                event.tag_retry(0)
                assert event.get_status() == 0
            if event.data == "taken back":
                event.tag_done()

    for name in (place.settings().consumer_name, "other"):
        retries.clear()
        tagger = Tagger(place.dsn, place.settings(consumer_name=name))
        tagger.run()
        place.move_retries()
        tagger.run()
        assert retries == [None, None, None, 1]
    assert len(ids) == 3


@pytest.mark.parametrize("kind", [Fussy, AsyncFussy])
def test_a_failing_event_is_retried_alone_and_given_up_after_its_attempts(place: Any, kind: type[Consumer]) -> None:
    good, bad, broken, last = place.insert("good", "bad", "broken", "last")
    place.tick()
    consumer = kind(place.dsn, place.settings(on_error="retry", retry=AT_ONCE))
    for tries in range(3):
        assert _letters(place) == [], tries
        consumer.run()
        # What a failed event wrote is taken back, what the others wrote stays.
        assert place.done() == [good, last]
        place.move_retries()
    name = place.settings().consumer_name
    assert _letters(place) == [
        (bad, "bad", 2, "ValueError: bad data", name),
        (broken, "broken", 2, "DivisionByZero: division by zero", name),
    ]


@pytest.mark.parametrize("kind", [Fussy, AsyncFussy])
def test_a_failing_event_can_be_set_aside_at_once(place: Any, kind: type[Consumer]) -> None:
    good, bad = place.insert("good", "bad")
    place.tick()
    kind(place.dsn, place.settings(on_error="dead_letter", lazy_fetch=1)).run()
    assert place.done() == [good]
    assert [letter[0] for letter in _letters(place)] == [bad]


def test_a_handler_can_set_events_aside_with_a_reason(place: Any) -> None:
    place.fill(1, 3)

    class Columned(ColumnConsumer):
        def process_columns(self, db: Any, batch: Any, columns: Columns) -> None:
            columns.dead(columns.ev_id[0], "because")
            columns.retry(columns.ev_id[1], 0)

    told: list[Any] = []
    Columned(place.dsn, place.settings(), report=told.append).run()
    assert [letter[3] for letter in _letters(place)] == ["because"]
    assert place.one("select count(*) from pgq.retry_queue") == 1
    assert told[0].as_dict()["retry-events"] == told[0].as_dict()["dead-events"] == 1


def test_the_original_extension_keeps_no_letters_but_retries(original_place: Any) -> None:
    place = original_place
    (bad,) = place.insert("bad")
    place.tick()
    with pytest.raises(UsageError, match="keeps dead letters"):
        Fussy(place.dsn, place.settings(on_error="dead_letter")).run()
    consumer = Fussy(place.dsn, place.settings(on_error="retry", retry=AT_ONCE))
    for tries in range(4):
        consumer.run()
        # Beyond its attempts it is retried all the same: it has nowhere else to go.
        query = "select ev_id, ev_retry from pgq.retry_queue"
        assert place.conn.execute(query).fetchall() == [(bad, tries + 1)]
        place.move_retries()

    class Undertaker(Consumer):
        def process_event(self, db: Any, event: Event) -> None:
            event.dead("no such place")

    with pytest.raises(LookupError, match="keeps no dead letters"):
        Undertaker(place.dsn, place.settings()).run()
