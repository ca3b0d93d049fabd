"""The life of a consumer: batch after batch, waiting, errors, reconnecting, stopping. One program for all kinds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from ..errors import SkyError, UnreachableError, UsageError
from ..postgres.connect import Backoff
from ..postgres.sql import queries
from .event import BatchTags
from .feed import Feed
from .fetch import AHEAD, SHORT, Foreseen, Source, ask_ahead, begin_work, event_sql, is_undone, length, read_ahead
from .model import Batch
from .requests import (
    Close,
    Commit,
    Execute,
    Handle,
    IsBroken,
    Place,
    Program,
    Rollback,
    Rows,
    Wait,
    rows,
    value,
)
from .retry import reason_of, writable
from .steps import BatchStatistics, Observer, Report, Step
from .stopping import Stop, StopNow
from .ticks import tick_channel
from .urlencoding import EncodingError
from .work import BatchLostError, Capabilities, NotRegisteredError, PlainWork, WorkUndoneError

_SQL = queries("queue/consumer.sql")
_ALL = tuple(Place)

_BREATH = 0.05
"""Seconds between a lost batch and the next try."""

logger = logging.getLogger("skyconsole.consumer")


class Life:
    """Works off batches until it is told to stop. The drivers run `live`; everything it decides is in here."""

    def __init__(
        self,
        work: PlainWork,
        handler: Callable[..., Any],
        stop: Stop,
        observer: Observer | None = None,
        report: Report | None = None,
    ) -> None:
        self.work = work
        self.settings = work.settings
        self._handler = handler
        self._stop = stop
        self._observer = observer
        self._report = report or _logged
        self._backoff = Backoff()
        self._foreseen: Foreseen | None = None
        """What is read ahead."""
        self._asked: Place | None = None
        """Where the question what comes next is underway."""
        self._reads_ahead = self.settings.prefetch and not self.settings.autocommit
        self._is_behind = False
        """The batch before was there without waiting: more may be."""
        self._listening = False
        self._is_bloated = False
        """The connections hold much memory since the batch before."""
        self._worked = False
        """A pass went well since the start."""
        self._batch: Batch | None = None
        """The batch in work."""
        self._idle_since = self._spoke_at = time.monotonic()

    def live(self) -> Program[None]:
        """Work until the stop. Raises SkyError for what no waiting will mend, and StopNow."""
        while not self._stop.requested:
            try:
                if (yield from self._session()):
                    break
                yield Close(_ALL)
            except Exception as error:
                if self._is_fatal(error) or self.settings.loop_delay <= 0:
                    raise
                yield from self._recover(error)
        # Also a batch that failed and waits for its next try.
        yield from self.abandon()

    def _is_fatal(self, error: Exception) -> bool:
        if isinstance(error, NotRegisteredError):
            return not self._worked
        # An event that cannot be read, or a rollback, is a failing handler's affair.
        return isinstance(error, SkyError) and not isinstance(error, UnreachableError | EncodingError | WorkUndoneError)

    def _recover(self, error: Exception) -> Program[None]:
        lost = isinstance(error, UnreachableError)
        for place in (*AHEAD, *self.work.handler_places):
            lost = lost or bool((yield IsBroken(place)))
        yield from self._drop(_ALL)
        self._is_behind = False
        wait = self._backoff.next() if lost else self.settings.exception_sleep
        if lost:
            logger.warning("the connection is lost, again in %.1f s: %s", wait, reason_of(error))
        else:
            logger.error("the batch failed and comes again in %g s", wait, exc_info=error)
        yield Wait(wait)

    def _session(self) -> Program[bool]:
        """Work on one set of connections; False: they are to be made anew."""
        settings = self.settings
        born = time.monotonic()
        yield from self._greet()
        yield from self.work.prepare()
        while not self._stop.requested:
            try:
                found = yield from self._round()
            except BatchLostError as lost:
                logger.warning("%s", lost)
                self._batch = None
                found = True
                yield Wait(_BREATH)
            self._worked = True
            self._backoff.reset()
            self._is_behind = found
            if settings.loop_delay < 0 or (settings.loop_delay == 0 and not found):
                return True
            if not found:
                if self._observer is not None:
                    self._observer.on_step(Step.IDLE, 0)
                self._tell_idle()
                yield Wait(settings.loop_delay, Place.QUEUE if self._listening else None)
            aged = settings.connection_lifetime and time.monotonic() - born > settings.connection_lifetime
            if aged or self._is_bloated:
                self._is_bloated = False
                yield from self._forget()
                return False
        return True

    def _greet(self) -> Program[None]:
        found = yield from rows(Place.QUEUE, _SQL["capabilities"])
        self.work.capabilities = Capabilities(*found[0])
        if self.settings.on_error == "dead_letter" and not self.work.capabilities.dead_letters:
            raise UsageError(
                'on_error = "dead_letter" needs a server that keeps dead letters: its pgq has no function event_dead.',
                "Install skyconsole's pgq there, or set on_error = retry.",
            )
        self._listening = False
        if self.settings.listen:
            queue_id = yield from value(Place.QUEUE, _SQL["queue_id"], self.settings.queue_name)
            if queue_id is not None:
                channel = sql.Identifier(tick_channel(queue_id))
                yield Execute(Place.QUEUE, sql.SQL(_SQL["listen"]).format(channel=channel))
                self._listening = True

    def _round(self) -> Program[bool]:
        """Work off one batch; False: there is none."""
        batch = yield from self.work.open()
        if batch is None:
            yield from self._forget()
            return False
        self._batch = batch
        self._step(Step.OPENED, batch)
        try:
            yield from self._work_off(batch)
        except (KeyboardInterrupt, asyncio.CancelledError) as interruption:
            yield from self._hand_back(batch)
            raise StopNow from interruption
        except BaseException:
            yield from self._drop(AHEAD)
            for place in self.work.handler_places:
                yield Rollback(place)
            raise
        self._batch = None
        return True

    def abandon(self) -> Program[None]:
        """Hand back the batch that is open, if there is one."""
        if self._batch is not None:
            yield from self._hand_back(self._batch)

    def _hand_back(self, batch: Batch) -> Program[None]:
        # Whatever the connections are at: closing them takes the work back. What is to be said needs a fresh one.
        yield from self._drop(_ALL)
        try:
            fate = yield from self.work.hand_back(batch)
        except (SkyError, psycopg.Error) as error:
            fate = f"it could not be handed back: {reason_of(error)}"
        yield Close(_ALL)
        self._batch = None
        logger.warning("stopped in the middle of batch %s: %s", batch.batch_id, fate)

    def _work_off(self, batch: Batch) -> Program[None]:
        began = time.monotonic()
        settings = self.settings
        tags = BatchTags(
            settings.queue_name,
            batch.batch_id,
            settings.retry,
            dead_letters=self.work.capabilities.dead_letters,
            may_retry=self.work.may_retry,
        )
        count = 0
        admitted = yield from self.work.admit(batch, tags)
        if admitted:
            count = yield from self._handle(batch, tags)
        else:
            yield from self._forget()
            yield from self._begin(batch)
        # A handler that came back too late was left behind, and its batch handed back.
        self._stop.check()
        if admitted:
            yield from self._check_work(batch)
        if admitted and (yield from self.work.seal(batch, tags)):
            self._step(Step.REMOTE_COMMITTED, batch)
        try:
            yield from self._settle(batch, tags)
        except psycopg.errors.RaiseException as error:
            yield Rollback(Place.QUEUE)
            if (yield from value(Place.QUEUE, _SQL["still_open"], batch.batch_id)):
                raise
            raise BatchLostError(
                f"Batch {batch.batch_id} was finished or taken over by somebody else: its events cannot be handed back."
            ) from error
        self._step(Step.FINISHING, batch)
        if not (yield from self.work.finish(batch)):
            raise BatchLostError(
                f"Batch {batch.batch_id} was finished or taken over by somebody else: our work on it is rolled back."
            )
        self._step(Step.FINISHED, batch)
        was_open = yield Commit(Place.QUEUE)
        if not was_open and not settings.autocommit:
            logger.warning("the handler ended the transaction of batch %s: it may come twice", batch.batch_id)
        self._step(Step.COMMITTED, batch)
        ended = self._spoke_at = time.monotonic()
        idle, self._idle_since = began - self._idle_since, ended
        self._report(BatchStatistics(batch.batch_id, count, ended - began, idle, len(tags.retries), len(tags.letters)))

    def _handle(self, batch: Batch, tags: BatchTags) -> Program[int]:
        source = yield from self._source(batch)
        yield from source.arrive()
        if source.place is not Place.QUEUE:
            yield from self._begin(batch)
        self._step(Step.FETCHED, batch)

        has_begun = False

        def next_rows() -> Program[Rows]:
            nonlocal has_begun
            found = yield from source.next_rows()
            if not has_begun:
                has_begun = True
                yield from self._ask_ahead(batch, source)
            else:
                yield from self._read_ahead(batch)
            return found

        feed = Feed(self.work, batch, tags, next_rows, self._stop, self._observer)
        yield Handle(self._handler, self.work.handler_places, feed)
        self._step(Step.HANDLED, batch)
        yield from self._read_ahead(batch)
        yield from source.close()
        self._is_bloated = source.is_heavy
        return feed.count

    def _source(self, batch: Batch) -> Program[Source]:
        """The batch's events, begun to be read: those read ahead, if it is the batch that was foreseen."""
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is not None and foreseen.is_of(batch):
            return foreseen.source
        if foreseen is not None:
            yield from self._drop(AHEAD)
        is_long = 0 < self.settings.lazy_fetch < length(batch)
        events = yield from event_sql(batch)
        if self._reads_ahead and is_long:
            source = Source(Place.AHEAD, events, self.settings)
            try:
                yield from source.start()
            except UnreachableError as error:
                self._without_second(error)
            else:
                return source
        source = Source(Place.QUEUE, events, self.settings, None if self.settings.autocommit else batch)
        yield from source.start()
        return source

    def _ask_ahead(self, batch: Batch, source: Source) -> Program[None]:
        """As soon as a batch is in work: ask what comes next, if it is likely that something does."""
        if not (self._reads_ahead and self._is_behind and self.work.may_read_ahead):
            return
        if length(batch) < SHORT:
            return
        place = Place.BEYOND if source.place is Place.AHEAD else Place.AHEAD
        try:
            yield from ask_ahead(place, batch, self.settings)
        except UnreachableError as error:
            self._without_second(error)
        else:
            self._asked = place

    def _read_ahead(self, batch: Batch) -> Program[None]:
        """With the answer to that: let the server begin to read it."""
        if self._asked is None:
            return
        place, self._asked = self._asked, None
        try:
            self._foreseen = yield from read_ahead(place, batch, self.settings)
        except psycopg.Error as error:
            # Reading ahead only saves time: what is wrong will be said where it counts.
            logger.debug("nothing is read ahead: %s", reason_of(error))
            yield Close((place,))

    def _without_second(self, error: UnreachableError) -> None:
        logger.warning("no second connection to read ahead: %s", error)
        self._reads_ahead = False

    def _forget(self) -> Program[None]:
        """Let go of what was read ahead."""
        if self._foreseen is not None:
            yield from self._drop(AHEAD)

    def _drop(self, places: tuple[Place, ...]) -> Program[None]:
        """Close connections, whatever they are at, and with them what is read ahead."""
        self._foreseen = None
        self._asked = None
        yield Close(places)

    def _begin(self, batch: Batch) -> Program[None]:
        if not self.settings.autocommit:
            yield from begin_work(Place.QUEUE, batch)

    def _check_work(self, batch: Batch) -> Program[None]:
        """A handler that commits is warned of at the end; one that rolled back would lose the work on other events."""
        if self.settings.autocommit or not self.work.keeps_work:
            return
        for place in self.work.handler_places:
            if (yield from is_undone(place, batch)):
                raise WorkUndoneError(
                    f"The handler rolled back the transaction of batch {batch.batch_id}, and with it the work on "
                    "earlier events: the batch comes again.",
                    "Leave commit and rollback to the consumer: put what may fail into `with db.transaction():`.",
                )

    def _settle(self, batch: Batch, tags: BatchTags) -> Program[None]:
        """Write the retries and the dead letters, in the transaction that finishes the batch."""
        retry, dead = (
            ("events_retry", "events_dead") if self.work.capabilities.many_outcomes else ("event_retry", "event_dead")
        )
        if retries := tags.retries:
            yield Execute(Place.QUEUE, _SQL[retry], (batch.batch_id, list(retries), list(retries.values())))
            self._step(Step.RETRY_TAGGED, batch)
        if letters := tags.letters:
            reasons = [writable(reason, self.work.capabilities.encoding) for reason in letters.values()]
            yield Execute(Place.QUEUE, _SQL[dead], (batch.batch_id, list(letters), reasons))
            self._step(Step.DEAD_TAGGED, batch)

    def _tell_idle(self) -> None:
        now = time.monotonic()
        if now - self._spoke_at >= self.settings.keepalive_stats:
            self._spoke_at = now
            self._report(BatchStatistics(None, 0, 0.0, now - self._idle_since))

    def _step(self, step: Step, batch: Batch) -> None:
        if self._observer is not None:
            self._observer.on_step(step, batch.batch_id)


def _logged(statistics: BatchStatistics) -> None:
    logger.info("%s", statistics)
