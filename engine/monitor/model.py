"""What is known of a database at one moment: frozen facts, as the server told them.

Units: every duration is a float in seconds, every time an aware datetime in UTC, every size in bytes.
Ages are not stored: they follow from a time and `Snapshot.server_time`. A source hands out the same
object again while a row is unchanged, so `facts is old_facts` is the test for "nothing happened here".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Part(Enum):
    """A part of a Snapshot that is read on its own; a screen asks for the parts it shows."""

    SERVER = "server"
    QUEUES = "queues"
    CONSUMERS = "consumers"
    SESSIONS = "sessions"


class Phase(Enum):
    """How a database stands, seen from here."""

    CONNECTING = "connecting"
    LIVE = "live"
    NO_PGQ = "no pgq"
    STALE = "stale"
    """The last reading failed or is late; the facts are the last good ones."""
    LOST = "lost"
    """No connection; the facts are the last good ones."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server and the session that reads it."""

    version_num: int
    """As `server_version_num`: 150018 is 15.18."""
    database: str
    user: str
    in_recovery: bool
    pgq_version: str | None
    """None: there is no schema pgq."""
    pgq_origin: str
    """'skyconsole', 'extension' (the original's package), 'unknown' or '' when absent."""
    can_write: bool
    """The session may create queues (it is a member of pgq_admin or a superuser)."""
    size: int | None = None
    started: datetime | None = None
    """When the server was started."""
    keeps_dead_letters: bool = False
    """This PgQ has dead letters, and the session may count them; the original's has none."""


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One row of pgq.queue with its newest ticks. Source: spec/pgq.md, chapters 3 and 5."""

    queue_id: int
    name: str
    ntables: int
    cur_table: int
    rotation_period: float
    switch_time: datetime
    rotating: bool
    """Between rotation step 1 and step 2."""
    external_ticker: bool
    paused: bool
    disable_insert: bool
    max_count: int
    max_lag: float
    idle_period: float
    per_tx_limit: int | None
    last_tick_id: int | None
    last_tick_time: datetime | None
    last_tick_seq: int | None
    """`tick_event_seq` of the newest tick."""
    event_seq: int
    """Last value of the queue's event id sequence."""
    retry_count: int | None = None
    """Events waiting in the retry queue; None when the session may not read it."""
    dead_count: int | None = None
    """Dead letters, those of consumers that have left included; None where there are none to be had."""


@dataclass(frozen=True, slots=True)
class ConsumerFacts:
    """One subscription. Source: spec/pgq.md, chapter 3."""

    queue: str
    name: str
    sub_id: int
    subconsumer: bool
    """Shares its `sub_id` with a main consumer (spec/pgq-coop.md)."""
    last_tick_id: int | None
    last_tick_time: datetime | None
    last_tick_seq: int | None
    last_seen: datetime
    batch_id: int | None
    next_tick_id: int | None
    next_tick_time: datetime | None = None
    main: str | None = None
    """A subconsumer's main consumer; None for any other."""
    retry_count: int | None = None
    """Its events in the retry queue; a group's stand with the main consumer. None: not known."""
    dead_count: int | None = None
    """Its dead letters; a group's stand with the main consumer. None: not known."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A backend that has to do with PgQ (by application name or by what it runs)."""

    pid: int
    application: str
    user: str
    state: str
    wait: str
    """'Lock:relation' or empty."""
    query: str
    query_start: datetime | None
    blocked_by: tuple[int, ...] = ()
    since: datetime | None = None
    """When the backend was connected."""
    transaction_start: datetime | None = None
    """When its open transaction began; None outside of one."""
    guards: bool = False
    """It holds the lock that makes it the one ticker of its database."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a reading, or one part of it, is missing. Never holds a password."""

    message: str
    """The server's first line, or what we found."""
    sqlstate: str = ""
    hint: str = ""
    part: Part | None = None
    """None: the whole reading."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All facts of one database at one moment. Parts that were not asked for keep the older facts."""

    source: str
    """The name of the source: a service or database name, shown in the title."""
    taken: datetime
    """Our clock."""
    server_time: datetime
    """The server's clock (`clock_timestamp()`); ages are measured against it."""
    phase: Phase
    server: ServerFacts | None = None
    queues: tuple[QueueFacts, ...] = ()
    """By name."""
    consumers: tuple[ConsumerFacts, ...] = ()
    """By queue, then name."""
    sessions: tuple[SessionFacts, ...] = ()
    problems: tuple[Problem, ...] = ()
    read_seconds: float = 0.0
    """How long the reading took."""
    parts: frozenset[Part] = field(default_factory=frozenset)
    """The parts that are fresh."""
    times: Mapping[Part, datetime] = field(default_factory=dict)
    """The server's clock when each part that is held was read; rates are measured between these."""
