"""The last quarter of an hour: every picture, shared and packed so that it fits in a bounded memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import is_

from .packing import Packed, keys, pack, unpack
from .picture import ConsumerRow, Picture, QueueRow
from .trendlog import TrendLog

_ROW_BYTES = 1400
"""What a row with its facts and its trend takes, measured; rows shared with the picture before take nothing."""


@dataclass(slots=True)
class _Kept:
    time: datetime
    picture: Picture | None
    cost: int
    packed: Packed | None = None
    lengths: tuple[array[int], array[int]] | None = None


class Ring:
    """Keeps pictures of the last `span`; those that are read, not those of failures.

    Rows that did not change are shared between pictures. When the rows that are kept alive cost more than
    `live_bytes`, the oldest pictures are packed into columns; when these exceed `packed_bytes`, every second one
    of the older half is dropped. Taking a packed picture out again costs a moment (100 ms at 10,000 rows).
    """

    def __init__(
        self,
        span: timedelta = timedelta(minutes=15),
        *,
        live_bytes: int = 40 << 20,
        packed_bytes: int = 80 << 20,
    ) -> None:
        self._span = span
        self._live_limit = live_bytes
        self._packed_limit = packed_bytes
        self._kept: list[_Kept] = []
        self._first_live = 0
        self._live_cost = 0
        self._packed_cost = 0
        self._queue_log: TrendLog[str] = TrendLog(span)
        self._consumer_log: TrendLog[tuple[str, str]] = TrendLog(span)
        self._newest: Picture | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """About how many bytes are held."""
        return self._live_cost + self._packed_cost

    def add(self, picture: Picture) -> None:
        """Keep a picture; it must follow those that are kept."""
        self._log(picture)
        cost = _own_rows(self._newest, picture) * _ROW_BYTES
        self._newest = picture
        self._kept.append(_Kept(picture.snapshot.server_time, picture, cost))
        self._live_cost += cost
        self._forget_old(picture.snapshot.server_time)
        while self._live_cost > self._live_limit and self._first_live < len(self._kept) - 1:
            self._pack_oldest()
        if self._packed_cost > self._packed_limit:
            self._thin()

    def times(self) -> tuple[datetime, ...]:
        """The server's time of every picture that is kept, oldest first."""
        return tuple(one.time for one in self._kept)

    def at(self, time: datetime) -> Picture | None:
        """The newest picture that is not younger than this time; None: there is none so old."""
        place = bisect_right(self._kept, time, key=lambda one: one.time)
        return self.picture(place - 1) if place else None

    def picture(self, place: int) -> Picture:
        """One of the pictures, 0 being the oldest. Raises IndexError."""
        one = self._kept[place]
        if one.picture is not None:
            return one.picture
        assert one.packed is not None
        assert one.lengths is not None
        queue_keys, consumer_keys = keys(one.packed)
        return unpack(
            one.packed,
            self._queue_log.trends(one.time, queue_keys, one.lengths[0]),
            self._consumer_log.trends(one.time, consumer_keys, one.lengths[1]),
        )

    def queue_lags(self, queue: str) -> list[tuple[datetime, float]]:
        """Worst lag of a queue every 5 seconds, oldest first, for a lag plot."""
        return self._queue_log.series(queue)

    def consumer_lags(self, queue: str, consumer: str) -> list[tuple[datetime, float]]:
        """Lag of a consumer every 5 seconds, oldest first, for a lag plot."""
        return self._consumer_log.series((queue, consumer))

    def _log(self, picture: Picture) -> None:
        count = picture.trend_values
        if not count:
            return
        time = picture.snapshot.server_time
        self._queue_log.add(time, tuple(row.key for row in picture.queues), _newest(picture.queues), count)
        self._consumer_log.add(time, tuple(row.key for row in picture.consumers), _newest(picture.consumers), count)

    def _forget_old(self, now: datetime) -> None:
        while self._kept and self._kept[0].time < now - self._span:
            gone = self._kept.pop(0)
            self._first_live = max(self._first_live - 1, 0)
            if gone.packed is None:
                self._live_cost -= gone.cost
            else:
                self._packed_cost -= gone.packed.size

    def _pack_oldest(self) -> None:
        one = self._kept[self._first_live]
        before = self._kept[self._first_live - 1].packed if self._first_live else None
        assert one.picture is not None
        one.packed = pack(one.picture, before)
        one.lengths = (_lengths(one.picture.queues), _lengths(one.picture.consumers))
        one.picture = None
        self._live_cost -= one.cost
        self._packed_cost += one.packed.size
        self._first_live += 1

    def _thin(self) -> None:
        half = self._first_live // 2
        dropped = self._kept[1:half:2]
        del self._kept[1:half:2]
        self._first_live -= len(dropped)
        self._packed_cost -= sum(one.packed.size for one in dropped if one.packed is not None)


def _own_rows(before: Picture | None, picture: Picture) -> int:
    """How many rows are not shared with the picture before; rows of equal place are compared."""
    if before is None:
        return len(picture.queues) + len(picture.consumers)
    return _differing(before.queues, picture.queues) + _differing(before.consumers, picture.consumers)


def _differing(before: tuple[object, ...], rows: tuple[object, ...]) -> int:
    if before is rows:
        return 0
    return len(rows) - sum(map(is_, before, rows))


def _newest(rows: tuple[QueueRow, ...] | tuple[ConsumerRow, ...]) -> list[float]:
    return [row.trend[-1] for row in rows]


def _lengths(rows: tuple[QueueRow, ...] | tuple[ConsumerRow, ...]) -> array[int]:
    return array("B", (len(row.trend) for row in rows))
