"""The beat goes on: at its pace, through failures, slow answers and screens that break."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from skyconsole.engine.clock import SystemClock
from skyconsole.engine.errors import UsageError
from skyconsole.engine.monitor.asides import Capture, DeadLetter, EventRow, WaitingEvent
from skyconsole.engine.monitor.model import Part, Phase, Problem, Snapshot
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.monitor.poller import Poller
from skyconsole.engine.monitor.ring import Ring
from skyconsole.engine.monitor.sample import SampleSource
from skyconsole.engine.monitor.thresholds import Thresholds
from skyconsole.engine.postgres.connect import Backoff


class Moody(SampleSource):
    """The sample, but it can be made slow, lost or faulty, and counts how it is asked."""

    def __init__(self) -> None:
        super().__init__(1, SystemClock())
        self.asked: list[frozenset[Part]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.lost = False
        self.fault: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.closed = False
        self.begun = asyncio.Event()
        self.good: Snapshot | None = None

    async def read(self, parts: frozenset[Part] = frozenset(Part)) -> Snapshot:
        self.asked.append(parts)
        self.under_way += 1
        self.begun.set()
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.hold is not None:
                await self.hold.wait()
            if self.fault is not None:
                raise self.fault
            if self.lost:
                good = self.good or await super().read(parts)
                return replace(good, phase=Phase.LOST, problems=(Problem("gone away"),), parts=frozenset())
            self.good = await super().read(parts)
            return self.good
        finally:
            self.under_way -= 1

    async def dead_letters(self, queue: str | None, consumer: str | None, limit: int) -> tuple[DeadLetter, ...]:
        raise AssertionError((queue, consumer, limit))

    async def waiting(self, queue: str | None, consumer: str | None, limit: int) -> tuple[WaitingEvent, ...]:
        raise AssertionError((queue, consumer, limit))

    async def captures(self) -> tuple[Capture, ...]:
        raise AssertionError

    async def peek_queue(self, queue: str, limit: int) -> tuple[EventRow, ...]:
        return ()

    async def close(self) -> None:
        self.closed = True


class Watch:
    """Takes the pictures and waits for the one that is wanted."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self._news = asyncio.Event()

    def take(self, picture: Picture) -> None:
        self.pictures.append(picture)
        self._news.set()

    async def until(self, wanted: Callable[[Picture], bool], seconds: float = 10.0) -> Picture:
        """The first picture from now on that is as wanted."""
        seen = len(self.pictures)
        async with asyncio.timeout(seconds):
            while True:
                for picture in self.pictures[seen:]:
                    if wanted(picture):
                        return picture
                seen = len(self.pictures)
                self._news.clear()
                await self._news.wait()


def is_live(picture: Picture) -> bool:
    return picture.snapshot.phase is Phase.LIVE


@asynccontextmanager
async def polling(source: Moody, interval: float = 0.2, **options: object) -> AsyncIterator[tuple[Poller, Watch]]:
    watch = Watch()
    quick = Backoff(first=0.2, cap=0.4)
    poller = Poller(source, Thresholds(), SystemClock(), interval, watch.take, backoff=quick, **options)  # type: ignore[arg-type]
    poller.start()
    try:
        yield poller, watch
    finally:
        await poller.stop()


async def test_the_first_picture_says_connecting_and_the_next_is_live() -> None:
    async with polling(Moody()) as (_, watch):
        await watch.until(is_live)
        assert [picture.snapshot.phase for picture in watch.pictures[:2]] == [Phase.CONNECTING, Phase.LIVE]
        assert watch.pictures[1].feed.good_at == watch.pictures[1].snapshot.taken


async def test_readings_follow_at_the_interval() -> None:
    async with polling(Moody()) as (_, watch):
        for _ in range(4):
            await watch.until(is_live)
        taken = [picture.snapshot.taken for picture in watch.pictures[1:]]
        for earlier, later in pairwise(taken):
            assert 0.15 < (later - earlier).total_seconds() < 2.0


async def test_stopping_closes_the_source_and_ends_a_reading_that_hangs() -> None:
    source = Moody()
    source.hold = asyncio.Event()
    async with polling(source), asyncio.timeout(5):
        await source.begun.wait()
    assert source.closed
    assert source.under_way == 0


async def test_a_slow_reading_is_told_and_no_second_one_begins() -> None:
    source = Moody()
    async with polling(source) as (poller, watch):
        await watch.until(is_live)
        source.hold = asyncio.Event()
        late = await watch.until(lambda picture: picture.feed.busy_since is not None)
        assert late.snapshot.phase is Phase.LIVE
        assert late.queues is watch.pictures[-2].queues
        poller.force()
        poller.force()
        source.hold.set()
        source.hold = None
        assert (await watch.until(is_live)).feed.busy_since is None
        assert source.most_under_way == 1


async def test_a_lost_server_is_retried_with_growing_patience_and_comes_back() -> None:
    source = Moody()
    async with polling(source) as (_, watch):
        live = await watch.until(is_live)
        source.lost = True
        lost = await watch.until(lambda picture: picture.feed.attempt == 1)
        assert lost.snapshot.phase is Phase.LOST
        assert lost.queues is watch.pictures[-2].queues
        assert lost.feed.retry_at is not None
        assert lost.feed.good_at is not None
        assert lost.feed.good_at >= live.snapshot.taken
        again = await watch.until(lambda picture: picture.feed.attempt == 3)
        assert again.feed.good_at == lost.feed.good_at
        source.lost = False
        back = await watch.until(is_live)
        assert (back.feed.attempt, back.feed.retry_at) == (0, None)
        assert [change.text for change in back.changes][:1] == ["back again"]


async def test_force_does_not_wait_for_the_retry() -> None:
    source = Moody()
    source.lost = True
    async with polling(source) as (poller, watch):
        patient = Backoff(first=60.0, cap=60.0)
        poller._backoff = patient
        await watch.until(lambda picture: picture.feed.attempt == 1)
        source.lost = False
        poller.force()
        await watch.until(is_live, seconds=5.0)


async def test_a_fault_inside_the_source_is_logged_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    source = Moody()
    source.fault = RuntimeError("secret inside")
    with caplog.at_level(logging.ERROR):
        async with polling(source) as (_, watch):
            stale = await watch.until(lambda picture: picture.snapshot.phase is Phase.STALE)
            assert stale.snapshot.problems[0].message == "RuntimeError: the reading failed inside the program"
            source.fault = None
            await watch.until(is_live)
    assert "secret inside" in caplog.text


async def test_a_screen_that_fails_does_not_stop_the_beat(caplog: pytest.LogCaptureFixture) -> None:
    source = Moody()
    seen = asyncio.Event()

    def broken(picture: Picture) -> None:
        if len(source.asked) > 2:
            seen.set()
        raise ValueError("no such widget")

    poller = Poller(source, Thresholds(), SystemClock(), 0.2, broken)
    poller.start()
    async with asyncio.timeout(10):
        await seen.wait()
    await poller.stop()
    assert "no such widget" in caplog.text


async def test_pausing_holds_the_picture_and_force_reads_once() -> None:
    source = Moody()
    async with polling(source) as (poller, watch):
        await watch.until(is_live)
        poller.pause()
        assert watch.pictures[-1].feed.paused
        held = len(source.asked)
        with pytest.raises(TimeoutError):
            await watch.until(is_live, seconds=0.7)
        assert len(source.asked) <= held + 1
        held = len(source.asked)
        poller.force()
        await watch.until(is_live)
        assert len(source.asked) == held + 1
        poller.resume()
        assert not (await watch.until(is_live)).feed.paused


async def test_a_new_pace_holds_at_once() -> None:
    async with polling(Moody(), interval=60.0) as (poller, watch):
        await watch.until(is_live)
        poller.set_interval(0.2)
        assert (await watch.until(is_live, seconds=5.0)).feed.interval == 0.2
        await watch.until(is_live, seconds=5.0)
        with pytest.raises(UsageError, match="out of range"):
            poller.set_interval(0.1)
        with pytest.raises(UsageError):
            poller.set_interval(61.0)


async def test_only_what_is_demanded_is_read_and_a_new_demand_at_once() -> None:
    source = Moody()
    cheap = frozenset({Part.SERVER, Part.QUEUES})
    async with polling(source, interval=60.0, parts=cheap) as (poller, watch):
        picture = await watch.until(is_live)
        assert source.asked == [cheap]
        assert (picture.consumers, len(picture.queues)) == ((), 14)
        poller.demand(frozenset(Part))
        picture = await watch.until(lambda one: bool(one.consumers), seconds=5.0)
        assert source.asked[-1] == frozenset(Part)
        poller.demand(cheap)
        assert len(source.asked) == 2


async def test_pictures_that_were_read_are_kept_in_the_ring() -> None:
    source, ring = Moody(), Ring()
    async with polling(source, keeper=ring) as (_, watch):
        for _ in range(3):
            await watch.until(is_live)
        source.lost = True
        await watch.until(lambda picture: picture.snapshot.phase is Phase.LOST)
        assert len(ring) == len([one for one in watch.pictures if is_live(one)])
