"""A queue that refuses events keeps nobody else's retry events and delayed events waiting."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

MOVE = "select pgq.maint_retry_events()"


def _retries(queue: Any, name: str, count: int) -> None:
    """Events in the retry queue, due for hours; those of the first queue are due first."""
    queue.conn.execute("select pgq.create_queue(%s)", [name])
    queue.conn.execute("select pgq.register_consumer(%s, 'c')", [name])
    queue.conn.execute(
        "select pgq.event_retry_raw(%s, 'c', now() - interval '3 hours', null, now(), 1, 't', 'd',"
        " null, null, null, null) from generate_series(1, %s)",
        [name, count],
    )


@pytest.mark.parametrize("refusal", ["queue_disable_insert = true", "queue_per_tx_limit = 0"])
def test_a_queue_that_takes_no_events_keeps_nobody_else_waiting(queue: Any, refusal: str) -> None:
    _retries(queue, "bad", 12)
    queue.conn.execute(f"update pgq.queue set {refusal} where queue_name = 'bad'".encode())
    _retries(queue, "good", 3)
    queue.conn.execute("select pgq.insert_event_at('good', now(), 't', 'delayed')")
    assert queue.conn.execute(MOVE).fetchone() == (4,)
    with pytest.raises(psycopg.errors.InternalError, match=r"Insert into queue disallowed|max 0 events"):
        queue.conn.execute(MOVE)
    queue.conn.execute("update pgq.queue set queue_disable_insert = false, queue_per_tx_limit = null")
    assert [queue.conn.execute(MOVE).fetchone() for _ in range(3)] == [(10,), (2,), (0,)]


def test_a_limited_queue_gets_its_retry_events_in_portions(queue: Any) -> None:
    _retries(queue, "few", 9)
    queue.conn.execute("update pgq.queue set queue_per_tx_limit = 4 where queue_name = 'few'")
    _retries(queue, "good", 1)
    assert [queue.conn.execute(MOVE).fetchone() for _ in range(4)] == [(5,), (4,), (1,), (0,)]
    assert queue.conn.execute("select count(*) from pgq.retry_queue").fetchone() == (0,)
