"""What stands aside of the queues: events looked at, dead letters, events that wait, triggers that write events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..errors import SkyError
from .picture import Level

PAYLOAD_CHARACTERS = 16_384
"""Of each text of an event so many characters are looked at."""


class NotThereError(SkyError):
    """The database's PgQ does not have what was asked for: nothing is wrong, there is just nothing to show."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of a queue or batch, peeked at without consuming. Source: spec/pgq.md 1.3.

    Its texts are cut after `PAYLOAD_CHARACTERS`.
    """

    ev_id: int
    ev_time: datetime
    ev_txid: int | None
    """None while it waits in the retry queue."""
    ev_retry: int | None
    ev_type: str | None
    ev_data: str | None
    ev_extra1: str | None = None
    ev_extra2: str | None = None
    ev_extra3: str | None = None
    ev_extra4: str | None = None
    data_bytes: int | None = None
    """Bytes of the whole `ev_data` in the database."""

    @property
    def cut(self) -> bool:
        """Only the beginning of `ev_data` is here."""
        data = self.ev_data or ""
        return len(data) >= PAYLOAD_CHARACTERS and (self.data_bytes or 0) > len(data.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a consumer gave up: it waits for a person to replay or purge it."""

    dl_id: int
    queue: str
    consumer: str
    time: datetime
    """When it was given up."""
    reason: str
    batch_id: int | None
    event: EventRow

    @property
    def key(self) -> int:
        return self.dl_id

    @property
    def level(self) -> Level:
        return Level.WARN


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that comes back to one consumer, or comes to all for the first time, when it is due."""

    queue: str
    consumer: str | None
    """Whose retry it is; None: a delayed event, or its consumer is gone."""
    due: datetime
    delayed: bool
    """It was never in a batch: `event.ev_id` is the number of the delay."""
    event: EventRow

    @property
    def key(self) -> tuple[str, str | None, bool, int]:
        return (self.queue, self.consumer, self.delayed, self.event.ev_id)

    @property
    def level(self) -> Level:
        return Level.WARN if self.consumer is None and not self.delayed else Level.OK


@dataclass(frozen=True, slots=True)
class Capture:
    """A trigger that writes a table's changes into a queue. Source: spec/pgq.md 8."""

    schema: str
    table: str
    trigger: str
    queue: str
    kind: str
    """'logutriga', 'sqltriga' or 'jsontriga'."""
    form: str
    """'generic', or how it was compiled: 'row', 'statement'."""
    state: str
    """'current', 'stale' or 'disabled'."""
    arguments: tuple[str, ...]
    """Behind the queue's name."""
    events: str
    """'after insert or update or delete'."""

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.schema, self.table, self.trigger)

    @property
    def level(self) -> Level:
        return {"stale": Level.WARN, "disabled": Level.OFF}.get(self.state, Level.OK)

    @property
    def relation(self) -> str:
        """Schema and table, as a person says it."""
        return f"{self.schema}.{self.table}"
