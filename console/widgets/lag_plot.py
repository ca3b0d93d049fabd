"""The lag of the last minutes as a line drawing, with its limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..format import fit, period
from ..glyphs import Glyphs
from ..lines import Line, Span

SECONDS_A_VALUE = 5.0
"""A trend holds one value every five seconds."""
VALUES = 60
_NICE = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    21600,
    43200,
    86400,
    172800,
    259200,
    432000,
    604800,
)


def nice_top(greatest: float) -> float:
    """The end of the axis: the next round duration."""
    return next((float(step) for step in _NICE if step >= greatest), math.ceil(greatest / 604800) * 604800.0)


def lag_plot(
    values: Sequence[float], *, warn: float, crit: float, room: int, height: int, glyphs: Glyphs
) -> tuple[Line, ...]:
    """Lines of at most `room` cells: `height` of them, and the axis of time below."""
    label = 7
    wide = room - label - 1
    if wide < 8 or height < 2 or not values:
        return ()
    shown = values[-VALUES:]
    top = nice_top(max(*shown, 1.0) if len(shown) > 1 else max(shown[0], 1.0))
    columns = _columns(shown, wide)
    grid = [[(" ", "text")] * wide for _ in range(height)]
    for limit, role in ((warn, "warn"), (crit, "crit")):
        if 0 < limit <= top:
            y = _height_of(limit, top, height)
            if y == 0:
                continue
            grid[y] = [(glyphs.plot["limit"], role)] * wide
    _draw(grid, columns, top, height, warn, crit, glyphs)
    lines: list[Line] = []
    for y in range(height - 1, -1, -1):
        at = top * y / (height - 1)
        text = _mark(at) if y in {0, (height - 1) // 2, height - 1} else ""
        spans = [Span(fit(text, label - 1, right=True), "muted"), Span(" " + glyphs.plot["tick"], "muted")]
        spans += _runs(grid[y])
        lines.append(tuple(spans))
    axis = f"{period(VALUES * SECONDS_A_VALUE)} ago"
    lines.append((Span(" " * (label + 1)), Span(axis + "now".rjust(wide - len(axis)), "muted")))
    return tuple(lines)


def _mark(at: float) -> str:
    """A mark of the axis; half seconds are told from whole ones."""
    return period(at) if at == round(at) else f"{at:.1f}s" if at < 10 else period(float(round(at)))


def _columns(values: Sequence[float], wide: int) -> list[float | None]:
    """A value for each column of a window of VALUES readings, None before the first reading."""
    missing = VALUES - len(values)
    found: list[float | None] = []
    for x in range(wide):
        first, last = x * VALUES // wide - missing, max((x + 1) * VALUES // wide, x * VALUES // wide + 1) - missing
        part = values[max(first, 0) : max(last, 0)]
        found.append(max(part) if part else None)
    return found


def _height_of(value: float, top: float, height: int) -> int:
    return max(0, min(height - 1, round(value / top * (height - 1))))


def _draw(
    grid: list[list[tuple[str, str]]],
    columns: Sequence[float | None],
    top: float,
    height: int,
    warn: float,
    crit: float,
    glyphs: Glyphs,
) -> None:
    signs = glyphs.plot
    before: int | None = None
    for x, value in enumerate(columns):
        if value is None:
            continue
        role = "crit" if value >= crit else "warn" if value >= warn else "trend"
        y = _height_of(value, top, height)
        if before is None or before == y:
            grid[y][x] = (signs["-"], role)
        else:
            low, high = sorted((before, y))
            for between in range(low + 1, high):
                grid[between][x] = (signs["|"], role)
            grid[before][x] = (signs["lr"] if y > before else signs["ur"], role)
            grid[y][x] = (signs["ul"] if y > before else signs["ll"], role)
        before = y


def _runs(row: Sequence[tuple[str, str]]) -> list[Span]:
    spans: list[Span] = []
    for sign, role in row:
        if spans and spans[-1].role == role:
            spans[-1] = Span(spans[-1].text + sign, role)
        else:
            spans.append(Span(sign, role))
    return spans
