"""Below a queue: its consumers; below a consumer: its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from ...engine.monitor.model import Part
from ...engine.monitor.picture import ConsumerRow, Picture
from ..columns import CONSUMERS_OF_QUEUE, Column
from ..lines import Line
from ..shown import named
from ..view import World
from ..widgets.snapshot_table import SnapshotTable
from ..widgets.states import no_rows
from .table_screen import TableScreen


def consumers_of(source: str, queue: str, world: World) -> Sequence[ConsumerRow]:
    picture = world.pictures.get(source)
    return [row for row in picture.consumers if row.facts.queue == queue] if picture is not None else ()


class QueueConsumersScreen(TableScreen):
    """The consumers of one queue, late first; enter shows the open batch, or the newest events."""

    NEEDS: ClassVar[frozenset[Part]] = frozenset(Part)
    COLUMNS: ClassVar[tuple[Column, ...]] = CONSUMERS_OF_QUEUE

    def __init__(self, source: str, queue: str) -> None:
        super().__init__()
        self._source = source
        self.queue = queue

    @property
    def source(self) -> str:
        return self._source

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return partial(consumers_of, self._source, self.queue)

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return (self._source, "queues", self.queue)

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        if not any(row.facts.name == self.queue for row in picture.queues):
            return no_rows(
                f"queue {named(self.queue)}", "It was dropped.", (("esc", "back to the queues", "screen.escape"),)
            )
        return no_rows(
            "consumers",
            f"Nobody reads {named(self.queue)}: its events are kept until the next rotation only.",
            (("a", "register a consumer", "app.action_menu"), ("b", "look at its events", "app.open_batch")),
        )

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        self.console.open_consumer(self._source, event.row)
