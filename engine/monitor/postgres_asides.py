"""Reads from a live database what stands aside of its queues. Each call is one or two short statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from ..errors import SkyError
from ..postgres.sql import queries
from .asides import PAYLOAD_CHARACTERS, Capture, DeadLetter, EventRow, NotThereError, WaitingEvent

Connection = psycopg.AsyncConnection[Any]

_PEEK = queries("monitor/peek.sql")
_ASIDES = queries("monitor/asides.sql")
_EVENT = sql.SQL(_PEEK["event"]).format(most=sql.Literal(PAYLOAD_CHARACTERS))


async def batch_events(conn: Connection, batch_id: int, limit: int) -> tuple[EventRow, ...]:
    """The first events of an open batch. Raises psycopg.Error."""
    row = await (await conn.execute(_PEEK["batch_text"], (batch_id,))).fetchone()
    text = sql.SQL(row[0] if row else "")
    return await _events(conn, sql.SQL(_PEEK["batch_events"]).format(event=_EVENT, batch=text, limit=limit))


async def queue_events(conn: Connection, queue: str, limit: int) -> tuple[EventRow, ...]:
    """The newest events of a queue. Raises psycopg.Error, and SkyError where there is no such queue."""
    row = await (await conn.execute(_PEEK["queue_table"], (queue,))).fetchone()
    if row is None:
        raise SkyError(f'There is no queue "{queue}".')
    # PgQ writes the name unquoted; the first dot splits schema and table (spec/pgq.md 4.8).
    schema, _, table = row[0].partition(".")
    return await _events(
        conn,
        sql.SQL(_PEEK["queue_events"]).format(event=_EVENT, table=sql.Identifier(schema, table), limit=limit),
    )


async def dead_letters(conn: Connection, queue: str | None, consumer: str | None, limit: int) -> tuple[DeadLetter, ...]:
    """The oldest dead letters. Raises psycopg.Error, and NotThereError where this PgQ keeps none."""
    if not (await _present(conn))["letters"]:
        raise NotThereError(
            "The PgQ of this database keeps no dead letters.",
            "skyconsole's own PgQ does: an event that a consumer gives up waits there for a person.",
        )
    query = sql.SQL(_ASIDES["letters"]).format(event=_EVENT, queue=queue, consumer=consumer, limit=limit)
    rows = await (await conn.execute(query)).fetchall()
    return tuple(_letter(row) for row in rows)


async def waiting(conn: Connection, queue: str | None, consumer: str | None, limit: int) -> tuple[WaitingEvent, ...]:
    """Events of the retry queue and, unless a consumer is given, delayed ones; due first. Raises psycopg.Error."""
    scope = {"event": _EVENT, "queue": queue, "consumer": consumer, "limit": limit}
    rows = await (await conn.execute(sql.SQL(_ASIDES["retries"]).format(**scope))).fetchall()
    found = [_waiting(row, delayed=False) for row in rows]
    if consumer is None and (await _present(conn))["delayed"]:
        rows = await (await conn.execute(sql.SQL(_ASIDES["delayed"]).format(**scope))).fetchall()
        found += [_waiting(row, delayed=True) for row in rows]
    return tuple(sorted(found, key=lambda one: (one.due, one.event.ev_id))[:limit])


async def captures(conn: Connection) -> tuple[Capture, ...]:
    """Every capture trigger of the database. Raises psycopg.Error."""
    name = "captures" if (await _present(conn))["captures"] else "trigger_captures"
    rows = await (await conn.execute(sql.SQL(_ASIDES[name]).format())).fetchall()
    return tuple(_capture(row) for row in rows)


async def _present(conn: Connection) -> dict[str, bool]:
    cursor = await conn.execute(_ASIDES["present"])
    row: Sequence[bool] = await cursor.fetchone() or ()
    return dict(zip((one.name for one in cursor.description or ()), row, strict=True))


async def _events(conn: Connection, query: sql.Composed) -> tuple[EventRow, ...]:
    async with conn.cursor(row_factory=class_row(EventRow)) as cursor:
        await cursor.execute(query)
        return tuple(await cursor.fetchall())


def _letter(row: Sequence[Any]) -> DeadLetter:
    dl_id, queue, consumer, time, reason, batch_id = row[:6]
    return DeadLetter(dl_id, queue, consumer, time, reason or "", batch_id, EventRow(*row[6:]))


def _capture(row: Sequence[Any]) -> Capture:
    schema, table, trigger, queue, kind, form, state, arguments, events = row
    return Capture(schema, table, trigger, queue or "", kind, form, state, tuple(arguments or ()), events or "")


def _waiting(row: Sequence[Any], *, delayed: bool) -> WaitingEvent:
    queue, consumer, due = row[:3]
    return WaitingEvent(queue, consumer, due, delayed, EventRow(*row[3:]))
