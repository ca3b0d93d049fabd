"""The beat of the console: reads a source again and again, derives pictures, and never dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from ..clock import Clock
from ..postgres.connect import Backoff
from .derive import derive
from .model import Part, Phase, Problem, Snapshot
from .pace import SHORTEST, checked_interval
from .picture import Feed, Picture
from .source import Source
from .thresholds import Thresholds

_SLOW_BEATS = 2
"""A reading that takes longer than so many intervals is called late."""
_STALE_BEATS = 5
_STALE_SECONDS = 10.0
"""A reading that takes longer than both makes the picture STALE."""

_log = logging.getLogger(__name__)


class Keeper(Protocol):
    """What keeps pictures for later, such as `ring.Ring`."""

    def add(self, picture: Picture) -> None: ...


class Poller:
    """Reads one source at an interval and hands every picture to `on_picture`.

    All methods belong to the event loop that runs it; another thread calls them by `loop.call_soon_threadsafe`.
    A reading that fails is tried again after 1, 2, 4, … 30 seconds, each shortened at random. While a reading is
    under way no other one begins. Whatever the source or `on_picture` raise is logged and told in the picture.
    """

    def __init__(
        self,
        source: Source,
        thresholds: Thresholds,
        clock: Clock,
        interval: float,
        on_picture: Callable[[Picture], None],
        *,
        parts: frozenset[Part] = frozenset(Part),
        keeper: Keeper | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._source = source
        self._thresholds = thresholds
        self._clock = clock
        self._interval = checked_interval(interval)
        self._on_picture = on_picture
        self._parts = parts
        self._keeper = keeper
        self._backoff = Backoff(first=1.0, cap=30.0) if backoff is None else backoff
        self._paused = False
        self._forced = False
        self._attempt = 0
        self._good_at: datetime | None = None
        self._busy_since: datetime | None = None
        self._retry_at: datetime | None = None
        self._picture: Picture | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def picture(self) -> Picture | None:
        """The newest picture; None before the first."""
        return self._picture

    @property
    def interval(self) -> float:
        return self._interval

    @property
    def paused(self) -> bool:
        return self._paused

    def start(self) -> None:
        """Begin to read, in the running event loop. Does nothing when it reads already."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"poller {self._source.name}")

    async def stop(self) -> None:
        """End, without waiting for the server; closes the source."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._source.close()

    def force(self) -> None:
        """Read now, paused or not, and do not wait for a retry."""
        self._forced = True
        self._wake.set()

    def pause(self) -> None:
        """Hold the picture as it is; `force` still reads once."""
        self._paused = True
        self._tell_feed()

    def resume(self) -> None:
        self._paused = False
        self._tell_feed()
        self._wake.set()

    def set_interval(self, seconds: float) -> None:
        """Change the pace; 0.2 to 60 seconds. Raises UsageError."""
        self._interval = checked_interval(seconds)
        self._tell_feed()
        self._wake.set()

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Judge by other limits from the next reading on."""
        self._thresholds = thresholds

    def demand(self, parts: frozenset[Part]) -> None:
        """Read these parts from now on; at once when one of them has not been read yet."""
        self._parts = parts
        held = self._picture.snapshot.times if self._picture is not None else {}
        if any(part not in held for part in parts):
            self.force()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        if self._picture is None:
            now = self._clock.now()
            self._show(Snapshot(self._source.name, now, now, Phase.CONNECTING))
        while True:
            began = loop.time()
            self._forced = False
            self._wake.clear()
            snapshot = await self._reading()
            delay = self._after(snapshot)
            due = (loop.time() if self._attempt else began) + delay
            self._show(snapshot)
            await self._rest(due)

    async def _reading(self) -> Snapshot:
        """One reading; tells when it is late."""
        began = self._clock.now()
        task = asyncio.ensure_future(self._source.read(self._parts))
        try:
            waited = 0.0
            for limit in (_SLOW_BEATS * self._interval, max(_STALE_BEATS * self._interval, _STALE_SECONDS)):
                done, _ = await asyncio.wait((task,), timeout=limit - waited)
                if done:
                    break
                waited = limit
                self._busy_since = began
                self._tell_late(stale=limit >= _STALE_SECONDS)
            return await task
        except Exception as error:  # The beat goes on whatever a source does; it is told and logged.
            _log.exception("reading %s failed", self._source.name)
            return self._broken(error)
        finally:
            self._busy_since = None
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _after(self, snapshot: Snapshot) -> float:
        """Seconds to the next reading, from the start of this one or, if it failed, from its end."""
        if snapshot.phase in (Phase.LIVE, Phase.NO_PGQ):
            self._good_at = snapshot.taken
            self._attempt = 0
            self._retry_at = None
            self._backoff.reset()
            return self._interval
        self._attempt += 1
        delay = max(self._backoff.next(), SHORTEST)
        self._retry_at = self._clock.now() + timedelta(seconds=delay)
        return delay

    async def _rest(self, due: float) -> None:
        """Wait until the next reading is due, is forced, or the pace changes."""
        loop = asyncio.get_running_loop()
        while not self._forced:
            left = due - loop.time()
            if left <= 0.0 and not self._paused:
                return
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self._paused else left):
                    await self._wake.wait()
            if self._attempt == 0:
                due = min(due, loop.time() + self._interval)

    def _broken(self, error: Exception) -> Snapshot:
        problem = Problem(f"{type(error).__name__}: the reading failed inside the program", "", "See the log.")
        now = self._clock.now()
        if self._picture is None:
            return Snapshot(self._source.name, now, now, Phase.STALE, problems=(problem,))
        return replace(self._picture.snapshot, phase=Phase.STALE, problems=(problem,), parts=frozenset())

    def _feed(self) -> Feed:
        return Feed(
            interval=self._interval,
            paused=self._paused,
            good_at=self._good_at,
            busy_since=self._busy_since,
            attempt=self._attempt,
            retry_at=self._retry_at,
        )

    def _show(self, snapshot: Snapshot) -> None:
        picture = replace(derive(self._picture, snapshot, self._thresholds), feed=self._feed())
        if self._keeper is not None and snapshot.phase is Phase.LIVE:
            self._keeper.add(picture)
        self._hand_out(picture)

    def _tell_late(self, *, stale: bool) -> None:
        picture = self._picture
        if picture is None:
            return
        if stale and picture.snapshot.phase in (Phase.LIVE, Phase.NO_PGQ):
            self._show(replace(picture.snapshot, phase=Phase.STALE, problems=(), parts=frozenset()))
        else:
            self._tell_feed()

    def _tell_feed(self) -> None:
        """The same facts again, because how they arrive has changed."""
        if self._picture is not None:
            self._hand_out(replace(self._picture, feed=self._feed(), changes=()))

    def _hand_out(self, picture: Picture) -> None:
        self._picture = picture
        try:
            self._on_picture(picture)
        except Exception:  # A screen that fails must not stop the readings.
            _log.exception("a picture of %s was not taken", self._source.name)
