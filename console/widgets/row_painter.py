"""One row of a table as a strip: cells, sparkline, level sign, marks, arrows of what moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from textual.strip import Strip

from ..columns import Kind, Placed
from ..format import fit, sparkline, width
from ..glyphs import LEVEL_ROLES, Glyphs
from ..role_styles import RoleStyles
from .movements import Movement

LEAD = 3
"""Cells before the first column: mark, level sign, blank."""
TREND_FLOOR = 30.0
"""Seconds: a lag below this never fills a sparkline."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a row is lit."""

    cursor: bool = False
    focused: bool = True
    marked: bool = False
    dimmed: bool = False

    @property
    def ground(self) -> str:
        if self.cursor:
            return "cursor" if self.focused else "heading"
        return "mark" if self.marked else "base"


class RowPainter:
    """Paints rows for one layout of columns, one set of signs and one theme."""

    def __init__(self, styles: RoleStyles, glyphs: Glyphs) -> None:
        self.styles = styles
        self.glyphs = glyphs

    def row(self, row: Any, placed: Sequence[Placed], room: int, look: Look, moved: Mapping[str, Movement]) -> Strip:
        styles, ground, dimmed = self.styles, look.ground, look.dimmed
        base = styles.get("text", ground, dimmed)
        level = row.level
        segments = [
            Segment(self.glyphs.mark if look.marked else " ", styles.get("key", ground, dimmed)),
            Segment(self.glyphs.levels[level], styles.get(LEVEL_ROLES[level], ground, dimmed)),
            Segment(" ", base),
        ]
        x = 0
        for index, place in enumerate(placed):
            column = place.column
            if place.x < x:
                continue
            if place.x > x:
                segments.append(Segment(" " * (place.x - x), base))
                x = place.x
            text, role = self._cell(row, place)
            if index == 0 and look.cursor:
                full = column.text(row)
                if width(full) > place.width:
                    text = fit(full, min(width(full), room - LEAD), more=self.glyphs.more)
                role = "strong"
            movement = moved.get(column.id)
            if movement is not None and movement.flashing:
                role = "flash"
            segments.append(Segment(text, styles.get(role, ground, dimmed)))
            x += width(text)
            if movement is not None and column.right:
                segments.append(Segment(self.glyphs.rise if movement.rising else self.glyphs.fall,
                                        styles.get("crit" if movement.rising else "ok", ground, dimmed)))  # fmt: skip
                x += 1
        return Strip(segments).adjust_cell_length(room, base).simplify()

    def _cell(self, row: Any, place: Placed) -> tuple[str, str]:
        column = place.column
        if column.kind is Kind.TREND:
            return sparkline(column.trend(row), place.width, self.glyphs.bars, TREND_FLOOR), column.role(row)
        return fit(column.text(row), place.width, column.right, self.glyphs.more), column.role(row)

    def heading(self, placed: Sequence[Placed], room: int, sort: str, descending: bool) -> Strip:
        """The line of titles; the column that orders the rows is marked."""
        styles = self.styles
        plain, lit = styles.get("label", "heading"), styles.get("strong", "heading")
        arrow = self.glyphs.sort_down if descending else self.glyphs.sort_up
        segments = [Segment(" " + (arrow if sort == "level" else " ") + " ", lit)]
        x = 0
        for place in placed:
            column = place.column
            if place.x > x:
                segments.append(Segment(" " * (place.x - x), plain))
            sorting = column.id == sort
            title = column.title
            if sorting and column.id != "level":
                title = f"{title}{arrow}" if not column.right else f"{arrow}{title}"
            segments.append(Segment(fit(title, place.width, column.right, self.glyphs.more), lit if sorting else plain))
            x = place.x + place.width
        return Strip(segments).adjust_cell_length(room, plain)

    def skeleton(self, placed: Sequence[Placed], room: int, number: int) -> Strip:
        """A row that is not there yet."""
        styles = self.styles
        base, faint = styles.get("text"), styles.get("rule")
        segments = [Segment(" " * LEAD, base)]
        x = 0
        for place in placed:
            if place.x > x:
                segments.append(Segment(" " * (place.x - x), base))
            dots = self.glyphs.dot * max(1, min(place.width, 3 + (number * 7 + place.x) % 6))
            segments.append(Segment(fit(dots, place.width, place.column.right), faint))
            x = place.x + place.width
        return Strip(segments).adjust_cell_length(room, base).simplify()
