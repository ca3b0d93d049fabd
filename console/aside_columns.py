"""Columns and rows of what stands aside: dead letters, waiting events, members of a group, capture triggers."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine.monitor.asides import Capture, DeadLetter, EventRow, WaitingEvent
from ..engine.monitor.picture import ConsumerRow, Level
from . import format as fmt
from .columns import Column, Kind, level_column, text_column
from .glyphs import LEVEL_ROLES


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter with its age."""

    letter: DeadLetter
    age: float
    """Seconds since the consumer gave it up, rounded down as `ages.rounded` says."""

    @property
    def key(self) -> int:
        return self.letter.dl_id

    @property
    def level(self) -> Level:
        return self.letter.level

    @property
    def event(self) -> EventRow:
        return self.letter.event


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A waiting event with the time that is left."""

    waiting: WaitingEvent
    left: float
    """Seconds until it is due, negative when it is overdue; rounded as `ages.rounded` says."""

    @property
    def key(self) -> tuple[str, str | None, bool, int]:
        return self.waiting.key

    @property
    def level(self) -> Level:
        return self.waiting.level

    @property
    def event(self) -> EventRow:
        return self.waiting.event


@dataclass(frozen=True, slots=True)
class CaptureRow:
    """A capture trigger as a row."""

    capture: Capture

    @property
    def key(self) -> tuple[str, str, str]:
        return self.capture.key

    @property
    def level(self) -> Level:
        return self.capture.level


def due_text(left: float) -> str:
    """When something is due: `in 40s`, `12s over`."""
    return f"in {fmt.short_duration(left)}" if left > 0 else f"{fmt.short_duration(-left)} over" if left < 0 else "now"


def member_name(row: ConsumerRow) -> str:
    """A member's own name, without that of its group; the main consumer's is its name."""
    facts = row.facts
    return facts.name if facts.main is None else facts.name[len(facts.main) + 1 :]


def doing(row: ConsumerRow) -> str:
    """What a member of a group does."""
    if row.facts.main is None:
        return "group"
    if row.facts.batch_id is None:
        return "idle"
    return "stale" if row.behind >= Level.WARN else "working"


def _muted(_: object) -> str:
    return "muted"


def _data(row: LetterRow | WaitingRow) -> str:
    return row.event.ev_data or ""


def _by_level(row: ConsumerRow | CaptureRow) -> str:
    return LEVEL_ROLES[row.level] if row.level >= Level.OFF else "text"


LETTERS: tuple[Column, ...] = (
    Column("letter", "LETTER", lambda row: str(row.letter.dl_id), lambda row: row.letter.dl_id, width=6, priority=0,
           aliases=("id",), help="the letter's number"),
    text_column("consumer", "CONSUMER", lambda row: row.letter.consumer, width=10, grow=30, priority=2, natural=True,
                aliases=("cons",), help="who gave the event up"),
    text_column("queue", "QUEUE", lambda row: row.letter.queue, width=8, grow=30, priority=5, role=_muted,
                natural=True),
    Column("age", "AGE", lambda row: fmt.age(row.age), lambda row: row.age, Kind.DURATION, width=5, priority=1,
           help="since it was given up"),
    Column("tries", "TRIES", lambda row: str((row.event.ev_retry or 0) + 1), lambda row: (row.event.ev_retry or 0) + 1,
           width=5, priority=6, from_cells=76, role=_muted, help="how often the consumer had it"),
    text_column("type", "TYPE", lambda row: row.event.ev_type or "", width=6, grow=14, priority=4),
    text_column("reason", "REASON", lambda row: row.letter.reason, width=24, grow=60, priority=1,
                help="why it was given up"),
    Column("id", "EV_ID", lambda row: str(row.event.ev_id), lambda row: row.event.ev_id, width=9, priority=7,
           from_cells=110, role=_muted, aliases=("ev_id",)),
    text_column("data", "DATA", _data, width=10, grow=120, priority=8, from_cells=130, role=_muted),
)  # fmt: skip

WAITING: tuple[Column, ...] = (
    Column("id", "EV_ID", lambda row: str(row.event.ev_id), lambda row: row.event.ev_id, width=9, priority=0,
           aliases=("ev_id",), help="the event's number; of a delayed event, the delay's"),
    Column("due", "DUE", lambda row: due_text(row.left), lambda row: row.left, Kind.DURATION, width=9, priority=1,
           descending=False, role=lambda row: "warn" if row.left < -60 else "text", help="when it comes (again)"),
    text_column("for", "FOR", lambda row: row.waiting.consumer or ("everybody" if row.waiting.delayed else "nobody"),
                width=10, grow=30, priority=2, natural=True, aliases=("consumer", "cons"), help="whose event it is"),
    text_column("queue", "QUEUE", lambda row: row.waiting.queue, width=8, grow=30, priority=3, role=_muted,
                natural=True),
    text_column("why", "WHY", lambda row: "delayed" if row.waiting.delayed else f"retry {row.event.ev_retry or 0}",
                width=8, priority=3, value=lambda row: row.event.ev_retry or 0, aliases=("retry",)),
    text_column("type", "TYPE", lambda row: row.event.ev_type or "", width=6, grow=14, priority=4),
    text_column("data", "DATA", _data, width=10, grow=160, priority=4),
)  # fmt: skip

MEMBERS: tuple[Column, ...] = (
    text_column("member", "MEMBER", member_name, width=12, grow=50, priority=0, natural=True,
                aliases=("name",), help="the worker, and the consumer whose batches it shares"),
    level_column(lambda row: row.lag),
    text_column("doing", "DOING", doing, width=7, priority=1, role=_by_level, help="group, idle, working or stale"),
    Column("batch", "BATCH", lambda row: str(row.facts.batch_id or fmt.NOT_KNOWN), lambda row: row.facts.batch_id,
           width=9, priority=2, help="the batch it holds"),
    text_column("since", "SINCE", lambda row: fmt.clock_time(row.batch_since) if row.batch_since else fmt.NOT_KNOWN,
                width=8, priority=3, value=lambda row: row.batch_since, help="since when it is seen to hold it"),
    Column("seen", "SEEN", lambda row: fmt.age(row.seen), lambda row: row.seen, Kind.DURATION, width=5, priority=1,
           help="since its last sign of life"),
    Column("lag", "LAG", lambda row: fmt.duration(row.lag), lambda row: row.lag, Kind.DURATION, width=8, priority=4,
           moves=True, help="since the tick its batch begins with was made"),
    text_column("note", "NOTE", lambda row: row.note, width=10, grow=60, priority=5, role=_muted),
)  # fmt: skip

CAPTURES: tuple[Column, ...] = (
    text_column("table", "TABLE", lambda row: row.capture.relation, width=14, grow=40, priority=0, natural=True,
                aliases=("name",)),
    text_column("trigger", "TRIGGER", lambda row: row.capture.trigger, width=10, grow=30, priority=2, natural=True),
    text_column("queue", "QUEUE", lambda row: row.capture.queue, width=8, grow=30, priority=2, natural=True),
    text_column("form", "FORM", lambda row: row.capture.form, width=9, priority=1,
                help="generic, or compiled: row, statement"),
    text_column("state", "STATE", lambda row: row.capture.state, width=8, priority=1, role=_by_level,
                help="current, stale (its table has changed) or disabled"),
    text_column("kind", "KIND", lambda row: row.capture.kind, width=9, priority=3, help="how it writes a row"),
    text_column("events", "ON", lambda row: row.capture.events, width=10, grow=40, priority=4, role=_muted),
    text_column("arguments", "ARGUMENTS", lambda row: ", ".join(row.capture.arguments), width=9, grow=60, priority=5,
                role=_muted),
)  # fmt: skip


def without(columns: tuple[Column, ...], *ids: str) -> tuple[Column, ...]:
    """The columns but these: what every row has in common is in the title."""
    return tuple(column for column in columns if column.id not in ids)
