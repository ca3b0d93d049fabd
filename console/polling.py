"""The pollers of all sources, for the screen: every call returns at once and runs in the engine's thread."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from ..engine.clock import Clock
from ..engine.monitor.model import Part
from ..engine.monitor.picture import Picture
from ..engine.monitor.poller import Poller
from ..engine.monitor.source import Source
from ..engine.monitor.thresholds import Thresholds
from .engine_thread import EngineThread

INTERVALS: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between readings that the keys step through."""
AWAY_FACTOR = 2.0
"""While nobody looks at the terminal, readings come so many times more seldom."""


class Readings:
    """Starts, paces and ends the readings of a console's sources."""

    def __init__(
        self,
        engine: EngineThread,
        sources: Sequence[Source],
        clock: Clock,
        interval: float,
        receive: Callable[[Picture], None],
    ) -> None:
        self._engine = engine
        self._sources = tuple(sources)
        self._clock = clock
        self._receive = receive
        self._pollers: dict[str, Poller] = {}
        self._away = False
        self.interval = interval
        self.paused = False

    def start(self, thresholds: Mapping[str, Thresholds]) -> None:
        async def begin() -> None:
            for source in self._sources:
                limits = thresholds.get(source.name, Thresholds())
                poller = Poller(source, limits, self._clock, self.interval, self._receive)
                self._pollers[source.name] = poller
                poller.start()

        self._engine.submit(begin())

    def pause(self, paused: bool) -> None:
        self.paused = paused
        self._each(Poller.pause if paused else Poller.resume)

    def force(self) -> None:
        """Read all sources now."""
        self._each(Poller.force)

    def step(self, steps: int) -> float:
        """Read less (+1) or more (-1) often; the new interval in seconds."""
        nearest = min(range(len(INTERVALS)), key=lambda index: abs(INTERVALS[index] - self.interval))
        self.interval = INTERVALS[max(0, min(len(INTERVALS) - 1, nearest + steps))]
        self._set_pace()
        return self.interval

    def away(self, away: bool) -> None:
        """Nobody looks at the terminal, or somebody does again."""
        if away is not self._away:
            self._away = away
            self._set_pace()

    def demand(self, source: str, parts: frozenset[Part]) -> None:
        """The screen shows these parts of this source."""

        async def ask() -> None:
            if source in self._pollers:
                self._pollers[source].demand(parts)

        self._submit(ask())

    def stop(self) -> None:
        """End all readings and close the sources; waits for nothing."""

        async def end() -> None:
            for poller in self._pollers.values():
                await poller.stop()

        self._submit(end())

    def _set_pace(self) -> None:
        seconds = min(INTERVALS[-1], self.interval * (AWAY_FACTOR if self._away else 1.0))
        self._each(lambda poller: poller.set_interval(seconds))

    def _each(self, act: Callable[[Poller], None]) -> None:
        async def do() -> None:
            for poller in self._pollers.values():
                act(poller)

        self._submit(do())

    def _submit(self, work: Coroutine[Any, Any, None]) -> None:
        if self._engine.running:
            self._engine.submit(work)
        else:
            work.close()
