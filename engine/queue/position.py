"""Where a consumer's own side stands against the batch that the queue gives: go on, skip it, or stop. All pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SkyError
from .model import Batch


class LostPositionError(SkyError):
    """The queue gives a batch that neither begins nor ends where the consumer's own side stands."""


class TickRemadeError(SkyError):
    """The queue's tick is another one than the tick of the same id that the consumer's own side has applied."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick, and what it looks like. None: unknown."""

    tick_id: int | None
    digest: str | None = None

    def is_same(self, other: Mark) -> bool:
        """Whether both are the same tick, as far as is known."""
        return self.tick_id == other.tick_id and (
            self.digest is None or other.digest is None or self.digest == other.digest
        )


def is_next(batch: Batch, stored: Mark, begin: Mark, end: Mark, where: str, remedy: str) -> bool:
    """Whether the batch is to be processed; False: the consumer's side has it already.

    `stored` is what the consumer's side, called `where`, has applied last; `begin` and `end` are the batch's ticks as
    the queue has them now; `remedy` says what a person can do. Raises LostPositionError and TickRemadeError.
    """
    if stored.tick_id is None:
        return True
    for tick in (begin, end):
        if stored.tick_id != tick.tick_id:
            continue
        if not stored.is_same(tick):
            raise remade(tick, stored, where, remedy)
        return tick is begin
    raise LostPositionError(
        f"Lost position: batch {batch.prev_tick_id}..{batch.tick_id}, {where} has {stored.tick_id}.", remedy
    )


def remade(queue: Mark, stored: Mark, where: str, remedy: str) -> TickRemadeError:
    """The error of a tick that the queue has now, and that looked otherwise when the consumer's side applied it."""
    return TickRemadeError(
        f"Tick {queue.tick_id} was made again: the queue's is {queue.digest}, but {where} has applied "
        f"{stored.digest} under this id. The queue's database has lost its last moments.",
        remedy,
    )
