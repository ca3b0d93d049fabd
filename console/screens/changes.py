"""Mode 8: what happened since the console was started, newest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ...engine.monitor.picture import Picture
from ..columns import CHANGES, Column, ListedChange
from ..lines import Line
from ..view import World
from ..widgets.snapshot_table import SnapshotTable
from ..widgets.states import no_rows
from .table_screen import TableScreen


def all_changes(world: World) -> Sequence[ListedChange]:
    return world.changes


class ChangesScreen(TableScreen):
    """Alerts, restarts, configuration, queues that come and go; enter goes to what it is about."""

    COLUMNS: ClassVar[tuple[Column, ...]] = CHANGES
    SORT: ClassVar[tuple[str, bool]] = ("time", True)

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return all_changes

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return (self.source, "events")

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        return no_rows(
            "events yet", "What changes while the console runs is listed here: alerts, restarts, settings.", ()
        )

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        self.console.go_to(event.row.change)
