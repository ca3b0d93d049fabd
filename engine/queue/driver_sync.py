"""Programs run by blocking: connections of psycopg, the handler in this thread."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from typing import Any, TypeVar, assert_never

import psycopg
from psycopg.generators import fetch_many, send
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from ..postgres.connect import connect_sync
from .events import SyncEvents
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

Connection = psycopg.Connection[Any]
T = TypeVar("T")


class SyncDriver:
    """Does what programs ask for, one request after the other."""

    def __init__(self, dsns: Mapping[Place, str], application_name: str, stop: Stop) -> None:
        self._dsns = dsns
        self._application_name = application_name
        self._stop = stop
        self._connections: dict[Place, Connection] = {}

    def run(self, program: Program[T]) -> T:
        """The program's result; what it raises is raised."""
        try:
            request = next(program)
            while True:
                try:
                    answer = self._answer(request)
                except BaseException as error:
                    # Also an interruption: the program has to roll back and to hand its batch back.
                    request = program.throw(error)
                else:
                    request = program.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def connection(self, place: Place) -> Connection:
        """The open connection of this place. Raises UnreachableError."""
        if (found := self._connections.get(place)) is None:
            found = connect_sync(self._dsns[place], application_name=self._application_name)
            self._connections[place] = found
        return found

    def cancel(self) -> None:
        """Cancel the statements that run; from another thread."""
        for connection in list(self._connections.values()):
            connection.cancel_safe(timeout=1.0)

    def close(self) -> None:
        """Close everything."""
        self._close(tuple(Place))

    def _answer(self, request: Request) -> Any:
        match request:
            case Execute(place, query, parameters):
                # Whatever row factory a handler has set.
                cursor = self.connection(place).cursor(row_factory=tuple_row).execute(query, parameters)
                return cursor.fetchall() if cursor.description else []
            case Send(place, statements):
                connection = self.connection(place)
                connection.pgconn.send_query(statements.as_bytes(connection))
                return connection.wait(send(connection.pgconn))
            case Receive(place):
                connection = self.connection(place)
                return received(connection, connection.wait(fetch_many(connection.pgconn)))
            case Begin(place):
                # Open from here on: a handler's `with db.transaction()` is then a savepoint, and commits nothing.
                return self.connection(place).execute("begin")
            case IsOpen(place):
                return self.connection(place).info.transaction_status != TransactionStatus.IDLE
            case Commit(place):
                connection = self.connection(place)
                was_open = connection.info.transaction_status != TransactionStatus.IDLE
                connection.commit()
                return was_open
            case Rollback(place):
                return self._rollback(place)
            case Close(places):
                return self._close(places)
            case IsBroken(place):
                found = self._connections.get(place)
                return found is not None and found.closed
            case Handle(handler, places, feed):
                databases = [self.connection(place) for place in places]
                return handler(*databases, feed.batch, SyncEvents(self.run, feed))
            case Wait(seconds, listening):
                return self._wait(seconds, listening)
            case _:
                assert_never(request)

    def _rollback(self, place: Place) -> None:
        found = self._connections.get(place)
        if found is not None and not found.closed:
            found.rollback()

    def _close(self, places: tuple[Place, ...]) -> None:
        for place in places:
            if (found := self._connections.pop(place, None)) is not None:
                found.close()

    def _wait(self, seconds: float, listening: Place | None) -> bool:
        end = time.monotonic() + seconds
        while True:
            if listening is not None:
                connection = self.connection(listening)
                if any(True for _ in connection.notifies(timeout=0)):
                    return True
            left = end - time.monotonic()
            if self._stop.requested or left <= 0:
                return False
            # Not select.select, which refuses the descriptors of a process with more than a thousand.
            poll = select.poll()
            poll.register(self._stop.fileno(), select.POLLIN)
            if listening is not None:
                poll.register(connection.fileno(), select.POLLIN)
            poll.poll(left * 1000)
