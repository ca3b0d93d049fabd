"""What happened to the queues meanwhile: ticks and rotations, kept so that a finding can be explained."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import psycopg

from .check import Finding, Snapshot
from .ledger import Ledger
from .session import Session, pause

_TICKS = """
select q.queue_name, t.tick_id, t.tick_snapshot::text, t.tick_time::text
from pgq.tick t
    join pgq.queue q on q.queue_id = t.tick_queue
order by 1, 2
"""

_ROTATIONS = """
select queue_name, queue_cur_table, queue_switch_step1, queue_switch_step2, queue_switch_time::text
from pgq.queue
order by 1
"""


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick as it was stored."""

    queue: str
    tick: int
    snapshot: str
    at: str


@dataclass(frozen=True, slots=True)
class Rotation:
    """A queue's rotation columns as they were seen once."""

    queue: str
    current: int
    step1: int
    step2: int | None
    at: str


class History:
    """Looks at ticks and rotations a few times a second and remembers each that is new."""

    def __init__(self, dsn: str, ledger: Ledger) -> None:
        self._session = Session(dsn, "history")
        self._ledger = ledger
        self._ticks: dict[tuple[str, int], Tick] = {}
        self._rotations: dict[Rotation, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        await self._session.reopen()
        while not stop.is_set():
            try:
                await self._look()
            except psycopg.OperationalError:
                await self._session.reopen()
            await pause(stop, 0.25)
        await self._look()
        await self._session.close()

    def rotations(self) -> dict[str, int]:
        """How often each queue switched tables while we looked."""
        switches: dict[str, set[int]] = {}
        for rotation in self._rotations:
            switches.setdefault(rotation.queue, set()).add(rotation.step1)
        return {queue: len(steps) - 1 for queue, steps in sorted(switches.items())}

    def ticks(self) -> int:
        """How many ticks were seen on all queues."""
        return len(self._ticks)

    def explain(self, finding: Finding, xid: int) -> str:
        """The ticks between which the transaction became visible, and the rotations around its id."""
        ticks = [tick for (queue, _), tick in sorted(self._ticks.items()) if queue == finding.queue]
        after = next((n for n, tick in enumerate(ticks) if Snapshot.parse(tick.snapshot).sees(xid)), len(ticks))
        rotations = [rotation for rotation in self._rotations if rotation.queue == finding.queue]
        near = next((n for n, rotation in enumerate(rotations) if rotation.step1 > xid), len(rotations))
        lines = [str(finding)]
        lines += [f"    tick {t.tick} {t.snapshot} at {t.at}" for t in ticks[max(0, after - 1) : after + 1]]
        lines += [
            f"    current table {r.current}, step1 {r.step1}, step2 {r.step2}, switched at {r.at}"
            for r in rotations[max(0, near - 4) : near + 3]
        ]
        return "\n".join(lines)

    async def _look(self) -> None:
        cursor = await self._session.connection.execute(_TICKS)
        for row in await cursor.fetchall():
            tick = Tick(*row)
            if (tick.queue, tick.tick) not in self._ticks:
                self._ticks[tick.queue, tick.tick] = tick
                self._ledger.note("tick", queue=tick.queue, tick=tick.tick, snapshot=tick.snapshot, made=tick.at)
        cursor = await self._session.connection.execute(_ROTATIONS)
        for row in await cursor.fetchall():
            rotation = Rotation(*row)
            if rotation not in self._rotations:
                self._rotations[rotation] = time.monotonic()
                self._ledger.note("rotation", queue=rotation.queue, current=rotation.current, step1=rotation.step1)
