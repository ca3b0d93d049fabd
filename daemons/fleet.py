"""The sample's queues, producers and consumers: one of each temper, so that every state of the screen occurs."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Protocol, assert_never

import psycopg

from ..engine.postgres.connect import Backoff, connect
from ..engine.postgres.modules import install
from ..engine.postgres.sql import queries
from ..engine.queue import api
from ..engine.queue.model import BatchLimits, Event

Connection = psycopg.AsyncConnection[Any]
HOUR = 3600.0


class Temper(Enum):
    """How a consumer behaves."""

    FAST = "takes every batch at once"
    BATCHY = "waits until a batch covers `pace` seconds"
    RETRYING = "hands every 20th event back"
    CATCHING_UP = "works a backlog off, `pace` seconds a batch"
    STUCK = "waits for a lock in an open batch"
    DEAD = "registered, and never seen again"
    GIVING_UP = "hands every 15th event back, and gives it up after the second try"


@dataclass(frozen=True, slots=True)
class Consumer:
    name: str
    temper: Temper = Temper.FAST
    pace: float = 0.0
    members: tuple[Consumer, ...] = ()
    """Workers that share its batches; then it reads nothing itself."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with the past that it is given: `past` seconds in `ticks` ticks of `events` events each."""

    name: str
    rate: float
    """Events a second that its producer inserts."""
    consumers: tuple[Consumer, ...] = ()
    past: float = 60.0
    ticks: int = 4
    events: int = 10
    paused: bool = False
    max_lag: float = 1.0
    rotation_period: float = 2 * HOUR
    switched: float = 0.0
    """Seconds since its tables were last switched."""
    table: str = ""
    """A table whose changes triggers write into it: `customers` or `payments`."""


SHOP = (
    Queue(
        "orders",
        rate=20,
        past=761,
        ticks=40,
        events=50,
        consumers=(
            Consumer("invoice_export", Temper.STUCK),
            Consumer("mailer"),
            Consumer("search_feeder"),
            Consumer("stock_sync", Temper.RETRYING),
        ),
    ),
    Queue(
        "billing",
        rate=8,
        past=55,
        ticks=20,
        consumers=(Consumer("ledger_feed", Temper.BATCHY, pace=45), Consumer("dunning", Temper.BATCHY, pace=120)),
    ),
    Queue(
        "audit_log",
        rate=5,
        past=2.2 * HOUR,
        ticks=30,
        events=20,
        rotation_period=600,
        switched=2 * HOUR,
        consumers=(Consumer("archiver"), Consumer("old_reporting", Temper.DEAD)),
    ),
    Queue("clickstream", rate=60, consumers=(Consumer("sessions"), Consumer("funnel"), Consumer("heatmap"))),
    Queue("emails", rate=3, consumers=(Consumer("sender"), Consumer("bounces"))),
    Queue(
        "imports",
        rate=4,
        past=0.5 * HOUR,
        ticks=600,
        events=20,
        consumers=(Consumer("bi_loader", Temper.CATCHING_UP, pace=0.4),),
    ),
    Queue("legacy_sync", rate=0, past=3.2 * HOUR, paused=True, consumers=(Consumer("mainframe"),)),
    Queue("webhooks[dlq]", rate=3, consumers=(Consumer("notify", Temper.GIVING_UP),)),
    Queue(
        "thumbnails",
        rate=10,
        consumers=(Consumer("resizer", members=(Consumer("w1"), Consumer("w2"), Consumer("w3", Temper.STUCK))),),
    ),
    Queue("customers", rate=0, table="customers", consumers=(Consumer("crm_sync"),)),
    Queue("payments", rate=0, table="payments", consumers=(Consumer("bookkeeping"),)),
    Queue('Ünï "q" [/x] 🐘', rate=1, consumers=(Consumer("träger.süß"),)),
    Queue("unread", rate=2),
)

CRM = (
    Queue("contacts", rate=6, consumers=(Consumer("dedupe"), Consumer("newsletter", Temper.BATCHY, pace=40))),
    Queue("tickets", rate=2, consumers=(Consumer("sla_clock"),)),
)

DATABASES: Mapping[str, tuple[Queue, ...]] = {"shop": SHOP, "crm": CRM}


def _sql(name: str) -> bytes:
    return queries("demo/fleet.sql")[name].encode()


async def prepare(dsn: str, queues: tuple[Queue, ...]) -> None:
    """Create the queues with their consumers and their past. Runs as the superuser of the sample's own server."""
    conn = await connect(dsn, application_name="skyconsole-demo")
    async with conn:
        await install(conn, "pgq_coop")
        await conn.execute(_sql("schema"))
        await conn.execute(_sql("invoices"))
        for queue in queues:
            await _prepare_queue(conn, queue)
            if queue.table:
                await conn.execute(_sql(f"{queue.table}_table"))
                await conn.execute(_sql(f"{queue.table}_trigger"))
            for consumer in queue.consumers:
                await _prepare_consumer(conn, queue, consumer)


async def _prepare_queue(conn: Connection, queue: Queue) -> None:
    await api.create_queue(conn, queue.name)
    name = {"queue": queue.name}
    async with conn.transaction():
        await conn.execute(_sql("tick_at_every_call"), name)
    late = {Temper.STUCK, Temper.DEAD, Temper.CATCHING_UP, Temper.BATCHY, Temper.GIVING_UP}
    for consumer in queue.consumers:
        if consumer.temper in late:
            await api.register_consumer(conn, queue.name, consumer.name)
    for _ in range(queue.ticks):
        if queue.events:
            event = {"type": "old", "data": json.dumps({"note": "from the past"}), "count": queue.events}
            await conn.execute(_sql("insert_events"), {**name, **event})
        await api.ticker(conn, queue.name)
    for consumer in queue.consumers:
        if consumer.temper not in late:
            await api.register_consumer(conn, queue.name, consumer.name)
    async with conn.transaction():
        await conn.execute(_sql("age_ticks"), {**name, "seconds": queue.past})
        await conn.execute(
            _sql("settings"),
            {**name, "max_lag": queue.max_lag, "idle_period": 10, "rotation_period": queue.rotation_period},
        )
        if queue.switched:
            await conn.execute(_sql("age_switch"), {**name, "seconds": queue.switched})
        if queue.paused:
            await conn.execute(_sql("all_ticks_are_old"), {**name, "seconds": queue.past})
            await api.set_queue_config(conn, queue.name, "ticker_paused", "true")
        for consumer in queue.consumers:
            if consumer.temper is Temper.DEAD:
                await conn.execute(
                    _sql("age_consumer"), {**name, "consumer": consumer.name, "seconds": queue.past - 60}
                )


async def _prepare_consumer(conn: Connection, queue: Queue, consumer: Consumer) -> None:
    """The members of a group, and the letters of one who gives up."""
    name = {"queue": queue.name, "consumer": consumer.name}
    for member in consumer.members:
        await conn.execute(_sql("register_member"), {**name, "member": member.name})
    if consumer.temper is Temper.GIVING_UP:
        batch = await api.next_batch(conn, queue.name, consumer.name)
        if batch is not None:
            await conn.execute(_sql("give_some_up"), {"batch": batch.batch_id})
            await api.finish_batch(conn, batch.batch_id)
        await conn.execute(_sql("remind_tomorrow"), {"queue": queue.name})


async def run(dsn: str, queues: tuple[Queue, ...], seed: int) -> None:
    """Produce and consume until cancelled."""
    async with asyncio.TaskGroup() as group:
        if any(_is_stuck(consumer) for queue in queues for consumer in queue.consumers):
            group.create_task(_keep(dsn, "migration", _LockHolder()))
        for queue in queues:
            rng = random.Random(f"{seed} {queue.name}")
            if queue.rate:
                group.create_task(_keep(dsn, f"producer {queue.name}", _Producer(queue, rng)))
            if queue.table:
                group.create_task(_keep(dsn, f"writer of {queue.table}", _Writer(queue.table, rng)))
            for consumer in queue.consumers:
                for member in consumer.members:
                    name = f"{consumer.name}.{member.name}"
                    group.create_task(_keep(dsn, name, _Member(queue, member, consumer.name)))
                if consumer.temper is not Temper.DEAD and not consumer.members:
                    group.create_task(_keep(dsn, consumer.name, _Worker(queue, consumer)))


def _is_stuck(consumer: Consumer) -> bool:
    return consumer.temper is Temper.STUCK or any(_is_stuck(member) for member in consumer.members)


class _Work(Protocol):
    """What goes on for ever on a connection."""

    async def work(self, conn: Connection) -> None: ...


async def _keep(dsn: str, name: str, work: _Work) -> None:
    """Run one worker on a connection of its own, and again after each lost connection."""
    backoff = Backoff()
    while True:
        try:
            conn = await connect(dsn, application_name=name[:63])
            async with conn:
                backoff.reset()
                await work.work(conn)
        except psycopg.OperationalError:
            await asyncio.sleep(backoff.next())


@dataclass(frozen=True, slots=True)
class _Producer:
    queue: Queue
    rng: random.Random

    async def work(self, conn: Connection) -> None:
        kinds = ("created", "changed", "paid", "sent")
        while True:
            await asyncio.sleep(self.rng.expovariate(self.queue.rate / 5))
            async with conn.transaction():
                for _ in range(self.rng.randint(1, 9)):
                    data = {"id": self.rng.randrange(10**6), "total": f"{self.rng.uniform(1, 500):.2f}"}
                    await api.insert_event(conn, self.queue.name, self.rng.choice(kinds), json.dumps(data))


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes into a table whose changes are captured."""

    table: str
    rng: random.Random

    async def work(self, conn: Connection) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(1.5))
            number = {"id": self.rng.randrange(1, 500), "amount": round(self.rng.uniform(1, 500), 2)}
            await conn.execute(_sql(f"{self.table}_write"), number)


class _LockHolder:
    """A migration that somebody began and left open."""

    async def work(self, conn: Connection) -> None:
        async with conn.transaction():
            await conn.execute(_sql("hold_invoices"))
            await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class _Worker:
    queue: Queue
    consumer: Consumer

    async def work(self, conn: Connection) -> None:
        limits = BatchLimits()
        if self.consumer.temper is Temper.BATCHY:
            limits = BatchLimits(min_interval=timedelta(seconds=self.consumer.pace))
        await self._listen(conn)
        while True:
            batch = await api.next_batch(conn, self.queue.name, self.consumer.name, limits)
            if batch is None:
                await self._rest(conn)
                continue
            await self._handle(conn, batch.batch_id, await api.batch_events(conn, batch.batch_id))
            await api.finish_batch(conn, batch.batch_id)

    async def _listen(self, conn: Connection) -> None:
        queue_id = await api.queue_id(conn, self.queue.name)
        await conn.execute(f"listen pgq_tick_{queue_id}")

    async def _rest(self, conn: Connection) -> None:
        """Until the next tick."""
        async for _ in conn.notifies(timeout=5, stop_after=1):
            pass

    async def _handle(self, conn: Connection, batch_id: int, events: list[Event]) -> None:
        match self.consumer.temper:
            case Temper.STUCK:
                await conn.execute(_sql("touch_invoices"))
            case Temper.CATCHING_UP:
                await asyncio.sleep(self.consumer.pace)
            case Temper.RETRYING:
                for event in events:
                    if event.ev_id % 20 == 0 and not event.ev_retry:
                        await api.event_retry(conn, batch_id, event.ev_id, 30)
            case Temper.GIVING_UP:
                for event in events:
                    if event.ev_id % 15 == 0 and (event.ev_retry or 0) < 2:
                        await api.event_retry(conn, batch_id, event.ev_id, 10)
                    elif event.ev_id % 15 == 0:
                        await conn.execute(_sql("give_up"), {"batch": batch_id, "event": event.ev_id})
            case Temper.FAST | Temper.BATCHY | Temper.DEAD:
                pass
            case _ as never:
                assert_never(never)


@dataclass(frozen=True, slots=True)
class _Member(_Worker):
    """A worker that shares the batches of a group."""

    main: str

    async def work(self, conn: Connection) -> None:
        await self._listen(conn)
        name = {"queue": self.queue.name, "consumer": self.main, "member": self.consumer.name}
        while True:
            row = await (await conn.execute(_sql("next_of_member"), name)).fetchone()
            if row is None or row[0] is None:
                await self._rest(conn)
                continue
            await self._handle(conn, row[0], await api.batch_events(conn, row[0]))
            await conn.execute(_sql("finish_of_member"), {**name, "batch": row[0]})
