"""Mode 7: the processes that work on a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from ...engine.monitor.model import Part
from ...engine.monitor.picture import DaemonRow, Picture
from ..columns import DAEMONS, Column
from ..lines import Line
from ..view import World
from ..widgets.snapshot_table import SnapshotTable
from ..widgets.states import no_rows
from .table_screen import TableScreen
from .text_dialog import LinesDialog


def daemons_of(source: str, world: World) -> Sequence[DaemonRow]:
    picture = world.pictures.get(source)
    return picture.daemons if picture is not None else ()


class DaemonsScreen(TableScreen):
    """Tickers and workers, the silent ones first."""

    NEEDS: ClassVar[frozenset[Part]] = frozenset(Part)
    COLUMNS: ClassVar[tuple[Column, ...]] = DAEMONS

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return partial(daemons_of, self.source)

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return (self.source, "daemons")

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        return no_rows(
            "daemons", "Nothing works on this database. A ticker is started by: skyconsole --headless ticker", ()
        )

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        self.app.push_screen(LinesDialog("daemon", self.detail))
