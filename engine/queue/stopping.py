"""Asking a consumer to stop, from a signal, from another thread or from itself, and how long that may take."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

LONGEST = 1e8
"""Seconds, three years: as good as for ever, and no timer refuses them."""


class StopNow(KeyboardInterrupt):
    """The time for a graceful stop is over: what is in work is given up and handed back.

    A KeyboardInterrupt, because at one psycopg cancels the statement that runs.
    """


class Stop:
    """Whether a consumer is to stop, and until when it may take its time."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = self._usual = seconds
        self.requested = False
        self.on_request: Callable[[], None] | None = None
        self._clock = clock
        self._deadline = float("inf")
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)

    def request(self, seconds: float | None = None) -> None:
        """Ask for the stop, in `seconds` or the usual time; may be called from anywhere, and again to hasten it."""
        seconds = self._usual if seconds is None else min(seconds, LONGEST)
        deadline = self._clock() + seconds
        if self.requested and deadline >= self._deadline:
            return
        self.seconds, self._deadline = seconds, deadline
        self.requested = True
        if self._writer.fileno() >= 0:
            self._writer.send(b"!")
        if self.on_request is not None:
            self.on_request()

    @property
    def overdue(self) -> bool:
        """Whether the time for a graceful stop is over."""
        return self.requested and self._clock() >= self._deadline

    def check(self) -> None:
        """Between two pieces of work: raises StopNow when the time is over."""
        if self.requested and self._clock() >= self._deadline:
            raise StopNow

    def fileno(self) -> int:
        """A descriptor that becomes readable when the stop is asked for."""
        return self._reader.fileno()

    def close(self) -> None:
        """Give the descriptors back; a request after it only sets the flag."""
        self._reader.close()
        self._writer.close()
