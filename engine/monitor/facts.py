"""Rows of the server made into facts; an unchanged row gives the object it gave before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

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
    version_num, database, user, in_recovery, _, started, pgq_oid, extension, ours, may_create, _ = row
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
    )


def queue_facts(row: Row, retries: Mapping[int, int] | None) -> QueueFacts:
    """Of the statement `queues`; retries None: they may not be read."""
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
        retry_count=None if retries is None else retries.get(row[0], 0),
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
