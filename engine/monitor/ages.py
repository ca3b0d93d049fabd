"""Ages as they are shown: rounded down to what a person can read, and in words."""

from __future__ import annotations

_TENTHS = tuple(n / 10 for n in range(100))
_SECONDS = tuple(float(n) for n in range(3600))


def rounded(seconds: float) -> float:
    """Round an age down: to tenths below 10 s, to seconds below an hour, to minutes above.

    Values below an hour come from a table, so equal ages are one object. A negative age (two clocks that
    differ) is 0.

    >>> rounded(0.47), rounded(48.9), rounded(3725.0)
    (0.4, 48.0, 3720.0)
    """
    if seconds < 10.0:
        return _TENTHS[int(seconds * 10.0)] if seconds > 0.0 else 0.0
    if seconds < 3600.0:
        return _SECONDS[int(seconds)]
    return seconds // 60.0 * 60.0


def brief(seconds: float) -> str:
    """One unit, for notes: `9s`, `12m`, `3h`, `4d`.

    >>> brief(8.7), brief(761.0), brief(11520.0), brief(400000.0)
    ('8s', '12m', '3h', '4d')
    """
    if seconds < 60.0:
        return f"{int(max(seconds, 0.0))}s"
    if seconds < 3600.0:
        return f"{int(seconds // 60)}m"
    if seconds < 86400.0:
        return f"{int(seconds // 3600)}h"
    return f"{int(seconds // 86400)}d"
