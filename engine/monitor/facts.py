"""Rows of the server made into facts; an unchanged row gives the object it gave before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, Self, TypeVar

from .model import ConsumerFacts, QueueFacts, ServerFacts, SessionFacts

Row = Sequence[Any]
Facts = TypeVar("Facts")


class Memory(Generic[Facts]):
    """The last rows of one statement and the facts made of them, by the row's first column."""

    def __init__(self) -> None:
        self._kept: dict[object, tuple[Row, Facts]] = {}

    def take(self, rows: Iterable[Row], make: Callable[[Row, Facts | None], Facts]) -> tuple[Facts, ...]:
        """The facts of these rows, in their order; `make` is called for new and changed ones only."""
        kept = self._kept
        now: dict[object, tuple[Row, Facts]] = {}
        facts: list[Facts] = []
        for row in rows:
            key = row[0]
            old = kept.get(key)
            if old is None:
                entry = (row, make(row, None))
            elif old[0] == row:
                entry = old
            else:
                entry = (row, make(row, old[1]))
            now[key] = entry
            facts.append(entry[1])
        self._kept = now
        return tuple(facts)

    def clear(self) -> None:
        """Forget all rows: what comes now belongs to another PgQ."""
        self._kept = {}


def moment(epoch: float) -> datetime:
    """The time that is so many seconds after 1970, to the microsecond."""
    return datetime.fromtimestamp(epoch, UTC)


def moment_or_none(epoch: float | None) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)


def server_facts(row: Row, own_version: str | None, size: int | None) -> ServerFacts:
    """Of the statement `server`."""
    version_num, database, user, in_recovery, _, started, pgq_oid, extension, ours, may_create, _, letters = row
    version: str | None = None
    origin = ""
    if pgq_oid is not None:
        if extension is not None:
            version, origin = extension, "extension"
        elif ours:
            version, origin = own_version or "unknown", "skyconsole"
        else:
            version, origin = "unknown", "unknown"
    return ServerFacts(
        version_num=version_num,
        database=database,
        user=user,
        in_recovery=in_recovery,
        pgq_version=version,
        pgq_origin=origin,
        can_write=may_create and not in_recovery,
        size=size,
        started=moment(started),
        keeps_dead_letters=letters,
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """How many events stand aside, by whom; a mapping that is None could not be counted."""

    retries: Mapping[tuple[int, int], int] | None = None
    """By queue id and owner (`sub_id`)."""
    letters: Mapping[tuple[str, str], int] | None = None
    """By queue and consumer."""
    retries_of_queue: Mapping[int, int] = field(default_factory=dict)
    letters_of_queue: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, retries: Sequence[Row] | None, letters: Sequence[Row] | None) -> Self:
        """From the rows of the statements `retries` and `letters`."""
        by_id: dict[int, int] = {}
        for queue_id, _, number in retries or ():
            by_id[queue_id] = by_id.get(queue_id, 0) + number
        by_name: dict[str, int] = {}
        for queue, _, number in letters or ():
            by_name[queue] = by_name.get(queue, 0) + number
        return cls(
            None if retries is None else {(row[0], row[1]): row[2] for row in retries},
            None if letters is None else {(row[0], row[1]): row[2] for row in letters},
            by_id,
            by_name,
        )


NOT_COUNTED = Counts()


class CountedConsumers:
    """Puts the counts to consumers; who has none keeps the object that came, who has some the one made before."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[ConsumerFacts, ConsumerFacts]] = {}

    def take(
        self, consumers: tuple[ConsumerFacts, ...], queues: Mapping[str, int], counts: Counts
    ) -> tuple[ConsumerFacts, ...]:
        """The consumers with their counts; `queues` gives the id of each queue."""
        if not counts.retries and not counts.letters:
            self._made = {}
            return consumers
        retries, letters = counts.retries or {}, counts.letters or {}
        owners = {owner for _, owner in retries}
        made: dict[tuple[str, str], tuple[ConsumerFacts, ConsumerFacts]] = {}
        found: list[ConsumerFacts] = []
        for one in consumers:
            key = (one.queue, one.name)
            if one.subconsumer or (one.sub_id not in owners and key not in letters):
                found.append(one)
                continue
            waiting, dead = retries.get((queues.get(one.queue, 0), one.sub_id), 0), letters.get(key, 0)
            old = self._made.get(key)
            if old is None or old[0] is not one or (old[1].retry_count, old[1].dead_count) != (waiting, dead):
                old = (one, replace(one, retry_count=waiting, dead_count=dead))
            made[key] = old
            found.append(old[1])
        self._made = made
        return tuple(found)


def queue_facts(row: Row, counts: Counts) -> QueueFacts:
    """Of the statement `queues`."""
    return QueueFacts(
        queue_id=row[0],
        name=row[1],
        ntables=row[2],
        cur_table=row[3],
        rotation_period=row[4],
        switch_time=moment(row[5]),
        rotating=row[6],
        external_ticker=row[7],
        paused=row[8],
        disable_insert=row[9],
        max_count=row[10],
        max_lag=row[11],
        idle_period=row[12],
        per_tx_limit=row[13],
        last_tick_id=row[14],
        last_tick_time=moment_or_none(row[15]),
        last_tick_seq=row[16],
        event_seq=row[17],
        retry_count=None if counts.retries is None else counts.retries_of_queue.get(row[0], 0),
        dead_count=None if counts.letters is None else counts.letters_of_queue.get(row[1], 0),
    )


def consumer_maker(rows: Sequence[Row]) -> Callable[[Row, ConsumerFacts | None], ConsumerFacts]:
    """What makes facts of the statement `consumers`; it needs all rows to tell who shares a subscription.

    A subconsumer has its main consumer's `sub_id` and a name that begins with the main one's
    (spec/pgq-coop.md), so the shortest name of those that share it is the main one's.
    """
    mains: dict[int, str] = {}
    if len({row[5] for row in rows}) < len(rows):
        for row in rows:
            known = mains.get(row[5])
            if known is None or len(row[10]) < len(known):
                mains[row[5]] = row[10]
    times: dict[float | None, datetime | None] = {None: None}

    def make(row: Row, old: ConsumerFacts | None) -> ConsumerFacts:
        _, last_tick, batch, next_tick, seen, sub_id, last_time, last_seq, next_time, queue, name = row
        if old is not None and old.queue == queue and old.name == name:
            # The old strings have their hash already and are told equal at a glance.
            queue, name = old.queue, old.name
        tick_time = times.get(last_time)
        if tick_time is None and last_time is not None:
            tick_time = times[last_time] = moment(last_time)
        end_time = times.get(next_time)
        if end_time is None and next_time is not None:
            end_time = times[next_time] = moment(next_time)
        return ConsumerFacts(
            queue,
            name,
            sub_id,
            bool(mains) and mains[sub_id] != name,
            last_tick,
            tick_time,
            last_seq,
            moment(seen),
            batch,
            next_tick,
            end_time,
            mains[sub_id] if mains and mains[sub_id] != name else None,
        )

    return make


def session_facts(row: Row, _: SessionFacts | None) -> SessionFacts:
    """Of the statement `sessions`."""
    return SessionFacts(
        pid=row[0],
        application=row[1],
        user=row[2],
        state=row[3],
        wait=row[4],
        query=row[5],
        query_start=moment_or_none(row[6]),
        blocked_by=tuple(row[7]),
        since=moment_or_none(row[8]),
        transaction_start=moment_or_none(row[9]),
        guards=row[10],
    )
