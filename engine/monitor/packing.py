"""Pictures made small: rows as compressed columns, from which the very same picture can be had again."""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from .model import ConsumerFacts, QueueFacts
from .picture import ConsumerRow, Level, Picture, QueueRow

_LEVELS = tuple(Level)

_QUEUE_FIXED = attrgetter(
    "facts.queue_id",
    "facts.name",
    "facts.ntables",
    "facts.cur_table",
    "facts.rotation_period",
    "facts.rotating",
    "facts.external_ticker",
    "facts.paused",
    "facts.disable_insert",
    "facts.max_count",
    "facts.max_lag",
    "facts.idle_period",
    "facts.per_tx_limit",
    "facts.retry_count",
    "facts.dead_count",
)
_QUEUE_MOVING = attrgetter(
    "facts.switch_time",
    "facts.last_tick_id",
    "facts.last_tick_time",
    "facts.last_tick_seq",
    "facts.event_seq",
    "level.real",
    "consumers",
    "late",
    "ev_per_sec",
    "new",
    "tick_age",
    "worst_lag",
    "note",
    "waiting",
    "ticker.real",
)
_QUEUE_TIMES = (0, 2)

_CONSUMER_FIXED = attrgetter(
    "facts.queue",
    "facts.name",
    "facts.sub_id",
    "facts.subconsumer",
    "facts.main",
    "facts.retry_count",
    "facts.dead_count",
)
_CONSUMER_MOVING = attrgetter(
    "facts.last_tick_id",
    "facts.last_tick_time",
    "facts.last_tick_seq",
    "facts.last_seen",
    "facts.batch_id",
    "facts.next_tick_id",
    "facts.next_tick_time",
    "level.real",
    "lag",
    "seen",
    "pending",
    "ev_per_sec",
    "catches_up",
    "note",
    "behind.real",
    "batch_since",
)
_CONSUMER_TIMES = (1, 3, 6, 15)


@dataclass(frozen=True, slots=True)
class Packed:
    """A picture without its rows, and the rows as columns. Trends are not held: the ring has them."""

    bare: Picture
    queues_fixed: bytes
    queues: bytes
    consumers_fixed: bytes
    consumers: bytes

    @property
    def size(self) -> int:
        """Bytes of its own; the fixed columns are shared with its neighbours."""
        return len(self.queues) + len(self.consumers)


def pack(picture: Picture, neighbour: Packed | None = None) -> Packed:
    """The picture packed; fixed columns that equal the neighbour's are shared with it."""
    queues_fixed = marshal.dumps(_columns(picture.queues, _QUEUE_FIXED, ()))
    consumers_fixed = marshal.dumps(_columns(picture.consumers, _CONSUMER_FIXED, ()))
    if neighbour is not None:
        if neighbour.queues_fixed == queues_fixed:
            queues_fixed = neighbour.queues_fixed
        if neighbour.consumers_fixed == consumers_fixed:
            consumers_fixed = neighbour.consumers_fixed
    return Packed(
        bare=replace(picture, queues=(), consumers=(), snapshot=replace(picture.snapshot, queues=(), consumers=())),
        queues_fixed=queues_fixed,
        queues=_squeezed(_columns(picture.queues, _QUEUE_MOVING, _QUEUE_TIMES)),
        consumers_fixed=consumers_fixed,
        consumers=_squeezed(_columns(picture.consumers, _CONSUMER_MOVING, _CONSUMER_TIMES)),
    )


def keys(packed: Packed) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The keys of its queues and of its consumers, in order."""
    queues = marshal.loads(packed.queues_fixed)
    consumers = marshal.loads(packed.consumers_fixed)
    return (
        tuple(queues[1]) if queues else (),
        tuple(zip(consumers[0], consumers[1], strict=True)) if consumers else (),
    )


def unpack(
    packed: Packed,
    queue_trends: Sequence[tuple[float, ...]],
    consumer_trends: Sequence[tuple[float, ...]],
) -> Picture:
    """The picture that was packed; the trends are those of its rows, in their order."""
    queues = tuple(
        _queue(fixed, moving, trend)
        for fixed, moving, trend in zip(
            zip(*marshal.loads(packed.queues_fixed), strict=True),
            _rows(packed.queues, _QUEUE_TIMES),
            queue_trends,
            strict=True,
        )
    )
    consumers = tuple(
        _consumer(fixed, moving, trend)
        for fixed, moving, trend in zip(
            zip(*marshal.loads(packed.consumers_fixed), strict=True),
            _rows(packed.consumers, _CONSUMER_TIMES),
            consumer_trends,
            strict=True,
        )
    )
    return replace(
        packed.bare,
        queues=queues,
        consumers=consumers,
        snapshot=replace(
            packed.bare.snapshot,
            queues=tuple(row.facts for row in queues),
            consumers=tuple(row.facts for row in consumers),
        ),
    )


def _columns(rows: Sequence[Any], read: Callable[[Any], tuple[Any, ...]], times: Iterable[int]) -> list[Any]:
    """Column by column, times as seconds since 1970: exact to the microsecond they have."""
    columns: list[Any] = list(zip(*map(read, rows), strict=True))
    if columns:
        for number in times:
            columns[number] = [None if one is None else one.timestamp() for one in columns[number]]
    return columns


def _squeezed(columns: list[Any]) -> bytes:
    return zlib.compress(marshal.dumps(columns), 1)


def _rows(blob: bytes, times: Iterable[int]) -> Iterable[tuple[Any, ...]]:
    columns = marshal.loads(zlib.decompress(blob))
    if columns:
        for number in times:
            columns[number] = [None if one is None else datetime.fromtimestamp(one, UTC) for one in columns[number]]
    return zip(*columns, strict=True)


def _queue(fixed: tuple[Any, ...], moving: tuple[Any, ...], trend: tuple[float, ...]) -> QueueRow:
    queue_id, name, ntables, cur_table, rotation_period, rotating, external, paused, disable_insert = fixed[:9]
    switch_time, tick_id, tick_time, tick_seq, event_seq, level, consumers, late, rate, new = moving[:10]
    tick_age, worst_lag, note, waiting, ticker = moving[10:]
    facts = QueueFacts(
        queue_id=queue_id,
        name=name,
        ntables=ntables,
        cur_table=cur_table,
        rotation_period=rotation_period,
        switch_time=switch_time,
        rotating=rotating,
        external_ticker=external,
        paused=paused,
        disable_insert=disable_insert,
        max_count=fixed[9],
        max_lag=fixed[10],
        idle_period=fixed[11],
        per_tx_limit=fixed[12],
        last_tick_id=tick_id,
        last_tick_time=tick_time,
        last_tick_seq=tick_seq,
        event_seq=event_seq,
        retry_count=fixed[13],
        dead_count=fixed[14],
    )
    return QueueRow(
        facts, _LEVELS[level], consumers, late, rate, new, tick_age, worst_lag, trend, note, waiting, _LEVELS[ticker]
    )


def _consumer(fixed: tuple[Any, ...], moving: tuple[Any, ...], trend: tuple[float, ...]) -> ConsumerRow:
    queue, name, sub_id, subconsumer, main, retry_count, dead_count = fixed
    tick_id, tick_time, tick_seq, last_seen, batch_id, next_id, next_time = moving[:7]
    level, lag, seen, pending, rate, catches_up, note, behind, batch_since = moving[7:]
    facts = ConsumerFacts(
        queue=queue,
        name=name,
        sub_id=sub_id,
        subconsumer=subconsumer,
        last_tick_id=tick_id,
        last_tick_time=tick_time,
        last_tick_seq=tick_seq,
        last_seen=last_seen,
        batch_id=batch_id,
        next_tick_id=next_id,
        next_tick_time=next_time,
        main=main,
        retry_count=retry_count,
        dead_count=dead_count,
    )
    return ConsumerRow(
        facts, _LEVELS[level], lag, seen, pending, rate, catches_up, trend, note, _LEVELS[behind], batch_since
    )
