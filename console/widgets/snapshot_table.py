"""A table of live rows by the line API: formats what is in sight, paints what changed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.timer import Timer

from ..columns import Column, Placed, place
from ..format import width
from ..glyphs import UNICODE, Glyphs
from ..lines import Line
from ..role_styles import RoleStyles
from .line_widget import action_at, line_strip
from .movements import Movement, Movements
from .row_painter import LEAD, Look, RowPainter
from .states import message_line

_CACHED_ROWS = 4096
_FLASH_SECONDS = 0.6
_SKELETON_ROWS = 6


class SnapshotTable(ScrollView, can_focus=True):
    """Rows are frozen objects with `key` and `level`; a row that is the same object is not painted again.

    Rows come ready sorted and filtered (`console/view.py`). The cursor and the marks stay on their keys.
    The first line is the heading and does not scroll.
    """

    DEFAULT_CSS = """
    SnapshotTable {
        width: 1fr; height: 1fr;
        overflow-x: hidden; overflow-y: auto;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: auto;
        background: $background;
    }
    """
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("ctrl+d", "page(0.5)", "Half a page down", show=False, id="table.half-down"),
        Binding("ctrl+u", "page(-0.5)", "Half a page up", show=False, id="table.half-up"),
        Binding("pagedown,ctrl+f", "page(1.0)", "Page down", show=False, id="table.page-down"),
        Binding("pageup,ctrl+b", "page(-1.0)", "Page up", show=False, id="table.page-up"),
        Binding("home,g", "first", "First row", show=False, id="table.first"),
        Binding("end,G", "last", "Last row", show=False, id="table.last"),
        Binding("left,h", "skip(-1)", "Columns to the left", show=False, id="table.left"),
        Binding("right,l", "skip(1)", "Columns to the right", show=False, id="table.right"),
        Binding("enter", "open", "Open", id="table.open"),
        Binding("space", "mark", "Mark", id="table.mark"),
        Binding("v", "mark_range", "Mark a range", show=False, id="table.range"),
        Binding("*", "mark_all", "Mark all shown", show=False, id="table.mark-all"),
        Binding("\\", "clear_marks", "Clear marks", show=False, id="table.clear-marks"),
    ]

    @dataclass
    class Moved(Message):
        """The cursor is on another row; None: there are no rows."""

        table: SnapshotTable
        row: Any

    @dataclass
    class Opened(Message):
        """Enter or a double click on a row."""

        table: SnapshotTable
        row: Any

    @dataclass
    class HeadingClicked(Message):
        """A click on a column's title."""

        table: SnapshotTable
        column: Column

    @dataclass
    class MarksChanged(Message):
        """Other rows are marked."""

        table: SnapshotTable

    def __init__(self, columns: Sequence[Column], glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns: tuple[Column, ...] = tuple(columns)
        self.glyphs = glyphs
        self.rows: tuple[Any, ...] = ()
        self.marks: frozenset[Hashable] = frozenset()
        self.sort = ""
        self.descending = True
        self.dimmed = False
        self.waiting = False
        """No picture yet: draw a skeleton."""
        self.message: tuple[Line, ...] = ()
        """Stands where rows would, when there are none."""
        self._cursor = 0
        self._anchor: int | None = None
        self._skip = 0
        self._placed: tuple[Placed, ...] = ()
        self._natural: dict[str, int] = {}
        self._cache: dict[Hashable, tuple[Any, Look, Mapping[str, Movement], Strip]] = {}
        self._moved = Movements()
        self._flash_timer: Timer | None = None
        self._painter: RowPainter | None = None

    # What it shows

    @property
    def row(self) -> Any | None:
        """The row under the cursor."""
        return self.rows[self._cursor] if self._cursor < len(self.rows) else None

    @property
    def cursor(self) -> int:
        return self._cursor

    @property
    def marked(self) -> tuple[Any, ...]:
        """The marked rows that are shown."""
        return tuple(row for row in self.rows if row.key in self.marks)

    def show(self, rows: Sequence[Any], sort: str = "", descending: bool = True) -> None:
        """Show these rows; the cursor stays on its key."""
        old, before = self.rows, self.row
        top, height = self._top, self._page
        was_in_sight = top <= self._cursor < top + height
        self.rows = tuple(rows)
        if (sort, descending) != (self.sort, self.descending):
            self.sort, self.descending = sort, descending
            self._refresh_line(0)
        self._follow(before)
        self._note_movements(old, top, height)
        self._grow_names(top, height)
        size = Size(self.size.width, len(self.rows) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        if was_in_sight and before is not None:
            self.scroll_cursor_into_sight()
        if self._top != top:
            self.refresh()
        else:
            for y in range(top, top + height):
                if _at(old, y) is not _at(self.rows, y):
                    self._refresh_line(y - top + 1)
        if (before.key if before is not None else None) != (self.row.key if self.row is not None else None):
            self._refresh_line(self._cursor - self._top + 1)
            self.post_message(self.Moved(self, self.row))

    def set_state(self, *, dimmed: bool, waiting: bool, message: Sequence[Line] = ()) -> None:
        """Old facts are dimmed; before the first facts there is a skeleton; without rows there is a message."""
        state = (dimmed, waiting, tuple(message))
        if state != (self.dimmed, self.waiting, self.message):
            self.dimmed, self.waiting, self.message = state
            self.refresh()

    def set_columns(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._natural.clear()
        self._layout_columns()

    def put_cursor(self, key: Hashable) -> bool:
        """Move the cursor to the row of this key; False: there is none."""
        for index, row in enumerate(self.rows):
            if row.key == key:
                self._move_to(index)
                return True
        return False

    def _follow(self, before: Any) -> None:
        if before is None or not self.rows:
            self._cursor = min(self._cursor, max(0, len(self.rows) - 1))
            return
        if self._cursor < len(self.rows) and self.rows[self._cursor].key == before.key:
            return
        key = before.key
        found = next((index for index, row in enumerate(self.rows) if row.key == key), None)
        self._cursor = min(self._cursor, len(self.rows) - 1) if found is None else found

    def _note_movements(self, old: tuple[Any, ...], top: int, height: int) -> None:
        """Compare what is in sight with what was in sight before."""
        flashing = not self.app.no_color
        for key in self._moved.compare(old[top : top + height], self.rows[top : top + height], self.columns, flashing):
            self._cache.pop(key, None)
            self._refresh_key(key)
        if self._moved:
            if self._flash_timer is not None:
                self._flash_timer.stop()
            self._flash_timer = self.set_timer(_FLASH_SECONDS, self._end_flash)

    def _end_flash(self) -> None:
        for key in self._moved.settle():
            self._refresh_key(key)

    # Layout

    @property
    def _top(self) -> int:
        return round(self.scroll_y)

    @property
    def _page(self) -> int:
        """Rows that fit below the heading."""
        return max(1, self.size.height - 1)

    def on_resize(self, event: events.Resize) -> None:
        self._layout_columns()
        self.scroll_cursor_into_sight()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painter = None
        self._cache.clear()
        self.refresh()

    def on_focus(self) -> None:
        self._refresh_line(self._cursor - self._top + 1)

    def on_blur(self) -> None:
        self._refresh_line(self._cursor - self._top + 1)

    def _grow_names(self, top: int, height: int) -> None:
        """Names make room for the widest in sight; they never shrink while rows come and go."""
        grown = False
        for column in self.columns:
            if column.natural:
                widest = max((width(column.text(row)) for row in self.rows[top : top + height]), default=0)
                if widest > self._natural.get(column.id, 0):
                    self._natural[column.id] = widest
                    grown = True
        if grown:
            self._layout_columns()

    def _layout_columns(self) -> None:
        natural = {column.id: self._natural.get(column.id, 0) for column in self.columns if column.natural}
        placed = place(self.columns, max(1, self.size.width - LEAD - 1), natural, self._skip)
        if placed != self._placed:
            self._placed = placed
            self._cache.clear()
            self.refresh()

    # Painting

    @property
    def painter(self) -> RowPainter:
        if self._painter is None:
            self._painter = RowPainter(cast(RoleStyles, self.app.role_styles), self.glyphs)  # type: ignore[attr-defined]
        return self._painter

    def render_line(self, y: int) -> Strip:
        room = self.size.width
        if y == 0:
            return self.painter.heading(self._placed, room, self.sort, self.descending)
        index = self._top + y - 1
        if index < len(self.rows):
            return self._row_strip(index, room)
        if self.rows:
            return Strip.blank(room, self.painter.styles.get("text"))
        if self.waiting and y <= _SKELETON_ROWS:
            return self.painter.skeleton(self._placed, room, y)
        spans = message_line(self.message, y, self.size, _SKELETON_ROWS if self.waiting else 0)
        return line_strip(spans, room, self.painter.styles, "base")

    def _row_strip(self, index: int, room: int) -> Strip:
        row = self.rows[index]
        key = row.key
        look = Look(index == self._cursor, self.has_focus, key in self.marks, self.dimmed)
        moved = self._moved.of(key)
        cached = self._cache.get(key)
        if (
            cached is not None
            and cached[0] is row
            and cached[1] == look
            and cached[2] == moved
            and cached[3].cell_length == room
        ):
            return cached[3]
        strip = self.painter.row(row, self._placed, room, look, moved)
        if len(self._cache) >= _CACHED_ROWS:
            self._cache.clear()
        self._cache[key] = (row, look, moved, strip)
        return strip

    def _refresh_line(self, y: int) -> None:
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _refresh_key(self, key: Hashable) -> None:
        top = self._top
        for y, row in enumerate(self.rows[top : top + self._page], 1):
            if row.key == key:
                self._refresh_line(y)

    # Moving

    def scroll_cursor_into_sight(self) -> None:
        top, page = self._top, self._page
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + page:
            self.scroll_to(y=self._cursor - page + 1, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._grow_names(round(new_value), self._page)

    def _move_to(self, index: int) -> None:
        index = max(0, min(index, len(self.rows) - 1))
        if index == self._cursor or not self.rows:
            return
        top = self._top
        old, self._cursor = self._cursor, index
        if self._anchor is not None:
            first, last = sorted((self._anchor, index))
            self._set_marks(frozenset(row.key for row in self.rows[first : last + 1]))
        self.scroll_cursor_into_sight()
        if self._top == top:
            self._refresh_line(old - top + 1)
            self._refresh_line(index - top + 1)
        self.post_message(self.Moved(self, self.row))

    def action_move(self, step: int) -> None:
        self._move_to(self._cursor + step)

    def action_page(self, pages: float) -> None:
        self._move_to(self._cursor + int(pages * self._page))

    def action_first(self) -> None:
        self._move_to(0)

    def action_last(self) -> None:
        self._move_to(len(self.rows) - 1)

    def action_skip(self, step: int) -> None:
        """Bring columns into sight that found no room."""
        fits_all = len(self._placed) + self._skip >= len(self.columns)
        if step > 0 and fits_all:
            return
        self._skip = max(0, self._skip + step)
        self._layout_columns()

    def action_open(self) -> None:
        if self.row is not None:
            self.post_message(self.Opened(self, self.row))

    # Marks

    def _set_marks(self, marks: frozenset[Hashable]) -> None:
        if marks != self.marks:
            changed, self.marks = marks ^ self.marks, marks
            for key in changed:
                self._refresh_key(key)
            self.post_message(self.MarksChanged(self))

    def action_mark(self) -> None:
        if self.row is not None:
            self._anchor = None
            self._set_marks(self.marks ^ {self.row.key})
            self._move_to(self._cursor + 1)

    def action_mark_range(self) -> None:
        """Start a range at the cursor; the second time, end it."""
        if self._anchor is None and self.row is not None:
            self._anchor = self._cursor
            self._set_marks(frozenset({self.row.key}))
        else:
            self._anchor = None

    def action_mark_all(self) -> None:
        self._set_marks(self.marks | {row.key for row in self.rows})

    def forget_marks_but(self, keys: Set[Hashable]) -> None:
        """Keep the marks of these keys only: what the others stood on is gone."""
        if self.marks - keys:
            self._set_marks(self.marks & keys)

    def action_clear_marks(self) -> None:
        self._anchor = None
        self._set_marks(frozenset())

    # Mouse

    async def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._click_heading(event.x)
            return
        if not self.rows:
            action = action_at(
                [message_line(self.message, event.y, self.size, _SKELETON_ROWS if self.waiting else 0)], event.x, 0
            )
            if action:
                await self.run_action(action)
            return
        index = self._top + event.y - 1
        if index < len(self.rows):
            self._move_to(index)
            if event.chain == 2:
                self.post_message(self.Opened(self, self.rows[index]))

    def _click_heading(self, x: int) -> None:
        if x < LEAD:
            column = next((column for column in self.columns if column.id == "level"), None)
        else:
            column = next((p.column for p in reversed(self._placed) if x - LEAD >= p.x - 1), None)
        if column is not None:
            self.post_message(self.HeadingClicked(self, column))


def _at(rows: tuple[Any, ...], index: int) -> Any:
    return rows[index] if index < len(rows) else None
