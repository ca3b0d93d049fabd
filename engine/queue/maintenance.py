"""Maintenance: the operations a database asks for, one by one, and what holds a rotation up."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from ..postgres.sql import queries

_SQL = queries("ticker/maintenance.sql")

MOST_REPEATS = 1000
"""How often an operation that asks to be called again is called in one cycle."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of pgq.maint_operations(). Source: spec/pgq.md 7."""

    name: str
    argument: str | None

    @property
    def is_vacuum(self) -> bool:
        return self.name.lower() in ("vacuum", "vacuum analyze")

    def statement(self) -> sql.Composed:
        """The statement that executes it; takes the parameter `argument`."""
        if self.is_vacuum:
            text = _SQL["vacuum" if self.name.lower() == "vacuum" else "vacuum_analyze"]
            return sql.SQL(text).format(table=_identifier(self.argument or ""))
        text = _SQL["call_without_argument" if self.argument is None else "call_with_argument"]
        return sql.SQL(text).format(function=_identifier(self.name))

    def __str__(self) -> str:
        return f"{self.name}({self.argument})" if self.argument is not None else f"{self.name}()"


@dataclass(frozen=True, slots=True)
class HeldRotation:
    """A queue whose rotation is overdue, and what holds it up. Times in seconds."""

    queue: str
    consumer: str | None
    """The slowest consumer; None: the queue has none."""
    lag: float | None
    overdue: float
    behind: bool
    """This consumer is what it waits for; otherwise a lock or a transaction is."""


async def operations(connection: AsyncConnection[TupleRow]) -> tuple[Operation, ...]:
    """What the database wants done now, in order. Raises psycopg.Error."""
    cursor = await connection.execute(_SQL["operations"])
    return tuple(Operation(name, argument) for name, argument in await cursor.fetchall() if name is not None)


async def run(connection: AsyncConnection[TupleRow], operation: Operation) -> int:
    """Execute one operation, again as long as it answers a whole number other than 0; returns the number of calls.

    The connection must be in autocommit mode: each call is a transaction of its own. Raises psycopg.Error.
    """
    statement = operation.statement()
    parameters = None if operation.is_vacuum or operation.argument is None else {"argument": operation.argument}
    calls = 0
    while calls < MOST_REPEATS:
        cursor = await connection.execute(statement, parameters)
        calls += 1
        row = await cursor.fetchone() if cursor.description else None
        if row is None or not isinstance(row[0], int) or row[0] == 0:
            break
    return calls


async def held_rotations(connection: AsyncConnection[TupleRow]) -> tuple[HeldRotation, ...]:
    """The queues whose rotation is overdue. Raises psycopg.Error."""
    cursor = await connection.execute(_SQL["rotation_held"])
    return tuple(HeldRotation(*row) for row in await cursor.fetchall())


async def retry_is_due(connection: AsyncConnection[TupleRow]) -> bool:
    """Whether a retried or delayed event waits whose time has come; reads only. Raises psycopg.Error."""
    cursor = await connection.execute(_SQL["retry_due"])
    due, delays = await cursor.fetchone() or (False, False)
    if not due and delays:
        cursor = await connection.execute(_SQL["delay_due"])
        (due,) = await cursor.fetchone() or (False,)
    return bool(due)


async def retry(connection: AsyncConnection[TupleRow]) -> int:
    """Move some due events back into their queues; returns how many, 0 when all are done. Raises psycopg.Error."""
    cursor = await connection.execute(_SQL["retry"])
    row = await cursor.fetchone()
    if row is None:
        raise psycopg.DatabaseError("pgq.maint_retry_events() gave no row.")
    return int(row[0])


def _identifier(name: str) -> sql.Identifier:
    schema, dot, rest = name.partition(".")
    return sql.Identifier(schema, rest) if dot else sql.Identifier("public", name)
