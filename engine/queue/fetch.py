"""Reading a batch's events: in pieces by a cursor, ahead of the handler on a second connection, or all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from ..postgres.sql import queries
from .model import Batch
from .requests import Begin, Commit, Execute, Fetch, Fetched, Join, Place, Program, Rollback, Rows, Spawn, value
from .settings import ConsumerSettings
from .work import PlainWork

_SQL = queries("queue/consumer.sql")


class Source:
    """The rows of one batch, piece by piece; one piece is read ahead where the place is Place.AHEAD.

    In Place.QUEUE the cursor lives in the handler's transaction, which must be open.
    """

    def __init__(self, place: Place, events: str, settings: ConsumerSettings) -> None:
        self.place = place
        self.exhausted = False
        self._size = settings.lazy_fetch
        self._parts = {
            "columns": sql.SQL(", ").join(map(sql.Identifier, settings.fetched_columns)),
            "events": sql.SQL(events),
            "condition": sql.SQL(settings.condition or "true"),
        }
        self._first: Fetched | None = None
        self._pending: Any = None

    def start(self) -> Program[None]:
        """Ask the server for the first piece."""
        if not self._size:
            self._first = yield Fetch(self.place, sql.SQL(_SQL["events"]).format(**self._parts))
            return
        if self.place is Place.AHEAD:
            yield Begin(self.place)
        yield Execute(self.place, sql.SQL(_SQL["declare"]).format(**self._parts))
        self._first = yield from self._fetch()

    def next_rows(self) -> Program[Rows]:
        """The next piece; empty when nothing is left. Must not be called again after that."""
        if self.exhausted:
            return []
        if self._first is not None:
            fetched, self._first = self._first, None
        elif self._pending is not None:
            pending, self._pending = self._pending, None
            fetched = yield Join(pending)
        else:
            fetched = yield from self._fetch()
        if not self._size or fetched.count < self._size:
            self.exhausted = True
            yield from self._end()
        elif self.place is Place.AHEAD:
            self._pending = yield Spawn(self._fetch())
        return fetched.rows()

    def close(self) -> Program[None]:
        """End it wherever it is; nothing happens when it is exhausted."""
        if self.exhausted:
            return
        self.exhausted = True
        self._first = None
        if self._pending is not None:
            pending, self._pending = self._pending, None
            yield Join(pending)
        yield from self._end()

    def _fetch(self) -> Program[Fetched]:
        fetched: Fetched = yield Fetch(self.place, sql.SQL(_SQL["fetch"]).format(count=sql.Literal(self._size)))
        return fetched

    def _end(self) -> Program[None]:
        if self.place is Place.AHEAD:
            yield Commit(self.place)
        elif self._size:
            yield Execute(self.place, _SQL["close"])


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The batch that will come next, and its events as they are being read."""

    batch: Batch
    source: Source

    def is_of(self, batch: Batch) -> bool:
        """Whether it is this batch: what lies between the same two ticks never changes, whatever the batch's id."""
        mine, theirs = self.batch, batch
        return (mine.prev_tick_id, mine.tick_id, mine.prev_tick_time, mine.tick_time) == (
            theirs.prev_tick_id,
            theirs.tick_id,
            theirs.prev_tick_time,
            theirs.tick_time,
        )


def event_sql(place: Place, batch: Batch) -> Program[str]:
    """The statement that reads the batch's events."""
    return str((yield from value(place, _SQL["event_sql"], batch.batch_id)))


def foresee(work: PlainWork, batch: Batch) -> Program[Foreseen | None]:
    """Read ahead what comes after the open batch; None: nothing is there yet.

    The server itself says what would come next: the batch is finished and the next one opened in a transaction that is
    rolled back at once. The text of the events' query stays right after that: all events of a batch were committed
    before its end tick, and they are not rotated away before the consumer is past them.
    """
    if not (yield from work.newer_tick(batch)):
        return None
    yield Begin(Place.AHEAD)
    try:
        if not (yield from work.finish(batch, Place.AHEAD)):
            return None
        following = yield from work.open(Place.AHEAD)
        if following is None:
            return None
        events = yield from event_sql(Place.AHEAD, following)
    finally:
        yield Rollback(Place.AHEAD)
    source = Source(Place.AHEAD, events, work.settings)
    yield from source.start()
    return Foreseen(following, source)
