"""Where snapshots come from: the one seam between what is shown and where it is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from .model import Part, Snapshot


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of a queue or batch, peeked at without consuming. Source: spec/pgq.md 1.3."""

    ev_id: int
    ev_time: datetime
    ev_txid: int
    ev_retry: int | None
    ev_type: str | None
    ev_data: str | None
    ev_extra1: str | None = None
    ev_extra2: str | None = None
    ev_extra3: str | None = None
    ev_extra4: str | None = None


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

    async def close(self) -> None:
        """Cancel what runs and let go of all connections."""
