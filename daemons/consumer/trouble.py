"""What goes wrong while a consumer works: how long already, how loudly it is told, and what others log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from ...engine.clock import Clock
from .config import QuietErrors


class Trouble:
    """Whether the consumer fails, since when, and why. Errors count from the first until a pass goes well.

    Source of the quiet errors: spec/scripts.md 1.3.
    """

    def __init__(self, quiet: QuietErrors, clock: Clock) -> None:
        self.quiet = quiet
        self.error = ""
        self.since: datetime | None = None
        """When the present trouble began; None: there is none."""
        self._began_at = 0.0
        self._marked_at: float | None = None
        """When the first of the errors came that share one time of grace."""
        self._clock = clock

    def failed(self, text: str, error: BaseException | None) -> bool:
        """Note a failure; returns whether it is to be told quietly."""
        now = self._clock.monotonic()
        self.error = text
        if self.since is None:
            self.since, self._began_at = self._clock.now(), now
        if self._marked_at is None:
            self._marked_at = now
        return self._is_quiet(error) and now - self._marked_at < self.quiet.grace

    def passed(self) -> None:
        """A pass went well."""
        if self.since is not None:
            self.since, self.error = None, ""
        if self._marked_at is not None and self._clock.monotonic() - self._marked_at >= self.quiet.reset:
            self._marked_at = None

    def lasts_for(self, seconds: float) -> bool:
        """Whether the present trouble is older than this."""
        return self.since is not None and self._clock.monotonic() - self._began_at > seconds

    def _is_quiet(self, error: BaseException | None) -> bool:
        names = self.quiet.names
        return error is not None and ("ALL" in names or any(c.__name__ in names for c in type(error).__mro__))


class TroubleFilter(logging.Filter):
    """Sees the consumer's complaints on their way into the log, for the status; softens those to be told quietly."""

    def __init__(self, logger: logging.Logger, trouble: Trouble) -> None:
        super().__init__()
        self._logger = logger
        self._trouble = trouble

    def __enter__(self) -> None:
        self._logger.addFilter(self)

    def __exit__(self, *_: object) -> None:
        self._logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        lost = record.levelno == logging.WARNING and str(record.msg).startswith("the connection is lost")
        if error is None and not lost:
            return True
        text = f"{type(error).__name__}: {error}".splitlines()[0] if error else record.getMessage()
        if self._trouble.failed(text, error):
            record.msg, record.args = f"{record.getMessage()}: {text}", ()
            record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return True


class _Forward(logging.Handler):
    def __init__(self, target: logging.Logger) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        if self._target.isEnabledFor(record.levelno):
            self._target.handle(record)


@contextmanager
def follow_other_logs(target: logging.Logger) -> Iterator[None]:
    """Write into this log what the user's own modules log, too."""
    root, forward = logging.getLogger(), _Forward(target)
    former = root.level
    root.addHandler(forward)
    root.setLevel(target.getEffectiveLevel())
    try:
        yield
    finally:
        root.removeHandler(forward)
        root.setLevel(former)
