"""The columns of every table as data: what a cell says, how it sorts, how wide it is, when it gives way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..engine.monitor.asides import EventRow
from ..engine.monitor.model import Phase
from ..engine.monitor.picture import Change, Level
from . import format as fmt
from .glyphs import LEVEL_ROLES, LEVEL_WORDS
from .shown import named, shown


class Kind(Enum):
    """What a column holds: how it is compared in filters."""

    TEXT = "text"
    COUNT = "count"
    DURATION = "duration"
    LEVEL = "level"
    TREND = "trend"


def _text_role(_: Any) -> str:
    return "text"


def _no_trend(_: Any) -> tuple[float, ...]:
    return ()


def _no_lag(_: Any) -> float | None:
    return None


def _level(row: Any) -> Level:
    level = row.level
    assert isinstance(level, Level)
    return level


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Widths are in cells; the column of the lowest `priority` number is the last to give way."""

    id: str
    title: str
    text: Callable[[Any], str]
    value: Callable[[Any], Any]
    """What it sorts by; None sorts last."""
    kind: Kind = Kind.COUNT
    width: int = 6
    grow: int = 0
    """Cells it may grow beyond `width`; 0: fixed."""
    priority: int = 5
    from_cells: int = 0
    """Shown only in a table that has at least so many cells."""
    right: bool = True
    descending: bool = True
    """The direction it sorts in first."""
    role: Callable[[Any], str] = _text_role
    trend: Callable[[Any], tuple[float, ...]] = _no_trend
    level: Callable[[Any], Level] = _level
    moves: bool = False
    """A change of the number is shown by an arrow and a flash."""
    natural: bool = False
    """Wants to be as wide as the widest text in sight (names)."""
    aliases: tuple[str, ...] = ()
    help: str = ""
    plain: Callable[[Any], str] = str
    """Text as it is in the database, for filters, copies and exports."""


def text_column(id: str, title: str, text: Callable[[Any], str], **settings: Any) -> Column:
    """A column of text from the database, shown with its control characters made visible."""
    settings.setdefault("natural", False)
    make = named if settings["natural"] else shown
    return Column(
        id=id,
        title=title,
        text=lambda row: make(text(row)),
        plain=text,
        value=settings.pop("value", lambda row: text(row).casefold()),
        kind=Kind.TEXT,
        right=False,
        descending=False,
        **settings,
    )


def _lag_role(row: Any) -> str:
    level = getattr(row, "behind", row.level)
    return LEVEL_ROLES[level] + "-strong" if level >= Level.WARN else ("off" if level is Level.OFF else "text")


def _rate_role(row: Any) -> str:
    return "text" if row.ev_per_sec else "muted"


def _muted(_: Any) -> str:
    return "muted"


def _dead_role(row: Any) -> str:
    return LEVEL_ROLES[Level.WARN] if row.facts.dead_count else "muted"


def level_column(worst: Callable[[Any], float | None]) -> Column:
    """The level as sign, colour and word; sorts by badness, then by the worst lag."""
    return Column(
        "level",
        "STATE",
        text=lambda row: LEVEL_WORDS[row.level],
        plain=lambda row: LEVEL_WORDS[row.level],
        value=lambda row: (row.level, worst(row) or 0.0),
        kind=Kind.LEVEL,
        width=5,
        priority=8,
        from_cells=96,
        right=False,
        role=lambda row: LEVEL_ROLES[row.level],
        aliases=("state", "status"),
        help="how bad it is: ok, warn, crit, off, unknown",
    )


def trend_column(title: str = "TREND 5m") -> Column:
    return Column(
        "trend",
        title,
        text=lambda row: " ".join(fmt.short_duration(value) for value in row.trend[-8:]),
        value=lambda row: row.trend[-1] if row.trend else None,
        kind=Kind.TREND,
        width=8,
        grow=10,
        priority=4,
        right=False,
        role=lambda row: LEVEL_ROLES[row.level] if row.level is not Level.OK else "trend",
        trend=lambda row: row.trend,
        help="worst lag of the last five minutes, newest right",
    )


def _note(priority: int = 3) -> Column:
    return text_column("note", "NOTE", lambda row: row.note, width=10, grow=90, priority=priority, role=_muted)


QUEUES: tuple[Column, ...] = (
    text_column("queue", "QUEUE", lambda row: row.facts.name, width=15, grow=60, priority=0, natural=True,
                aliases=("name",), help="the queue"),
    level_column(lambda row: row.worst_lag),
    Column("cons", "CONS", lambda row: str(row.consumers), lambda row: row.consumers, width=5, priority=6,
           aliases=("consumers",), help="subscriptions"),
    Column("ev/s", "EV/S", lambda row: fmt.rate(row.ev_per_sec), lambda row: row.ev_per_sec, width=5, priority=2,
           aliases=("ev", "rate", "evs"), role=_rate_role, help="events inserted a second"),
    Column("new", "NEW", lambda row: fmt.count(row.new), lambda row: row.new, width=4, priority=5,
           role=lambda row: "text" if row.new else "muted", help="events since the newest tick"),
    Column("tick", "TICK", lambda row: fmt.short_duration(row.tick_age), lambda row: row.tick_age, Kind.DURATION,
           width=5, priority=4, role=lambda row: "off" if row.level is Level.OFF else "text",
           help="age of the newest tick"),
    Column("lag", "WORST LAG", lambda row: fmt.duration(row.worst_lag), lambda row: row.worst_lag, Kind.DURATION,
           width=10, priority=1, role=_lag_role, moves=True, help="greatest lag of its consumers"),
    Column("retry", "RETRY", lambda row: fmt.count(row.facts.retry_count), lambda row: row.facts.retry_count,
           width=5, priority=9, from_cells=120, role=_muted, help="events that wait to be tried again"),
    Column("dead", "DEAD", lambda row: fmt.count(row.facts.dead_count), lambda row: row.facts.dead_count,
           width=4, priority=8, from_cells=110, role=_dead_role, help="dead letters: events that were given up"),
    trend_column(),
    _note(),
)  # fmt: skip

CONSUMERS: tuple[Column, ...] = (
    text_column("consumer", "CONSUMER", lambda row: row.facts.name, width=14, grow=50, priority=0, natural=True,
                aliases=("name", "cons")),
    text_column("queue", "QUEUE", lambda row: row.facts.queue, width=12, grow=30, priority=2, role=_muted,
                natural=True),
    level_column(lambda row: row.lag),
    Column("lag", "LAG", lambda row: fmt.duration(row.lag), lambda row: row.lag, Kind.DURATION, width=8, priority=1,
           role=_lag_role, moves=True, help="seconds since its last finished tick was made"),
    Column("seen", "SEEN", lambda row: fmt.age(row.seen), lambda row: row.seen, Kind.DURATION, width=5,
           priority=4, help="since its last sign of life"),
    Column("pending", "PENDING", lambda row: fmt.count(row.pending), lambda row: row.pending, width=7, priority=3,
           help="events between its last finished and the newest tick"),
    Column("ev/s", "EV/S", lambda row: fmt.rate(row.ev_per_sec), lambda row: row.ev_per_sec, width=6, priority=6,
           aliases=("ev", "rate", "evs"), role=_rate_role, help="events it finishes a second"),
    Column("eta", "ETA", lambda row: fmt.short_duration(row.catches_up) if row.catches_up else fmt.NOT_KNOWN,
           lambda row: row.catches_up, Kind.DURATION, width=5, priority=7, role=_muted,
           help="until it is up to date at this rate"),
    Column("batch", "BATCH", lambda row: str(row.facts.batch_id or fmt.NOT_KNOWN), lambda row: row.facts.batch_id,
           width=8, priority=8, role=_muted, help="the open batch"),
    Column("retry", "RETRY", lambda row: fmt.count(row.facts.retry_count or 0), lambda row: row.facts.retry_count or 0,
           width=5, priority=10, from_cells=130, role=_muted, help="its events that wait to be tried again"),
    Column("dead", "DEAD", lambda row: fmt.count(row.facts.dead_count or 0), lambda row: row.facts.dead_count or 0,
           width=4, priority=9, from_cells=120, role=_dead_role, help="its dead letters: events it gave up"),
    trend_column(),
    _note(5),
)  # fmt: skip

CONSUMERS_OF_QUEUE: tuple[Column, ...] = tuple(column for column in CONSUMERS if column.id != "queue")

_PHASES: dict[Phase, str] = {
    Phase.CONNECTING: "connecting",
    Phase.LIVE: "live",
    Phase.NO_PGQ: "no PgQ",
    Phase.STALE: "stale",
    Phase.LOST: "lost",
}

OVERVIEW: tuple[Column, ...] = (
    text_column("database", "DATABASE", lambda row: row.source, width=14, grow=40, priority=0, natural=True,
                aliases=("name", "source", "db")),
    level_column(lambda row: row.worst_lag),
    text_column("phase", "LINK", lambda row: _PHASES[row.phase], width=7, priority=6, role=_muted),
    Column("queues", "QUEUES", lambda row: str(row.queues), lambda row: row.queues, width=6, priority=5),
    Column("cons", "CONS", lambda row: str(row.consumers), lambda row: row.consumers, width=5, priority=7,
           aliases=("consumers",)),
    Column("ev/s", "EV/S", lambda row: fmt.rate(row.ev_per_sec), lambda row: row.ev_per_sec, width=6, priority=2,
           aliases=("ev", "rate", "evs"), role=_rate_role),
    text_column("ticker", "TICKER", lambda row: row.ticker, width=10, priority=4),
    Column("lag", "WORST LAG", lambda row: fmt.duration(row.worst_lag), lambda row: row.worst_lag, Kind.DURATION,
           width=10, priority=1, role=_lag_role, moves=True),
    trend_column(),
    _note(),
)  # fmt: skip

DAEMONS: tuple[Column, ...] = (
    text_column("daemon", "DAEMON", lambda row: row.name, width=18, grow=30, priority=0, natural=True,
                aliases=("name",)),
    level_column(_no_lag),
    text_column("doing", "DOING", lambda row: row.state, width=12, grow=8, priority=1),
    Column("pid", "PID", lambda row: str(row.pid or fmt.NOT_KNOWN), lambda row: row.pid, width=8, priority=2),
    text_column("since", "SINCE", lambda row: fmt.clock_time(row.since) if row.since else fmt.NOT_KNOWN, width=8,
                priority=4, value=lambda row: row.since),
    _note(3),
)  # fmt: skip

CHANGES: tuple[Column, ...] = (
    text_column("time", "TIME", lambda row: fmt.clock_time(row.time), width=8, priority=1,
                value=lambda row: row.time, role=_muted),
    level_column(_no_lag),
    text_column("database", "DATABASE", lambda row: row.source, width=12, grow=12, priority=4, role=_muted,
                natural=True, aliases=("source", "db")),
    text_column("subject", "SUBJECT", lambda row: row.subject, width=18, grow=30, priority=2, natural=True),
    text_column("text", "WHAT HAPPENED", lambda row: row.text, width=20, grow=120, priority=0),
)  # fmt: skip

EVENTS: tuple[Column, ...] = (
    Column("id", "EV_ID", lambda row: str(row.event.ev_id), lambda row: row.event.ev_id, width=10, priority=0),
    text_column("time", "TIME", lambda row: fmt.clock_time(row.event.ev_time), width=8, priority=2,
                value=lambda row: row.event.ev_time, role=_muted),
    text_column("type", "TYPE", lambda row: row.event.ev_type or "", width=10, grow=14, priority=1, natural=True),
    text_column("data", "DATA", lambda row: row.event.ev_data or "", width=20, grow=160, priority=1),
    text_column("extra1", "EXTRA1", lambda row: row.event.ev_extra1 or "", width=12, grow=20, priority=4, role=_muted),
    Column("retry", "RETRY", lambda row: str(row.event.ev_retry or 0), lambda row: row.event.ev_retry or 0, width=5,
           priority=5, role=_muted),
    Column("txid", "TXID", lambda row: str(row.event.ev_txid or fmt.NOT_KNOWN), lambda row: row.event.ev_txid,
           width=10, priority=6, role=_muted),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PeekedEvent:
    """An event as a row of a table."""

    event: EventRow

    @property
    def key(self) -> tuple[int, int | None]:
        return (self.event.ev_id, self.event.ev_retry)

    @property
    def level(self) -> Level:
        return Level.WARN if self.event.ev_retry else Level.OK


@dataclass(frozen=True, slots=True)
class ListedChange:
    """A change as a row of the Events screen."""

    change: Change
    number: int
    """Counts up from the start of the program."""

    @property
    def key(self) -> int:
        return self.number

    @property
    def level(self) -> Level:
        return self.change.level

    @property
    def time(self) -> Any:
        return self.change.time

    @property
    def source(self) -> str:
        return self.change.source

    @property
    def subject(self) -> str:
        return self.change.subject

    @property
    def text(self) -> str:
        return self.change.text


@dataclass(frozen=True, slots=True)
class Placed:
    """A column with its place on the line, in cells."""

    column: Column
    x: int
    width: int


GAP = 2
_NAME_FIRST = 22
_TEXT_FIRST = 26
"""Cells that names, then other text, get before any of them gets all it wants."""


def place(columns: Sequence[Column], cells: int, natural: dict[str, int], skip: int = 0) -> tuple[Placed, ...]:
    """Columns that fit in `cells`: by priority, then the rest shared among those that may grow.

    `natural` gives the widest text in sight of a column. `skip` leaves out columns after the first, so that
    those which found no room come into sight.
    """
    candidates = [columns[0], *columns[1 + min(skip, max(0, len(columns) - 2)) :]] if columns else []
    chosen: list[Column] = []
    room = cells
    for column in sorted(candidates, key=lambda c: c.priority):
        if column.from_cells > cells:
            continue
        need = column.width + (GAP if chosen else 0)
        if need <= room:
            chosen.append(column)
            room -= need
        elif not chosen:
            chosen.append(column)
            room = 0
    widths = {column.id: column.width for column in chosen}
    for natural_ones, limit in ((True, _NAME_FIRST), (False, _TEXT_FIRST), (True, cells), (False, cells)):
        for column in sorted((c for c in chosen if c.natural is natural_ones), key=lambda c: c.priority):
            wanted = min(limit, column.width + column.grow)
            if column.id in natural:
                wanted = min(wanted, max(column.width, natural[column.id]))
            extra = max(0, min(room, wanted - widths[column.id]))
            widths[column.id] += extra
            room -= extra
    if chosen and cells < widths[chosen[0].id]:
        widths[chosen[0].id] = max(1, cells)
    placed: list[Placed] = []
    x = 0
    for column in candidates:
        if column in chosen:
            placed.append(Placed(column, x, widths[column.id]))
            x += widths[column.id] + GAP
    return tuple(placed)
