"""Queues judged: is it ticked, does it rotate, do its consumers keep up."""

from __future__ import annotations

from datetime import timedelta

from .ages import brief, rounded
from .consumer_rows import Crowd, lag_note, with_letters
from .model import ConsumerFacts, QueueFacts
from .moment import Moment, extended, smoothed
from .picture import Level, QueueRow
from .thresholds import Limits, graded

NOBODY = Crowd()


def measured(facts: QueueFacts, moment: Moment, old: QueueRow | None) -> QueueRow:
    """The row with what the queue alone says: rate, new events, age of its newest tick. Not judged yet."""
    same = old if old is not None and old.facts.queue_id == facts.queue_id else None
    new = facts.event_seq - (facts.last_tick_seq or 0)
    tick_age = None
    if facts.last_tick_time is not None:
        tick_age = rounded((moment.now - facts.last_tick_time).total_seconds())
    rate = None if same is None else same.ev_per_sec
    waiting = 0.0
    gap = moment.queue_gap
    if same is not None:
        if gap is not None:
            rate = smoothed(rate, facts.event_seq - same.facts.event_seq, gap)
        ticked = not (facts.paused or facts.external_ticker)
        if ticked and new > 0 and same.new > 0 and same.facts.last_tick_id == facts.last_tick_id:
            waiting = same.waiting + (gap or 0.0)
    return QueueRow(facts, Level.OK, 0, 0, rate, max(new, 0), tick_age, None, (), "", waiting)


def judged(row: QueueRow, crowd: Crowd, moment: Moment, limits: Limits, old: QueueRow | None) -> QueueRow:
    """The finished row; the old one itself when nothing that is shown differs."""
    facts = row.facts
    same = old if old is not None and old.facts.queue_id == facts.queue_id else None
    ticker, ticker_note = _ticker(row, limits, same)
    findings = [
        (ticker, ticker_note),
        _consumers(crowd),
        _rotation(facts, crowd, moment, limits),
        _settings(facts, crowd),
    ]
    level = max(finding[0] for finding in findings)
    note = _told(findings)
    if facts.dead_count:
        level, note = with_letters(level, note, facts.dead_count)
    trend = extended(() if same is None else same.trend, crowd.worst_lag or 0.0, moment.trend_values)
    if (
        same is not None
        and same.facts is facts
        and same.level is level
        and same.note == note
        and same.tick_age == row.tick_age
        and same.worst_lag == crowd.worst_lag
        and same.ev_per_sec == row.ev_per_sec
        and same.consumers == crowd.count
        and same.late == crowd.late
        and same.waiting == row.waiting
        and same.ticker is ticker
        and same.trend == trend
    ):
        return same
    return QueueRow(
        facts,
        level,
        crowd.count,
        crowd.late,
        row.ev_per_sec,
        row.new,
        row.tick_age,
        crowd.worst_lag,
        trend,
        note,
        row.waiting,
        ticker,
    )


def _told(findings: list[tuple[Level, str]]) -> str:
    """All that is late, the worst first; else what is set so that the queue is off or unused."""
    late = sorted((one for one in findings if one[0] >= Level.WARN), key=lambda one: -one[0])
    return "; ".join(text for _, text in late) or next((text for _, text in findings if text), "")


def ticker_level(row: QueueRow, limits: Limits, before: Level) -> Level:
    """How late the next tick is (spec/pgq.md 5): events wait too long, or not even an idle tick comes.

    A queue that is paused or ticked from elsewhere owes no tick.
    """
    facts = row.facts
    if facts.paused or facts.external_ticker or row.tick_age is None:
        return Level.OK
    busy = max(facts.max_lag, 1.0)
    idle = max(facts.idle_period, busy)
    return max(
        graded(row.waiting, limits.tick_warn * busy, limits.tick_crit * busy, before),
        graded(row.tick_age, limits.tick_warn * idle, limits.tick_crit * idle, before),
    )


def _ticker(row: QueueRow, limits: Limits, old: QueueRow | None) -> tuple[Level, str]:
    if row.facts.paused:
        return Level.OFF, "ticker paused"
    if row.tick_age is None:
        return Level.WARN, "never ticked"
    level = ticker_level(row, limits, Level.OK if old is None else old.ticker)
    return (level, f"no tick for {brief(row.tick_age)}") if level >= Level.WARN else (Level.OK, "")


def _consumers(crowd: Crowd) -> tuple[Level, str]:
    worst = crowd.worst
    if worst is None:
        return Level.OK, ""
    if worst.behind is Level.CRIT or crowd.late == 1:
        return worst.behind, f"{worst.facts.name} {lag_note(worst)}"
    return worst.behind, f"{crowd.late} of {crowd.count} behind"


def _rotation(facts: QueueFacts, crowd: Crowd, moment: Moment, limits: Limits) -> tuple[Level, str]:
    if facts.ntables < 2:
        return Level.OK, ""
    due = facts.switch_time + timedelta(seconds=facts.rotation_period)
    overdue = (moment.now - due).total_seconds()
    level = graded(overdue, limits.rotation_warn, limits.rotation_crit, Level.OK)
    if level is Level.OK:
        return Level.OK, ""
    slowest = crowd.slowest
    if slowest is not None and blocks_rotation(facts, slowest):
        return level, f"rotation blocked {brief(overdue)} by {slowest.name}"
    return level, f"rotation {brief(overdue)} overdue"


def blocks_rotation(queue: QueueFacts, consumer: ConsumerFacts) -> bool:
    """Whether a consumer has not moved past the queue's last switch of tables (spec/pgq.md 1.5)."""
    return consumer.last_tick_time is not None and consumer.last_tick_time <= queue.switch_time


def _settings(facts: QueueFacts, crowd: Crowd) -> tuple[Level, str]:
    if facts.disable_insert:
        return Level.OFF, "inserts disabled"
    if crowd is NOBODY:
        return Level.OK, "no consumers"
    return Level.OK, ""
