"""Consumers judged: how late each is, whether it moves, and when it will have caught up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from .ages import brief, rounded
from .model import ConsumerFacts
from .moment import Moment, extended, smoothed
from .picture import ConsumerRow, Level, QueueRow
from .thresholds import Limits, Thresholds, graded


@dataclass(slots=True)
class Crowd:
    """What the consumers of one queue amount to; filled while their rows are made."""

    count: int = 0
    late: int = 0
    worst_lag: float | None = None
    worst: ConsumerRow | None = None
    """The consumer that is behind by the worst level; of several, the one with the greatest lag."""
    slowest: ConsumerFacts | None = None
    """The consumer with the oldest last tick: rotation waits for it."""

    def add(self, row: ConsumerRow) -> None:
        self.count += 1
        lag = row.lag
        if row.behind >= Level.WARN:
            self.late += 1
            worst = self.worst
            if (
                worst is None
                or row.behind > worst.behind
                or (row.behind is worst.behind and (lag or 0.0) > (worst.lag or 0.0))
            ):
                self.worst = row
        if lag is not None and (self.worst_lag is None or lag >= self.worst_lag):
            self.worst_lag = lag
            self.slowest = row.facts


def consumer_rows(
    facts: tuple[ConsumerFacts, ...],
    queues: dict[str, QueueRow],
    moment: Moment,
    thresholds: Thresholds,
    before: tuple[ConsumerRow, ...],
) -> tuple[tuple[ConsumerRow, ...], dict[str, Crowd]]:
    """The rows of all consumers in the order of their facts, and the crowd of each queue that has any."""
    crowds: dict[str, Crowd] = {}
    rows: list[ConsumerRow] = []
    queue: QueueRow | None = None
    crowd = Crowd()
    name: str | None = None
    special = bool(thresholds.consumers or thresholds.queues)
    limits = thresholds.general
    for one, old in zip(facts, _paired(facts, before), strict=True):
        if one.queue != name:
            name = one.queue
            queue = queues.get(name)
            crowd = crowds.setdefault(name, Crowd())
        if special:
            limits = thresholds.for_consumer(one.queue, one.name)
        row = _row(one, queue, moment, limits, old)
        crowd.add(row)
        rows.append(row)
    return tuple(rows), crowds


def lateness(facts: ConsumerFacts, newest_id: int | None, newest_time: datetime | None, now: datetime) -> float:
    """Seconds that the oldest tick which the consumer has not finished waits for it; 0 when it finished all.

    Unlike the lag this does not grow on a queue where nothing happens: ticks of an idle queue are up to
    `ticker_idle_period` apart (spec/pgq.md 5), and a consumer that has finished the newest one is not late.
    Where the first unfinished tick's time is not known, the lag stands for it.
    """
    last = facts.last_tick_id
    if last is None:
        return 0.0
    if facts.next_tick_time is not None and (facts.subconsumer or facts.next_tick_id == last + 1):
        return (now - facts.next_tick_time).total_seconds()
    if newest_id is not None and newest_time is not None:
        if last >= newest_id:
            return 0.0
        if last == newest_id - 1:
            return (now - newest_time).total_seconds()
    if facts.last_tick_time is None:
        return 0.0
    return (now - facts.last_tick_time).total_seconds()


def _paired(facts: tuple[ConsumerFacts, ...], before: tuple[ConsumerRow, ...]) -> Iterator[ConsumerRow | None]:
    """For each subscription its row in the picture before; both are sorted alike, so mostly the next one."""
    index: dict[tuple[str, str, int], int] | None = None
    at = 0
    total = len(before)
    for one in facts:
        if at < total:
            old = before[at]
            known = old.facts
            if known is one or (known.name == one.name and known.queue == one.queue and known.sub_id == one.sub_id):
                at += 1
                yield old
                continue
        if not total:
            yield None
            continue
        if index is None:
            index = {(row.facts.queue, row.facts.name, row.facts.sub_id): n for n, row in enumerate(before)}
        place = index.get((one.queue, one.name, one.sub_id))
        if place is None:
            yield None
        else:
            at = place + 1
            yield before[place]


def _row(
    facts: ConsumerFacts, queue: QueueRow | None, moment: Moment, limits: Limits, old: ConsumerRow | None
) -> ConsumerRow:
    now = moment.now
    seen = rounded((now - facts.last_seen).total_seconds())
    tick_time = facts.last_tick_time
    lag = None if tick_time is None else rounded((now - tick_time).total_seconds())
    done = facts.last_tick_seq
    pending: int | None = None
    late = 0.0
    paused = False
    queue_rate: float | None = None
    if queue is not None:
        known = queue.facts
        paused = known.paused
        queue_rate = queue.ev_per_sec
        if done is not None and known.last_tick_seq is not None:
            pending = known.last_tick_seq - done
            if pending < 0:
                pending = 0
        if facts.last_tick_id != known.last_tick_id:
            late = lateness(facts, known.last_tick_id, known.last_tick_time, now)
    else:
        late = lateness(facts, None, None, now)

    rate = None if old is None else old.ev_per_sec
    gap = moment.consumer_gap
    if old is not None and gap is not None and done is not None and old.facts.last_tick_seq is not None:
        moved = done - old.facts.last_tick_seq
        if moved or rate is None or rate:
            rate = smoothed(rate, moved, gap)

    if facts.last_tick_id is not None and tick_time is None:
        level = Level.CRIT
    elif late < limits.lag_warn * 0.5:
        level = Level.OFF if paused and not late else Level.OK
    else:
        level = graded(late, limits.lag_warn, limits.lag_crit, Level.OK if old is None else old.behind)
    behind = level

    catches_up: float | None = None
    note = ""
    if level >= Level.WARN:
        gain = None if rate is None or queue_rate is None else rate - queue_rate
        if gain is not None and gain > 0.0 and pending:
            catches_up = rounded(pending / gain)
        note = _note(facts, late, seen, limits, gain, catches_up)
    elif facts.last_tick_id is None:
        note = "idle"
    if facts.dead_count:
        level, note = with_letters(level, note, facts.dead_count)

    since: datetime | None = None
    if facts.batch_id is not None:
        kept = old is not None and old.facts.batch_id == facts.batch_id and old.facts.name == facts.name
        since = old.batch_since if old is not None and kept else facts.last_seen

    count = moment.trend_values
    trend = () if old is None else old.trend
    if count:
        trend = extended(trend, lag or 0.0, count)
    if (
        old is not None
        and old.facts is facts
        and old.lag == lag
        and old.seen == seen
        and old.level is level
        and old.pending == pending
        and old.ev_per_sec == rate
        and old.catches_up == catches_up
        and old.note == note
        and old.behind is behind
        and old.batch_since == since
        and old.trend == trend
    ):
        return old
    return ConsumerRow(facts, level, lag, seen, pending, rate, catches_up, trend, note, behind, since)


def with_letters(level: Level, note: str, letters: int) -> tuple[Level, str]:
    """A judgement with so many dead letters put to it: they wait for a person, so they are never in order."""
    return max(level, Level.WARN), f"{note}{_joint(letters)}" if note else letters_text(letters)


def letters_text(number: int) -> str:
    """`1 dead letter`, `2 dead letters`."""
    return f"{number} dead letter{'' if number == 1 else 's'}"


def lag_note(row: ConsumerRow) -> str:
    """The note of a consumer that is behind, without its dead letters."""
    return row.note.removesuffix(_joint(row.facts.dead_count)) if row.facts.dead_count else row.note


def _joint(letters: int) -> str:
    return f"; {letters_text(letters)}"


def _note(
    facts: ConsumerFacts, late: float, seen: float, limits: Limits, gain: float | None, catches_up: float | None
) -> str:
    if facts.last_tick_id is not None and facts.last_tick_time is None:
        return f"tick {facts.last_tick_id} is gone"
    if facts.batch_id is not None and seen >= limits.lag_warn:
        return f"stalled {brief(seen)}"
    if facts.batch_id is None and seen >= limits.seen_warn:
        return f"not seen {brief(seen)}"
    if catches_up is not None:
        return f"catches up in {brief(catches_up)}"
    if gain is not None and gain < 0.0:
        return "falls behind"
    return f"{brief(late)} behind"
