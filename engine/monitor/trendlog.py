"""The lags of all rows every five seconds, as columns: what trends and lag plots are drawn from."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from .moment import TREND_LENGTH, TREND_STEP

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class _Column(Generic[Key]):
    time: datetime
    keys: tuple[Key, ...]
    places: dict[Key, int]
    """Shared by all columns with the same keys."""
    values: array[float]


class TrendLog(Generic[Key]):
    """One value of each row every 5 seconds, for as long as a picture that is kept can look back."""

    def __init__(self, span: timedelta) -> None:
        self._span = span + timedelta(seconds=TREND_STEP * TREND_LENGTH)
        self._columns: deque[_Column[Key]] = deque()

    def add(self, time: datetime, keys: tuple[Key, ...], values: Sequence[float], times: int) -> None:
        """Note the newest value of every trend, as often as the trends took it."""
        last = self._columns[-1] if self._columns else None
        if last is not None and last.keys == keys:
            keys, places = last.keys, last.places
        else:
            places = {key: place for place, key in enumerate(keys)}
        column = _Column(time, keys, places, array("d", values))
        self._columns.extend([column] * times)
        while self._columns[0].time < time - self._span:
            self._columns.popleft()

    def series(self, key: Key) -> list[tuple[datetime, float]]:
        """All values of one row, oldest first, with their times."""
        found: list[tuple[datetime, float]] = []
        for column in self._columns:
            place = column.places.get(key)
            if place is not None and (not found or found[-1][0] < column.time):
                found.append((column.time, column.values[place]))
        return found

    def trends(self, time: datetime, keys: tuple[Key, ...], lengths: Sequence[int]) -> list[tuple[float, ...]]:
        """The trends these rows had at a time; lengths says how long each was."""
        columns = [column for column in self._columns if column.time <= time][-TREND_LENGTH:]
        if columns and all(column.keys == keys for column in columns):
            whole = list(zip(*(column.values for column in columns), strict=True))
            return [_newest(trend, length) for trend, length in zip(whole, lengths, strict=True)]
        return [self._trend(columns, key, length) for key, length in zip(keys, lengths, strict=True)]

    def _trend(self, columns: list[_Column[Key]], key: Key, length: int) -> tuple[float, ...]:
        places = ((column, column.places.get(key)) for column in columns)
        return _newest(tuple(column.values[place] for column, place in places if place is not None), length)


def _newest(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    """The last values; all when there are fewer."""
    return values[max(len(values) - count, 0) :]
