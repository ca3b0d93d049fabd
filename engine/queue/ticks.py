"""Ticking: which queues are due, making their ticks, and how long to wait before looking again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import cast

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ..postgres.sql import queries

_SQL = queries("ticker/ticks.sql")

GUARD_CLASS = 7564153
GUARD_OBJECT = 1953063787
"""The two numbers of the session advisory lock that the one ticker of a database holds ("sky", "tick")."""

WAKE_CHANNEL = "pgq_ticker"
"""A NOTIFY on this channel makes the ticker look at once."""

QUIET_SHARE = 8
"""After a silence of t seconds a look comes t / 8 seconds after the one before."""

COST_SHARE = 10
"""Looks take at most one tenth of the time..."""

EAGER_MIN_PERIOD = 0.005
EAGER_COST_SHARE = 2
"""...but half of it where the least distance is set below so many seconds: then latency counts, not processor time."""

CHEAP_LOOK = 0.002
"""A look of less than so many seconds is not preceded by a glance while events come in."""

MOST_IDLE_DELAY = 1.0
"""Seconds by which an idle tick may be late."""

GAP_SHARE = 10
"""A queue that needs a tick every t seconds is looked at every t / 10 seconds."""


def tick_channel(queue_id: int) -> str:
    """The channel a tick of this queue is told on; the payload is the tick's id as text."""
    return f"pgq_tick_{queue_id}"


@dataclass(frozen=True, slots=True)
class QueueRef:
    """A queue by id and name."""

    queue_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick just made."""

    queue_id: int
    tick_id: int


@dataclass(frozen=True, slots=True)
class Look:
    """What one reading of a database's queues says. Source of the decision: spec/pgq.md 5."""

    queues: int
    """Queues that are ticked from here: neither external nor paused."""
    due: tuple[QueueRef, ...]
    """The first `waiting` of them have events, the rest get an idle tick."""
    waiting: int
    expected_gap: float | None
    """Seconds between two ticks of the most eager queue with new events, at its present rate; None: there is none."""
    next_due: float | None
    """Seconds until the first queue with new events that is not due yet becomes due; None: there is none."""
    idle_gap: float | None = None
    """Seconds between two idle ticks of the queue that gets them most often; None: there are no queues."""
    mark: Decimal | None = None
    """The sum of the queues' event sequences; None: there are no queues."""

    @property
    def lasts(self) -> float:
        """Seconds for which nothing but new events can make a queue due that a person would miss.

        An idle tick may be late by a tenth of its distance, and by a second at most.
        """
        if self.expected_gap is not None:
            return 0.0
        return MOST_IDLE_DELAY if self.idle_gap is None else min(MOST_IDLE_DELAY, self.idle_gap / GAP_SHARE)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look at the queues of one database: fast while events come in, slowly in silence.

    All values are seconds. `period` is the greatest distance of two looks, `min_period` the least. A pure value:
    `after` gives the next one.
    """

    period: float
    min_period: float
    eager_gap: float | None = None
    """The tick distance wanted by the most eager queue lately; None: none was more eager than `period`."""
    active_at: float = 0.0
    """When such a queue last had new events."""
    next_due: float | None = None
    costs: tuple[float, ...] = ()
    """How long the latest looks took, three at most."""

    def after(self, look: Look, now: float, cost: float) -> Pace:
        """The pace after a look that ended at the monotonic time `now` and took `cost` seconds."""
        pace = replace(self.glanced(cost), next_due=look.next_due)
        if look.expected_gap is not None and look.expected_gap < self.period:
            return replace(pace, eager_gap=look.expected_gap, active_at=now)
        return pace

    def glanced(self, cost: float) -> Pace:
        """The pace after a glance that found nothing new and took `cost` seconds."""
        return replace(self, costs=(*self.costs[-2:], cost))

    def woken(self, now: float) -> Pace:
        """The pace after somebody told us that events are there."""
        return replace(self, eager_gap=self.eager_gap or 0.0, active_at=now)

    @property
    def least(self) -> float:
        """Seconds that lie between the beginnings of two looks at least."""
        # The first look of a session fills its caches, and any one may have waited: the cheapest tells the cost.
        cost = min(self.costs) if len(self.costs) > 1 else 0.0
        share = COST_SHARE if self.min_period >= EAGER_MIN_PERIOD else EAGER_COST_SHARE
        return min(max(self.min_period, share * cost), max(self.period, self.min_period))

    def distance(self, now: float) -> float:
        """Seconds from the beginning of the latest look to the beginning of the next."""
        most = max(self.period, self.min_period)
        wanted = most
        if self.eager_gap is not None:
            wanted = min(wanted, max(self.eager_gap / GAP_SHARE, (now - self.active_at) / QUIET_SHARE))
        if self.next_due is not None:
            wanted = min(wanted, self.next_due + 0.001)
        return min(most, max(self.least, wanted))

    def glances(self, now: float) -> bool:
        """Whether a glance before a look pays: not when news is likely and a look costs next to nothing."""
        return self.quiet(now) > 1.0 or not self.costs or min(self.costs) > CHEAP_LOOK

    def quiet(self, now: float) -> float:
        """Seconds since an eager queue had new events; infinite when none ever had."""
        return float("inf") if self.eager_gap is None else now - self.active_at


async def try_guard(connection: AsyncConnection[TupleRow]) -> bool:
    """Take the lock that only one ticker of a database holds; it lasts as long as the session."""
    row = await _one(connection, "guard", {"class": GUARD_CLASS, "object": GUARD_OBJECT})
    return bool(row[0])


async def guard_holder(connection: AsyncConnection[TupleRow]) -> str:
    """Who holds the guard, in words; empty when nobody does."""
    cursor = await connection.execute(_SQL["guard_holder"], {"class": GUARD_CLASS, "object": GUARD_OBJECT})
    row = await cursor.fetchone()
    if row is None:
        return ""
    pid, application, user, _ = row
    return f"{application or 'a session without a name'} (backend {pid}, user {user or 'unknown'})"


async def look(connection: AsyncConnection[TupleRow], excluded: Collection[int] = ()) -> Look:
    """Which queues are due now; reads only, and takes no transaction id. Raises psycopg.Error."""
    row = await _one(connection, "look", {"excluded": list(excluded)})
    queues, mark, ids, names, waiting, expected_gap, next_due, idle_gap = row
    due = tuple(QueueRef(queue_id, name) for queue_id, name in zip(ids or (), names or (), strict=True))
    return Look(queues, due, waiting, expected_gap, next_due, idle_gap, mark)


async def glance(connection: AsyncConnection[TupleRow], excluded: Collection[int] = ()) -> Decimal | None:
    """The `mark` that a look would find now, for two thirds of its price. Raises psycopg.Error."""
    return cast("Decimal | None", (await _one(connection, "glance", {"excluded": list(excluded)}))[0])


async def tick(connection: AsyncConnection[TupleRow], due: Sequence[QueueRef]) -> tuple[Tick, ...]:
    """Tick these queues in one transaction and notify their listeners; returns the ticks that were made.

    One queue's error fails them all: call again queue by queue then. Raises psycopg.Error.
    """
    cursor = await connection.execute(
        _SQL["tick"], {"queue_ids": [q.queue_id for q in due], "queue_names": [q.name for q in due]}
    )
    return tuple(Tick(queue_id, tick_id) for queue_id, tick_id, _ in await cursor.fetchall())


async def locked_queues(connection: AsyncConnection[TupleRow]) -> tuple[QueueRef, ...]:
    """Queues that a look has to wait for, because somebody holds their sequence exclusively."""
    cursor = await connection.execute(_SQL["locked_queues"])
    return tuple(dict.fromkeys(QueueRef(queue_id, name) for queue_id, name in await cursor.fetchall()))


async def newest_ticks(connection: AsyncConnection[TupleRow]) -> dict[QueueRef, int]:
    """The newest tick id of each queue that has no external ticker."""
    ids, names, ticks = await _one(connection, "newest_ticks", {})
    return {
        QueueRef(queue_id, name): tick_id
        for queue_id, name, tick_id in zip(ids or (), names or (), ticks or (), strict=True)
    }


async def ticker_sessions(connection: AsyncConnection[TupleRow]) -> tuple[tuple[int, str], ...]:
    """Backend pid and application name of other sessions that called the tick function last, as far as we may see."""
    cursor = await connection.execute(_SQL["ticker_sessions"])
    return tuple((pid, application or "") for pid, application in await cursor.fetchall())


async def _one(connection: AsyncConnection[TupleRow], name: str, parameters: dict[str, object]) -> TupleRow:
    cursor = await connection.execute(_SQL[name], parameters)
    row = await cursor.fetchone()
    if row is None:
        raise psycopg.DatabaseError(f"The statement ticker/{name} gave no row.")
    return row
