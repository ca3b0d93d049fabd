"""What happened between two pictures, in sentences for the Events screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from .ages import brief
from .model import Phase, QueueFacts, Snapshot
from .picture import Change, ConsumerRow, Level, QueueRow

MOST = 500
"""More changes than this in one picture are counted, not told."""

Row = TypeVar("Row", QueueRow, ConsumerRow)
_Found = tuple[Level, str, str]

_SETTINGS: tuple[tuple[str, Callable[[QueueFacts], object]], ...] = (
    ("ticker_max_count", lambda facts: facts.max_count),
    ("ticker_max_lag", lambda facts: facts.max_lag),
    ("ticker_idle_period", lambda facts: facts.idle_period),
    ("rotation_period", lambda facts: facts.rotation_period),
    ("per_tx_limit", lambda facts: facts.per_tx_limit),
    ("external_ticker", lambda facts: facts.external_ticker),
)


def changes(
    before: Snapshot,
    snapshot: Snapshot,
    queues: tuple[tuple[QueueRow, ...], tuple[QueueRow, ...]],
    consumers: tuple[tuple[ConsumerRow, ...], tuple[ConsumerRow, ...]],
) -> tuple[Change, ...]:
    """What is new in the second of each pair; the server first, then queues, then consumers."""
    found = list(_server(before, snapshot))
    if snapshot.phase is Phase.LIVE and before.server is not None:
        found.extend(_queues(*queues))
        found.extend(_consumers(*consumers))
    told = [Change(snapshot.taken, level, snapshot.source, subject, text) for level, subject, text in found[:MOST]]
    if len(found) > MOST:
        worst = max(level for level, _, _ in found[MOST:])
        told.append(Change(snapshot.taken, worst, snapshot.source, "server", f"{len(found) - MOST} more changes"))
    return tuple(told)


def _server(before: Snapshot, snapshot: Snapshot) -> Iterator[_Found]:
    if before.phase is not snapshot.phase:
        yield _phase_change(before, snapshot)
    old, new = before.server, snapshot.server
    if old is None or new is None:
        return
    if old.version_num != new.version_num:
        yield Level.WARN, "server", f"version changed from {old.version_num} to {new.version_num}"
    if old.started != new.started and old.started is not None and new.started is not None:
        yield Level.WARN, "server", "restarted"
    if old.in_recovery and not new.in_recovery:
        yield Level.WARN, "server", "promoted: it accepts writes now"
    elif new.in_recovery and not old.in_recovery:
        yield Level.WARN, "server", "became a standby"


def _phase_change(before: Snapshot, snapshot: Snapshot) -> _Found:
    reason = snapshot.problems[0].message if snapshot.problems else ""
    match snapshot.phase:
        case Phase.LIVE:
            return Level.OK, "server", "connected" if before.server is None else "back again"
        case Phase.NO_PGQ:
            return Level.WARN, "server", "PgQ is not installed" if before.server is None else "PgQ is gone"
        case Phase.LOST:
            return Level.CRIT, "server", f"lost: {reason}" if reason else "lost"
        case Phase.STALE:
            return Level.WARN, "server", f"does not answer: {reason}" if reason else "does not answer"
        case Phase.CONNECTING:
            return Level.UNKNOWN, "server", "connecting"


def _pairs(before: tuple[Row, ...], rows: tuple[Row, ...]) -> Iterator[tuple[Row | None, Row | None]]:
    """Pairs that are not one object: (old, new), (old, None) for gone ones, (None, new) for new ones."""
    if len(before) == len(rows) and all(a is b or a.key == b.key for a, b in zip(before, rows, strict=True)):
        for old, new in zip(before, rows, strict=True):
            if old is not new:
                yield old, new
        return
    left = {row.key: row for row in before}
    for row in rows:
        was = left.pop(row.key, None)
        if was is not row:
            yield was, row
    for gone in left.values():
        yield gone, None


def _queues(before: tuple[QueueRow, ...], rows: tuple[QueueRow, ...]) -> Iterator[_Found]:
    for old, new in _pairs(before, rows):
        if new is None:
            if old is not None:
                yield Level.WARN, f"queue {old.key}", "dropped"
            continue
        subject = f"queue {new.key}"
        if old is None:
            yield Level.OK, subject, "created"
            continue
        if old.facts is not new.facts:
            for level, text in _queue_facts(old.facts, new.facts):
                yield level, subject, text
        if _worth_telling(old.level, new.level):
            yield new.level, subject, new.note or "fine again"


def _queue_facts(old: QueueFacts, new: QueueFacts) -> Iterable[tuple[Level, str]]:
    if old.queue_id != new.queue_id:
        yield Level.WARN, "dropped and created again"
        return
    if old.paused is not new.paused:
        yield (Level.OFF, "ticker paused") if new.paused else (Level.OK, "ticker resumed")
    if old.disable_insert is not new.disable_insert:
        yield (Level.OFF, "inserts disabled") if new.disable_insert else (Level.OK, "inserts enabled")
    if old.cur_table != new.cur_table:
        yield Level.OK, f"rotated to table {new.cur_table}"
    for name, read in _SETTINGS:
        if read(old) != read(new):
            yield Level.OK, f"{name} changed from {_shown(read(old))} to {_shown(read(new))}"


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:g}s" if isinstance(value, float) else str(value)


def _consumers(before: tuple[ConsumerRow, ...], rows: tuple[ConsumerRow, ...]) -> Iterator[_Found]:
    for old, new in _pairs(before, rows):
        if new is None:
            if old is not None:
                yield Level.WARN, _subject(old), "unregistered"
        elif old is None:
            yield Level.OK, _subject(new), "registered"
        elif _worth_telling(old.level, new.level):
            yield new.level, _subject(new), _verdict(new)


def _worth_telling(old: Level, new: Level) -> bool:
    """Whether a change of level is news; that something was switched off or on is told from its settings."""
    return old is not new and max(old, new) >= Level.WARN


def _subject(row: ConsumerRow) -> str:
    return f"consumer {row.facts.name} on {row.facts.queue}"


def _verdict(row: ConsumerRow) -> str:
    if row.level < Level.WARN:
        return row.note or "up to date again"
    return row.note or f"{brief(row.lag or 0.0)} behind"
