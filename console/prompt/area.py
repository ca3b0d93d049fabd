"""The text of the prompt: a TextArea painted by the language, that leaves the prompt's keys to its owner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.reactive import reactive
from textual.strip import Strip
from textual.widgets import TextArea

from ...engine.language.highlight import Role, highlight
from ...engine.language.names import NO_NAMES, Names
from .colours import component, component_css


class PromptArea(TextArea):
    """Text in the command language."""

    DEFAULT_CSS = """
        PromptArea, PromptArea:focus {
            height: 1fr; width: 1fr; border: none; padding: 0; background: transparent;
            scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
        }
        PromptArea .text-area--suggestion { color: $foreground-muted; }
        """ + component_css("PromptArea")
    COMPONENT_CLASSES: ClassVar[set[str]] = {component(role) for role in Role}

    ghost: reactive[str] = reactive("")
    """What → would add at the end of the text."""

    def __init__(self, on_prompt_key: Callable[[events.Key], Awaitable[bool]]) -> None:
        """`on_prompt_key` is asked first for each key, and says whether it took it."""
        super().__init__(soft_wrap=False, compact=True, highlight_cursor_line=False, tab_behavior="focus")
        self._on_prompt_key = on_prompt_key
        self._names = NO_NAMES
        self.cursor_blink = False

    @property
    def names(self) -> Names:
        return self._names

    @names.setter
    def names(self, names: Names) -> None:
        self._names = names
        self.notify_style_update()
        self.refresh()

    @property
    def offset_of_cursor(self) -> int:
        """Characters before the cursor."""
        return self.offset_at(self.cursor_location)

    @property
    def at_end(self) -> bool:
        return self.offset_of_cursor == len(self.text)

    def offset_at(self, location: tuple[int, int]) -> int:
        """Characters before a (row, column)."""
        row, column = location
        return sum(len(self.document.get_line(index)) + 1 for index in range(row)) + column

    def location_at(self, offset: int) -> tuple[int, int]:
        """The (row, column) behind so many characters."""
        before = self.text[:offset].split("\n")
        return len(before) - 1, len(before[-1])

    def put(self, text: str, cursor: int | None = None) -> None:
        """Replaces the whole text as one edit that can be undone; the cursor goes to the end, or where it is told."""
        self.replace(text, (0, 0), self.document.end)
        self.move_cursor(self.location_at(len(text) if cursor is None else cursor))

    def get_line(self, line_index: int) -> Text:
        line = self.document.get_line(line_index)
        painted = Text(line, end="", no_wrap=True)
        start = self.offset_at((line_index, 0))
        cursor = self.offset_of_cursor if self.has_focus else None
        for span in highlight(self.text, self._names, cursor=cursor):
            if span.end > start and span.start < start + len(line):
                style = self.get_component_rich_style(component(span.role), partial=True)
                painted.stylize(style, max(0, span.start - start), span.end - start)
        return painted

    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        row, column = self.cursor_location
        if not self.ghost or not self.has_focus or y + self.scroll_offset.y != row or not self.at_end:
            return strip
        # TextArea's own suggestion is cut off where the text ends; this one goes on to the right edge.
        x = self.get_column_width(row, column) - self.scroll_offset.x
        text = self.ghost.replace("\n", "⏎")
        theme = self._theme
        look = self.get_component_rich_style("text-area--suggestion")
        at_cursor = look + theme.cursor_style if theme and theme.cursor_style and self._draw_cursor else look
        ghost = Strip([Segment(text[0], at_cursor), Segment(text[1:], look)])
        return Strip.join([strip.crop(0, x), ghost, strip.crop(x + ghost.cell_length)]).crop(0, strip.cell_length)

    async def _on_key(self, event: events.Key) -> None:
        if await self._on_prompt_key(event):
            event.stop()
            event.prevent_default()
            return
        await super()._on_key(event)
