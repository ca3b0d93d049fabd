"""Queues set aside for a while because their tick failed, so that one broken queue never stops the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from ...engine.clock import Clock
from ...engine.queue.ticks import QueueRef
from .record import DatabaseRecord

FIRST = 1.0
LONGEST = 30.0

MOST_LINES = 5
"""Queues that are named in the log for one and the same error."""

RACES = frozenset(("no such queue", "This queue has external tick source.", "Ticker has been paused for this queue"))
"""Answers to a tick of a queue that was changed after the look: no failures. Source: spec/pgq.md 4.5."""


@dataclass(frozen=True, slots=True)
class _Penalty:
    until: float
    seconds: float


class Penalties:
    """Who is set aside, and until when; each failure in a row doubles the time."""

    def __init__(self, record: DatabaseRecord, clock: Clock, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self._record = record
        self._clock = clock
        self._log = log
        self._penalties: dict[int, _Penalty] = {}

    def set_aside(self) -> list[int]:
        """The ids of the queues to leave alone now."""
        now = self._clock.monotonic()
        return [queue_id for queue_id, penalty in self._penalties.items() if penalty.until > now]

    def fail(self, queue: QueueRef, error: str) -> None:
        """Set a queue aside, and name it once."""
        if error in RACES:
            return
        old = self._penalties.get(queue.queue_id)
        seconds = min(old.seconds * 2, LONGEST) if old else FIRST
        self._penalties[queue.queue_id] = _Penalty(self._clock.monotonic() + seconds, seconds)
        if self._record.fail(self._record.broken_queues, queue.name, error, self._clock.now()):
            self._tell(queue, error)

    def _tell(self, queue: QueueRef, error: str) -> None:
        alike = sum(failure.error == error for failure in self._record.broken_queues.values())
        if alike <= MOST_LINES:
            self._log.error("queue %s is not ticked: %s", queue.name, error)
        elif alike == MOST_LINES + 1:
            self._log.error("more queues are not ticked, for the same reason; --status names them all: %s", error)

    def forgive(self, queues: Iterable[QueueRef]) -> None:
        """These were ticked, or did not need it."""
        if not self._penalties:
            return
        for queue in queues:
            self._penalties.pop(queue.queue_id, None)
            if self._record.broken_queues.pop(queue.name, None):
                self._log.info("queue %s is ticked again", queue.name)
