"""The events of an open batch, or the newest of a queue: looked at, never consumed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, ClassVar

from ...engine.monitor.asides import EventRow
from ...engine.monitor.source import Source
from ..columns import EVENTS, PeekedEvent
from ..lines import Line
from ..shown import named
from ..view import World
from ..widgets.states import no_rows
from .listed import LIMIT, NEVER, ListedScreen


def peeked(events: tuple[EventRow, ...], world: World) -> Sequence[PeekedEvent]:  # noqa: ARG001
    return [PeekedEvent(one) for one in events]


class EventsScreen(ListedScreen):
    """Reads once when it opens, and again on `r`."""

    SORT: ClassVar[tuple[str, bool]] = ("id", False)
    AGAIN: ClassVar[float] = NEVER
    WHAT: ClassVar[str] = "event"

    def __init__(self, source: str, queue: str, consumer: str | None = None, batch_id: int | None = None) -> None:
        self.COLUMNS = EVENTS
        super().__init__(source)
        self.queue = queue
        self.consumer = consumer
        self.batch_id = batch_id
        if batch_id is None:
            self._state = type(self._state)("id", True)

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        middle = (self.consumer,) if self.consumer is not None else ()
        last = f"batch {self.batch_id}" if self.batch_id is not None else "newest events"
        return (self._source, "queues", self.queue, *middle, last)

    def rows_of(self, rows: tuple[Any, ...]) -> Callable[[World], Sequence[Any]]:
        return partial(peeked, rows)

    def work(self, source: Source) -> Coroutine[Any, Any, tuple[Any, ...]]:
        if self.batch_id is None:
            return source.peek_queue(self.queue, LIMIT)
        return source.peek_batch(self.batch_id, LIMIT)

    def nothing(self) -> tuple[Line, ...]:
        again = (("r", "read again", "screen.read"), ("esc", "back", "screen.escape"))
        return no_rows("events", f"There is nothing in {named(self.queue)} to look at.", again)
