"""Mode 1: one row a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ...engine.monitor.model import Part
from ...engine.monitor.picture import DatabaseRow, Totals
from ..columns import OVERVIEW, Column
from ..lines import Line
from ..view import World
from ..widgets.snapshot_table import SnapshotTable
from ..widgets.states import no_rows
from ..widgets.totals import sum_of
from .table_screen import TableScreen


def databases(world: World) -> Sequence[DatabaseRow]:
    return [picture.overview for picture in world.pictures.values()]


class OverviewScreen(TableScreen):
    """Every database with its health; enter goes into it."""

    NEEDS: ClassVar[frozenset[Part]] = frozenset({Part.SERVER, Part.QUEUES, Part.CONSUMERS})
    COLUMNS: ClassVar[tuple[Column, ...]] = OVERVIEW
    EMPTY_HINT: ClassVar[tuple[Line, ...]] = no_rows("databases", "No database has answered yet.", ())

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return databases

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return ("overview",)

    @property
    def totals(self) -> Totals | None:
        pictures = self.console.pictures
        return sum_of(pictures.values()) if pictures else None

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        self.console.choose_source(event.row.source)
        self.console.action_show_mode("queues")
