"""Mode 2: the queues of a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from ...engine.monitor.model import Part
from ...engine.monitor.picture import Picture, QueueRow
from ..columns import QUEUES, Column
from ..lines import Line
from ..view import World
from ..widgets.snapshot_table import SnapshotTable
from ..widgets.states import no_rows
from .queue_consumers import QueueConsumersScreen
from .table_screen import TableScreen


def queues_of(source: str, world: World) -> Sequence[QueueRow]:
    picture = world.pictures.get(source)
    return picture.queues if picture is not None else ()


class QueuesScreen(TableScreen):
    """Every queue, worst first; enter shows its consumers."""

    NEEDS: ClassVar[frozenset[Part]] = frozenset(Part)
    COLUMNS: ClassVar[tuple[Column, ...]] = QUEUES

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return partial(queues_of, self.source)

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return (self.source, "queues")

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        return no_rows(
            "queues",
            "A queue keeps events until all of its consumers have had them.",
            (("A", "create a queue", "app.create_queue"), (":", "create queue NAME;", "app.prompt")),
        )

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        self.app.push_screen(QueueConsumersScreen(self.source, event.row.facts.name))
