"""The loops of one database: connect, find PgQ, hold the guard, look, tick."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ...engine.clock import Clock
from ...engine.errors import UnreachableError
from ...engine.postgres.connect import Backoff
from ...engine.queue import maintenance, ticks
from ...engine.queue.ticks import Look, Pace
from ..log import NOISE
from . import metrics
from .audit import Audit
from .chores import Chores, sentence
from .config import TickerConfig
from .penalties import Penalties
from .record import DatabaseRecord, State
from .session import Ears, Facts, own_names_only, quietly, read_facts, session, wait
from .slots import Slots, Turn

SPARE_PERIOD = 1.0
"""Seconds between a hot spare's tries for the guard."""

AUDIT_PERIOD = 15.0
"""Seconds between looks for other tickers, and between readings for Prometheus."""

GROUP = 50
"""Queues ticked in one transaction."""

FRESH_RECHECK = 1.0
"""A database that appeared while we ran is checked for PgQ after this many seconds, then ever more seldom."""

LOCKED = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled, psycopg.errors.InternalError_)
"""What a look fails with when somebody drops a queue."""

AUTO_SHARE = 4
"""Without max_connections the ticker takes a quarter of the server's."""


Check = Callable[[AsyncConnection[TupleRow]], Awaitable[None]]


@dataclass(slots=True)
class Shared:
    """What all databases of one ticker share."""

    clock: Clock
    stop: asyncio.Event
    primary: asyncio.Event
    """Set while the server takes writes."""
    slots: Slots
    workers: asyncio.Semaphore
    log: logging.Logger
    others: set[asyncio.Event] = field(default_factory=set)
    """Set when something must be looked at anew: the discovery's wake-up."""

    def suspect_standby(self) -> None:
        """Somebody met a server in recovery: nobody connects until it is promoted."""
        self.primary.clear()
        for event in self.others:
            event.set()


class DatabaseTicker:
    """Ticks one database until told to stop. All its state a person may want is in its record."""

    def __init__(self, name: str, config: TickerConfig, shared: Shared, *, fresh: bool) -> None:
        self.record = DatabaseRecord(name, shared.clock.now())
        self.config = config
        self._shared = shared
        self._clock = shared.clock
        self._log = logging.LoggerAdapter(shared.log, {"database": name})
        self._wake = asyncio.Event()
        self._backoff = Backoff()
        self._recheck = FRESH_RECHECK if fresh else config.check_period
        self._reconnect = False
        self._has_pgq = False
        self._released_until = float("-inf")
        self._chores = Chores(self.record, self._worker, self._clock, self._log)
        self._penalties = Penalties(self.record, self._clock, self._log)
        self._audit = Audit(self.record, self._log)
        self._schedule = {"retry": float("-inf"), "maintenance": float("-inf"), "audit": float("-inf")}

    def wake(self) -> None:
        """Look around at once: something has changed."""
        self._wake.set()

    def reconfigure(self, config: TickerConfig) -> None:
        """Go on with these settings of this database."""
        self._reconnect = (
            self._reconnect
            or config.base_connstr != self.config.base_connstr
            or config.lock_timeout != self.config.lock_timeout
            or config.statement_timeout != self.config.statement_timeout
        )
        self.config = config
        self.wake()

    async def release(self, seconds: float) -> None:
        """Close all our sessions of this database, and stay away for so long."""
        self._released_until = self._clock.monotonic() + seconds
        self.wake()
        await self._chores.abandon()

    async def run(self) -> None:
        """Work until the shared stop is set. Server errors never end it."""
        try:
            while not self._shared.stop.is_set():
                await self._pause(await self._attempt())
            await self._chores.finish()
        finally:
            await self._chores.abandon()

    async def _attempt(self) -> float:
        """One connection's life; returns the seconds to wait before the next."""
        left = self._released_until - self._clock.monotonic()
        if left > 0:
            self._enter(State.RELEASED)
            return left
        if not self._shared.primary.is_set():
            self._enter(State.STANDBY)
            return 60.0
        try:
            if self.record.state in (State.ERROR, State.RELEASED, State.STANDBY):
                self._enter(State.CONNECTING)
            if not self._has_pgq:
                # Databases without PgQ never take a ticker's slot.
                async with self._worker() as connection:
                    pause = self._judge(await read_facts(connection))
                if pause is not None:
                    return pause
            async with self._shared.slots.turn() as turn:
                if self._shared.stop.is_set():
                    return 0.0
                async with self._session(self.config.statement_timeout) as connection:
                    await own_names_only(connection)
                    return await self._serve(connection, turn)
        except (UnreachableError, psycopg.Error) as error:
            return self._fail(error)

    def _fail(self, error: Exception) -> float:
        self.record.begin_failing(self._clock)
        if getattr(error, "sqlstate", None) == "3D000":
            for event in self._shared.others:
                event.set()
        if self._enter(State.ERROR, sentence(error)):
            self._log.error("%s", sentence(error))
        return self._backoff.next()

    def _enter(self, state: State, error: str = "") -> bool:
        return self.record.enter(state, self._clock.now(), error)

    @asynccontextmanager
    async def _session(self, statement_timeout: float) -> AsyncIterator[AsyncConnection[TupleRow]]:
        async with session(self.config, self.record.name, statement_timeout) as connection:
            warn, tell = partial(self._log.warning, "server: %s"), partial(self._log.debug, "server: %s")
            connection.add_notice_handler(quietly(warn, tell, self._clock.monotonic))
            yield connection

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        async with self._shared.workers, self._session(self.config.operation_timeout) as connection:
            yield connection

    async def _serve(self, connection: AsyncConnection[TupleRow], turn: Turn) -> float:
        """What is done on a fresh connection; returns the seconds to wait before the next one."""
        pause = self._judge(await read_facts(connection))
        if pause is not None:
            return pause
        ears = Ears(connection, self._wake)
        if not await self._guarded(connection, ears, turn):
            return self.config.ticker_period
        return await self._tick_on(connection, ears, turn)

    def _judge(self, facts: Facts) -> float | None:
        """None: this database is to be ticked; else the seconds until it is asked again."""
        self._has_pgq = False
        if self.config.max_connections == 0:
            self._shared.slots.limit = max(10, facts.max_connections // AUTO_SHARE)
        if facts.in_recovery:
            self._enter(State.STANDBY)
            self._shared.suspect_standby()
            return 60.0
        if not facts.has_pgq:
            self._succeed()
            if self._enter(State.NO_PGQ):
                self._log.debug("no pgq here")
            self._recheck, pause = min(self._recheck * 2, self.config.check_period), self._recheck
            return pause
        if facts.problem:
            self._succeed()
            if self._enter(State.BAD_VERSION, facts.problem):
                self._log.warning("%s, ignoring", facts.problem)
            return self.config.check_period
        if self.record.pgq_version != facts.version:
            self._log.info("pgq version ok: %s", facts.version)
        self.record.pgq_version = facts.version
        self._has_pgq = True
        return None

    def _succeed(self) -> None:
        self._backoff.reset()
        self.record.end_failing()

    async def _guarded(self, connection: AsyncConnection[TupleRow], ears: Ears, turn: Turn) -> bool:
        """Become the only ticker of the database, however long it takes; False: we were told to leave first."""
        while not await ticks.try_guard(connection):
            holder = await ticks.guard_holder(connection)
            self._succeed()
            if self._enter(State.SPARE, f"ticked by {holder}"):
                self._log.info("hot spare: this database is ticked by %s", holder)
            await ears.rest(SPARE_PERIOD)
            if self._leaves(turn):
                return False
        return True

    def _leaves(self, turn: Turn) -> bool:
        if self._reconnect:
            self._reconnect = False
            return True
        return (
            self._shared.stop.is_set()
            or self._released_until > self._clock.monotonic()
            or not self._shared.primary.is_set()
            or turn.should_leave()
        )

    async def _tick_on(self, connection: AsyncConnection[TupleRow], ears: Ears, turn: Turn) -> float:
        """Look and tick until the connection must be given up; returns the seconds to wait before the next one."""
        await ears.listen()
        born = self._clock.monotonic()
        pace = Pace(self.config.ticker_period, max(self.config.ticker_min_period, 0.001))
        seen: Look | None = None
        seen_at = born
        while True:
            pace = replace(pace, period=self.config.ticker_period, min_period=max(self.config.ticker_min_period, 0.001))
            started = self._clock.monotonic()
            look = None
            recent = seen if seen is not None and started - seen_at < seen.lasts and pace.glances(started) else None
            if recent is not None and await self._is_unchanged(connection, recent):
                pace = pace.glanced(self._clock.monotonic() - started)
                self._noted_look()
            else:
                seen, seen_at = await self._look(connection), started
                look = seen
            if look is not None:
                looked = self._clock.monotonic()
                pace = pace.after(look, looked, looked - started)
                self._note(look, looked - started)
                await self._tick_due(connection, look)
            await self._do_chores(connection)
            now = self._clock.monotonic()
            if self.config.connection_lifetime and now - born > self.config.connection_lifetime:
                return 0.0
            if self._leaves_ticking(turn, pace, now, born):
                self._enter(State.TURN if turn.leaving else State.CONNECTING)
                return self.config.ticker_period if turn.leaving else 0.0
            more = look is not None and len(look.due) > look.waiting + GROUP
            self.record.distance = 0.0 if more else pace.distance(now)
            if await ears.rest(started + self.record.distance - now):
                # However many notify: the least distance is kept.
                pace = pace.woken(self._clock.monotonic())
                await wait(self._wake, started + pace.least - self._clock.monotonic())

    def _leaves_ticking(self, turn: Turn, pace: Pace, now: float, born: float) -> bool:
        if self._reconnect or self._shared.stop.is_set() or not self._shared.primary.is_set():
            return self._leaves(turn)
        if self._released_until > now:
            return True
        return (pace.quiet(now) > 1.0 or now - born > 2.0) and turn.should_leave()

    async def _is_unchanged(self, connection: AsyncConnection[TupleRow], seen: Look) -> bool:
        """Whether no event came in since a look that left nothing undone."""
        if len(seen.due) > GROUP:
            return False
        try:
            return await ticks.glance(connection, self._penalties.set_aside()) == seen.mark
        except LOCKED:
            if connection.closed:
                raise
            return False

    async def _look(self, connection: AsyncConnection[TupleRow]) -> Look | None:
        """A look without the queues that are set aside; None: it failed because of a lock, and knows which now."""
        try:
            return await ticks.look(connection, self._penalties.set_aside())
        except LOCKED as error:
            if connection.closed:
                raise
            locked = await ticks.locked_queues(connection)
            if not locked:
                raise
            for queue in locked:
                self._penalties.fail(queue, f"locked by somebody: {sentence(error)}")
            return None

    def _note(self, look: Look, cost: float) -> None:
        record = self.record
        record.queues, record.look_seconds = look.queues, cost
        self._succeed()
        self._noted_look()
        if self._enter(State.TICKING):
            self._log.debug("ticking %d queues", look.queues)

    def _noted_look(self) -> None:
        self.record.looks += 1
        self.record.passes += 1

    async def _tick_due(self, connection: AsyncConnection[TupleRow], look: Look) -> None:
        started = self._clock.monotonic()
        waiting, idle = look.due[: look.waiting], look.due[look.waiting :][:GROUP]
        groups = [waiting[i : i + GROUP] for i in range(0, len(waiting), GROUP)] + ([idle] if idle else [])
        for group in groups:
            if self._shared.stop.is_set():
                return
            try:
                self._ticked(await ticks.tick(connection, group))
                self._penalties.forgive(group)
            except psycopg.Error:
                if connection.closed:
                    raise
                await self._tick_singly(connection, group)
        if groups:
            self.record.tick_seconds = self._clock.monotonic() - started

    async def _tick_singly(self, connection: AsyncConnection[TupleRow], group: tuple[ticks.QueueRef, ...]) -> None:
        for queue in group:
            try:
                self._ticked(await ticks.tick(connection, (queue,)))
                self._penalties.forgive((queue,))
            except psycopg.Error as error:
                if connection.closed:
                    raise
                self._penalties.fail(queue, sentence(error))

    def _ticked(self, made: tuple[ticks.Tick, ...]) -> None:
        self._audit.made(made)
        for tick in made:
            self._log.log(NOISE, "queue %d: tick %d", tick.queue_id, tick.tick_id)
        if made:
            self.record.ticks += len(made)
            self.record.last_tick = self._clock.now()

    async def _do_chores(self, connection: AsyncConnection[TupleRow]) -> None:
        if self._is_time("retry", self.config.retry_period):
            await self._check(connection, "retry check", self._check_retry)
        if self._is_time("maintenance", self.config.maint_period):
            await self._check(connection, "pgq.maint_operations", self._check_maintenance)
        if self._is_time("audit", AUDIT_PERIOD):
            await self._check(connection, "audit", self._check_others)

    def _is_time(self, what: str, period: float) -> bool:
        now = self._clock.monotonic()
        if now < self._schedule[what] + period:
            return False
        self._schedule[what] = now
        return True

    async def _check(self, connection: AsyncConnection[TupleRow], what: str, check: Check) -> None:
        try:
            await check(connection)
        except psycopg.Error as error:
            if connection.closed:
                raise
            self._chores.failed(what, error)
        else:
            self._chores.succeeded(what)

    async def _check_retry(self, connection: AsyncConnection[TupleRow]) -> None:
        if await maintenance.retry_is_due(connection):
            self._chores.retry()

    async def _check_maintenance(self, connection: AsyncConnection[TupleRow]) -> None:
        wanted = await maintenance.operations(connection)
        if wanted:
            self._chores.maintain(wanted, self.config)
        else:
            self.record.cycles += 1
            self.record.held = ()

    async def _check_others(self, connection: AsyncConnection[TupleRow]) -> None:
        await self._audit.look(connection)
        if self.config.metrics_file is not None:
            await metrics.read(connection, self.record)

    async def _pause(self, seconds: float) -> None:
        if not self._shared.stop.is_set():
            await wait(self._wake, seconds)
