"""The last line: the keys that work here, most useful first; those that do not fit are in the help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from textual import events
from textual.screen import Screen
from textual.widgets import Input

from ..lines import Line, Span, cells
from ..prompt.area import PromptArea
from .line_widget import LineWidget

ORDER: tuple[str, ...] = (
    "table.open", "filter.keep", "filter.clear", "app.prompt", "screen.filter", "app.actions", "screen.explain",
    "app.pause", "command.undo", "app.help", "table.mark",
)  # fmt: skip
"""Binding ids in the order they are shown; others follow."""

_NAMES = {"enter": "⏎", "space": "space", "escape": "esc", "colon": ":", "slash": "/", "question_mark": "?"}


class Key(NamedTuple):
    """A key as the bar shows it."""

    key: str
    label: str
    action: str
    enabled: bool


class KeyBar(LineWidget):
    """Follows the bindings of its screen."""

    ground = "heading"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._update)
        self._update(self.screen)

    def on_resize(self, event: events.Resize) -> None:
        self._update(self.screen)

    def _update(self, screen: Screen[object]) -> None:
        if self.is_mounted:
            self.draw([key_line(keys_of(screen, self.glyphs.enter), self.size.width)])


_PROMPT_KEYS = (
    ("⏎", "Run", "enter"), ("tab", "Complete", "tab"), ("↑", "History", "up"), ("^r", "Search", "ctrl+r"),
    ("^o", "Larger", "ctrl+o"), ("F1", "Grammar", "f1"), ("esc", "Leave", "escape"),
)  # fmt: skip
"""The prompt takes its keys as they come, without bindings."""


def keys_of(screen: Screen[object], enter: str = "⏎") -> list[Key]:
    """The keys to show, in order; while text is typed, only those that are not text."""
    if isinstance(screen.focused, PromptArea):
        return [
            Key(enter if name == "enter" else key, label, f"app.simulate_key('{name}')", True)
            for key, label, name in _PROMPT_KEYS
        ]
    typing = isinstance(screen.focused, Input)
    found: list[tuple[int, Key]] = []
    for active in screen.active_bindings.values():
        binding = active.binding
        if not binding.show or not binding.description or (typing and active.node in {screen, screen.app}):
            continue
        place = ORDER.index(binding.id) if binding.id in ORDER else len(ORDER)
        shown = enter if binding.key == "enter" else binding.key_display or _NAMES.get(binding.key, binding.key)
        found.append((place, Key(shown, binding.description, f"app.simulate_key('{binding.key}')", active.enabled)))
    return [key for _, key in sorted(found, key=lambda pair: pair[0])]


def key_line(keys: Iterable[Key], room: int) -> Line:
    """As many keys as fit."""
    spans: list[Span] = [Span(" ")]
    for key in keys:
        piece = (
            Span(key.key, "key" if key.enabled else "muted", key.action),
            Span(f" {key.label}  ", "text" if key.enabled else "muted", key.action),
        )
        if cells(spans) + cells(piece) - 2 > room:
            break
        spans += piece
    return tuple(spans)
