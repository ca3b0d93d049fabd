"""Reading a batch's events by a cursor, in the handler's transaction or ahead of it on a second connection."""

from __future__ import annotations

import time
from dataclasses import dataclass

from psycopg import sql

from ..postgres.sql import queries
from .model import Batch
from .requests import Commit, Execute, IsOpen, Place, Program, Receive, Received, Rows, Send, value
from .settings import ConsumerSettings

_TEXTS = queries("queue/consumer.sql")
_SQL = {name: sql.SQL(text) for name, text in _TEXTS.items()}

HEAVY = 32_000_000
"""Characters in one piece after which the connection is not kept: libpq never gives the room of a message back."""

SHORT = 200
"""Events of a batch below which it costs more than it saves to ask for its query's text, or for what comes next."""

_SLOW = 0.005
"""Seconds that reading a heavy piece takes at least; others are not worth counting."""

AHEAD = (Place.AHEAD, Place.BEYOND)
"""Where reading ahead is done, batch by batch in turns."""


class Source:
    """The rows of one batch, piece by piece.

    In Place.QUEUE the cursor lives in the handler's transaction, which is begun with it, and given `claims` as that of
    this batch. Ahead of the handler one piece is on its way while another is in work: its statement is sent early, and
    the server works while the handler does.
    """

    def __init__(self, place: Place, events: str, settings: ConsumerSettings, claims: Batch | None = None) -> None:
        self.place = place
        self.exhausted = False
        self.is_heavy = False
        """A piece was so large that its connection should not be kept."""
        self._is_underway = False
        """A piece was sent for and is not received."""
        self._first: Received | None = None
        self._size = settings.lazy_fetch
        self._autocommit = settings.autocommit
        self._fetch = _SQL["fetch"].format(count=sql.Literal(self._size) if self._size else sql.SQL("all"))
        self._begin = _SQL["begin_reading"].format(
            columns=sql.SQL(", ").join(map(sql.Identifier, settings.fetched_columns)),
            events=sql.SQL(events),
            condition=sql.SQL(settings.condition or "true"),
            fetch=self._fetch,
            room=_SQL["room"] if place in AHEAD else _claim(claims) if claims is not None else sql.SQL(""),
        )

    def start(self) -> Program[None]:
        """Send for the first piece, and begin the transaction."""
        # A statement's text may end in a comment: what follows stands on a line of its own.
        begin = sql.SQL("\n").join((self._begin, _SQL["commit"])) if self._autocommit else self._begin
        yield Send(self.place, begin)
        self._is_underway = True

    def arrive(self) -> Program[None]:
        """Wait for the first piece."""
        self._first = yield from self._receive()

    def next_rows(self) -> Program[Rows]:
        """The next piece; empty when nothing is left."""
        if self.exhausted:
            return []
        if self._first is not None:
            piece, self._first = self._first, None
        else:
            if not self._is_underway:
                yield Send(self.place, self._fetch)
            piece = yield from self._receive()
        if not self._size or piece.count < self._size:
            self.exhausted = True
        elif self.place in AHEAD:
            yield Send(self.place, self._fetch)
            self._is_underway = True
        began = time.perf_counter()
        rows = piece.rows()
        if time.perf_counter() - began > _SLOW and _weight(rows) > HEAVY:
            self.is_heavy = True
        return rows

    def close(self) -> Program[None]:
        """Read what is underway and no more. In the handler's transaction the cursor ends with that."""
        self.exhausted = True
        self._first = None
        if self._is_underway:
            yield from self._receive()
        if self.place in AHEAD:
            yield Commit(self.place)

    def _receive(self) -> Program[Received]:
        self._is_underway = False
        piece: Received = yield Receive(self.place)
        return piece


def _weight(rows: Rows) -> int:
    """Characters of all texts."""
    return sum(len(text) for row in rows for text in row if isinstance(text, str))


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The batch that will come next, and its events, which are being read."""

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


def begin_work(place: Place, batch: Batch) -> Program[None]:
    """Begin the transaction in which this batch is worked on."""
    yield Execute(place, sql.SQL("\n").join((_SQL["begin"], _claim(batch))))


def is_undone(place: Place, batch: Batch) -> Program[bool]:
    """Whether the transaction that was begun for this batch was rolled back. Costs nothing while it is open."""
    if (yield IsOpen(place)):
        return False
    claimed = yield from value(place, _TEXTS["claimed"])
    return bool(claimed != str(batch.batch_id))


def _claim(batch: Batch) -> sql.Composed:
    return _SQL["claim"].format(batch=sql.Literal(str(batch.batch_id)))


def length(batch: Batch) -> int:
    """About how many events it has, by the event sequence."""
    return (batch.tick_event_seq or 0) - (batch.prev_tick_event_seq or 0)


def event_sql(batch: Batch) -> Program[str]:
    """The statement that reads the open batch's events."""
    if 0 < length(batch) < SHORT:
        # Nothing to ask the server for: its function does as well here.
        return _TEXTS["short_events"].format(batch=batch.batch_id)
    return str((yield from value(Place.QUEUE, _TEXTS["event_sql"], batch.batch_id)))


def ask_ahead(place: Place, batch: Batch, settings: ConsumerSettings) -> Program[None]:
    """Ask which batch will come after this one, which is open.

    The server itself says it: the batch is finished and the next one opened in a transaction that is rolled back at
    once. When there is no newer tick nothing is written, and no transaction id is used up.
    """
    question = _SQL["foresee"].format(
        queue=sql.Literal(settings.queue_name),
        consumer=sql.Literal(settings.consumer_name),
        tick=sql.Literal(batch.tick_id),
        batch=sql.Literal(batch.batch_id),
        min_lag=sql.Literal(settings.min_lag),
        min_count=sql.Literal(settings.min_count),
        min_interval=sql.Literal(settings.min_interval),
    )
    yield Send(place, question)


def read_ahead(place: Place, batch: Batch, settings: ConsumerSettings) -> Program[Foreseen | None]:
    """Send for the events of the batch that was asked for with `ask_ahead`; None: there is none yet.

    The text of the events' query stays right although the batch is not open: all events of a batch were committed
    before its end tick, and they are not rotated away before the consumer is past them.
    """

    answer: Received = yield Receive(place)
    found = answer.rows()
    if not found or found[0][0] is None or found[0][0] == batch.batch_id:
        return None
    *facts, events = found[0]
    source = Source(place, events, settings)
    yield from source.start()
    return Foreseen(Batch(*facts), source)
