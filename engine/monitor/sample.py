"""A living sample: a Source without a database, in which every state of the screen occurs."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar, get_args

from ..clock import Clock
from ..errors import SkyError, UsageError
from .asides import Capture, DeadLetter, EventRow, NotThereError, WaitingEvent
from .model import (
    ConsumerFacts,
    Part,
    Phase,
    Problem,
    QueueFacts,
    ServerFacts,
    SessionFacts,
    Snapshot,
)
from .sample_asides import letter_counts, retries_of, retrying, sample_captures, sample_letters, sample_waiting
from .sample_cast import ROTATION, SampleConsumer, SampleQueue, sample_consumers, sample_queues

Scenario = Literal["fleet", "empty", "no_pgq", "connecting", "lost", "stale", "no_privilege"]
SCENARIOS: tuple[str, ...] = get_args(Scenario)

_ALL = frozenset(Part)
_Facts = TypeVar("_Facts", QueueFacts, ConsumerFacts)


class SampleSource:
    """A Source that tells a story instead of reading a server; the same seed and clock tell the same one.

    Every fact is a formula of the time since the source was made, so it advances with its clock, may be read
    at any interval and needs no memory. Scales to thousands of queues. Scenarios other than 'fleet' show the
    states in which there is little to show.
    """

    def __init__(
        self,
        seed: int,
        clock: Clock,
        scenario: Scenario = "fleet",
        queues: int = 14,
        consumers: int = 44,
        name: str = "sample",
    ) -> None:
        if scenario not in SCENARIOS:
            raise UsageError(f'There is no scenario "{scenario}".', f"Known ones: {', '.join(SCENARIOS)}.")
        self._clock = clock
        self._scenario = scenario
        self._name = name
        self._start = clock.now()
        draw = random.Random(seed)
        self._seed = seed
        self._queues = sample_queues(queues, draw) if scenario != "empty" else []
        self._consumers = sample_consumers(self._queues, consumers, draw)
        self._queues.sort(key=lambda queue: queue.name)
        self._consumers.sort(key=lambda one: (one.queue.name, one.name))
        self._retrying = {one.name: retrying(one, self._consumers) for one in self._queues[:100]}
        self._letters = letter_counts()
        self._kept: dict[object, QueueFacts | ConsumerFacts] = {}
        self._sessions: tuple[SessionFacts, ...] = ()
        self._last: Snapshot | None = None

    @property
    def name(self) -> str:
        return self._name

    async def read(self, parts: frozenset[Part] = _ALL) -> Snapshot:
        taken = self._clock.now()
        match self._scenario:
            case "connecting":
                return Snapshot(self._name, taken, taken, Phase.CONNECTING)
            case "no_pgq":
                return Snapshot(
                    self._name,
                    taken,
                    taken,
                    Phase.NO_PGQ,
                    server=replace(self._server(), pgq_version=None, pgq_origin=""),
                    parts=parts,
                )
            case "stale":
                return self._failed(Phase.STALE, 14.0, Problem("canceling statement due to statement timeout", "57014"))
            case "lost":
                return self._failed(
                    Phase.LOST,
                    95.0,
                    Problem(
                        "server closed the connection unexpectedly", "", "The server was stopped, or the network fails."
                    ),
                )
            case "no_privilege":
                return self._unprivileged(taken, parts)
            case _:
                return self._facts(taken, parts)

    async def peek_batch(self, batch_id: int, limit: int) -> tuple[EventRow, ...]:
        """The first events of an open batch. Raises SkyError when no consumer holds it."""
        for one in self._consumers:
            if not one.working:
                continue
            facts = self._consumer(one, self._seconds(self._clock.now()))
            if facts.batch_id == batch_id and facts.last_tick_seq is not None and facts.next_tick_id is not None:
                end = one.queue.event_seq(one.queue.tick_time(facts.next_tick_id))
                first = facts.last_tick_seq + 1
                return tuple(self._event(one.queue, n) for n in range(first, min(end + 1, first + limit)))
        raise SkyError(f"Batch {batch_id} is not open.", "Its consumer has finished it.")

    async def peek_queue(self, queue: str, limit: int) -> tuple[EventRow, ...]:
        """The newest events of a queue. Raises SkyError for an unknown one, or without the privilege."""
        if self._scenario == "no_privilege":
            raise SkyError(
                "permission denied for table event_template", "Reading events needs membership in the role pgq_reader."
            )
        for one in self._queues:
            if one.name == queue:
                if not one.rate:
                    return ()
                newest = one.event_seq(self._seconds(self._clock.now()))
                return tuple(self._event(one, n) for n in range(newest, max(newest - limit, 0), -1))
        raise SkyError(f'There is no queue "{queue}".')

    async def dead_letters(self, queue: str | None, consumer: str | None, limit: int) -> tuple[DeadLetter, ...]:
        """The dead letters. Raises SkyError without the privilege."""
        if self._scenario == "no_privilege":
            raise NotThereError("The PgQ of this database keeps no dead letters.", "skyconsole's own PgQ does.")
        found = sample_letters(self._queues, self._start)
        return tuple(one for one in found if queue in (None, one.queue) and consumer in (None, one.consumer))[:limit]

    async def waiting(self, queue: str | None, consumer: str | None, limit: int) -> tuple[WaitingEvent, ...]:
        """Events of the retry queue and a delayed one. Raises SkyError without the privilege."""
        if self._scenario == "no_privilege":
            raise SkyError(
                "permission denied for table retry_queue", "Reading it needs membership in the role pgq_admin."
            )
        found = sample_waiting(self._queues, self._consumers, self._clock.now(), self._event)
        return tuple(one for one in found if queue in (None, one.queue) and consumer in (None, one.consumer))[:limit]

    async def captures(self) -> tuple[Capture, ...]:
        """A capture trigger of each kind."""
        return sample_captures(self._queues)

    async def close(self) -> None:
        """Nothing is held."""

    def _facts(self, taken: datetime, parts: frozenset[Part]) -> Snapshot:
        at = self._seconds(taken)
        last = self._last
        queues = () if last is None else last.queues
        consumers = () if last is None else last.consumers
        if Part.QUEUES in parts:
            queues = tuple(self._keep(one.name, self._queue(one, at)) for one in self._queues)
        if Part.CONSUMERS in parts:
            consumers = tuple(
                self._keep((one.queue.name, one.name), self._consumer(one, at)) for one in self._consumers
            )
        if Part.SESSIONS in parts:
            self._sessions = self._backends(at)
        times = {} if last is None else dict(last.times)
        times.update(dict.fromkeys(parts, taken))
        self._last = Snapshot(
            source=self._name,
            taken=taken,
            server_time=taken,
            phase=Phase.LIVE,
            server=self._server(),
            queues=queues,
            consumers=consumers,
            sessions=self._sessions,
            read_seconds=0.012,
            parts=parts,
            times=times,
        )
        return self._last

    def _failed(self, phase: Phase, ago: float, problem: Problem) -> Snapshot:
        """The first reading's facts, made so long ago, and why there are no newer ones."""
        good = self._last or self._facts(self._start - timedelta(seconds=ago), _ALL)
        return replace(good, phase=phase, problems=(problem,), parts=frozenset())

    def _unprivileged(self, taken: datetime, parts: frozenset[Part]) -> Snapshot:
        facts = self._facts(taken, parts)
        problem = Problem(
            "permission denied for table retry_queue",
            "42501",
            "Reading it needs membership in the role pgq_admin.",
            Part.QUEUES,
        )
        server = replace(self._server(), user="guest", can_write=False)
        queues = tuple(
            self._keep(("bare", one.name), replace(one, retry_count=None, dead_count=None)) for one in facts.queues
        )
        return replace(facts, server=server, queues=queues, problems=(problem,))

    def _seconds(self, moment: datetime) -> float:
        return (moment - self._start).total_seconds()

    def _moment(self, seconds: float) -> datetime:
        return self._start + timedelta(milliseconds=round(seconds * 1000.0))

    def _keep(self, key: object, facts: _Facts) -> _Facts:
        """The facts handed out before, if they are the same."""
        kept = self._kept.get(key)
        if isinstance(kept, type(facts)) and kept == facts:
            return kept
        self._kept[key] = facts
        return facts

    def _server(self) -> ServerFacts:
        return ServerFacts(180001, "shop", "postgres", False, "3.5", "skyconsole", True, 48 << 30)

    def _queue(self, one: SampleQueue, at: float) -> QueueFacts:
        tick = one.tick_at(at)
        tick_time = one.tick_time(tick)
        count, switched = one.rotations(at)
        return QueueFacts(
            queue_id=one.queue_id,
            name=one.name,
            ntables=3,
            cur_table=count % 3,
            rotation_period=ROTATION,
            switch_time=self._moment(switched),
            rotating=False,
            external_ticker=one.external,
            paused=one.paused_at is not None,
            disable_insert=one.no_inserts,
            max_count=500,
            max_lag=3.0,
            idle_period=60.0,
            per_tx_limit=None,
            last_tick_id=tick,
            last_tick_time=self._moment(tick_time),
            last_tick_seq=one.event_seq(tick_time),
            event_seq=one.event_seq(at),
            retry_count=retries_of(one),
            dead_count=sum(number for (queue, _), number in letter_counts().items() if queue == one.name),
        )

    def _consumer(self, one: SampleConsumer, at: float) -> ConsumerFacts:
        queue = one.queue
        seen = self._moment(at - one.seen(at)) if one.seen(at) > 1.5 else self._moment(at // 1.0)
        if one.idle:
            return ConsumerFacts(
                queue.name, one.name, one.sub_id, True, None, None, None, seen, None, None, main=one.main
            )
        tick = queue.tick_at(at - one.lag(at))
        tick_time = queue.tick_time(tick)
        following = tick + 1 if one.working and tick < queue.tick_at(at) else None
        return ConsumerFacts(
            queue=queue.name,
            name=one.name,
            sub_id=one.sub_id,
            subconsumer=one.subconsumer,
            last_tick_id=tick,
            last_tick_time=self._moment(tick_time),
            last_tick_seq=queue.event_seq(tick_time),
            last_seen=seen,
            batch_id=None if following is None else queue.queue_id * 10_000_000 + one.sub_id * 1_000_000 + tick,
            next_tick_id=following,
            next_tick_time=None if following is None else self._moment(queue.tick_time(following)),
            main=one.main,
            retry_count=retries_of(queue) if one is self._retrying.get(queue.name) else None,
            dead_count=self._letters.get((queue.name, one.name)),
        )

    def _backends(self, at: float) -> tuple[SessionFacts, ...]:
        if not self._queues:
            return ()
        began = self._moment(-2 * 3600.0)
        stuck = self._moment(-760.0)
        return (
            SessionFacts(
                4400,
                "skyconsole-ticker",
                "postgres",
                "idle",
                "",
                "select pgq.ticker($1)",
                self._moment(at // 1.0),
                (),
                began,
                guards=True,
            ),
            SessionFacts(
                4502,
                "psql",
                "dba",
                "idle in transaction",
                "",
                "alter table invoices add column vat_id text",
                self._moment(-790.0),
                (),
                self._moment(-1800.0),
            ),
            SessionFacts(
                4711,
                "invoice_export",
                "shop",
                "active",
                "Lock:relation",
                "insert into invoices (order_id, total) select ev_data::int, 0 from pgq.get_batch_events($1)",
                stuck,
                (4502,),
                began,
            ),
            SessionFacts(
                4733,
                "newsletter",
                "shop",
                "idle",
                "",
                "select pgq.finish_batch($1)",
                self._moment(at // 1.0),
                (),
                began,
            ),
        )

    def _event(self, queue: SampleQueue, number: int) -> EventRow:
        draw = random.Random(self._seed * 1_000_003 + queue.queue_id * 101 + number)
        age = (queue.event_seq(self._seconds(self._clock.now())) - number) / max(queue.rate, 0.1)
        kind = draw.choice(("I", "U", "U", "D"))
        data = f"id={number}&state={draw.choice(('new', 'paid', 'sent'))}&total={draw.randrange(100, 99999) / 100}"
        return EventRow(
            ev_id=number,
            ev_time=self._clock.now() - timedelta(seconds=max(age, 0.0)),
            ev_txid=2_000_000 + number // 3,
            ev_retry=1 if draw.random() < 0.02 else None,
            ev_type=f"{kind}:id",
            ev_data=data,
            ev_extra1=f"public.{queue.name}",
        )
