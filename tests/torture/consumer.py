"""A consumer: processes each batch exactly once, by recording it in the transaction that finishes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg

from .plan import ConsumerTemper, retries_wanted
from .session import Session, pause, undone

_COLUMNS = "ev_id, ev_txid, coalesce(ev_retry, 0), ev_data"

_RECORD = """
insert into torture.delivered (consumer, queue, batch, ev_id, txid, retry, key)
select %s, %s, %s, e.ev_id, e.txid, e.retry, e.key
from unnest(%s::bigint[], %s::bigint[], %s::integer[], %s::text[]) as e (ev_id, txid, retry, key)
"""

_DEPARTURE = """
update torture.registration r
set until = t.tick_snapshot::text
from pgq.subscription s
    join pgq.queue q on q.queue_id = s.sub_queue
    join pgq.consumer c on c.co_id = s.sub_consumer
    join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_last_tick
where q.queue_name = %s
    and c.co_name = %s
    and r.consumer = c.co_name
"""

_AT_OWN_TICK = """
select pgq.register_consumer_at(i.queue_name, i.consumer_name, i.last_tick)
from pgq.get_consumer_info(%s, %s) i
"""

_OLDEST_TICK = """
select min(t.tick_id)
from pgq.tick t
    join pgq.queue q on q.queue_id = t.tick_queue
where q.queue_name = %s
"""

_REGISTRATION = """
insert into torture.registration (consumer, queue, tick, snapshot)
select c.co_name, q.queue_name, t.tick_id, t.tick_snapshot::text
from pgq.subscription s
    join pgq.queue q on q.queue_id = s.sub_queue
    join pgq.consumer c on c.co_id = s.sub_consumer
    join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_last_tick
where q.queue_name = %s and c.co_name = %s
"""


@dataclass(frozen=True, slots=True)
class Got:
    """One event of a batch."""

    ev_id: int
    txid: int
    retry: int
    key: str


class GaveUp(Exception):
    """The consumer dropped its connection in the middle of a batch, as a killed process would."""


class Consumer:
    """One subscription with its connection."""

    def __init__(
        self,
        name: str,
        queue: str,
        temper: ConsumerTemper,
        seed: int,
        dsn: str,
        surprise: Callable[[str], None],
    ) -> None:
        self.name = name
        self.queue = queue
        self._temper = temper
        self._seed = seed
        self._rng = Random(f"{seed}/consumer/{name}/{queue}")
        self._surprise = surprise
        self._session = Session(dsn, f"consumer {name}")
        self._hurry = asyncio.Event()
        self._comes_back = False

    async def register(self) -> None:
        """Subscribe, a late one at the oldest tick that is left, and keep the snapshot it starts from."""
        await self._session.reopen()
        registered = False
        while not registered:
            try:
                registered = await self._register()
            except psycopg.errors.RaiseException as error:
                if "tick not found" not in str(error):
                    raise
            except psycopg.Error as error:
                if not self._session.lost(error):
                    raise
                await self._session.reopen_after_loss()

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Work until `stop` is set, without dawdling from `hurry` on."""
        self._hurry = hurry
        while not stop.is_set():
            if not await self._attempt(self._work):
                await pause(stop, self._rng.uniform(0.05, 0.3))
        await self._session.close()

    async def visit(self) -> None:
        """Subscribe, work until nothing is left, and unsubscribe."""
        await self.register()
        while await self._attempt(self._work):
            continue
        while await self._attempt(self._leave):
            continue
        await self._session.close()

    async def _attempt(self, work: Callable[[], Awaitable[bool]]) -> bool:
        """What `work` says, or that there is more to do if something came between."""
        try:
            return await work()
        except GaveUp:
            await self._session.reopen()
            self._comes_back = True
        except psycopg.Error as error:
            if self._session.lost(error):
                await self._session.reopen_after_loss()
                return True
            if not undone(error):
                self._surprise(f"consumer {self.name} on {self.queue!r}: {type(error).__name__}: {error}")
                await asyncio.sleep(0.5)
            await self._session.reopen()
        return True

    async def _leave(self) -> bool:
        """Unsubscribe and keep the snapshot of the last tick that is done; always False: there is no more to do."""
        connection = self._session.connection
        if not await self._one("select count(*) from pgq.get_consumer_info(%s, %s)", self.queue, self.name):
            return False
        async with connection.transaction():
            await connection.execute(_DEPARTURE, (self.queue, self.name))
            await connection.execute("select pgq.unregister_consumer(%s, %s)", (self.queue, self.name))
        return False

    async def _register(self) -> bool:
        connection = self._session.connection
        if await self._one("select count(*) from torture.registration where consumer = %s", self.name):
            return True
        async with connection.transaction():
            tick: int | None = None
            if self._temper is ConsumerTemper.LATE:
                tick = await self._one(_OLDEST_TICK, self.queue)
            await connection.execute("select pgq.register_consumer_at(%s, %s, %s)", (self.queue, self.name, tick))
            await connection.execute(_REGISTRATION, (self.queue, self.name))
        return True

    async def _work(self) -> bool:
        """Process one batch; False if there is none."""
        connection = self._session.connection
        if self._comes_back:
            await self._insist_on_position()
            self._comes_back = False
        if self._temper is ConsumerTemper.REPEATABLE:
            await connection.execute("begin isolation level repeatable read")
            await self._one("select count(*) from pgq.queue")
            await pause(self._hurry, self._rng.choice((0.0, 0.0, 0.0, self._rng.uniform(0.2, 1.2))))
            batch = await self._next_batch()
        else:
            batch = await self._next_batch()
            if batch is not None:
                await self._dawdle()
                await connection.execute("begin")
        if batch is None:
            if self._temper is ConsumerTemper.REPEATABLE:
                await connection.execute("commit")
            return False
        events = await self._read(batch)
        await self._record(batch, events)
        self._maybe_give_up()
        finished = await self._one("select pgq.finish_batch(%s)", batch)
        if finished != 1:
            self._surprise(f"consumer {self.name} on {self.queue!r}: finish_batch({batch}) returned {finished}")
            await connection.execute("rollback")
            return True
        await connection.execute("commit")
        return True

    async def _insist_on_position(self) -> None:
        """At times register again at the own last tick, as a consumer does that keeps its position itself."""
        if self._rng.random() < 0.5:
            await self._session.connection.execute(_AT_OWN_TICK, (self.queue, self.name))

    async def _next_batch(self) -> int | None:
        collects = self._temper in (ConsumerTemper.COLLECTING, ConsumerTemper.SLOW)
        batch = await self._one(
            "select batch_id from pgq.next_batch_custom(%s, %s, null, %s, %s)",
            self.queue,
            self.name,
            60 if collects else None,
            "1 second" if collects else None,
        )
        return None if batch is None else int(batch)

    async def _dawdle(self) -> None:
        self._maybe_give_up()
        if self._temper is ConsumerTemper.SLOW:
            await pause(self._hurry, self._rng.uniform(0.1, 0.7))

    def _maybe_give_up(self) -> None:
        if self._temper is ConsumerTemper.RESTARTING and self._rng.random() < 0.1:
            raise GaveUp

    async def _read(self, batch: int) -> list[Got]:
        if self._temper is not ConsumerTemper.CURSOR:
            cursor = await self._session.connection.execute(
                f"select {_COLUMNS} from pgq.get_batch_events(%s)", (batch,)
            )
            return [Got(*row) for row in await cursor.fetchall()]
        cursor = await self._session.connection.execute(
            f"select {_COLUMNS} from pgq.get_batch_cursor(%s, 'torture cursor', 7)", (batch,)
        )
        events = [Got(*row) for row in await cursor.fetchall()]
        while True:
            cursor = await self._session.connection.execute('fetch 7 from "torture cursor"')
            rows = await cursor.fetchall()
            if not rows:
                break
            events.extend(Got(row[0], row[2], row[3] or 0, row[5]) for row in rows)
        await self._session.connection.execute('close "torture cursor"')
        return events

    async def _record(self, batch: int, events: list[Got]) -> None:
        if not events:
            return
        await self._session.connection.execute(
            _RECORD,
            (
                self.name,
                self.queue,
                batch,
                [event.ev_id for event in events],
                [event.txid for event in events],
                [event.retry for event in events],
                [event.key for event in events],
            ),
        )
        if self._temper is ConsumerTemper.RETRYING:
            await self._hand_back(batch, events)

    async def _hand_back(self, batch: int, events: list[Got]) -> None:
        """Put some events into the retry queue, at times the whole batch."""
        if self._rng.random() < 0.05 and not any(event.retry for event in events):
            again = events
            done = await self._one("select pgq.batch_retry(%s, %s)", batch, self._rng.choice((0, 1)))
        else:
            again = [e for e in events if e.retry < retries_wanted(self._seed, self.name, e.key)]
            done = 0
            for event in again:
                done += await self._one(
                    "select pgq.event_retry(%s, %s, %s::integer)", batch, event.ev_id, self._rng.choice((0, 1))
                )
        if done != len(again):
            self._surprise(f"consumer {self.name}: handed back {len(again)} events of batch {batch}, {done} were taken")
        await self._session.connection.execute(
            "insert into torture.handed_back (consumer, queue, key) select %s, %s, unnest(%s::text[])",
            (self.name, self.queue, [event.key for event in again]),
        )

    async def _one(self, question: str, *parameters: object) -> Any:
        cursor = await self._session.connection.execute(question, parameters)
        row = await cursor.fetchone()
        assert row is not None
        return row[0]
