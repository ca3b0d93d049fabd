"""Where snapshots come from: the one seam between what is shown and where it is read."""

from __future__ import annotations

from typing import Protocol

from .asides import Capture, DeadLetter, EventRow, WaitingEvent
from .model import Part, Snapshot


class Source(Protocol):
    """A database, a sample or a recording. All calls run in the engine's thread.

    A row that has not changed since the reading before comes as the same facts object.
    """

    @property
    def name(self) -> str:
        """Short name for titles; never a DSN."""

    async def read(self, parts: frozenset[Part]) -> Snapshot:
        """Read these parts. Never raises for a server's failure: the Snapshot's phase and problems say it."""

    async def peek_batch(self, batch_id: int, limit: int) -> tuple[EventRow, ...]:
        """The first events of an open batch; consumes nothing. Raises SkyError."""

    async def peek_queue(self, queue: str, limit: int) -> tuple[EventRow, ...]:
        """The newest stored events of a queue, newest first; consumes nothing. Raises SkyError."""

    async def dead_letters(self, queue: str | None, consumer: str | None, limit: int) -> tuple[DeadLetter, ...]:
        """The oldest dead letters of a queue and consumer; None: of every one. Raises SkyError.

        A NotThereError where this PgQ keeps none.
        """

    async def waiting(self, queue: str | None, consumer: str | None, limit: int) -> tuple[WaitingEvent, ...]:
        """Events that wait for a retry, and without a consumer those that are delayed; due first. Raises SkyError."""

    async def captures(self) -> tuple[Capture, ...]:
        """The triggers that write events, by table. Raises SkyError."""

    async def close(self) -> None:
        """Cancel what runs and let go of all connections."""
