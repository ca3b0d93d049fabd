"""Programs run on asyncio: connections of psycopg's AsyncConnection, the handler awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar, assert_never

import psycopg
from psycopg.generators import fetch_many, send
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from ..postgres.connect import connect
from .events import AsyncEvents
from .requests import (
    Begin,
    Close,
    Commit,
    Execute,
    Handle,
    IsBroken,
    IsOpen,
    Place,
    Program,
    Receive,
    Request,
    Rollback,
    Send,
    Wait,
)
from .rows import received
from .stopping import Stop

Connection = psycopg.AsyncConnection[Any]
T = TypeVar("T")


class AsyncDriver:
    """Does what programs ask for, in one task. Raises what the programs raise."""

    def __init__(self, dsns: Mapping[Place, str], application_name: str, stop: Stop) -> None:
        self._dsns = dsns
        self._application_name = application_name
        self._stop = stop
        self._connections: dict[Place, Connection] = {}

    async def run(self, program: Program[T]) -> T:
        """The program's result."""
        try:
            request = next(program)
            while True:
                try:
                    answer = await self._answer(request)
                except BaseException as error:
                    # Also a cancellation: the program has to roll back and to hand its batch back.
                    request = program.throw(error)
                else:
                    request = program.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def connection(self, place: Place) -> Connection:
        """The open connection of this place. Raises UnreachableError."""
        if (found := self._connections.get(place)) is None:
            found = await connect(self._dsns[place], application_name=self._application_name)
            self._connections[place] = found
        return found

    async def close(self) -> None:
        """Close everything."""
        await self._close(tuple(Place))

    async def _answer(self, request: Request) -> Any:
        match request:
            case Execute(place, query, parameters):
                # Whatever row factory a handler has set.
                cursor = (await self.connection(place)).cursor(row_factory=tuple_row)
                await cursor.execute(query, parameters)
                return await cursor.fetchall() if cursor.description else []
            case Send(place, statements):
                connection = await self.connection(place)
                connection.pgconn.send_query(statements.as_bytes(connection))
                return await connection.wait(send(connection.pgconn))
            case Receive(place):
                connection = await self.connection(place)
                return received(connection, await connection.wait(fetch_many(connection.pgconn)))
            case Begin(place):
                # Open from here on: a handler's `async with db.transaction()` is then a savepoint, and commits nothing.
                return await (await self.connection(place)).execute("begin")
            case IsOpen(place):
                return (await self.connection(place)).info.transaction_status != TransactionStatus.IDLE
            case Commit(place):
                connection = await self.connection(place)
                was_open = connection.info.transaction_status != TransactionStatus.IDLE
                await connection.commit()
                return was_open
            case Rollback(place):
                return await self._rollback(place)
            case Close(places):
                return await self._close(places)
            case IsBroken(place):
                found = self._connections.get(place)
                return found is not None and found.closed
            case Handle(handler, places, feed):
                databases = [await self.connection(place) for place in places]
                return await handler(*databases, feed.batch, AsyncEvents(self.run, feed))
            case Wait(seconds, listening):
                return await self._wait(seconds, listening)
            case _:
                assert_never(request)

    async def _rollback(self, place: Place) -> None:
        found = self._connections.get(place)
        if found is not None and not found.closed:
            await found.rollback()

    async def _close(self, places: tuple[Place, ...]) -> None:
        for place in places:
            if (found := self._connections.pop(place, None)) is not None:
                await found.close()

    async def _wait(self, seconds: float, listening: Place | None) -> bool:
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        watched = [self._stop.fileno()]
        if listening is not None:
            connection = await self.connection(listening)
            if [one async for one in connection.notifies(timeout=0)]:
                return True
            watched.append(connection.fileno())
        for descriptor in watched:
            loop.add_reader(descriptor, woken.set)
        try:
            async with asyncio.timeout(seconds):
                if not self._stop.requested:
                    await woken.wait()
        except TimeoutError:
            return False
        finally:
            for descriptor in watched:
                loop.remove_reader(descriptor)
        return listening is not None and bool([one async for one in connection.notifies(timeout=0)])
