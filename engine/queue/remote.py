"""Consumers whose work is in another database than the queue. Source: spec/pgq-clients.md 5.4 and 5.5."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from ..postgres.connect import resolve_dsn
from .consumer import Consumer
from .event import Event
from .marks import MarkedWork, RemoteWork, SerialWork
from .model import Batch
from .requests import Place
from .running import Site
from .settings import ConsumerSettings
from .steps import Observer, Report
from .work import PlainWork


class RemoteConsumer(Consumer):
    """Base of consumers that work in another database, exactly once: the mark of a batch commits there with its work.

    Write `process_remote_event(self, db, event, dst)`, or `process_remote_batch(self, db, batch, events, dst)`; `dst`
    is the connection to the other database, which needs pgq_ext. With skyconsole's pgq_ext the mark also tells whether
    the queue lost its last moments: then LostPositionError or TickRemadeError ends run(), and resync() goes on.
    """

    _handlers: ClassVar[tuple[str, str]] = ("process_remote_batch", "process_remote_event")

    def __init__(
        self,
        dsn: str,
        settings: ConsumerSettings,
        *,
        remote_dsn: str,
        observer: Observer | None = None,
        report: Report | None = None,
    ) -> None:
        super().__init__(dsn, settings, observer=observer, report=report)
        self._site = Site({**self._site.dsns, Place.REMOTE: resolve_dsn(remote_dsn)}, self._site.application_name)

    def process_remote_event(self, db: Any, event: Event, dst: Any) -> Any:
        """Work on one event. Write this, or process_remote_batch."""
        raise NotImplementedError

    def process_remote_batch(self, db: Any, batch: Batch, events: Any, dst: Any) -> Any:
        """Work on one batch; this one calls process_remote_event for each. `events` as in Consumer.process_batch."""
        return events.hand_to(partial(_turned, self.process_remote_event, db, dst), (db, dst))

    def reset(self) -> str:
        """Forget the target's position; returns what was done. Raises SkyError and psycopg.Error."""
        return self._site.once(self._marked.reset())

    def resync(self) -> str:
        """Bring queue and target in step so that nothing is skipped; returns what was done, and what comes twice.

        Raises LostPositionError where the queue no longer has what the target misses, SkyError and psycopg.Error.
        """
        return self._site.once(self._marked.resync())

    @property
    def _marked(self) -> MarkedWork:
        assert isinstance(self._work, MarkedWork)
        return self._work

    def _make_work(self) -> PlainWork:
        return RemoteWork(self.settings)

    def _batch_handler(self) -> Callable[..., Any]:
        return lambda db, dst, batch, events: self.process_remote_batch(db, batch, events, dst)


class SerialConsumer(RemoteConsumer):
    """A remote consumer that keeps the order: ticks are marked, nothing can be retried.

    The queue's position must be the target's; where it is not, LostPositionError ends run(). rewind() then moves the
    queue to the target's tick, reset() forgets the target's, and resync() finds out which of both is right.
    """

    def rewind(self) -> str:
        """Move the queue's position to the target's; returns what was done. Raises SkyError and psycopg.Error."""
        return self._site.once(self._marked.rewind())

    def _make_work(self) -> PlainWork:
        return SerialWork(self.settings)


def _turned(handler: Callable[[Any, Event, Any], Any], db: Any, dst: Any, event: Event) -> Any:
    return handler(db, event, dst)
