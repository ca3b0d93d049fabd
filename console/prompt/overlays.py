"""What floats above the prompt: the line of grammar, and the menu of completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.content import Content
from textual.geometry import Offset
from textual.widget import Widget

from ...engine.language.complete import Suggestion
from ..shown import shown
from ..widgets.signs import in_ascii, only_ascii

ROWS = 8
"""The menu shows so many completions at once."""
_LABEL = 32
_META = 48


class HintLine(Widget):
    """One line of grammar, of an error, or of the search in the history."""

    DEFAULT_CSS = """
    HintLine {
        overlay: screen; height: 1; width: 100%; padding: 0 1; display: none;
        background: $panel; color: $foreground-muted;
        &.-error { color: $text-error; }
    }
    """
    can_focus = False

    def __init__(self) -> None:
        super().__init__()
        self._left = Content("")
        self._right = Content("")

    @property
    def text(self) -> str:
        return f"{self._left.plain} {self._right.plain}".rstrip()

    def show(self, left: Content, right: Content, at: Offset, *, error: bool = False) -> None:
        """Puts both texts on the line; where there is no room for both, the left one stays."""
        self._left, self._right = left, right
        self.set_class(error, "-error")
        self.absolute_offset = at
        self.display = True
        self.refresh(layout=True)

    def render(self) -> Content:
        line = self._line()
        return in_ascii(line) if only_ascii(self.app) else line

    def _line(self) -> Content:
        width = self.size.width
        gap = width - self._left.cell_length - self._right.cell_length
        if gap < 2 and self.has_class("-error") and self._right and width > self._right.cell_length + 22:
            return (
                self._left.truncate(width - self._right.cell_length - 2, ellipsis=True, pad=True) + "  " + self._right
            )
        if gap < 2:
            return self._left.truncate(width, ellipsis=True)
        return self._left + Content(" " * gap) + self._right


class CompletionMenu(Widget):
    """The completions, one a row, with what they are."""

    DEFAULT_CSS = """
    CompletionMenu {
        overlay: screen; display: none; background: $panel; color: $foreground;
        & > .menu--cursor { background: $primary 35%; text-style: bold; }
        & > .menu--keyword { color: $accent; }
        & > .menu--meta { color: $foreground-muted; }
    }
    CompletionMenu:nocolor > .menu--cursor { text-style: reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"menu--cursor", "menu--keyword", "menu--meta"}
    can_focus = False

    def __init__(self) -> None:
        super().__init__()
        self.suggestions: Sequence[Suggestion] = ()
        self.cursor = 0
        self._top = 0

    @property
    def is_open(self) -> bool:
        return bool(self.display)

    @property
    def chosen(self) -> Suggestion | None:
        """The row under the cursor."""
        return self.suggestions[self.cursor] if self.is_open and self.suggestions else None

    def show(self, suggestions: Sequence[Suggestion], below: Offset, room: int) -> None:
        """Lists completions so that the last row stands above `below`; `room` is the screen's width."""
        self.suggestions = suggestions
        self.cursor = self._top = 0
        rows = min(ROWS, len(suggestions), max(1, below.y))
        labels = max((Content(shown(one.label)).cell_length for one in suggestions), default=0)
        metas = max((Content(one.meta).cell_length for one in suggestions), default=0)
        self._label = min(_LABEL, max(8, labels))
        width = min(room, 1 + self._label + (2 + min(_META, metas) if metas else 0) + 2)
        self.styles.width, self.styles.height = width, rows
        self.absolute_offset = Offset(max(0, min(below.x - 1, room - width)), max(0, below.y - rows))
        self.display = True
        self.refresh(layout=True)

    def close(self) -> None:
        self.display = False

    def move(self, step: int) -> None:
        """Moves the cursor, round the ends."""
        self.cursor = (self.cursor + step) % len(self.suggestions)
        rows = max(1, self.size.height)
        self._top = min(max(self._top, self.cursor - rows + 1), self.cursor)
        self.refresh()

    def render(self) -> Content:
        rows = range(self._top, min(len(self.suggestions), self._top + self.size.height))
        return Content("\n").join([self._row(index) for index in rows])

    def _row(self, index: int) -> Content:
        one = self.suggestions[index]
        label = Content(shown(one.label)).truncate(self._label, ellipsis=True, pad=True)
        if one.kind in ("keyword", "symbol"):
            label = label.stylize(self.get_visual_style("menu--keyword", partial=True))
        meta = Content(f"  {one.meta}").stylize(self.get_visual_style("menu--meta", partial=True))
        row = (Content(" ") + label + meta).truncate(self.size.width - 1, ellipsis=True, pad=True)
        marks = len(self.suggestions) > self.size.height
        end = self._mark(index) if marks else " "
        row += Content(end)
        return row.stylize(self.get_visual_style("menu--cursor", partial=True)) if index == self.cursor else row

    def _mark(self, index: int) -> str:
        """A scroll bar's cell in the last column."""
        rows, number = self.size.height, len(self.suggestions)
        thumb = max(1, rows * rows // number)
        first = (rows - thumb) * self._top // max(1, number - rows)
        return "▐" if first <= index - self._top < first + thumb else " "
