"""Producers: events into a queue, one or many, blocking or on asyncio. Source: spec/pgq.md 4.2.

A producer works on the caller's connection, in the caller's transaction, or on one of its own::

    with Producer("dbname=shop", "orders") as orders:
        orders.insert("created", "order=1")
        orders.insert_many(("created", f"order={n}") for n in range(1_000_000))

Errors of the server come through as psycopg's own (`psycopg.errors.InternalError` for PgQ's messages).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Any, Self

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor, sql
from psycopg.rows import TupleRow, tuple_row

from ..errors import SkyError, UsageError
from ..postgres.connect import connect, connect_sync
from ..postgres.sql import queries

__all__ = ["AsyncProducer", "MissingAdditionError", "Producer", "Row"]

Row = Sequence[str | None]
"""Type, data, and up to four extra fields of an event."""

_SQL = queries("queue/producer.sql")
_FIELDS = 6
_CHUNK_EVENTS = 5_000
_CHUNK_CHARACTERS = 4_000_000
_APPLICATION = "skyconsole producer"

SILENCE = 0.1
"""Seconds without an event of this producer after which a ticker may be idle, and is woken."""


class MissingAdditionError(SkyError):
    """The server's pgq is the original one, which lacks what was asked for."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"This server's pgq has no {what}.", "skyconsole's own PgQ does: `skyconsole install pgq --dsn DSN`."
        )


@dataclass(frozen=True, slots=True)
class _Capabilities:
    """Which of our additions the server has."""

    insert_events: bool
    insert_event_at: bool
    insert_event_once: bool

    def need(self, name: str) -> str:
        """The statement that calls an addition. Raises MissingAdditionError."""
        if not getattr(self, name):
            raise MissingAdditionError(f"function {name}")
        return _SQL[name]


@dataclass(frozen=True, slots=True)
class _CopyTarget:
    """An event table that may be copied into, and the time its events get."""

    table: str
    now: datetime

    def statement(self) -> sql.Composed:
        schema, _, name = self.table.partition(".")
        return sql.SQL(_SQL["copy"]).format(table=sql.Identifier(schema, name))


class _Silence:
    """How long a producer has been silent. In the caller's transactions it never wakes: they may be prepared, and a
    transaction that has notified cannot be."""

    def __init__(self, *, own: bool) -> None:
        self._last = float("-inf") if own else float("inf")

    def broken(self) -> bool:
        """Whether this event comes after a silence."""
        now = monotonic()
        was, self._last = self._last, max(now, self._last)
        return now - was > SILENCE


def _event(fields: Row) -> list[str | None]:
    """The six fields of an event. Raises UsageError."""
    if not 2 <= len(fields) <= _FIELDS:
        raise UsageError(f"An event has a type, data and up to four extra fields, not {len(fields)} fields.")
    return [*fields, *[None] * (_FIELDS - len(fields))]


def _array(fields: tuple[str | None, ...]) -> str | None:
    """PostgreSQL's text form of an array: several times faster than the driver's way, element by element."""
    if not any(field is not None for field in fields):
        return None
    joined = "\0".join("" if field is None else field for field in fields)
    if joined.count("\0") != len(fields) - 1:
        raise UsageError("A text in PostgreSQL cannot hold the character NUL.")
    escaped = joined.replace("\\", "\\\\").replace('"', '\\"')
    if None not in fields:
        return '{"' + escaped.replace("\0", '","') + '"}'
    texts = escaped.split("\0")
    return "{" + ",".join("NULL" if f is None else f'"{t}"' for f, t in zip(fields, texts, strict=True)) + "}"


class _Chunk:
    """Events that are sent together; so many that a call is cheap, so few that memory stays small."""

    def __init__(self) -> None:
        self.events: list[list[str | None]] = []
        self._characters = 0

    def add(self, row: Row) -> bool:
        """Whether it is full now."""
        event = _event(row)
        self.events.append(event)
        self._characters += sum(len(field) for field in event if field)
        return len(self.events) >= _CHUNK_EVENTS or self._characters >= _CHUNK_CHARACTERS

    def arrays(self) -> list[str | None]:
        """The text form of an array for each field; None for one that is NULL in all events."""
        return [_array(column) for column in zip(*self.events, strict=True)]


def _chunks(rows: Iterable[Row]) -> Iterator[_Chunk]:
    chunk = _Chunk()
    for row in rows:
        if chunk.add(row):
            yield chunk
            chunk = _Chunk()
    if chunk.events:
        yield chunk


async def _async_chunks(rows: Iterable[Row] | AsyncIterable[Row]) -> AsyncIterator[_Chunk]:
    if not isinstance(rows, AsyncIterable):
        for full in _chunks(rows):
            yield full
        return
    chunk = _Chunk()
    async for row in rows:
        if chunk.add(row):
            yield chunk
            chunk = _Chunk()
    if chunk.events:
        yield chunk


class Producer:
    """Puts events into one queue, blocking.

    Give a DSN for a connection of its own, opened when it is needed and again when it was lost: every call is then a
    transaction. Or give an open connection: what is inserted belongs to the caller's transaction, which stays his to
    commit, and in autocommit mode each call is one.
    """

    def __init__(self, where: str | Connection[Any], queue_name: str) -> None:
        self.queue_name = queue_name
        self._dsn = where if isinstance(where, str) else None
        self._connection = None if isinstance(where, str) else where
        self._capabilities: _Capabilities | None = None
        self._silence = _Silence(own=isinstance(where, str))

    def insert(self, ev_type: str | None, ev_data: str | None, *extra: str | None) -> int:
        """Insert one event; returns its id. Raises UsageError for more than four extra fields."""
        statement = _SQL["insert_event_waking" if self._silence.broken() else "insert_event"]
        return self._value(statement, [self.queue_name, *_event((ev_type, ev_data, *extra))])

    def insert_at(self, ev_at: datetime, ev_type: str | None, ev_data: str | None, *extra: str | None) -> int:
        """Insert an event that appears at a time, not before; returns the delay's id. Raises MissingAdditionError."""
        statement = self._known().need("insert_event_at")
        return self._value(statement, [self.queue_name, ev_at, *_event((ev_type, ev_data, *extra))])

    def insert_once(self, key: str, ev_type: str | None, ev_data: str | None, *extra: str | None) -> int:
        """Insert an event unless there was one with this key within the queue's key period; returns the id of the one
        or the other. Raises MissingAdditionError."""
        statement = self._known().need("insert_event_once")
        return self._value(statement, [self.queue_name, key, *_event((ev_type, ev_data, *extra))])

    def insert_many(self, rows: Iterable[Row]) -> int:
        """Insert all events of an iterable, or none if it or the server fails; returns how many.

        They are sent in chunks, so that an iterable of any length takes little memory. On the original extension they
        are copied into the current table where that is allowed and right, and inserted one by one where it is not.
        """
        known, connection = self._known(), self._open()
        count = 0
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            target = None if known.insert_events else self._copy_target(cursor)
            if target is not None:
                with cursor.copy(target.statement()) as copy:
                    for row in rows:
                        copy.write_row((target.now, *_event(row)))
                        count += 1
            for chunk in () if target is not None else _chunks(rows):
                if known.insert_events:
                    cursor.execute(_SQL["insert_events"].encode(), [self.queue_name, *chunk.arrays()])
                else:
                    events = [[self.queue_name, *event] for event in chunk.events]
                    cursor.executemany(_SQL["insert_event"].encode(), events)
                count += len(chunk.events)
            if self._silence.broken():
                cursor.execute(_SQL["wake"].encode())
        return count

    def close(self) -> None:
        """Close a connection of its own; one of the caller's stays open."""
        if self._dsn is not None and self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> Connection[Any]:
        if self._connection is None or (self._dsn is not None and self._connection.closed):
            self._connection = connect_sync(self._dsn or "", application_name=_APPLICATION)
            self._capabilities = None
        return self._connection

    def _value(self, statement: str, parameters: Sequence[object]) -> int:
        with self._open().cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(statement.encode(), parameters).fetchone()
        assert row is not None, statement
        return int(row[0])

    def _known(self) -> _Capabilities:
        connection = self._open()
        if self._capabilities is None:
            with connection.cursor(row_factory=tuple_row) as cursor:
                row = cursor.execute(_SQL["capabilities"].encode()).fetchone()
            assert row is not None
            self._capabilities = _Capabilities(*row)
        return self._capabilities

    def _copy_target(self, cursor: Cursor[TupleRow]) -> _CopyTarget | None:
        cursor.execute(_SQL["transaction_id"].encode())
        row = cursor.execute(_SQL["copy_target"].encode(), [self.queue_name]).fetchone()
        return None if row is None else _CopyTarget(*row)


class AsyncProducer:
    """Puts events into one queue, on asyncio. As Producer, with `await` and `async with`."""

    def __init__(self, where: str | AsyncConnection[Any], queue_name: str) -> None:
        self.queue_name = queue_name
        self._dsn = where if isinstance(where, str) else None
        self._connection = None if isinstance(where, str) else where
        self._capabilities: _Capabilities | None = None
        self._silence = _Silence(own=isinstance(where, str))

    async def insert(self, ev_type: str | None, ev_data: str | None, *extra: str | None) -> int:
        """As Producer.insert."""
        statement = _SQL["insert_event_waking" if self._silence.broken() else "insert_event"]
        return await self._value(statement, [self.queue_name, *_event((ev_type, ev_data, *extra))])

    async def insert_at(self, ev_at: datetime, ev_type: str | None, ev_data: str | None, *extra: str | None) -> int:
        """As Producer.insert_at."""
        statement = (await self._known()).need("insert_event_at")
        return await self._value(statement, [self.queue_name, ev_at, *_event((ev_type, ev_data, *extra))])

    async def insert_once(self, key: str, ev_type: str | None, ev_data: str | None, *extra: str | None) -> int:
        """As Producer.insert_once."""
        statement = (await self._known()).need("insert_event_once")
        return await self._value(statement, [self.queue_name, key, *_event((ev_type, ev_data, *extra))])

    async def insert_many(self, rows: Iterable[Row] | AsyncIterable[Row]) -> int:
        """As Producer.insert_many; the rows may come from an asynchronous iterator."""
        known, connection = await self._known(), await self._open()
        count = 0
        async with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            target = None if known.insert_events else await self._copy_target(cursor)
            if target is not None:
                async with cursor.copy(target.statement()) as copy:
                    async for chunk in _async_chunks(rows):
                        for event in chunk.events:
                            await copy.write_row((target.now, *event))
                        count += len(chunk.events)
            async for chunk in _async_chunks(() if target is not None else rows):
                if known.insert_events:
                    await cursor.execute(_SQL["insert_events"].encode(), [self.queue_name, *chunk.arrays()])
                else:
                    events = [[self.queue_name, *event] for event in chunk.events]
                    await cursor.executemany(_SQL["insert_event"].encode(), events)
                count += len(chunk.events)
            if self._silence.broken():
                await cursor.execute(_SQL["wake"].encode())
        return count

    async def close(self) -> None:
        """Close a connection of its own; one of the caller's stays open."""
        if self._dsn is not None and self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _open(self) -> AsyncConnection[Any]:
        if self._connection is None or (self._dsn is not None and self._connection.closed):
            self._connection = await connect(self._dsn or "", application_name=_APPLICATION)
            self._capabilities = None
        return self._connection

    async def _value(self, statement: str, parameters: Sequence[object]) -> int:
        async with (await self._open()).cursor(row_factory=tuple_row) as cursor:
            row = await (await cursor.execute(statement.encode(), parameters)).fetchone()
        assert row is not None, statement
        return int(row[0])

    async def _known(self) -> _Capabilities:
        connection = await self._open()
        if self._capabilities is None:
            async with connection.cursor(row_factory=tuple_row) as cursor:
                row = await (await cursor.execute(_SQL["capabilities"].encode())).fetchone()
            assert row is not None
            self._capabilities = _Capabilities(*row)
        return self._capabilities

    async def _copy_target(self, cursor: AsyncCursor[TupleRow]) -> _CopyTarget | None:
        await cursor.execute(_SQL["transaction_id"].encode())
        row = await (await cursor.execute(_SQL["copy_target"].encode(), [self.queue_name])).fetchone()
        return None if row is None else _CopyTarget(*row)
