"""What the screens have in common whose rows are read for them alone, and not with the picture."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from ...engine.errors import SkyError
from ...engine.monitor.asides import NotThereError
from ...engine.monitor.model import Part, Phase
from ...engine.monitor.picture import Picture
from ...engine.monitor.source import Source
from ..columns import Column
from ..lines import Line, Span, line
from ..shown import shown
from ..view import Request, View, World
from ..widgets.snapshot_table import SnapshotTable
from .table_screen import TableScreen
from .text_dialog import LinesDialog

LIMIT = 500
"""Rows that are read."""
NEVER = float("inf")


class ListedScreen(TableScreen):
    """Reads when it opens, on `r`, after a command, and by itself every `AGAIN` seconds while pictures come."""

    AGAIN: ClassVar[float] = 5.0
    WHAT: ClassVar[str] = "row"
    """What the dialog of one row is called."""
    NEEDS: ClassVar[frozenset[Part]] = frozenset({Part.SERVER, Part.QUEUES, Part.CONSUMERS})
    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "read", "Read again", id="events.read")]
    COLUMNS: tuple[Column, ...]  # type: ignore[misc]  # a scope leaves some out

    @dataclass
    class Came(Message):
        """The rows, or why there are none."""

        rows: tuple[Any, ...]
        problem: SkyError | None = None

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source
        self._rows: tuple[Any, ...] = ()
        self._problem: SkyError | None = None
        self._reading = True
        self._read_at = 0.0

    # What a subclass says

    def work(self, source: Source) -> Coroutine[Any, Any, tuple[Any, ...]]:
        """Reads the rows, at most LIMIT. Raises SkyError."""
        raise NotImplementedError

    def nothing(self) -> tuple[Line, ...]:
        """What stands there when there is nothing."""
        raise NotImplementedError

    def rows_of(self, rows: tuple[Any, ...]) -> Callable[[World], Sequence[Any]]:
        """The selector for what was read. The function it returns runs in the engine's thread."""
        raise NotImplementedError

    # Reading

    @property
    def source(self) -> str:
        return self._source

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return self.rows_of(self._rows)

    def on_mount(self) -> None:
        super().on_mount()
        self.action_read()

    def action_read(self) -> None:
        source = self.console.source_named(self._source)
        if source is None:
            return
        self._reading = True
        self._read_at = self.console.clock.monotonic()
        self.console.engine.submit(self.work(source)).add_done_callback(self._over)

    def _over(self, future: Future[tuple[Any, ...]]) -> None:
        """Runs in the engine's thread."""
        if future.cancelled():
            return
        failure = future.exception()
        if failure is None:
            self.post_message(self.Came(future.result()))
        elif isinstance(failure, SkyError):
            self.post_message(self.Came((), failure))
        else:
            self.post_message(self.Came((), SkyError(f"{type(failure).__name__}: {failure}")))

    def on_listed_screen_came(self, event: Came) -> None:
        self._reading = False
        self._problem = event.problem
        if event.problem is None or not self._rows:
            self._rows = event.rows
        self._request = None
        self.rearrange()
        self.table.forget_marks_but({row.key for row in self.selector()(self.console.world)})

    def arrived(self, world: World, request: Request | None, view: View | None) -> None:
        super().arrived(world, request, view)
        picture = self.picture
        live = picture is not None and picture.snapshot.phase is Phase.LIVE
        due = self.console.clock.monotonic() - self._read_at >= self.AGAIN
        if live and due and not self._reading and self.is_current:
            self.action_read()

    # Saying

    def _remarks(self) -> tuple[str, ...]:
        remarks = super()._remarks()
        if self._problem is not None and self._rows:
            remarks = (*remarks, "not read again")
        return (*remarks, f"the first {LIMIT}") if len(self._rows) == LIMIT else remarks

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        problem = self._problem
        if problem is not None:
            lines = [line(Span(shown(problem.message), "strong" if isinstance(problem, NotThereError) else "crit"))]
            return (*lines, line(Span(shown(problem.hint), "muted"))) if problem.hint else tuple(lines)
        if self._reading:
            return (line(Span("reading …", "muted")),)
        return self.nothing()

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        self.app.push_screen(LinesDialog(self.WHAT, self.detail))
