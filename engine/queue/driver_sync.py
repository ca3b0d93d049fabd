"""Programs run by blocking: connections of psycopg, the handler in this thread, what reads ahead in another."""

from __future__ import annotations

import queue
import select
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, TypeVar, assert_never

import psycopg
from psycopg.pq import TransactionStatus

from ..postgres.connect import connect_sync
from .events import SyncEvents
from .requests import (
    Begin,
    Close,
    Commit,
    Execute,
    Fetch,
    Fetched,
    Handle,
    IsBroken,
    Join,
    Place,
    Program,
    Request,
    Rollback,
    Rows,
    Spawn,
    Wait,
)
from .rows import read_raw_times
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
        self._worker: _Worker | None = None

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
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _answer(self, request: Request) -> Any:
        match request:
            case Execute(place, query, parameters):
                cursor = self.connection(place).execute(query, parameters)
                return cursor.fetchall() if cursor.description else []
            case Fetch(place, query):
                return self._fetch(place, query)
            case Begin(place):
                # Open from here on: a handler's `with db.transaction()` is then a savepoint, and commits nothing.
                return self.connection(place).execute("begin")
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
            case Spawn(program):
                self._worker = self._worker or _Worker()
                return self._worker.submit(self, program)
            case Join(task):
                return task.result()
            case Handle(handler, places, feed):
                databases = [self.connection(place) for place in places]
                return handler(*databases, feed.batch, SyncEvents(self.run, feed))
            case Wait(seconds, listening):
                return self._wait(seconds, listening)
            case _:
                assert_never(request)

    def _fetch(self, place: Place, query: Any) -> Fetched:
        cursor = self.connection(place).cursor(binary=True)
        read_raw_times(cursor)
        cursor.execute(query, prepare=False)

        def rows() -> Rows:
            found = cursor.fetchall()
            cursor.close()
            return found

        return Fetched(cursor.rowcount, rows)

    def _rollback(self, place: Place) -> None:
        found = self._connections.get(place)
        if found is not None and not found.closed:
            found.rollback()

    def _close(self, places: tuple[Place, ...]) -> None:
        if self._worker is not None and Place.AHEAD in places:
            # Nobody waits for what is read ahead any more, and a connection is not closed while it is in use.
            ahead = self._connections.get(Place.AHEAD)
            self._worker.drain(lambda: ahead.cancel_safe(timeout=1.0) if ahead is not None else None)
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
            watched: list[Any] = [self._stop] if listening is None else [self._stop, connection]
            select.select(watched, [], [], left)


class _Worker:
    """The thread in which spawned programs run, one after the other; it never keeps the process alive."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Any], SyncDriver, Program[Any]] | None] = queue.SimpleQueue()
        self._last: Future[Any] | None = None
        threading.Thread(target=self._work, name="skyconsole read-ahead", daemon=True).start()

    def submit(self, driver: SyncDriver, program: Program[Any]) -> Future[Any]:
        self._last = Future()
        self._waiting.put((self._last, driver, program))
        return self._last

    def drain(self, cancel: Any) -> None:
        """Wait until nothing runs; what runs is cancelled."""
        if self._last is not None and not self._last.done():
            cancel()
            self._last.exception()

    def end(self) -> None:
        self._waiting.put(None)

    def _work(self) -> None:
        while (piece := self._waiting.get()) is not None:
            future, driver, program = piece
            try:
                future.set_result(driver.run(program))
            except BaseException as error:
                future.set_exception(error)
            # A result may be a great many events: it belongs to whoever joins, not to this frame.
            del piece, future, driver, program
