"""Numbers, durations and names as short text of a known width in cells.

Durations are seconds. Nothing here knows of colours, widgets or markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len, set_cell_size

NOT_KNOWN = "-"
REFUSED = "?"


def duration(seconds: float | None) -> str:
    """Two units: `48s`, `1m 08s`, `3h 12m`, `2d 04h`."""
    if seconds is None:
        return NOT_KNOWN
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def short_duration(seconds: float | None) -> str:
    """One unit: `0.4s`, `48s`, `12m`, `3h`, `2d`."""
    if seconds is None:
        return NOT_KNOWN
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    if seconds < 60:
        return f"{int(seconds)}s"
    if seconds < 3600:
        return f"{int(seconds) // 60}m"
    if seconds < 86400:
        return f"{int(seconds) // 3600}h"
    return f"{int(seconds) // 86400}d"


def age(seconds: float | None) -> str:
    """One unit, whole: `0s`, `48s`, `12m`, `3h`, `2d`."""
    if seconds is None:
        return NOT_KNOWN
    return f"{max(0, int(seconds))}s" if seconds < 10 else short_duration(seconds)


def period(seconds: float) -> str:
    """A setting without needless digits: `3s`, `0.2s`, `1m`, `2h`, `1h 30m`."""
    if seconds < 60:
        return f"{seconds:g}s"
    text = duration(seconds)
    return text.removesuffix(" 00s").removesuffix(" 00m").removesuffix(" 00h")


def count(number: float | None) -> str:
    """At most four characters: `999`, `1.7k`, `312k`, `4.1M`."""
    if number is None:
        return NOT_KNOWN
    for unit, size in (("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("T", 1_000_000_000_000)):
        scaled = number / size
        if abs(scaled) < 999.5 or unit == "T":
            if unit and abs(scaled) < 9.95:
                return f"{scaled:.1f}{unit}"
            return f"{scaled:.0f}{unit}"
    raise AssertionError(number)


def rate(per_second: float | None) -> str:
    """Events a second: a digit after the point only where it says something."""
    if per_second is None:
        return NOT_KNOWN
    if 0 < per_second < 9.95:
        return f"{per_second:.1f}"
    return count(per_second)


def size(octets: float | None) -> str:
    """Bytes in binary units: `512 B`, `310 MB`, `1.9 GB`."""
    if octets is None:
        return NOT_KNOWN
    value = float(octets)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.1f} {unit}" if unit != "B" and value < 10 else f"{value:.0f} {unit}"
        value /= 1024
    raise AssertionError(octets)


def clock_time(moment: datetime) -> str:
    """Time of day on this machine's clock."""
    return moment.astimezone().strftime("%H:%M:%S")


def server_version(version_num: int) -> str:
    """`15.18` from 150018 (`server_version_num`)."""
    return f"{version_num // 10000}.{version_num % 10000}"


def width(text: str) -> int:
    """Cells that the text takes on a terminal."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, cells: int, right: bool = False, more: str = "…") -> str:
    """Exactly `cells` cells of the text: padded, or cut with a sign that it goes on."""
    if cells <= 0:
        return ""
    taken = width(text)
    if taken == cells:
        return text
    if taken < cells:
        return " " * (cells - taken) + text if right else text + " " * (cells - taken)
    if cells == 1:
        return more
    return set_cell_size(set_cell_size(text, cells - 1).rstrip() + more, cells)


def resample(values: Sequence[float], cells: int) -> list[float]:
    """The newest values as at most `cells` numbers; several values become their greatest."""
    if len(values) <= cells:
        return list(values)
    total = len(values)
    return [
        max(values[total * i // cells : max(total * (i + 1) // cells, total * i // cells + 1)]) for i in range(cells)
    ]


def sparkline(values: Sequence[float], cells: int, bars: str, floor: float) -> str:
    """A bar a cell, newest right; the scale ends at the greatest value or at `floor`, whichever is more."""
    if not values or cells <= 0:
        return " " * max(cells, 0)
    points = resample(values, cells)
    top = max(max(points), floor, 1e-9)
    last = len(bars) - 1
    return "".join(bars[min(last, int(max(0.0, point) / top * len(bars)))] for point in points).rjust(cells)


def wrap(text: str, cells: int) -> list[str]:
    """Lines of at most `cells` cells; words stay whole where they fit."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if width(joined) <= cells:
            line = joined
            continue
        if line:
            lines.append(line)
        while width(word) > cells:
            head = set_cell_size(word, cells).rstrip() or word[0]
            lines.append(head)
            word = word[len(head) :]
        line = word
    return [*lines, line] if line or not lines else lines
