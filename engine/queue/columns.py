"""Consumers that get events as columns: a list for each chosen column instead of an object for each event."""

from __future__ import annotations

from typing import Any, ClassVar

from .consumer import Consumer
from .event import BatchTags, UnknownColumnError, read_time
from .events import AsyncEvents, SyncEvents
from .model import Batch
from .requests import Rows


class Columns:
    """Some events of a batch, column by column, in the order of their ids; `columns["ev_data"]` or `columns.ev_data`.

    The values of one event stand at the same place in each list. A column that the settings left out raises
    UnknownColumnError.
    """

    __slots__ = ("_lists", "_rows", "_tags", "names")

    def __init__(self, names: tuple[str, ...], rows: Rows, tags: BatchTags) -> None:
        self.names = names
        self._rows = rows
        self._lists: dict[str, list[Any]] = {}
        self._tags = tags

    def __getitem__(self, name: str) -> list[Any]:
        if (found := self._lists.get(name)) is not None:
            return found
        if name not in self.names:
            raise UnknownColumnError(f'The column "{name}" was not fetched.')
        position = self.names.index(name)
        if name == "ev_time":
            made = [read_time(row[position]) for row in self._rows]
        else:
            made = [row[position] for row in self._rows]
        self._lists[name] = made
        return made

    def __getattr__(self, name: str) -> list[Any]:
        return self[name]

    def __len__(self) -> int:
        """How many events."""
        return len(self._rows)

    def retry(self, event_id: int, seconds: float | None = None) -> None:
        """Let this event come again, after `seconds` or as the retry policy says; that needs the column ev_retry."""
        retries = None
        if seconds is None:
            retries = self["ev_retry"][self["ev_id"].index(event_id)]
        self._tags.retry(event_id, retries, seconds)

    def dead(self, event_id: int, reason: str) -> None:
        """Set this event aside as a dead letter. Raises LookupError where the server keeps none."""
        self._tags.dead(event_id, reason)


class ColumnConsumer(Consumer):
    """A consumer whose handler gets columns: the fastest form, for handlers that work on many events at once.

    Write `process_columns(self, db, batch, columns)`, plain or async. It is called for each piece that is fetched
    (`lazy_fetch` events, or the whole batch with 0), and not for a batch without events.
    """

    _handlers: ClassVar[tuple[str, str]] = ("process_columns", "process_columns")

    def process_columns(self, db: Any, batch: Batch, columns: Columns) -> Any:
        """Work on some events of a batch."""
        raise NotImplementedError

    def process_batch(self, db: Any, batch: Batch, events: Any) -> Any:
        """Call process_columns for each piece of the batch."""
        if isinstance(events, SyncEvents):
            return self._hand_over(db, batch, events)
        return self._hand_over_async(db, batch, events)

    def _hand_over(self, db: Any, batch: Batch, events: SyncEvents) -> None:
        names = self.settings.fetched_columns
        for rows in events.pieces():
            self.process_columns(db, batch, Columns(names, rows, events.tags))

    async def _hand_over_async(self, db: Any, batch: Batch, events: AsyncEvents) -> None:
        names = self.settings.fetched_columns
        async for rows in events.pieces():
            await self.process_columns(db, batch, Columns(names, rows, events.tags))
