"""Ticker and maintainer, either as simple loops of ours or as the real `skyconsole --headless ticker` process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
from psycopg import sql

from .ledger import Ledger
from .session import Session, pause, undone

TICK_SECONDS = 0.1
MAINTENANCE_SECONDS = 0.2

_NEVER = ("maint failure", "PgQ corruption", "Invalid PgQ state", "Dubious PgQ state", "Negative new_events")

_INI = """\
[pgqd]
base_connstr = {base}
initial_database = {database}
database_list = {database}
check_period = 1
syslog = 0
stats_period = 5
ticker_period = {tick}
maint_period = {maintenance}
retry_period = {maintenance}
logfile = {log}
pidfile = {pid}
"""


class Loop:
    """Performs one piece of upkeep again and again on its own connection."""

    def __init__(self, name: str, dsn: str, period: float, surprise: Callable[[str], None]) -> None:
        self._name = name
        self._period = period
        self._surprise = surprise
        self._session = Session(dsn, name)

    async def run(self, stop: asyncio.Event, work: Callable[[Session], Awaitable[None]]) -> None:
        """Until `stop` is set; comes back after every kill."""
        await self._session.reopen()
        while not stop.is_set():
            try:
                await work(self._session)
            except psycopg.Error as error:
                if not self._session.lost(error) and not undone(error):
                    self._surprise(f"{self._name}: {type(error).__name__}: {error}")
                await self._session.reopen()
            await pause(stop, self._period)
        await self._session.close()


async def tick(session: Session) -> None:
    """One pass of ticking over all queues."""
    await session.connection.execute("select pgq.ticker()")


async def maintain(session: Session) -> None:
    """One pass of maintenance, each operation in a transaction of its own (spec/pgq.md 7), and of moving retries."""
    connection = session.connection
    cursor = await connection.execute("select func_name, func_arg from pgq.maint_operations()")
    for name, argument in await cursor.fetchall():
        if name.lower().startswith("vacuum"):
            continue
        call = sql.SQL("select {}({})").format(
            sql.Identifier(*name.split(".", 1)), sql.SQL("") if argument is None else sql.Literal(argument)
        )
        await _until_zero(session, call)
    await _until_zero(session, sql.SQL("select pgq.maint_retry_events()"))


async def _until_zero(session: Session, call: sql.SQL | sql.Composed) -> None:
    while True:
        cursor = await session.connection.execute(call)
        row = await cursor.fetchone()
        if row is None or not row[0]:
            return


class TickerProcess:
    """The product's own ticker daemon in a process that can be killed."""

    def __init__(self, dsn: str, folder: Path, ledger: Ledger) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
        database = parts.pop("dbname")
        self._config = folder / "ticker.ini"
        self._log = folder / "ticker.log"
        self._ledger = ledger
        self._process: asyncio.subprocess.Process | None = None
        self._own_ends: list[str] = []
        self._config.write_text(
            _INI.format(
                base=psycopg.conninfo.make_conninfo("", **parts),
                database=database,
                tick=TICK_SECONDS,
                maintenance=MAINTENANCE_SECONDS,
                log=self._log,
                pid=folder / "ticker.pid",
            ),
            encoding="utf-8",
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the process running until `stop` is set; one that ends is started again after a moment."""
        while not stop.is_set():
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "skyconsole",
                "--headless",
                "ticker",
                str(self._config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            ended = asyncio.ensure_future(self._process.wait())
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if ended.done():
                self._ended(ended.result())
                await pause(stop, 0.2)
            else:
                self._process.terminate()
                await ended

    def complaints(self) -> list[str]:
        """Its ends that nobody caused, and what its log says about states of PgQ that must never be."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return self._own_ends + [line for line in lines if any(words in line for words in _NEVER)]

    def kill(self) -> None:
        """SIGKILL, as the system does it when memory runs out."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)

    def _ended(self, code: int) -> None:
        self._ledger.note("ticker ended", code=code)
        if code != -signal.SIGKILL:
            self._own_ends.append(f"the process ended by itself with exit code {code}")
