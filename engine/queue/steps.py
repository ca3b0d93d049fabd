"""The steps of a batch, for those who watch a consumer, and the figures of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Step(Enum):
    """A moment in the life of a batch. Between two steps a consumer may die; what then holds is in spec/pgq.md 1.7."""

    OPENED = "opened"
    """The batch is open, and that is committed."""
    FETCHED = "fetched"
    """The first events of the batch are here."""
    HANDLING = "handling"
    """An event (or, where the handler takes whole batches, the batch) is about to be handed to the handler."""
    HANDLED = "handled"
    """The handler is through with the batch."""
    RETRY_TAGGED = "retry tagged"
    """The events to retry are in the retry queue, in the open transaction."""
    DEAD_TAGGED = "dead tagged"
    """The dead letters are written, in the open transaction."""
    REMOTE_COMMITTED = "remote committed"
    """The work and its mark are committed in the other database, or the position in the tracking file."""
    FINISHING = "finishing"
    """The batch is about to be finished."""
    FINISHED = "finished"
    """The batch is finished, but not committed."""
    COMMITTED = "committed"
    """The finished batch is committed."""
    IDLE = "idle"
    """There is no batch now, for which batch_id is 0; the consumer waits."""


class Observer(Protocol):
    """Somebody who watches a consumer; called in the consumer's own thread or loop.

    One with an attribute `sees_events = False` is not told of HANDLING, which costs time at each event.
    """

    def on_step(self, step: Step, batch_id: int) -> None:
        """The consumer is at this step of this batch."""


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """What a batch came to, or, with batch_id None, that nothing happened for a while. Times in seconds."""

    batch_id: int | None
    count: int
    duration: float
    idle: float
    """Seconds between the end of the batch before and the beginning of this one."""
    retries: int = 0
    dead: int = 0

    def as_dict(self) -> dict[str, float | int]:
        """The keys of the original's statistics (spec/pgq-clients.md 5.1)."""
        if self.batch_id is None:
            return {"idle": round(self.idle, 3)}
        figures: dict[str, float | int] = {
            "count": self.count,
            "duration": round(self.duration, 6),
            "idle": round(self.idle, 6),
        }
        if self.retries:
            figures["retry-events"] = self.retries
        if self.dead:
            figures["dead-events"] = self.dead
        return figures

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name}: {value}" for name, value in self.as_dict().items()) + "}"


Report = Callable[[BatchStatistics], None]
"""Who gets the statistics."""
