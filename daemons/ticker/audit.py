"""Noticing that somebody else ticks a database without the guard, as the original's ticker does."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ...engine.queue import ticks
from ...engine.queue.ticks import Tick
from .record import DatabaseRecord

Log = logging.LoggerAdapter[logging.Logger]


class Audit:
    """Remembers the ticks we made, and finds those we did not make."""

    def __init__(self, record: DatabaseRecord, log: Log) -> None:
        self._record = record
        self._log = log
        self._newest: dict[int, int] = {}

    def made(self, made: Iterable[Tick]) -> None:
        """These ticks are ours."""
        for tick in made:
            self._newest[tick.queue_id] = tick.tick_id

    async def look(self, connection: AsyncConnection[TupleRow]) -> None:
        """Compare, and warn when another ticker appears. Raises psycopg.Error."""
        newest = await ticks.newest_ticks(connection)
        foreign = [q.name for q, tick_id in newest.items() if tick_id > self._newest.get(q.queue_id, tick_id)]
        sessions = await ticks.ticker_sessions(connection)
        told = _told(foreign, sessions) if foreign or sessions else ""
        if told and not self._record.foreign:
            self._log.warning("%s", told)
        self._record.foreign = told
        self._newest = {q.queue_id: tick_id for q, tick_id in newest.items()}


def _told(foreign: list[str], sessions: tuple[tuple[int, str], ...]) -> str:
    backends = ", ".join(f"{pid} {application}".strip() for pid, application in sessions) or "not visible to us"
    told = f"another ticker works here without the guard, perhaps pgqd (backends: {backends})"
    return f"{told}; queue {foreign[0]} has a tick that is not ours" if foreign else told
