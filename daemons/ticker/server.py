"""The ticker of a server: finds the databases, runs the loops of each, tells how they stand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

from ...engine.clock import Clock, SystemClock
from ...engine.errors import SkyError, UnreachableError, UsageError
from ...engine.postgres.connect import Backoff, connect
from ...engine.postgres.sql import queries
from . import metrics
from .chores import sentence
from .config import TickerConfig
from .database import AUTO_SHARE, DatabaseTicker, Shared
from .record import DatabaseRecord, State, is_unhealthy
from .session import APPLICATION, conninfo
from .slots import Slots

_SQL = queries("ticker/databases.sql")
_TICKS = queries("ticker/ticks.sql")

STANDBY_PERIOD = 1.0
"""Seconds between looks whether a standby was promoted."""

METRICS_PERIOD = 15.0

DISCOVERY_DATABASES = ("postgres", "template1")
"""Where the list of databases is read when nothing else is said: a session in template1 blocks CREATE DATABASE."""


class Ticker:
    """Ticks all databases of a server that have PgQ, from one process."""

    def __init__(self, config: TickerConfig, clock: Clock | None = None, log: logging.Logger | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._log = log or logging.getLogger("skyconsole.ticker")
        self._tickers: dict[str, DatabaseTicker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._listed = False
        self._list_error = ""
        self._list_failed_at: float | None = None
        self._wake = asyncio.Event()
        self._shared = Shared(
            self._clock,
            asyncio.Event(),
            asyncio.Event(),
            Slots(config.max_connections or 10, self._clock),
            asyncio.Semaphore(max(config.worker_connections, 1)),
            self._log,
            {self._wake},
        )
        self._shared.primary.set()

    @property
    def records(self) -> tuple[DatabaseRecord, ...]:
        """How each database stands, by name."""
        return tuple(self._tickers[name].record for name in sorted(self._tickers))

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Tick until `stop` is set, finish the statements that run, close all connections."""
        loops = [
            asyncio.create_task(self._discover(ready)),
            asyncio.create_task(self._tell_statistics()),
            asyncio.create_task(self._write_metrics()),
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({*loops, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._shared.stop.set()
            self._shared.slots.limit = max(len(self._tickers), self._shared.slots.limit)
            for ticker in self._tickers.values():
                ticker.wake()
            self._wake.set()
            if self._tasks or self._ending:
                await asyncio.wait([*self._tasks.values(), *self._ending])
        finally:
            for task in (*loops, stopping, *self._tasks.values(), *self._ending):
                task.cancel()
            results = await asyncio.gather(*loops, *self._tasks.values(), *self._ending, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def reconfigure(self, config: TickerConfig) -> None:
        """Go on with these settings; all of them take effect."""
        if config.worker_connections != self._config.worker_connections:
            self._shared.workers = asyncio.Semaphore(max(config.worker_connections, 1))
        if config.max_connections:
            self._shared.slots.limit = config.max_connections
        self._config = config
        for name, ticker in self._tickers.items():
            ticker.reconfigure(config.of(name))
        self._wake.set()

    def answer(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """`status`, and `release` with `database` and `seconds`. Raises SkyError."""
        match request["command"]:
            case "status":
                return self.status()
            case "release":
                return self._release(str(request.get("database", "")), request.get("seconds", 60))
            case other:
                raise UsageError(f"The ticker knows no request {other!r}.", "It knows status and release.")

    def status(self) -> dict[str, object]:
        """How everything stands, as plain data."""
        now = self._clock.monotonic()
        failing = [r.name for r in self.records if is_unhealthy(r, now, self._config.unhealthy_after)]
        return {
            "healthy": not failing and not self._list_fails(now),
            "failing": failing,
            "error": self._list_error,
            "standby": not self._shared.primary.is_set(),
            "databases": [record.as_json() for record in self.records],
        }

    def _list_fails(self, now: float) -> bool:
        return self._list_failed_at is not None and now - self._list_failed_at > self._config.unhealthy_after

    def summary(self) -> str:
        """One line: how many databases are in which state."""
        states = [r.state for r in self.records]
        return ", ".join(f"{states.count(s)} {s.value}" for s in State if s in states) or "no databases"

    def _release(self, database: str, seconds: object) -> Mapping[str, object]:
        ticker = self._tickers.get(database)
        if ticker is None:
            raise SkyError(f"The ticker has no database {database}.", "See --status.")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise UsageError("`seconds` must be a number of seconds.")
        self._keep(asyncio.create_task(ticker.release(float(seconds))))
        return {"released": database, "seconds": seconds}

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _discover(self, ready: Callable[[], None]) -> None:
        backoff = Backoff()
        first = True
        while not self._shared.stop.is_set():
            pause = self._config.check_period
            try:
                names = await self._names()
            except (UnreachableError, UsageError, psycopg.Error) as error:
                pause = min(backoff.next(), self._config.check_period)
                if self._list_error != sentence(error):
                    self._log.error("the list of databases cannot be read: %s", sentence(error))
                self._list_error = sentence(error)
                self._list_failed_at = self._list_failed_at or self._clock.monotonic()
            else:
                backoff.reset()
                self._list_error, self._list_failed_at = "", None
                self._register(names, fresh=self._listed)
                self._listed = True
            if first:
                ready()
                first = False
            await self._pause(pause)

    async def _names(self) -> tuple[str, ...]:
        """The databases to tick. Waits while the server is a standby."""
        chosen = self._config.database_list
        if not self._shared.primary.is_set():
            await self._await_promotion()
        if chosen.only:
            return tuple(name for name in chosen.only if name not in chosen.never)
        listed = await list_databases(self._config)
        if self._config.max_connections == 0:
            self._shared.slots.limit = max(10, listed.max_connections // AUTO_SHARE)
        if listed.in_recovery:
            self._shared.primary.clear()
            self._wake.set()
        return tuple(name for name in listed.names if name not in chosen.never)

    async def _await_promotion(self) -> None:
        """Poll one connection until the server takes writes."""
        chosen = self._config.database_list.only
        first = self._config.initial_database or (chosen[0] if chosen else DISCOVERY_DATABASES[0])
        connection = await connect(conninfo(self._config, first), application_name=APPLICATION)
        async with connection:
            told = False
            while not self._shared.stop.is_set():
                cursor = await connection.execute(_TICKS["in_recovery"])
                row = await cursor.fetchone()
                if row is not None and not row[0]:
                    break
                if not told:
                    self._log.info("the server is a standby: waiting for its promotion")
                    told = True
                await self._pause(STANDBY_PERIOD)
        if told:
            self._log.info("the server was promoted: ticking begins")
        self._shared.primary.set()
        for ticker in self._tickers.values():
            ticker.wake()

    def _register(self, names: tuple[str, ...], *, fresh: bool) -> None:
        for name in [known for known in self._tickers if known not in names]:
            self._log.info("Unregister database: %s", name)
            del self._tickers[name]
            task = self._tasks.pop(name)
            task.cancel()
            self._keep(task)
        for name in names:
            if name not in self._tickers:
                self._log.debug("Register database: %s", name)
                self._tickers[name] = DatabaseTicker(name, self._config.of(name), self._shared, fresh=fresh)
                self._tasks[name] = asyncio.create_task(self._tick(name, self._tickers[name]))

    async def _tick(self, name: str, ticker: DatabaseTicker) -> None:
        """Run a database's loops; an error of the program in one database is told, and leaves the others alone."""
        while not self._shared.stop.is_set():
            try:
                await ticker.run()
            except Exception as error:
                self._log.critical("[%s] an error of the program", name, exc_info=True)
                ticker.record.begin_failing(self._clock)
                ticker.record.enter(State.ERROR, self._clock.now(), f"an error of the program: {error!r}")
                await asyncio.sleep(10.0)

    async def _tell_statistics(self) -> None:
        while True:
            await asyncio.sleep(max(self._config.stats_period, 1.0))
            if not self._config.stats_period:
                continue
            passes = cycles = retried = 0
            for record in self.records:
                passes, cycles, retried = passes + record.passes, cycles + record.cycles, retried + record.retried
                record.passes = record.cycles = record.retried = 0
            self._log.info("{ticks: %d, maint: %d, retry: %d}", passes, cycles, retried)

    async def _write_metrics(self) -> None:
        failed = False
        while True:
            await asyncio.sleep(METRICS_PERIOD if self._listed else 1.0)
            path = self._config.metrics_file
            if path is None:
                continue
            try:
                metrics.write(path, metrics.render(self.records))
            except OSError as error:
                if not failed:
                    self._log.error("the metrics file %s cannot be written: %s", path, error.strerror)
                failed = True
            else:
                failed = False

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()


@dataclass(frozen=True, slots=True)
class Listed:
    """What a server says of its databases and of itself."""

    names: tuple[str, ...]
    in_recovery: bool
    max_connections: int


async def list_databases(config: TickerConfig) -> Listed:
    """All databases that allow connections and are no templates. Raises UnreachableError, psycopg.Error."""
    wanted = config.initial_database
    *others, last = (wanted,) if wanted is not None else DISCOVERY_DATABASES
    for database in others:
        try:
            return await _list_in(config, database)
        except UnreachableError as error:
            if error.sqlstate is None:
                raise
    return await _list_in(config, last)


async def _list_in(config: TickerConfig, database: str) -> Listed:
    connection = await connect(conninfo(config, database), application_name=APPLICATION)
    async with connection:
        names = await (await connection.execute(_SQL["databases"])).fetchall()
        facts = await (await connection.execute(_TICKS["probe"])).fetchone()
    if facts is None:
        raise psycopg.DatabaseError("The server told nothing of itself.")
    return Listed(tuple(name for (name,) in names), facts[0], facts[4])


async def run_ticker(config: TickerConfig, *, stop: asyncio.Event, clock: Clock | None = None) -> None:
    """Tick until `stop` is set: for programs that carry a ticker inside them."""
    await Ticker(config, clock).run(stop)
