"""The members of a cooperative consumer: the group, and each worker with its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from ...engine.monitor.model import Part
from ...engine.monitor.picture import ConsumerRow, Picture
from ..aside_columns import MEMBERS
from ..columns import Column
from ..lines import Line
from ..shown import named
from ..view import World
from ..widgets.snapshot_table import SnapshotTable
from ..widgets.states import no_rows
from .table_screen import TableScreen


def members_of(source: str, queue: str, main: str, world: World) -> Sequence[ConsumerRow]:
    """The main consumer and its members; nobody when the consumer works alone."""
    picture = world.pictures.get(source)
    if picture is None:
        return ()
    own = [row for row in picture.consumers if row.facts.queue == queue]
    members = [row for row in own if row.facts.main == main]
    return [row for row in own if row.facts.name == main] + members if members else ()


class MembersScreen(TableScreen):
    """Late first; enter shows a worker's batch."""

    NEEDS: ClassVar[frozenset[Part]] = frozenset(Part)
    COLUMNS: ClassVar[tuple[Column, ...]] = MEMBERS

    def __init__(self, source: str, queue: str, main: str) -> None:
        super().__init__()
        self._source = source
        self.queue = queue
        self.main = main

    @property
    def source(self) -> str:
        return self._source

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return partial(members_of, self._source, self.queue, self.main)

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return (self._source, "queues", self.queue, self.main, "members")

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        if all(row.key != (self.queue, self.main) for row in picture.consumers):
            return no_rows(f"consumer {named(self.main)}", "It was unregistered.", (("esc", "back", "screen.escape"),))
        return no_rows(
            "members",
            f"{named(self.main)} works alone. With pgq_coop several workers share its batches.",
            (
                (":", "register subconsumer NAME for CONSUMER on QUEUE;", "app.add_member"),
                ("b", "look at its batch", "app.open_batch"),
                ("esc", "back", "screen.escape"),
            ),
        )

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        if event.row.facts.batch_id is not None:
            self.console.open_events(self._source, event.row)
        else:
            self.action_explain()
