"""Facts in, Picture out: rates, levels, notes, trends and changes, as one pure function of two readings."""

from __future__ import annotations

from dataclasses import replace

from .ages import brief
from .changes import changes
from .consumer_rows import Crowd, consumer_rows
from .daemon_rows import daemon_rows, ticker_age, ticker_state
from .model import Part, Phase, Snapshot
from .moment import Moment, extended, moment_of
from .picture import DatabaseRow, Level, Picture, QueueRow, Totals
from .queue_rows import NOBODY, judged, measured
from .thresholds import Thresholds

_DEFAULT = Thresholds()


def derive(before: Picture | None, snapshot: Snapshot, thresholds: Thresholds = _DEFAULT) -> Picture:
    """The picture of a snapshot, given the picture before it. Pure: all memory is in the picture before.

    Ages and lags are rounded down (`ages.rounded`: tenths below 10 s, seconds below an hour, minutes above),
    levels are judged from the exact values. A row that would be drawn the same and whose facts are the same
    object is the old row itself: `row is old_row` means that nothing is to be drawn or stored.
    A reading that failed (STALE, LOST, CONNECTING) keeps the rows as they were last known.
    """
    unread = snapshot.phase in (Phase.STALE, Phase.LOST, Phase.CONNECTING)
    if before is not None and unread and _same_facts(before.snapshot, snapshot):
        return _unread(before, snapshot)
    moment = moment_of(None if before is None else before.snapshot, snapshot)
    old_queues = () if before is None else before.queues
    old_consumers = () if before is None else before.consumers
    known = {row.facts.name: row for row in old_queues}
    bare = [measured(facts, moment, known.get(facts.name)) for facts in snapshot.queues]
    by_name = {row.facts.name: row for row in bare}
    consumers, crowds = consumer_rows(snapshot.consumers, by_name, moment, thresholds, old_consumers)
    queues = tuple(
        judged(
            row,
            crowds.get(row.facts.name, NOBODY),
            moment,
            thresholds.for_queue(row.facts.name),
            known.get(row.facts.name),
        )
        for row in bare
    )
    totals = _totals(queues, len(consumers))
    return Picture(
        snapshot=snapshot,
        overview=_overview(snapshot, queues, crowds, totals, moment, None if before is None else before.overview),
        queues=queues if queues != old_queues else old_queues,
        consumers=consumers if consumers != old_consumers else old_consumers,
        daemons=daemon_rows(queues, snapshot.sessions) if Part.QUEUES in snapshot.times else (),
        sessions=snapshot.sessions,
        trend_values=moment.trend_values,
        totals=totals,
        changes=()
        if before is None
        else changes(before.snapshot, snapshot, (old_queues, queues), (old_consumers, consumers)),
    )


def _same_facts(before: Snapshot, snapshot: Snapshot) -> bool:
    return snapshot.queues is before.queues and snapshot.consumers is before.consumers


def _unread(before: Picture, snapshot: Snapshot) -> Picture:
    """The picture before, with the reason why there is no newer one."""
    note = snapshot.problems[0].message if snapshot.problems else ""
    level = Level.CRIT if snapshot.phase is Phase.LOST else Level.UNKNOWN
    return replace(
        before,
        snapshot=snapshot,
        overview=replace(before.overview, phase=snapshot.phase, level=level, note=note),
        changes=changes(before.snapshot, snapshot, ((), ()), ((), ())),
    )


def _totals(queues: tuple[QueueRow, ...], consumers: int) -> Totals:
    count = dict.fromkeys(Level, 0)
    rate = 0.0
    for row in queues:
        count[row.level] += 1
        rate += row.ev_per_sec or 0.0
    return Totals(
        queues=len(queues),
        consumers=consumers,
        ev_per_sec=rate,
        ticker_age=ticker_age(queues),
        ok=count[Level.OK],
        warn=count[Level.WARN],
        crit=count[Level.CRIT],
        off=count[Level.OFF],
    )


def _overview(
    snapshot: Snapshot,
    queues: tuple[QueueRow, ...],
    crowds: dict[str, Crowd],
    totals: Totals,
    moment: Moment,
    old: DatabaseRow | None,
) -> DatabaseRow:
    worst = max((crowd.worst_lag for crowd in crowds.values() if crowd.worst_lag is not None), default=None)
    value = worst or 0.0
    row = DatabaseRow(
        source=snapshot.source,
        level=Level.UNKNOWN,
        phase=snapshot.phase,
        queues=totals.queues,
        consumers=totals.consumers,
        ev_per_sec=totals.ev_per_sec,
        worst_lag=worst,
        ticker=_ticker_words(queues, totals.ticker_age),
        trend=extended(() if old is None else old.trend, value, moment.trend_values),
        note="",
    )
    level, note = _verdict(snapshot, queues)
    row = replace(row, level=level, note=note)
    return old if old is not None and old == row else row


def _verdict(snapshot: Snapshot, queues: tuple[QueueRow, ...]) -> tuple[Level, str]:
    if snapshot.phase is Phase.NO_PGQ:
        return Level.OFF, "PgQ is not installed"
    if snapshot.phase is not Phase.LIVE:
        return Level.UNKNOWN, snapshot.problems[0].message if snapshot.problems else snapshot.phase.value
    # A paused queue is somebody's intention; it does not turn the whole database off.
    late = [row for row in queues if row.level >= Level.WARN]
    if late:
        worst = max(late, key=lambda row: (row.level, row.worst_lag or 0.0))
        more = f" and {len(late) - 1} more" if len(late) > 1 else ""
        return worst.level, f"{worst.facts.name}: {worst.note}{more}"
    if snapshot.server is not None and snapshot.server.in_recovery:
        return Level.OK, "standby"
    return Level.OK, "" if queues else "no queues"


def _ticker_words(queues: tuple[QueueRow, ...], age: float | None) -> str:
    _, word = ticker_state(queues)
    if age is None:
        return word
    if word == "ticking":
        return f"ok {age:.1f}s" if age < 10.0 else f"ok {brief(age)}"
    return f"{word} {brief(age)}"
