"""A batch's events on their way to the handler: what is known of them, and what to do between two of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from .event import BatchTags, Event, event_class
from .model import Batch
from .requests import Program, Rows
from .retry import judged
from .settings import ConsumerSettings
from .steps import Observer, Step
from .stopping import Stop
from .work import PlainWork

logger = logging.getLogger("skyconsole.consumer")


class Feed:
    """The events of one batch, whichever way they are handed over."""

    def __init__(
        self,
        work: PlainWork,
        batch: Batch,
        tags: BatchTags,
        next_rows: Callable[[], Program[Rows]],
        stop: Stop,
        observer: Observer | None,
    ) -> None:
        self.settings: ConsumerSettings = work.settings
        self.batch = batch
        self.tags = tags
        self.next_rows = next_rows
        self.stop = stop
        self.count = 0
        """Events fetched so far."""
        self.kept: list[Rows] | None = None if self.settings.lazy_fetch else []
        self._work = work
        self._class = event_class(self.settings.fetched_columns)
        self._observer = observer
        self._opened = False
        self._touched = time.monotonic()

    @property
    def isolates(self) -> bool:
        """Whether a failing event is taken out of its batch."""
        return self.settings.on_error != "repeat"

    @property
    def is_watched(self) -> bool:
        """Whether something is to be done between two events but looking whether to stop."""
        sees_events = self._observer is not None and getattr(self._observer, "sees_events", True)
        return sees_events or self.isolates or self._work.touch_interval is not None

    def open(self) -> None:
        """Begin to hand over. Raises RuntimeError for events in pieces that were handed over before."""
        if self._opened and self.kept is None:
            raise RuntimeError(f"The events of a batch that is fetched in pieces come once ({self.count} did).")
        self._opened = True

    def arrived(self, rows: Rows) -> None:
        """Count the rows of a piece, and keep them where they may be asked for again."""
        self.count += len(rows)
        if self.kept is not None and rows:
            self.kept.append(rows)

    def events(self, rows: Rows) -> Iterator[Event]:
        """The rows as events."""
        return map(self._class, rows, repeat(self.tags))

    def before(self) -> None:
        """Before an event is handed over. Raises StopNow."""
        self.stop.check()
        if self._observer is not None:
            self._observer.on_step(Step.HANDLING, self.batch.batch_id)

    def touch(self) -> Program[None] | None:
        """A program to run now, so that nobody takes us for dead; None: not yet."""
        interval = self._work.touch_interval
        if interval is None or time.monotonic() - self._touched < interval:
            return None
        self._touched = time.monotonic()
        return self._work.touch()

    def check_sound(self, databases: Sequence[Any]) -> None:
        """After an event. Raises for a handler that went on after an error that aborted the transaction."""
        if any(database.info.transaction_status == TransactionStatus.INERROR for database in databases):
            raise psycopg.errors.InFailedSqlTransaction("the handler went on after an SQL error")

    def failed(self, event: Event, error: Exception, databases: Sequence[Any]) -> None:
        """Tag an event whose handler raised; raises the error again when it is not the event's alone."""
        # Its savepoint took the event's work back, unless the connection or the whole transaction is gone.
        if any(database.info.transaction_status != TransactionStatus.INTRANS for database in databases):
            raise error
        tags = self.tags
        verdict = judged(
            error, self.settings.on_error, self.settings.retry, event.ev_retry, dead_letters=tags.dead_letters
        )
        tags.verdicts[event.ev_id] = verdict
        logger.warning("event %s of batch %s failed: %s", event.ev_id, self.batch.batch_id, verdict, exc_info=error)
