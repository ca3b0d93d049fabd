"""The events of an open batch, or the newest of a queue: looked at, never consumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from ...engine.errors import SkyError
from ...engine.monitor.picture import Picture
from ...engine.monitor.asides import EventRow
from ..columns import EVENTS, Column, PeekedEvent
from ..lines import Line, Span, line
from ..shown import named, shown
from ..view import World
from ..widgets.snapshot_table import SnapshotTable
from ..widgets.states import no_rows
from .table_screen import TableScreen
from .text_dialog import LinesDialog

LIMIT = 500
"""Events that are looked at."""


def peeked(events: tuple[PeekedEvent, ...], world: World) -> Sequence[PeekedEvent]:  # noqa: ARG001
    return events


class EventsScreen(TableScreen):
    """Reads once when it opens, and again on `r`."""

    COLUMNS: ClassVar[tuple[Column, ...]] = EVENTS
    SORT: ClassVar[tuple[str, bool]] = ("id", False)
    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "read", "Read again", id="events.read")]

    @dataclass
    class Came(Message):
        """The events, or why there are none."""

        events: tuple[EventRow, ...]
        problem: SkyError | None = None

    def __init__(self, source: str, queue: str, consumer: str | None = None, batch_id: int | None = None) -> None:
        super().__init__()
        self._source = source
        self.queue = queue
        self.consumer = consumer
        self.batch_id = batch_id
        self._events: tuple[PeekedEvent, ...] = ()
        self._problem: SkyError | None = None
        self._reading = True
        if batch_id is None:
            self._state = type(self._state)("id", True)

    @property
    def source(self) -> str:
        return self._source

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        middle = (self.consumer,) if self.consumer is not None else ()
        last = f"batch {self.batch_id}" if self.batch_id is not None else "newest events"
        return (self._source, "queues", self.queue, *middle, last)

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return partial(peeked, self._events)

    def on_mount(self) -> None:
        super().on_mount()
        self.action_read()

    def action_read(self) -> None:
        source = self.console.source_named(self._source)
        if source is None:
            return
        self._reading = True
        work = (
            source.peek_queue(self.queue, LIMIT) if self.batch_id is None else source.peek_batch(self.batch_id, LIMIT)
        )
        self.console.engine.submit(work).add_done_callback(self._over)

    def _over(self, future: Future[tuple[EventRow, ...]]) -> None:
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

    def on_events_screen_came(self, event: Came) -> None:
        self._reading = False
        self._problem = event.problem
        self._events = tuple(PeekedEvent(one) for one in event.events)
        self._request = None
        self.rearrange()

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        if self._reading:
            return (line(Span("reading events …", "muted")),)
        if self._problem is not None:
            lines = [line(Span(shown(self._problem.message), "crit"))]
            return (*lines, line(Span(shown(self._problem.hint), "muted"))) if self._problem.hint else tuple(lines)
        again = (("r", "read again", "screen.read"), ("esc", "back", "screen.escape"))
        return no_rows("events", f"There is nothing in {named(self.queue)} to look at.", again)

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        self.app.push_screen(LinesDialog("event", self.detail))
