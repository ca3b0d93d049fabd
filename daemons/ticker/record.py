"""How each database stands: what the ticker tells of itself, to people, probes and Prometheus."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from ...engine.clock import Clock
from ...engine.queue.maintenance import HeldRotation


class State(Enum):
    """How the ticker stands with a database. Source: spec/ticker.md 9.5."""

    CONNECTING = "connecting"
    NO_PGQ = "no pgq"
    BAD_VERSION = "bad version"
    SPARE = "hot spare"
    TICKING = "ticking"
    ERROR = "error"
    STANDBY = "standby"
    RELEASED = "released"
    TURN = "waiting for its turn"
    """More databases than connections: it is visited again and again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that fails again and again."""

    error: str
    since: datetime
    count: int


@dataclass(frozen=True, slots=True)
class QueueMetrics:
    """One queue, for Prometheus; times in seconds."""

    queue: str
    tick_age: float | None
    new_events: int | None
    rotation_age: float


@dataclass(frozen=True, slots=True)
class ConsumerMetrics:
    """One subscription, for Prometheus; times in seconds."""

    queue: str
    consumer: str
    lag: float | None
    pending: int | None


@dataclass(slots=True)
class DatabaseRecord:
    """What is known of one database; written by its own task only."""

    name: str
    since: datetime
    """When it got into the present state."""
    state: State = State.CONNECTING
    error: str = ""
    """Why it is in the state ERROR or BAD_VERSION, or who ticks instead of us."""
    pgq_version: str = ""
    queues: int = 0
    passes: int = 0
    """Looks since the last statistics line; the original counts its calls of the tick function so."""
    cycles: int = 0
    """Maintenance cycles since the last statistics line."""
    retried: int = 0
    """Retry events moved since the last statistics line."""
    looks: int = 0
    ticks: int = 0
    last_tick: datetime | None = None
    look_seconds: float = 0.0
    tick_seconds: float = 0.0
    distance: float = 0.0
    """Seconds until the next look."""
    failures: dict[str, Failure] = field(default_factory=dict)
    """By operation."""
    broken_queues: dict[str, Failure] = field(default_factory=dict)
    held: tuple[HeldRotation, ...] = ()
    foreign: str = ""
    """Another ticker at work, in words."""
    queue_metrics: tuple[QueueMetrics, ...] = ()
    consumer_metrics: tuple[ConsumerMetrics, ...] = ()
    retry_backlog: dict[str, int] = field(default_factory=dict)
    failed_since: datetime | None = None
    """When the trouble began that lasts until the next look that succeeds."""
    failed_at: float | None = None
    """The same by the monotonic clock: a wall clock that jumps makes nothing unhealthy."""

    def enter(self, state: State, now: datetime, error: str = "") -> bool:
        """Note the state; returns whether it, or its reason, is a new one."""
        if self.state is state and self.error == error:
            return False
        if self.state is not state:
            self.since = now
        self.state, self.error = state, error
        return True

    def begin_failing(self, clock: Clock) -> None:
        """The database can not be ticked; keeps the moment when that began."""
        if self.failed_at is None:
            self.failed_since, self.failed_at = clock.now(), clock.monotonic()

    def end_failing(self) -> None:
        """It is as it should be again."""
        self.failed_since = self.failed_at = None

    def fail(self, failures: dict[str, Failure], what: str, error: str, now: datetime) -> bool:
        """Count a failure; returns whether it is a new one, or has a new reason."""
        old = failures.get(what)
        failures[what] = Failure(error, old.since if old else now, old.count + 1 if old else 1)
        return old is None or old.error != error

    def as_json(self) -> dict[str, object]:
        """For --status."""
        return {
            "name": self.name,
            "state": self.state.value,
            "since": self.since.isoformat(),
            "error": self.error,
            "failed_since": self.failed_since.isoformat() if self.failed_since else None,
            "pgq_version": self.pgq_version,
            "queues": self.queues,
            "looks": self.looks,
            "ticks": self.ticks,
            "last_tick": self.last_tick.isoformat() if self.last_tick else None,
            "look_seconds": round(self.look_seconds, 6),
            "tick_seconds": round(self.tick_seconds, 6),
            "distance": round(self.distance, 4),
            "failures": {k: {"error": f.error, "count": f.count} for k, f in self.failures.items()},
            "broken_queues": {k: {"error": f.error, "count": f.count} for k, f in self.broken_queues.items()},
            "held_rotations": [
                {"queue": h.queue, "consumer": h.consumer, "lag": h.lag, "overdue": h.overdue} for h in self.held
            ],
            "other_ticker": self.foreign,
        }


def is_unhealthy(record: DatabaseRecord, now: float, after: float) -> bool:
    """Whether this database has been failing for longer than `after` seconds at the monotonic time `now`."""
    return record.failed_at is not None and now - record.failed_at > after
