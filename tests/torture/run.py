"""One run of the torture: set up, load and faults for some seconds, drain, and the verdict."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psycopg

from .check import Delivery, Event, Finding, HandedBack, Registration, Snapshot, verify
from .consumer import Consumer
from .faults import Faults, Killable
from .history import History
from .ledger import Ledger
from .plan import QUEUES, ConsumerTemper, ProducerTemper, faults, ring_sizes
from .producer import Producer
from .session import Session, pause
from .upkeep import MAINTENANCE_SECONDS, TICK_SECONDS, Loop, TickerProcess, maintain, tick

DRAIN_SECONDS = 90.0
_SLACK_SECONDS = 60.0
_LATE_AT = (0.2, 0.4, 0.6, 0.8)
_SHOWN = 5

_CREW = {
    QUEUES[0]: (
        ConsumerTemper.FAST,
        ConsumerTemper.CURSOR,
        ConsumerTemper.RETRYING,
        ConsumerTemper.COLLECTING,
    ),
    QUEUES[1]: (
        ConsumerTemper.FAST,
        ConsumerTemper.SLOW,
        ConsumerTemper.RESTARTING,
        ConsumerTemper.REPEATABLE,
        ConsumerTemper.RETRYING,
    ),
}

_TEMPERS = (
    ProducerTemper.QUICK,
    ProducerTemper.QUICK,
    ProducerTemper.PATIENT,
    ProducerTemper.PATIENT,
    ProducerTemper.PATIENT,
    ProducerTemper.LONG,
    ProducerTemper.PREPARING,
)

_SCHEMA = """
create schema torture;
create table torture.marker (name text primary key);
create table torture.delivered (
    consumer text, queue text, batch bigint, ev_id bigint, txid bigint, retry integer, key text,
    at timestamptz default clock_timestamp()
);
create table torture.handed_back (consumer text, queue text, key text);
create table torture.registration (consumer text primary key, queue text, tick bigint, snapshot text, until text);
"""

_SETTINGS = {
    "rotation_period": "1 second",
    "ticker_max_count": "30",
    "ticker_max_lag": "200 milliseconds",
    "ticker_idle_period": "500 milliseconds",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how a run goes.

    `daemon` uses the product's own ticker instead of our loops; `crowded` adds a second ticker and a second maintainer,
    which the original does not bear (spec/pgq.md 5).
    """

    seconds: float
    seed: int
    daemon: bool = False
    crowded: bool = False


@dataclass(slots=True)
class Report:
    """What a run did and what is wrong with it."""

    seed: int
    version: int
    ledger: Path | None = None
    counts: dict[str, int] = field(default_factory=dict)
    transactions: dict[str, int] = field(default_factory=dict)
    struck: dict[str, int] = field(default_factory=dict)
    rotations: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    explained: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"torture: seed {self.seed}, PostgreSQL {self.version}, ledger {self.ledger}"]
        for title in ("counts", "transactions", "struck", "rotations"):
            facts = ", ".join(f"{name} {number}" for name, number in getattr(self, title).items())
            lines.append(f"  {title}: {facts}")
        lines.append(f"  wrong: {dict(Counter(str(finding.fate) for finding in self.findings)) or 'nothing'}")
        lines += [f"  surprise: {surprise}" for surprise in self.surprises[:_SHOWN]]
        lines += [f"  {story}" for story in self.explained]
        return "\n".join(lines)


async def torture(server: Killable, version: int, dsn: str, folder: Path, settings: Settings) -> Report:
    """Torture the PgQ in this database; the database has to have pgq and nothing of ours yet."""
    report = Report(settings.seed, version)
    ledger = Ledger(folder / f"ledger-{version}-{settings.seed}.jsonl")
    report.ledger = ledger.path
    try:
        async with asyncio.timeout(settings.seconds + DRAIN_SECONDS + _SLACK_SECONDS):
            await _Run(server, dsn, folder, settings, ledger, report).go()
    except TimeoutError:
        report.surprises.append("the run did not come to its end in time")
    finally:
        ledger.close()
    return report


class _Run:
    def __init__(
        self, server: Killable, dsn: str, folder: Path, settings: Settings, ledger: Ledger, report: Report
    ) -> None:
        self._dsn = dsn
        self._settings = settings
        self._ledger = ledger
        self._report = report
        self._ticker = TickerProcess(dsn, folder, ledger) if settings.daemon else None
        self._history = History(dsn, ledger)
        self._faults = Faults(dsn, server, ledger, self._ticker.kill if self._ticker else None)
        self._consumers: list[Consumer] = []
        self._producing = asyncio.Event()
        self._consuming = asyncio.Event()

    async def go(self) -> None:
        """Everything, in order."""
        await self._prepare()
        for queue, tempers in _CREW.items():
            for temper in tempers:
                await self._join(temper, queue)
        async with asyncio.TaskGroup() as service:
            service.create_task(self._history.run(self._consuming))
            for work in self._upkeep():
                service.create_task(work)
            for consumer in self._consumers:
                service.create_task(consumer.run(self._consuming, self._producing))
            try:
                await self._load(service)
                await self._drain()
            finally:
                self._consuming.set()
        await self._judge()

    async def _prepare(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            await connection.execute(_SCHEMA)
            for queue, tables in zip(QUEUES, ring_sizes(self._settings.seed), strict=True):
                # A new queue takes the size of its ring from the column's default (spec/pgq.md 4.1).
                await connection.execute(f"alter table pgq.queue alter queue_ntables set default {tables}")
                await connection.execute("select pgq.create_queue(%s)", (queue,))
                for name, value in _SETTINGS.items():
                    await connection.execute("select pgq.set_queue_config(%s, %s, %s)", (queue, name, value))

    async def _join(self, temper: ConsumerTemper, queue: str) -> Consumer:
        name = f"{temper}-{len(self._consumers)}"
        consumer = Consumer(name, queue, temper, self._settings.seed, self._dsn, self._surprise)
        await consumer.register()
        self._consumers.append(consumer)
        return consumer

    def _upkeep(self) -> list[Coroutine[None, None, None]]:
        works: list[Coroutine[None, None, None]] = []
        if self._ticker is not None:
            works.append(self._ticker.run(self._consuming))
        for number in range(int(self._ticker is None) + int(self._settings.crowded)):
            ticking = Loop(f"ticker {number}", self._dsn, TICK_SECONDS, self._surprise)
            maintaining = Loop(f"maintainer {number}", self._dsn, MAINTENANCE_SECONDS, self._surprise)
            works += [ticking.run(self._consuming, tick), maintaining.run(self._consuming, maintain)]
        return works

    async def _load(self, service: asyncio.TaskGroup) -> None:
        """Producers, faults and latecomers for as long as the settings say."""
        seed, seconds = self._settings.seed, self._settings.seconds
        producers = [
            Producer(number, temper, seed, self._dsn, self._ledger, self._surprise)
            for number, temper in enumerate(_TEMPERS)
        ]
        striking = asyncio.Event()
        async with asyncio.TaskGroup() as load:
            for producer in producers:
                load.create_task(producer.run(self._producing))
            load.create_task(self._faults.run(striking, faults(seed, seconds)))
            for queue in QUEUES:
                load.create_task(self._receive_visitors(queue))
            begin = time.monotonic()
            for number, part in enumerate(_LATE_AT):
                await asyncio.sleep(max(0.0, begin + seconds * part - time.monotonic()))
                late = await self._join(ConsumerTemper.LATE, QUEUES[number % len(QUEUES)])
                service.create_task(late.run(self._consuming, self._producing))
            await asyncio.sleep(max(0.0, begin + seconds - time.monotonic()))
            striking.set()
            self._producing.set()

    async def _receive_visitors(self, queue: str) -> None:
        """Consumers that begin at the oldest tick, read all there is and leave, one after the other."""
        rng = Random(f"{self._settings.seed}/visitors/{queue}")
        number = 0
        while not self._producing.is_set():
            await pause(self._producing, rng.uniform(0.0, 1.0))
            name = f"visitor-{QUEUES.index(queue)}-{number}"
            await Consumer(name, queue, ConsumerTemper.LATE, self._settings.seed, self._dsn, self._surprise).visit()
            number += 1

    async def _drain(self) -> None:
        """Wait until every consumer has everything and nothing waits for its retry."""
        session = Session(self._dsn, "drain")
        await session.reopen()
        deadline = time.monotonic() + DRAIN_SECONDS
        before = -1
        while True:
            handed_back = await _number(session, "select count(*) from torture.handed_back")
            waiting = await _number(session, "select count(*) from pgq.retry_queue")
            if waiting == 0 and handed_back == before:
                break
            before = handed_back if waiting == 0 else -1
            if waiting == 0 and not await self._reach_new_tick(session, deadline):
                break
            if time.monotonic() > deadline:
                self._surprise(f"{waiting} events still wait for their retry")
                break
            await asyncio.sleep(0.1)
        await session.close()

    async def _reach_new_tick(self, session: Session, deadline: float) -> bool:
        """Whether every consumer has passed a tick that is made from now on."""
        for queue in QUEUES:
            cursor = await session.connection.execute("select pgq.force_tick(%s)", (queue,))
            row = await cursor.fetchone()
            newest = row[0] if row else 0
            behind: str | None = "not yet looked"
            while behind:
                cursor = await session.connection.execute(
                    """
                    select string_agg(format('%%s at tick %%s', c.co_name, s.sub_last_tick), ', ')
                    from pgq.subscription s
                        join pgq.queue q on q.queue_id = s.sub_queue
                        join pgq.consumer c on c.co_id = s.sub_consumer
                    where q.queue_name = %s and s.sub_last_tick <= %s
                    """,
                    (queue, newest),
                )
                row = await cursor.fetchone()
                behind = row[0] if row else None
                if behind and time.monotonic() > deadline:
                    self._surprise(f"queue {queue!r} is not drained past tick {newest}: {behind}")
                    return False
                await asyncio.sleep(0.05)
        return True

    async def _judge(self) -> None:
        report = self._report
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            cursor = await connection.execute("select consumer, queue, tick, snapshot, until from torture.registration")
            registrations = [_registration(*row) for row in await cursor.fetchall()]
            cursor = await connection.execute("select consumer, queue, key, batch, retry from torture.delivered")
            deliveries = [Delivery(*row) for row in await cursor.fetchall()]
            cursor = await connection.execute("select consumer, queue, key from torture.handed_back")
            handed_back = [HandedBack(*row) for row in await cursor.fetchall()]
            cursor = await connection.execute("select name from torture.marker")
            markers = {name for (name,) in await cursor.fetchall()}
        self._compare_markers(markers)
        for complaint in self._ticker.complaints() if self._ticker else ():
            self._surprise(f"ticker: {complaint}")
        events = list(self._ledger.events())
        report.findings = verify(events, registrations, deliveries, handed_back)
        report.transactions = self._ledger.counts()
        report.struck = dict(self._faults.struck)
        report.rotations = self._history.rotations()
        report.counts = {
            "events committed": sum(event.committed for event in events),
            "events undone": sum(not event.committed for event in events),
            "consumers": len(registrations),
            "deliveries": len(deliveries),
            "handed back": len(handed_back),
            "ticks": self._history.ticks(),
        }
        report.explained = self._explain(report.findings, events)

    def _compare_markers(self, markers: set[str]) -> None:
        """The ledger and the server must agree on what was committed, else the ledger itself is not to be believed."""
        committed = {name for name, outcome in self._ledger.outcomes().items() if outcome == "committed"}
        for name in sorted(committed ^ markers):
            self._surprise(
                f"transaction {name}: {'only the ledger' if name in committed else 'only the server'} has it"
            )

    def _explain(self, findings: tuple[Finding, ...], events: list[Event]) -> list[str]:
        xids = {(event.queue, event.key): event.xid for event in events}
        first: dict[tuple[str, str, str], Finding] = {}
        for finding in findings:
            first.setdefault((finding.fate, finding.queue, finding.key), finding)
        return [
            self._history.explain(finding, xids.get((finding.queue, finding.key), 0))
            for finding in list(first.values())[:_SHOWN]
        ]

    def _surprise(self, what: str) -> None:
        self._ledger.note("surprise", text=what)
        self._report.surprises.append(what)


def _registration(consumer: str, queue: str, tick: int, snapshot: str, until: str | None) -> Registration:
    end = None if until is None else Snapshot.parse(until)
    return Registration(consumer, queue, tick, Snapshot.parse(snapshot), end)


async def _number(session: Session, question: str) -> int:
    cursor = await session.connection.execute(question)
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
