"""The filter's line: an input while it is typed, what it means while it is not, an error in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.geometry import Size
from textual.message import Message
from textual.widgets import Input

from ..filtering import FilterError
from ..lines import Line, Span, cells, line
from ..view import View
from .line_widget import LineWidget


class FilterInput(Input):
    """Types the filter; every character filters."""

    DEFAULT_CSS = """
    FilterInput {
        border: none; height: 1; width: 1fr; padding: 0; background: $surface;
        &:focus { border: none; background-tint: transparent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "Clear", id="filter.clear"),
        Binding("enter,down", "leave", "Keep", id="filter.keep"),
    ]

    def action_clear(self) -> None:
        self.value = ""
        self.action_leave()

    def action_leave(self) -> None:
        self.post_message(FilterBar.Left())


class FilterBar(Horizontal):
    """One line over the prompt; hidden while there is no filter."""

    DEFAULT_CSS = """
    FilterBar { height: 1; display: none; background: $surface; }
    FilterBar > #filter-sign { width: 3; }
    FilterBar > #filter-state { width: auto; min-width: 20; max-width: 70%; }
    """

    @dataclass
    class Changed(Message):
        """Another filter is asked for."""

        text: str

    class Left(Message):
        """The input is done with."""

    def compose(self) -> ComposeResult:
        yield LineWidget(id="filter-sign")
        yield FilterInput(
            id="filter-input", select_on_focus=False, placeholder="text  !text  ~regex  lag>30s  level=warn  queue=ord*"
        )
        yield FilterState(id="filter-state")

    def on_mount(self) -> None:
        self.query_one("#filter-sign", LineWidget).draw([line(Span(" / ", "key"))], "totals")

    @property
    def typing(self) -> bool:
        return self.query_one(FilterInput).has_focus

    def begin(self) -> None:
        self.display = True
        self.query_one(FilterInput).focus()

    def put(self, text: str) -> None:
        """Set the text from outside."""
        self.query_one(FilterInput).value = text

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))

    def show(self, view: View) -> None:
        """Say what came of it."""
        self.display = bool(view.state.filter) or self.typing
        if self.display:
            self.query_one(FilterState).draw([state_line(view)], "totals")


class FilterState(LineWidget):
    """How many match, or what is wrong."""

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return cells(self.lines[0]) if self.lines else 0

    def draw(self, lines: Sequence[Line], ground: str | None = None, dimmed: bool = False) -> None:
        super().draw(lines, ground, dimmed)
        self.refresh(layout=True)


def state_line(view: View) -> Line:
    problem: FilterError | None = view.problem
    if problem is not None:
        hint = f" {problem.hint}" if problem.hint else ""
        return line(Span(f" {problem.message}{hint} ", "crit"))
    return line(Span(f" {len(view.rows)} of {view.total} ", "text"), Span("esc clears ", "muted"))
