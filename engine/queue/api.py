"""PgQ's functions as typed calls on an open connection; each is one statement. Source: spec/pgq.md 4.

Errors of the server come through as psycopg's own (`psycopg.errors.RaiseException` for PgQ's messages).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import class_row

from ..postgres.sql import queries
from .model import Batch, BatchLimits, Event

Connection = psycopg.AsyncConnection[Any]

NO_LIMITS = BatchLimits()


def _sql(name: str) -> bytes:
    """The statement's text; bytes, as psycopg's types ask for a text that is not written in place."""
    return queries("queue/api.sql")[name].encode()


async def _value(conn: Connection, name: str, arguments: Sequence[object]) -> Any:
    """The first column of the one row that a PgQ function returns."""
    cursor = await conn.execute(_sql(name), arguments)
    row = await cursor.fetchone()
    assert row is not None, name
    return row[0]


async def create_queue(conn: Connection, queue: str) -> bool:
    """True: created; False: it was there."""
    return bool(await _value(conn, "create_queue", (queue,)))


async def drop_queue(conn: Connection, queue: str, *, force: bool = False) -> None:
    """Drop a queue and its events; `force` unregisters its consumers first."""
    await _value(conn, "drop_queue", (queue, force))


async def set_queue_config(conn: Connection, queue: str, parameter: str, value: str) -> None:
    """Set `ticker_max_count`, `ticker_max_lag`, … (without the prefix `queue_`)."""
    await _value(conn, "set_queue_config", (queue, parameter, value))


async def queue_id(conn: Connection, queue: str) -> int | None:
    """The queue's number, as in its channel `pgq_tick_<queue_id>`; None: no such queue."""
    row = await (await conn.execute(_sql("queue_id"), (queue,))).fetchone()
    return None if row is None else int(row[0])


async def insert_event(
    conn: Connection, queue: str, ev_type: str | None, ev_data: str | None, *extra: str | None
) -> int:
    """Insert one event with up to four extra texts; returns its id."""
    padded = (*extra, None, None, None, None)[:4]
    return int(await _value(conn, "insert_event", (queue, ev_type, ev_data, *padded)))


async def register_consumer(conn: Connection, queue: str, consumer: str, *, tick_id: int | None = None) -> bool:
    """True: newly registered; False: it was there (and was moved, when `tick_id` is given)."""
    if tick_id is None:
        return bool(await _value(conn, "register_consumer", (queue, consumer)))
    return bool(await _value(conn, "register_consumer_at", (queue, consumer, tick_id)))


async def unregister_consumer(conn: Connection, queue: str, consumer: str) -> int:
    """How many subscriptions were removed."""
    return int(await _value(conn, "unregister_consumer", (queue, consumer)))


async def next_batch(conn: Connection, queue: str, consumer: str, limits: BatchLimits = NO_LIMITS) -> Batch | None:
    """Open the next batch, or return the one that is open; None: nothing to do yet."""
    arguments = (queue, consumer, limits.min_lag, limits.min_count, limits.min_interval)
    row = await (await conn.execute(_sql("next_batch"), arguments)).fetchone()
    return None if row is None or row[0] is None else Batch(*row)


async def batch_events(conn: Connection, batch_id: int) -> list[Event]:
    """All events of an open batch, by id."""
    async with conn.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(_sql("batch_events"), (batch_id,))
        return await cursor.fetchall()


async def event_retry(conn: Connection, batch_id: int, event_id: int, seconds: int) -> bool:
    """Hand an event back for a later batch of this consumer; False: it is in the retry queue already."""
    return bool(await _value(conn, "event_retry", (batch_id, event_id, seconds)))


async def finish_batch(conn: Connection, batch_id: int) -> bool:
    """True: finished; False: this batch is not open any more."""
    return bool(await _value(conn, "finish_batch", (batch_id,)))


async def ticker(conn: Connection, queue: str) -> int | None:
    """Make a tick if one is due; its id or None."""
    tick_id = await _value(conn, "ticker", (queue,))
    return None if tick_id is None else int(tick_id)


async def force_tick(conn: Connection, queue: str) -> int | None:
    """Make the next call of the ticker tick; returns the newest tick's id as it is now."""
    tick_id = await _value(conn, "force_tick", (queue,))
    return None if tick_id is None else int(tick_id)
