"""A connection of an actor of the torture: comes back after every kill, under a name of its own each time."""

from __future__ import annotations

import asyncio
import time
from itertools import count

import psycopg
from psycopg.rows import TupleRow

PREFIX = "torture "
"""What the application name of every session that may be killed begins with."""

REACH_SECONDS = 60.0
_KILLED = {"57P01", "57P02", "57P03", None}
_UNDONE = {"40001", "40P01"}


class ServerStaysAway(Exception):
    """The server did not come back in time."""


def undone(error: psycopg.Error) -> bool:
    """Whether the server rolled the transaction back for a reason that any transaction must expect."""
    return error.sqlstate in _UNDONE


class Session:
    """One connection at a time; `connection` after `reopen` is a fresh one in autocommit mode."""

    def __init__(self, dsn: str, name: str) -> None:
        self._dsn = dsn
        self._name = name
        self._serial = count(1)
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self.application_name = ""

    @property
    def connection(self) -> psycopg.AsyncConnection[TupleRow]:
        """The open connection; `reopen` comes first."""
        if self._connection is None:
            raise RuntimeError(f"session {self._name} was never opened")
        return self._connection

    async def reopen(self) -> psycopg.AsyncConnection[TupleRow]:
        """Close what there is and connect again, as long as it takes a server to recover; raises ServerStaysAway."""
        await self.close()
        deadline = time.monotonic() + REACH_SECONDS
        while True:
            name = f"{PREFIX}{self._name} {next(self._serial)}"
            try:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True, application_name=name, connect_timeout=5
                )
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise ServerStaysAway(f"{self._name}: {error}") from error
                await asyncio.sleep(0.05)
            else:
                self.application_name = name
                return self._connection

    async def reopen_after_loss(self) -> psycopg.AsyncConnection[TupleRow]:
        """Connect again and wait until the lost backend is gone, so that what it did is decided."""
        before = self.application_name
        while True:
            connection = await self.reopen()
            try:
                while await self._runs(before):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            except psycopg.Error as error:
                if not self.lost(error):
                    raise
            else:
                return connection

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def lost(self, error: psycopg.Error) -> bool:
        """Whether this error means that the connection is gone rather than that a statement failed."""
        return self.connection.closed or error.sqlstate in _KILLED

    async def _runs(self, application_name: str) -> bool:
        cursor = await self.connection.execute(
            "select from pg_catalog.pg_stat_activity where application_name = %s", (application_name,)
        )
        return cursor.rowcount > 0


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not longer than until `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
