"""A dialog that shows ready-made lines: an explanation, a failure, an event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from ..lines import Line
from ..widgets.dialog import Dialog
from ..widgets.line_widget import LineWidget


class LinesDialog(Dialog[None]):
    """Shows what `make` gives for the room there is."""

    AUTO_FOCUS = "#dialog-buttons Button"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_lines(1)", "Down", show=False),
        Binding("up,k", "scroll_lines(-1)", "Up", show=False),
    ]
    DEFAULT_CSS = """
    LinesDialog LineWidget { height: auto; }
    """

    def __init__(self, title: str, make: Callable[[int], Sequence[Line]], subtitle: str = "") -> None:
        super().__init__(title, subtitle)
        self._make = make

    def compose_body(self) -> ComposeResult:
        yield LineWidget(id="dialog-lines")

    def on_mount(self) -> None:
        super().on_mount()
        self._fill()

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._fill()

    def action_scroll_lines(self, lines: int) -> None:
        self.query_one("#dialog-body").scroll_relative(y=lines, animate=False)

    def _fill(self) -> None:
        room = max(20, min(92, self.app.size.width * 9 // 10) - 5)
        self.query_one("#dialog-lines", LineWidget).draw(self._make(room), "totals")
