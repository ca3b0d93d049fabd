"""The capture triggers of a database, a queue or a table: what writes a table's changes into queues."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, ClassVar

from ...engine.monitor.asides import Capture
from ...engine.monitor.source import Source
from ..aside_columns import CAPTURES, CaptureRow, without
from ..lines import Line
from ..shown import named
from ..view import World
from ..widgets.states import no_rows
from .listed import ListedScreen


def chosen(
    queue: str | None,
    relation: str | None,
    captures: tuple[Capture, ...],
    world: World,  # noqa: ARG001
) -> Sequence[CaptureRow]:
    """The triggers of a queue and a table; None: of every one."""
    return [CaptureRow(one) for one in captures if queue in (None, one.queue) and relation in (None, one.relation)]


class CapturesScreen(ListedScreen):
    """What is stale stands first; T narrows to one table, c compiles."""

    SORT: ClassVar[tuple[str, bool]] = ("table", False)
    AGAIN: ClassVar[float] = 15.0
    WHAT: ClassVar[str] = "capture trigger"

    def __init__(self, source: str, queue: str | None = None, relation: str | None = None) -> None:
        self.COLUMNS = without(
            CAPTURES, *(["queue"] if queue is not None else []), *(["table"] if relation is not None else [])
        )
        super().__init__(source)
        self.queue = queue
        self.relation = relation
        self._state = type(self._state)(self.COLUMNS[0].id, False)

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        middle = (one for one in (self.queue, self.relation) if one is not None)
        return (self._source, *middle, "capture triggers")

    def rows_of(self, rows: tuple[Any, ...]) -> Callable[[World], Sequence[Any]]:
        return partial(chosen, self.queue, self.relation, rows)

    def work(self, source: Source) -> Coroutine[Any, Any, tuple[Any, ...]]:
        return source.captures()

    def nothing(self) -> tuple[Line, ...]:
        into = f" into {named(self.queue)}" if self.queue is not None else " into a queue"
        meaning = f"No trigger writes a table's changes{into}: pgq.logutriga, sqltriga and jsontriga are such."
        return no_rows("capture triggers", meaning, (("esc", "back", "screen.escape"),))
