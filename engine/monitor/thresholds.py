"""From when on something is late: limits in seconds, with exceptions for single queues and consumers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .picture import Level

HYSTERESIS = 0.2
"""A level is left only when the value is this share below the limit that raised it, so that rows do not blink."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one queue or consumer. Seconds, but for the two factors."""

    lag_warn: float = 30.0
    lag_crit: float = 300.0
    tick_warn: float = 2.0
    """Times the queue's `ticker_max_lag` while events wait, times `ticker_idle_period` while none do."""
    tick_crit: float = 10.0
    seen_warn: float = 300.0
    """A consumer that has something to do and gave no sign of life for so long is called dead."""
    rotation_warn: float = 300.0
    """Seconds that a rotation is overdue."""
    rotation_crit: float = 3600.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The limits of a database: general ones, and those of named queues and consumers."""

    general: Limits = Limits()
    queues: Mapping[str, Limits] = field(default_factory=dict)
    consumers: Mapping[tuple[str, str], Limits] = field(default_factory=dict)
    """By queue and consumer."""

    def for_queue(self, queue: str) -> Limits:
        return self.queues.get(queue, self.general)

    def for_consumer(self, queue: str, consumer: str) -> Limits:
        found = self.consumers.get((queue, consumer))
        return self.for_queue(queue) if found is None else found


def graded(value: float, warn: float, crit: float, before: Level) -> Level:
    """The level of a value that is worse when greater, given the level before (hysteresis of 20 %).

    >>> [graded(25.0, 30.0, 300.0, level).name for level in (Level.OK, Level.WARN)]
    ['OK', 'WARN']
    """
    stay = 1.0 - HYSTERESIS
    if value >= (crit * stay if before is Level.CRIT else crit):
        return Level.CRIT
    if value >= (warn * stay if before >= Level.WARN else warn):
        return Level.WARN
    return Level.OK
