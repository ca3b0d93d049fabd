"""The retry queue: events that come again to one consumer, and delayed ones that come for the first time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, ClassVar

from ...engine.monitor.ages import rounded
from ...engine.monitor.asides import WaitingEvent
from ...engine.monitor.source import Source
from ..aside_columns import WAITING, WaitingRow, without
from ..lines import Line
from ..shown import named
from ..view import World
from ..widgets.states import no_rows
from .listed import LIMIT, ListedScreen


def due(source: str, events: tuple[WaitingEvent, ...], world: World) -> Sequence[WaitingRow]:
    """The events with the time that is left at the newest picture."""
    picture = world.pictures.get(source)
    if picture is None:
        return ()
    now = picture.snapshot.server_time
    return [WaitingRow(one, _left((one.due - now).total_seconds())) for one in events]


def _left(seconds: float) -> float:
    return rounded(seconds) if seconds >= 0 else -rounded(-seconds)


class WaitingScreen(ListedScreen):
    """What is due first stands first."""

    SORT: ClassVar[tuple[str, bool]] = ("due", False)
    WHAT: ClassVar[str] = "waiting event"

    def __init__(self, source: str, queue: str | None = None, consumer: str | None = None) -> None:
        self.COLUMNS = without(
            WAITING, *(["queue"] if queue is not None else []), *(["for"] if consumer is not None else [])
        )
        super().__init__(source)
        self.queue = queue
        self.consumer = consumer

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return (self._source, *(one for one in (self.queue, self.consumer) if one is not None), "retry queue")

    def rows_of(self, rows: tuple[Any, ...]) -> Callable[[World], Sequence[Any]]:
        return partial(due, self._source, rows)

    def work(self, source: Source) -> Coroutine[Any, Any, tuple[Any, ...]]:
        return source.waiting(self.queue, self.consumer, LIMIT)

    def nothing(self) -> tuple[Line, ...]:
        whose = self.consumer if self.consumer is not None else self.queue
        where = f" for {named(whose)}" if whose is not None else ""
        meaning = f"No event waits{where} to be tried again."
        return no_rows("waiting events", meaning, (("esc", "back", "screen.escape"),))
