"""How often a source may be read."""

from __future__ import annotations

from ..errors import UsageError

SHORTEST = 0.2
LONGEST = 60.0
"""Limits of the interval, in seconds."""


def checked_interval(seconds: float) -> float:
    """An interval that a poller takes. Raises UsageError outside of 0.2 to 60 seconds."""
    if not SHORTEST <= seconds <= LONGEST:
        raise UsageError(f"The interval {seconds:g} s is out of range.", f"It is {SHORTEST:g} to {LONGEST:g} seconds.")
    return seconds
