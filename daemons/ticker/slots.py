"""Taking turns: at most so many ticker connections, and the databases above that visited one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...engine.clock import Clock

CONTENDED_PAUSE = 0.05
"""Seconds between two grants while databases wait, so that reconnecting never becomes a storm."""


class Slots:
    """The right to hold a ticker connection, granted in the order of asking."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._held = 0
        self._pledged = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._granted_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._grant()

    def claim_to_leave(self) -> bool:
        """Whether this holder should leave, because somebody waits for whom no slot is free or promised yet.

        After True the holder must leave.
        """
        if len(self._waiting) <= self._pledged + max(self._limit - self._held, 0):
            return False
        self._pledged += 1
        return True

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Hold a slot; waits until there is one."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._grant()
        try:
            await future
        except asyncio.CancelledError:
            if future in self._waiting:
                self._waiting.remove(future)
            elif future.done() and not future.cancelled():
                self._held -= 1
                self._grant()
            raise
        turn = Turn(self)
        try:
            yield turn
        finally:
            self._held -= 1
            self._pledged -= turn.leaving
            self._grant()

    def _grant(self) -> None:
        while self._waiting and self._held < self._limit:
            pause = self._granted_at + CONTENDED_PAUSE - self._clock.monotonic()
            if self._held + len(self._waiting) > self._limit and pause > 0:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(pause, self._on_timer)
                return
            future = self._waiting.popleft()
            if not future.done():
                self._held += 1
                self._granted_at = self._clock.monotonic()
                future.set_result(None)

    def _on_timer(self) -> None:
        self._timer = None
        self._grant()


class Turn:
    """One holder's slot."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.leaving = False

    def should_leave(self) -> bool:
        """Whether this holder is the one to make room now; once true it stays true."""
        self.leaving = self.leaving or self._slots.claim_to_leave()
        return self.leaving
