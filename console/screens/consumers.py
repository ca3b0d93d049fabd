"""Mode 3: all consumers of a database, flat, late first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from ...engine.monitor.model import Part
from ...engine.monitor.picture import ConsumerRow, Picture
from ..columns import CONSUMERS, Column
from ..lines import Line
from ..view import World
from ..widgets.snapshot_table import SnapshotTable
from ..widgets.states import no_rows
from .table_screen import TableScreen


def all_consumers(source: str, world: World) -> Sequence[ConsumerRow]:
    picture = world.pictures.get(source)
    return picture.consumers if picture is not None else ()


class ConsumersScreen(TableScreen):
    """Every subscription; enter shows its batch."""

    NEEDS: ClassVar[frozenset[Part]] = frozenset(Part)
    COLUMNS: ClassVar[tuple[Column, ...]] = CONSUMERS

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return partial(all_consumers, self.source)

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return (self.source, "consumers")

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        return no_rows(
            "consumers",
            "A consumer registers on a queue and then gets every event once.",
            (
                ("2", "go to the queues", "app.show_mode('queues')"),
                (":", "register consumer NAME on QUEUE;", "app.prompt"),
            ),
        )

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        self.console.open_consumer(self.source, event.row)
