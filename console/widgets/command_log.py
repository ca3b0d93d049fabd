"""The command log: what was run, the SQL behind it, what came of it. It is the same on every screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Protocol

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.signal import Signal
from textual.widgets import Static

from ...engine.language.model import Outcome
from ..shown import shown
from ..submission import Origin
from .signs import SignText
from .toast import rows_and_time, way_back

KEPT = 200
"""Entries kept for the screen; the journal keeps them all."""


class State(Enum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "not run"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One command in the log."""

    number: int
    """Counts up over the session; identifies the entry while it runs."""
    time: datetime
    source: str
    text: str
    """The command in the language."""
    sql: str
    state: State = State.RUNNING
    origin: Origin = Origin.DO
    result: str = ""
    """Rows and time, or the error."""
    back: str = ""
    """How to undo it."""

    def finished(self, outcome: Outcome) -> LogEntry:
        """The entry after its command came back."""
        if outcome.ok:
            back = way_back(outcome, self.origin).strip()
            return replace(self, state=State.DONE, result=rows_and_time(outcome), back=back)
        code = f" ({outcome.sqlstate})" if outcome.sqlstate else ""
        return replace(self, state=State.FAILED, result=f"{outcome.error}{code}")


class LogKeeper(Protocol):
    """Who keeps the entries: the application."""

    @property
    def log_entries(self) -> tuple[LogEntry, ...]: ...
    @property
    def log_changed(self) -> Signal[tuple[LogEntry, ...]]: ...


class CommandLog(VerticalScroll, can_focus=False):
    """The last commands, newest at the bottom. `L` shows and hides it; on low screens it is hidden at first."""

    DEFAULT_CSS = """
    CommandLog {
        height: 5;
        border-top: solid $panel-lighten-1;
        background: $background;
        padding: 0 1;
        scrollbar-size-vertical: 1;
        & > Static { width: 1fr; height: auto; }
    }
    """

    HIGH_ENOUGH = 34
    """Rows of the screen from which the log is shown without being asked for."""

    def __init__(self, keeper: LogKeeper, *, widget_id: str = "command-log") -> None:
        super().__init__(id=widget_id)
        self._keeper = keeper
        self._wanted: bool | None = None

    def compose(self) -> ComposeResult:
        yield SignText(id="command-log-text")

    def on_mount(self) -> None:
        self._keeper.log_changed.subscribe(self, self._show)
        self._show(self._keeper.log_entries)
        self.fit(self.app.size.height)

    def watch_virtual_size(self) -> None:
        """The newest is in sight whenever the log was laid out anew: grown, or shown after it was hidden."""
        self.call_after_refresh(self.scroll_end, animate=False, immediate=True)

    def toggle(self) -> None:
        """Shows or hides it, whatever the height of the screen."""
        self._wanted = not self.display
        self.display = self._wanted

    def fit(self, height: int) -> None:
        """Shows it on a screen that is high enough, unless a person decided."""
        self.display = height >= self.HIGH_ENOUGH if self._wanted is None else self._wanted

    def _show(self, entries: tuple[LogEntry, ...]) -> None:
        self.query_one("#command-log-text", Static).update(log_text(entries))


def log_text(entries: tuple[LogEntry, ...]) -> Content:
    """The log as styled text: time and command, its SQL, its result."""
    if not entries:
        return Content.styled("no commands yet: a opens the actions of a row, : takes a command", "$foreground-muted")
    return Content("\n").join([_entry_text(entry) for entry in entries])


def _entry_text(entry: LogEntry) -> Content:
    indent = " " * 9
    origin = "" if entry.origin is Origin.DO else f"{entry.origin.value} "
    head = Content.assemble(
        (f"{entry.time.astimezone():%H:%M:%S} ", "$foreground-muted"),
        (origin, "$text-accent"),
        (shown(entry.text), "bold"),
    )
    sql = "\n".join(indent + line for line in shown(entry.sql, keep_lines=True).split("\n"))
    lines = [head, Content.styled(sql, "$foreground-muted")] if entry.sql else [head]
    match entry.state:
        case State.RUNNING:
            lines.append(Content.styled(f"{indent}… running", "$text-warning"))
        case State.DONE:
            lines.append(
                Content.assemble(
                    (f"{indent}✓ {entry.result}", "$text-success"), (f"   {entry.back}", "$foreground-muted")
                )
            )
        case State.FAILED:
            lines.append(Content.styled(f"{indent}■ {shown(entry.result)}", "$text-error"))
        case State.SKIPPED:
            lines.append(Content.styled(f"{indent}○ not run: the command before it failed", "$foreground-muted"))
    return Content("\n").join(lines)
