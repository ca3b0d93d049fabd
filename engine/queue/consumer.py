"""The consumer a user writes: a class with a handler, sync or async, and how it is run."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from ..errors import UsageError
from ..postgres.connect import resolve_dsn
from .event import Event
from .life import Life
from .model import Batch
from .requests import Place
from .running import Site, run_here, run_in_loop, run_in_thread, run_with_loop
from .settings import ConsumerSettings
from .steps import Observer, Report
from .stopping import Stop
from .work import PlainWork


class Consumer:
    """Base of consumers whose work is done in the queue's database: exactly once, together with the batch's end.

    Write `process_event(self, db, event)`, or `process_batch(self, db, batch, events)` for whole batches: as `def`,
    then `db` is a psycopg.Connection, or as `async def`, then it is an AsyncConnection. What the handler does on `db`
    is committed with the end of the batch, or rolled back with it. Source: spec/pgq-clients.md 5.
    """

    _handlers: ClassVar[tuple[str, str]] = ("process_batch", "process_event")

    def __init__(
        self, dsn: str, settings: ConsumerSettings, *, observer: Observer | None = None, report: Report | None = None
    ) -> None:
        self.settings = settings
        dsns = dict.fromkeys((Place.QUEUE, Place.AHEAD, Place.BEYOND, Place.ASIDE), resolve_dsn(dsn))
        self._site = Site(dsns, settings.consumer_name)
        self._observer = observer
        self._report = report
        self._work = self._make_work()
        self._stop: Stop | None = None
        self._is_stopped_early = False

    def process_event(self, db: Any, event: Event) -> Any:
        """Work on one event. Write this, or process_batch."""
        raise NotImplementedError

    def process_batch(self, db: Any, batch: Batch, events: Any) -> Any:
        """Work on one batch; this one calls process_event for each. `events` is a SyncEvents or an AsyncEvents."""
        return events.hand_to(partial(self.process_event, db), (db,))

    def register(self) -> bool:
        """Subscribe to the queue, from now on; False: it was registered already. Raises SkyError and psycopg.Error."""
        return self._site.once(self._work.register())

    def unregister(self) -> int:
        """Give up the subscription; returns how many were removed. Raises SkyError and psycopg.Error."""
        return self._site.once(self._work.unregister())

    def run(self) -> None:
        """Work until stop(), or until SIGTERM or SIGINT when called in the main thread.

        A stop lets the batch in work be finished, for `stop_timeout` seconds; a second signal gives it up at once.
        Lost connections are made anew. Raises SkyError for what waiting does not mend; with loop_delay <= 0 any error.
        """
        if self.is_async:
            run_with_loop(self.run_async)
            return
        stop = self._begin()
        try:
            run_here(self._site, self._life(stop), stop)
        finally:
            self._end()

    def stop(self, seconds: float | None = None) -> None:
        """Ask for a graceful stop; from any thread, also before run(), and again to hasten it.

        The batch in work gets so many seconds, `stop_timeout` when left out; math.inf: as long as it takes.
        """
        if self._stop is None:
            self._is_stopped_early = True
        else:
            self._stop.request(seconds)

    async def run_async(self, stop: asyncio.Event) -> None:
        """Work in the running event loop until `stop` is set; a consumer with plain handlers works in a thread.

        Returns `stop_timeout` seconds and a little after `stop` at the latest. Raises as run() does.
        """
        is_async = self.is_async
        own = self._begin()
        asking = asyncio.create_task(stop.wait())
        asking.add_done_callback(lambda asked: None if asked.cancelled() else own.request())
        try:
            await (run_in_loop if is_async else run_in_thread)(self._site, self._life(own), own)
        finally:
            asking.cancel()
            self._end()

    def _make_work(self) -> PlainWork:
        return PlainWork(self.settings)

    def _batch_handler(self) -> Callable[..., Any]:
        return self.process_batch

    @property
    def is_async(self) -> bool:
        """Whether the user's handler is `async def`. Raises UsageError when there is none."""
        for name in self._handlers:
            written = getattr(type(self), name)
            if written.__module__.rpartition(".")[0] != __package__:
                return inspect.iscoroutinefunction(written)
        raise UsageError(f"The consumer {type(self).__name__} has no handler.", f"Write {' or '.join(self._handlers)}.")

    def _begin(self) -> Stop:
        self._stop = Stop(self.settings.stop_timeout)
        if self._is_stopped_early:
            self._stop.request()
        return self._stop

    def _end(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop.close()

    def _life(self, stop: Stop) -> Life:
        return Life(self._work, self._batch_handler(), stop, self._observer, self._report)
