"""Strikes the planned faults at their moments."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol, assert_never

import psycopg

from .ledger import Ledger
from .plan import Fault, PlannedFault
from .session import PREFIX, Session, pause

_VICTIMS = """
select pid, application_name from pg_catalog.pg_stat_activity
where (application_name like %s or application_name ilike '%%ticker%%')
    and pid <> pg_backend_pid()
    and datname = current_database()
order by application_name
"""


class Killable(Protocol):
    """A server that can be killed and started again."""

    def kill(self) -> None:
        """SIGKILL to all its processes."""

    def restart(self) -> None:
        """Start it again; crash recovery is the server's affair."""


class Faults:
    """Kills backends, the ticker and the server as planned, and counts what it did."""

    def __init__(self, dsn: str, server: Killable, ledger: Ledger, kill_ticker: Callable[[], None] | None) -> None:
        self._session = Session(dsn, "faults")
        self._server = server
        self._ledger = ledger
        self._kill_ticker = kill_ticker
        self.struck: Counter[str] = Counter()

    async def run(self, stop: asyncio.Event, planned: tuple[PlannedFault, ...]) -> None:
        """Strike each fault at its moment; one whose moment passed while the server was away comes at once."""
        await self._session.reopen()
        begin = time.monotonic()
        for fault in planned:
            await pause(stop, max(0.0, begin + fault.at - time.monotonic()))
            if stop.is_set():
                break
            await self._strike(fault)
        await self._session.close()

    async def _strike(self, planned: PlannedFault) -> None:
        match planned.fault:
            case Fault.SERVER:
                self._ledger.note("server killed")
                await asyncio.to_thread(self._server.kill)
                await asyncio.to_thread(self._server.restart)
                await self._session.reopen()
                self._ledger.note("server is back")
                self.struck["server"] += 1
            case Fault.TICKER if self._kill_ticker is not None:
                self._ledger.note("ticker killed")
                self._kill_ticker()
                self.struck["ticker"] += 1
            case Fault.TICKER:
                await self._terminate(f"{PREFIX}ticker%", planned.pick, "ticker")
            case Fault.BACKEND:
                await self._terminate(f"{PREFIX}%", planned.pick, "backend")
            case Fault.CRASH:
                await self._crash(planned.pick)
            case _:
                assert_never(planned.fault)

    async def _terminate(self, pattern: str, pick: int, kind: str) -> None:
        try:
            victim = await self._victim(pattern, pick)
            if victim is None:
                return
            pid, name = victim
            await self._session.connection.execute("select pg_terminate_backend(%s)", (pid,))
        except psycopg.OperationalError:
            await self._session.reopen()
            return
        self._ledger.note("backend terminated", victim=name)
        self.struck[kind] += 1

    async def _crash(self, pick: int) -> None:
        """SIGKILL one backend: the server then ends all others and recovers."""
        try:
            victim = await self._victim(f"{PREFIX}%", pick)
        except psycopg.OperationalError:
            victim = None
        if victim is not None:
            pid, name = victim
            os.kill(pid, signal.SIGKILL)
            self._ledger.note("backend crashed", victim=name)
            self.struck["crash"] += 1
        await self._session.reopen()

    async def _victim(self, pattern: str, pick: int) -> tuple[int, str] | None:
        cursor = await self._session.connection.execute(_VICTIMS, (pattern,))
        victims = await cursor.fetchall()
        return victims[pick % len(victims)] if victims else None
