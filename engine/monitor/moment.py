"""What a derivation needs to know of time: the server's now and the distance to the reading before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from .model import Part, Snapshot

TREND_STEP = 5.0
"""Seconds from one value of a trend to the next."""
TREND_LENGTH = 60
_RATE_MEMORY = 10.0
"""Seconds over which a rate is smoothed: the weight of a reading falls to 1/e in this time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of a reading, and its distances to the one before."""

    now: datetime
    queue_gap: float | None
    """Seconds between this reading of the queues and the one before; None when there is no fresh pair."""
    consumer_gap: float | None
    trend_values: int
    """How many values every trend gets."""


def moment_of(before: Snapshot | None, snapshot: Snapshot) -> Moment:
    """The Moment of a snapshot that follows another one."""
    now = snapshot.server_time
    if before is None or not before.times:
        return Moment(now, None, None, 1)
    step = int(now.timestamp() // TREND_STEP) - int(before.server_time.timestamp() // TREND_STEP)
    return Moment(
        now,
        _gap(before, snapshot, Part.QUEUES),
        _gap(before, snapshot, Part.CONSUMERS),
        min(max(step, 0), TREND_LENGTH),
    )


def smoothed(before: float | None, moved: int, seconds: float) -> float:
    """Events a second: the rate of this interval, weighed with the rate before."""
    current = max(moved, 0) / seconds
    if before is None:
        return current
    rate = before + (current - before) * (1.0 - math.exp(-seconds / _RATE_MEMORY))
    return rate if rate >= 0.05 else 0.0


def extended(trend: tuple[float, ...], value: float, count: int) -> tuple[float, ...]:
    """A trend with a value added `count` times; the same object when nothing would look different."""
    if not count:
        return trend
    longer = trend + (value,) * count
    return longer if len(longer) <= TREND_LENGTH else longer[-TREND_LENGTH:]


def _gap(before: Snapshot, snapshot: Snapshot, part: Part) -> float | None:
    if part not in snapshot.parts or part not in before.times or part not in snapshot.times:
        return None
    seconds = (snapshot.times[part] - before.times[part]).total_seconds()
    return seconds if seconds > 0.0 else None
