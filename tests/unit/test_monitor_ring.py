"""The last quarter of an hour comes back as it was, and does not take more memory than it may."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.model import Part
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.monitor.ring import Ring
from skyconsole.engine.monitor.sample import SampleSource

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


class HandClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


def pictures(count: int, step: float = 2.0, queues: int = 14, consumers: int = 44) -> list[Picture]:
    """So many pictures of the sample, `step` seconds apart."""
    clock = HandClock()
    source = SampleSource(3, clock, queues=queues, consumers=consumers)
    made: list[Picture] = []
    for _ in range(count):
        snapshot = asyncio.run(source.read(frozenset(Part)))
        made.append(derive(made[-1] if made else None, snapshot))
        clock.time += timedelta(seconds=step)
    return made


@pytest.mark.parametrize("step", [0.7, 2.0, 11.0])
def test_every_picture_comes_back_equal_packed_or_not(step: float) -> None:
    made = pictures(80, step)
    ring = Ring(live_bytes=200_000)
    for picture in made:
        ring.add(picture)
    first = len(made) - len(ring)
    assert ring.picture(0) == made[first]
    for place in range(len(ring)):
        assert ring.picture(place) == made[first + place]


def test_pictures_come_back_equal_when_rows_came_and_went_between_two_steps_of_the_trend() -> None:
    whole = pictures(60, 1.0)
    made: list[Picture] = []
    for number, picture in enumerate(whole):
        snapshot = picture.snapshot
        if number % 7 in (2, 3):
            snapshot = replace(snapshot, queues=snapshot.queues[3:], consumers=snapshot.consumers[5:])
        made.append(derive(made[-1] if made else None, snapshot))
    ring = Ring(live_bytes=0)
    for picture in made:
        ring.add(picture)
    assert [ring.picture(place) for place in range(len(ring))] == made


def test_old_pictures_are_forgotten() -> None:
    ring = Ring(span=timedelta(seconds=30))
    for picture in pictures(60):
        ring.add(picture)
    times = ring.times()
    assert times[-1] - times[0] == timedelta(seconds=30)


def test_the_memory_bound_holds_and_the_oldest_half_is_thinned_first() -> None:
    ring = Ring(live_bytes=100_000, packed_bytes=150_000)
    for picture in pictures(300):
        ring.add(picture)
        assert ring.size <= 100_000 + 150_000 + 90_000
    times = ring.times()
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert gaps[0] > gaps[-1] == 2.0
    assert times[-1] - times[0] > timedelta(minutes=9)


def test_a_moment_of_the_past_is_found() -> None:
    made = pictures(10)
    ring = Ring()
    for picture in made:
        ring.add(picture)
    assert ring.at(NOON - timedelta(seconds=1)) is None
    assert ring.at(NOON + timedelta(seconds=5)) is made[2]
    assert ring.at(NOON + timedelta(hours=1)) is made[-1]


def test_lags_of_a_row_are_kept_for_the_plot() -> None:
    made = pictures(60)
    ring = Ring(live_bytes=0)
    for picture in made:
        ring.add(picture)
    lags = ring.consumer_lags("orders", "invoice_export")
    assert len(lags) == 24
    assert lags[-1][1] - lags[0][1] == pytest.approx(115.0, abs=1.0)
    assert len(ring.queue_lags("[/x]")) == 24
    assert ring.queue_lags("no such queue") == []
