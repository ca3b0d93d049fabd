"""Many events of a batch retried or set aside in one call, as if one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

BATCH = 3_000


@pytest.fixture
def queue(pgq_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A queue `q` with an open batch of the consumer `c`, and a twin `p` with the same events."""
    with psycopg.connect(pgq_database, autocommit=True) as connection:
        for name in ("q", "p"):
            connection.execute("select pgq.create_queue(%s)", (name,))
            connection.execute("select pgq.register_consumer(%s, 'c')", (name,))
            connection.execute(
                "select count(pgq.insert_event(%s, 't' || i, 'd' || i, 'a', null, 'c', 'd')) "
                "from generate_series(1, 20) i",
                (name,),
            )
            connection.execute("select pgq.force_tick(%s)", (name,))
            connection.execute("select pgq.ticker(%s)", (name,))
        yield connection


def _open(connection: psycopg.Connection[Any], name: str) -> int:
    row = connection.execute("select pgq.next_batch(%s, 'c')", (name,)).fetchone()
    assert row is not None
    return int(row[0])


def _retry_queue(connection: psycopg.Connection[Any], name: str) -> list[Any]:
    return connection.execute(
        "select ev_id, extract(epoch from ev_retry_after - current_timestamp)::integer / 100, ev_retry, ev_type,"
        " ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4 from pgq.retry_queue"
        " join pgq.queue on queue_id = ev_queue where queue_name = %s order by ev_id",
        (name,),
    ).fetchall()


def _letters(connection: psycopg.Connection[Any], name: str) -> list[Any]:
    return connection.execute(
        "select consumer_name, dl_reason, ev_id, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4"
        " from pgq.get_dead_letters(%s, null) order by ev_id",
        (name,),
    ).fetchall()


def test_events_at_once_become_what_they_become_one_by_one(queue: psycopg.Connection[Any]) -> None:
    for _ in range(2):
        many, single = _open(queue, "q"), _open(queue, "p")
        ids = [2, 3, 5, 7, 11]
        seconds = [0, 0, 500, 1000, 10_000]
        done = queue.execute("select pgq.events_retry(%s, %s, %s::integer[])", (many, ids, seconds)).fetchone()
        assert done == (5,)
        again = queue.execute("select pgq.events_retry(%s, %s, %s::integer[])", (many, ids, seconds)).fetchone()
        assert again == (0,)
        dead = [4, 6, 8]
        reasons = ["a", "", "→"]
        assert queue.execute("select pgq.events_dead(%s, %s, %s)", (many, dead, reasons)).fetchone() == (3,)
        assert queue.execute("select pgq.events_dead(%s, %s, %s)", (many, dead, reasons)).fetchone() == (0,)
        for event, wait in zip(ids, seconds, strict=True):
            queue.execute("select pgq.event_retry(%s, %s, %s)", (single, event, wait))
        for event, reason in zip(dead, reasons, strict=True):
            queue.execute("select pgq.event_dead(%s, %s, %s)", (single, event, reason))
        assert len(_retry_queue(queue, "q")) == 5
        assert _retry_queue(queue, "q") == _retry_queue(queue, "p")
        assert len(_letters(queue, "q")) == 3
        assert _letters(queue, "q") == _letters(queue, "p")
        # The second time all of them come as retries.
        for name, batch in (("q", many), ("p", single)):
            queue.execute("select pgq.finish_batch(%s)", (batch,))
            queue.execute("update pgq.retry_queue set ev_retry_after = current_timestamp")
            queue.execute(
                "select pgq.event_retry_raw(%s, 'c', now(), 4, now(), 0, 't4', 'd4', 'a', null, 'c', 'd')", (name,)
            )
            queue.execute(
                "select pgq.event_retry_raw(%s, 'c', now(), 6, now(), 0, 't6', 'd6', 'a', null, 'c', 'd')", (name,)
            )
            queue.execute(
                "select pgq.event_retry_raw(%s, 'c', now(), 8, now(), 0, 't8', 'd8', 'a', null, 'c', 'd')", (name,)
            )
        while queue.execute("select pgq.maint_retry_events()").fetchone() != (0,):
            pass
        for name in ("q", "p"):
            queue.execute("select pgq.purge_dead_letters(%s, null)", (name,))
            queue.execute("select pgq.force_tick(%s)", (name,))
            queue.execute("select pgq.ticker(%s)", (name,))


@pytest.mark.parametrize(
    "call", ["events_retry(%s, '{1,99}', '{1,1}')", "events_dead(%s, '{1,99}', '{x,x}')"], ids=["retry", "dead"]
)
def test_an_event_that_is_not_in_the_batch_is_an_error_and_nothing_is_done(
    queue: psycopg.Connection[Any], call: str
) -> None:
    batch = _open(queue, "q")
    for wrong in (batch, batch + 1000):
        with pytest.raises(psycopg.errors.RaiseException, match="event not found"):
            queue.execute(f"select pgq.{call}".encode(), (wrong,))
    assert _retry_queue(queue, "q") == _letters(queue, "q") == []


def test_the_batch_is_read_once(queue: psycopg.Connection[Any]) -> None:
    queue.execute("select count(pgq.insert_event('q', 't', 'd')) from generate_series(1, %s)", (BATCH,))
    queue.execute("select pgq.force_tick('q')")
    queue.execute("select pgq.ticker('q')")
    queue.execute("select pgq.finish_batch(%s)", (_open(queue, "q"),))
    batch = _open(queue, "q")
    ids = [row[0] for row in queue.execute("select ev_id from pgq.get_batch_events(%s)", (batch,))]
    assert len(ids) == BATCH
    # One by one this takes more than ten times as long.
    queue.execute("set statement_timeout = '5s'")
    queue.execute("select pgq.events_retry(%s, %s, %s::integer[])", (batch, ids, [1] * BATCH))
    queue.execute("select pgq.events_dead(%s, %s, %s)", (batch, ids, ["x"] * BATCH))
    assert queue.execute("select letters from pgq.get_dead_letter_counts()").fetchall() == [(BATCH,)]
    assert len(_retry_queue(queue, "q")) == BATCH
