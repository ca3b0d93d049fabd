"""What is done beside the ticks on a connection of its own: maintenance cycles and the retry queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ...engine.clock import Clock
from ...engine.errors import UnreachableError
from ...engine.queue import maintenance
from ...engine.queue.maintenance import HeldRotation, Operation
from .config import TickerConfig
from .record import DatabaseRecord

Connecting = Callable[[], AbstractAsyncContextManager[AsyncConnection[TupleRow]]]
"""Opens a worker connection to the database, waiting for a free place."""

ROTATION = "pgq.maint_rotate_tables_step1"

MOST_RETRY_CALLS = 10_000


class Chores:
    """Runs at most one maintenance cycle and one retry loop of a database at a time; never delays a tick."""

    def __init__(
        self, record: DatabaseRecord, connecting: Connecting, clock: Clock, log: logging.LoggerAdapter[logging.Logger]
    ) -> None:
        self._record = record
        self._connecting = connecting
        self._clock = clock
        self._log = log
        self._running: dict[str, asyncio.Task[None]] = {}
        self._told: dict[tuple[str, str | None], bool] = {}

    def maintain(self, operations: tuple[Operation, ...], config: TickerConfig) -> None:
        """Begin a cycle, unless the last one still runs."""
        self._begin("maintenance", self._maintain(operations, config))

    def retry(self) -> None:
        """Begin to move due retry events, unless that still runs."""
        self._begin("retry", self._retry())

    def _begin(self, name: str, work: Coroutine[object, object, None]) -> None:
        if name in self._running and not self._running[name].done():
            work.close()
            return
        self._running[name] = asyncio.create_task(self._guarded(name, work))

    async def finish(self) -> None:
        """Wait for what runs; cancels it when cancelled itself."""
        tasks = [task for task in self._running.values() if not task.done()]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            await self.abandon()
            raise

    async def abandon(self) -> None:
        """Cancel what runs."""
        tasks = [task for task in self._running.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, name: str, work: Awaitable[None]) -> None:
        try:
            await work
        except (UnreachableError, psycopg.Error) as error:
            self.failed(name, error)
        else:
            self.succeeded(name)

    def failed(self, what: str, error: Exception) -> None:
        """Count the failure of an operation, and tell it once."""
        text = sentence(error)
        if self._record.fail(self._record.failures, what, text, self._clock.now()):
            self._log.error("%s failed: %s", what, text)

    def succeeded(self, what: str) -> None:
        """Forget the failures of an operation."""
        if self._record.failures.pop(what, None):
            self._log.info("%s works again", what)

    async def _maintain(self, operations: tuple[Operation, ...], config: TickerConfig) -> None:
        pending = [o for o in operations if self._allowed(o, config)]
        rotated = any(o.name == ROTATION for o in pending)
        done = 0
        while done < len(pending):
            async with self._connecting() as connection:
                while done < len(pending) and not connection.closed:
                    await self._operate(connection, pending[done])
                    done += 1
                if rotated and done == len(pending) and not connection.closed:
                    self._tell_held(await maintenance.held_rotations(connection))
        if not rotated:
            self._tell_held(())
        self._record.cycles += 1

    def _allowed(self, operation: Operation, config: TickerConfig) -> bool:
        return not operation.is_vacuum or in_hours(config.maint_hours, self._clock.now().astimezone().hour)

    async def _operate(self, connection: AsyncConnection[TupleRow], operation: Operation) -> None:
        self._log.debug("maintenance: %s", operation)
        try:
            calls = await maintenance.run(connection, operation)
        except psycopg.Error as error:
            self.failed(str(operation), error)
            return
        self.succeeded(str(operation))
        if calls == maintenance.MOST_REPEATS:
            self._log.warning("%s asked %d times to be called again, left until the next cycle", operation, calls)

    def _tell_held(self, held: tuple[HeldRotation, ...]) -> None:
        self._record.held = held
        for h in held:
            key = (h.queue, h.consumer if h.behind else None)
            if key in self._told:
                continue
            if h.behind:
                self._log.warning(
                    "rotation of queue %s is held up by consumer %s, which is %.0f s behind (overdue by %.0f s)",
                    h.queue, h.consumer, h.lag or 0.0, h.overdue,
                )  # fmt: skip
            else:
                self._log.warning(
                    "rotation of queue %s is held up by a lock or an old transaction (overdue by %.0f s)",
                    h.queue, h.overdue,
                )  # fmt: skip
        self._told = {(h.queue, h.consumer if h.behind else None): True for h in held}

    async def _retry(self) -> None:
        async with self._connecting() as connection:
            for _ in range(MOST_RETRY_CALLS):
                moved = await maintenance.retry(connection)
                self._record.retried += moved
                if moved == 0:
                    return


def in_hours(window: tuple[int, int] | None, hour: int) -> bool:
    """Whether an hour of the day lies in a window; a window may cross midnight."""
    if window is None:
        return True
    first, last = window
    return first <= hour < last if first <= last else hour >= first or hour < last


def sentence(error: Exception) -> str:
    """The first line of an error, as the server or we said it."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return str(error).strip().partition("\n")[0] or type(error).__name__


@asynccontextmanager
async def place(places: asyncio.Semaphore) -> AsyncIterator[None]:
    """One of the worker connections."""
    async with places:
        yield
