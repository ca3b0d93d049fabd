"""What the facts mean: rows with rates, levels, notes and trends, ready to be sorted and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from .model import ConsumerFacts, Phase, QueueFacts, SessionFacts, Snapshot


class Level(IntEnum):
    """How bad it is; ordered, the worst is the greatest."""

    OK = 0
    UNKNOWN = 1
    OFF = 2
    WARN = 3
    CRIT = 4


@dataclass(frozen=True, slots=True)
class Feed:
    """How the readings of one source arrive; every time is our clock's."""

    interval: float = 2.0
    """Seconds between two readings."""
    paused: bool = False
    good_at: datetime | None = None
    """When the facts that are shown were read; None: never."""
    busy_since: datetime | None = None
    """A reading has been asked for and is late; None: none is late."""
    attempt: int = 0
    """How many readings failed in a row."""
    retry_at: datetime | None = None
    """When the next attempt is due while readings fail."""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue as the screen shows it. The same object is reused while nothing in it changes.

    Ages and lags are rounded down as `ages.rounded` says, so that a row which would be drawn the same is the same.
    """

    facts: QueueFacts
    level: Level
    consumers: int
    late: int
    """Consumers at WARN or worse."""
    ev_per_sec: float | None
    """Events a second, from two readings of the event sequence; None before the second."""
    new: int
    """Events since the newest tick."""
    tick_age: float | None
    """Seconds since the newest tick."""
    worst_lag: float | None
    """Seconds; the greatest lag of its consumers."""
    trend: tuple[float, ...]
    """Worst lag, oldest first, one value every 5 seconds; at most 60 values (5 minutes), none at first."""
    note: str
    waiting: float = 0.0
    """Seconds that events are known to wait for a tick."""
    ticker: Level = Level.OK
    """How late its next tick is; OFF when the ticker is paused here."""

    @property
    def key(self) -> str:
        return self.facts.name


@dataclass(frozen=True, slots=True)
class ConsumerRow:
    """A subscription as the screen shows it."""

    facts: ConsumerFacts
    level: Level
    lag: float | None
    """Seconds since the last finished tick was made; None for an idle subconsumer or when that tick is gone."""
    seen: float
    """Seconds since the last sign of life."""
    pending: int | None
    """Events between the last finished and the newest tick."""
    ev_per_sec: float | None
    """Events it finishes a second; None before the second reading."""
    catches_up: float | None
    """Seconds until it is up to date at this rate; None if unknown or never."""
    trend: tuple[float, ...]
    note: str
    behind: Level = Level.OK
    """How late it is; `level` also counts its dead letters."""
    batch_since: datetime | None = None
    """When its open batch was first seen in its hands, by the server's clock; None: it holds none."""

    @property
    def key(self) -> tuple[str, str]:
        return (self.facts.queue, self.facts.name)


@dataclass(frozen=True, slots=True)
class DaemonRow:
    """A process of ours (or of the original) that works on this database."""

    name: str
    level: Level
    state: str
    """'ticking', 'standby', 'silent', …"""
    pid: int | None
    since: datetime | None
    note: str

    @property
    def key(self) -> str:
        return f"{self.name}/{self.pid}"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened between two pictures, for the Events screen."""

    time: datetime
    level: Level
    source: str
    subject: str
    """'queue orders', 'consumer mailer on orders', 'server', …"""
    text: str


@dataclass(frozen=True, slots=True)
class Totals:
    queues: int = 0
    consumers: int = 0
    ev_per_sec: float = 0.0
    ticker_age: float | None = None
    """Seconds since the newest tick of any queue that should tick."""
    ok: int = 0
    warn: int = 0
    crit: int = 0
    off: int = 0


@dataclass(frozen=True, slots=True)
class DatabaseRow:
    """One database of the Overview."""

    source: str
    level: Level
    phase: Phase
    queues: int
    consumers: int
    ev_per_sec: float
    worst_lag: float | None
    ticker: str
    """'ok 0.4s', 'silent 3m', 'none'."""
    trend: tuple[float, ...]
    note: str

    @property
    def key(self) -> str:
        return self.source


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything the screens draw of one database: a function of two snapshots and the thresholds."""

    snapshot: Snapshot
    overview: DatabaseRow
    queues: tuple[QueueRow, ...]
    consumers: tuple[ConsumerRow, ...]
    daemons: tuple[DaemonRow, ...]
    sessions: tuple[SessionFacts, ...]
    totals: Totals
    changes: tuple[Change, ...]
    """New since the picture before."""
    feed: Feed = Feed()
    trend_values: int = 0
    """How many values every trend got since the picture before; see `moment.TREND_STEP`."""
