"""The dead letters of a database, a queue or a consumer: events that were given up and wait for a person."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, ClassVar

from ...engine.monitor.ages import rounded
from ...engine.monitor.asides import DeadLetter
from ...engine.monitor.source import Source
from ..aside_columns import LETTERS, LetterRow, without
from ..lines import Line
from ..shown import named
from ..view import World
from ..widgets.states import no_rows
from .listed import LIMIT, ListedScreen


def aged(source: str, letters: tuple[DeadLetter, ...], world: World) -> Sequence[LetterRow]:
    """The letters with their ages at the time of the newest picture."""
    picture = world.pictures.get(source)
    if picture is None:
        return ()
    now = picture.snapshot.server_time
    return [LetterRow(one, rounded((now - one.time).total_seconds())) for one in letters]


class DeadLettersScreen(ListedScreen):
    """Newest first; enter shows a letter with its event, P replays, X purges."""

    SORT: ClassVar[tuple[str, bool]] = ("age", False)
    WHAT: ClassVar[str] = "dead letter"

    def __init__(self, source: str, queue: str | None = None, consumer: str | None = None) -> None:
        self.COLUMNS = without(
            LETTERS, *(["queue"] if queue is not None else []), *(["consumer"] if consumer is not None else [])
        )
        super().__init__(source)
        self.queue = queue
        self.consumer = consumer

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return (self._source, *(one for one in (self.queue, self.consumer) if one is not None), "dead letters")

    def rows_of(self, rows: tuple[Any, ...]) -> Callable[[World], Sequence[Any]]:
        return partial(aged, self._source, rows)

    def work(self, source: Source) -> Coroutine[Any, Any, tuple[Any, ...]]:
        return source.dead_letters(self.queue, self.consumer, LIMIT)

    def nothing(self) -> tuple[Line, ...]:
        whose = self.consumer if self.consumer is not None else self.queue
        where = f"{named(whose)} has given up no event." if whose is not None else "No consumer has given up an event."
        return no_rows("dead letters", where, (("esc", "back", "screen.escape"),))
