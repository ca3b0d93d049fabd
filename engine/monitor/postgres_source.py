"""A live database as a Source: one connection, one round trip a reading, and no failure that leaves it dead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

import psycopg

from ..clock import Clock, SystemClock
from ..errors import SkyError, UnreachableError
from ..postgres.connect import connect, redact
from ..postgres.sql import queries
from ..queue.ticks import GUARD_CLASS, GUARD_OBJECT
from . import postgres_asides as asides
from .asides import Capture, DeadLetter, EventRow, WaitingEvent
from .facts import (
    NOT_COUNTED,
    CountedConsumers,
    Counts,
    Memory,
    Row,
    consumer_maker,
    moment,
    queue_facts,
    server_facts,
    session_facts,
)
from .model import ConsumerFacts, Part, Phase, Problem, QueueFacts, ServerFacts, SessionFacts, Snapshot

ALL_PARTS = frozenset(Part)
APPLICATION = "skyconsole"

_READS = queries("monitor/reads.sql")
_PART_OF = {
    "server": Part.SERVER,
    "queues": Part.QUEUES,
    "retries": Part.QUEUES,
    "letters": Part.QUEUES,
    "consumers": Part.CONSUMERS,
    "sessions": Part.SESSIONS,
}
_ARGUMENTS = {"sessions": {"guard_class": GUARD_CLASS, "guard_object": GUARD_OBJECT}}
_SLOW_EVERY = 30.0
"""Seconds between two readings of what is dear and moves slowly: the database's size."""
_COUNTS_EVERY = 5.0
"""Seconds between two counts of what stands aside: retry events, dead letters."""
_READER = "Reading events needs membership in the role pgq_reader."
_ADMIN = "Reading the retry queue needs membership in the role pgq_admin."
_Read = TypeVar("_Read")
_HELD_UP = frozenset({"57014", "55P03"})
"""SQLSTATEs of a statement that waited in vain: its part may answer again later and is old until then."""
_HINTS = {
    "42501": "The role lacks a right that PgQ grants to public; its schema pgq may have been locked up.",
    "57014": "The server is slow, or something holds a lock on PgQ's tables.",
    "55P03": "Something holds a lock on PgQ's tables.",
}


@dataclass(slots=True)
class _Answers:
    """The rows of each statement that was answered, and the problems of those that were not."""

    rows: dict[str, Sequence[Row]] = field(default_factory=dict)
    errors: dict[str, psycopg.Error] = field(default_factory=dict)


class PostgresSource:
    """Reads a database over one connection of its own, opened when first needed and again when it broke.

    Works on our PgQ and on the original extension, on PostgreSQL 14 to 18, for any role; what the role may not
    read becomes a Problem. The session is read-only. `statement_timeout` is in seconds and per statement.
    """

    def __init__(
        self,
        dsn: str,
        name: str,
        *,
        clock: Clock | None = None,
        statement_timeout: float = 10.0,
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._clock = SystemClock() if clock is None else clock
        self._timeout = statement_timeout
        self._conn: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self._closed = False
        self._last: Snapshot | None = None
        self._queues: Memory[QueueFacts] = Memory()
        self._consumers: Memory[ConsumerFacts] = Memory()
        self._sessions: Memory[SessionFacts] = Memory()
        self._pgq_oid: int | None = None
        self._own_version: str | None = None
        self._size: int | None = None
        self._counts = NOT_COUNTED
        self._counted = CountedConsumers()
        self._may_count = (False, False)
        """Retry events, dead letters."""
        self._slow_read_at: float | None = None
        self._counted_at: float | None = None

    @property
    def name(self) -> str:
        return self._name

    async def read(self, parts: frozenset[Part] = ALL_PARTS) -> Snapshot:
        """Read these parts. A server that fails gives a LOST or STALE snapshot with the last good facts."""
        async with self._turn:
            began = self._clock.monotonic()
            try:
                snapshot = await self._read(parts)
            except UnreachableError as error:
                snapshot = self._unread(Phase.LOST, _unreachable(error))
            except psycopg.Error as error:
                broken = await self._let_go_if_broken()
                snapshot = self._unread(Phase.LOST if broken else Phase.STALE, _problem(error, None))
            snapshot = replace(snapshot, read_seconds=self._clock.monotonic() - began)
            self._last = snapshot
            return snapshot

    async def open_connection(self, application_name: str) -> psycopg.AsyncConnection[Any]:
        """A new connection to the same database, for what is not reading. Raises UnreachableError."""
        return await connect(self._dsn, application_name=application_name)

    async def peek_batch(self, batch_id: int, limit: int) -> tuple[EventRow, ...]:
        """The first events of an open batch; consumes nothing. Raises SkyError."""
        return await self._peek(f"Batch {batch_id}", _READER, lambda conn: asides.batch_events(conn, batch_id, limit))

    async def peek_queue(self, queue: str, limit: int) -> tuple[EventRow, ...]:
        """The newest stored events of a queue, newest first; consumes nothing. Raises SkyError."""
        return await self._peek(
            f'The events of queue "{queue}"', _READER, lambda conn: asides.queue_events(conn, queue, limit)
        )

    async def dead_letters(self, queue: str | None, consumer: str | None, limit: int) -> tuple[DeadLetter, ...]:
        """The oldest dead letters. Raises SkyError, a NotThereError where this PgQ keeps none."""
        return await self._peek(
            "The dead letters", _READER, lambda conn: asides.dead_letters(conn, queue, consumer, limit)
        )

    async def waiting(self, queue: str | None, consumer: str | None, limit: int) -> tuple[WaitingEvent, ...]:
        """Events of the retry queue and, unless a consumer is given, delayed ones; due first. Raises SkyError."""
        return await self._peek("The retry queue", _ADMIN, lambda conn: asides.waiting(conn, queue, consumer, limit))

    async def captures(self) -> tuple[Capture, ...]:
        """Every capture trigger. Raises SkyError."""
        return await self._peek("The capture triggers", _READER, asides.captures)

    async def _peek(
        self, what: str, right: str, read: Callable[[psycopg.AsyncConnection[Any]], Awaitable[_Read]]
    ) -> _Read:
        """What is read between two readings of the snapshot; `right` is said when the session lacks it."""
        async with self._turn:
            try:
                return await read(await self._connected())
            except psycopg.Error as error:
                await self._let_go_if_broken()
                problem = _problem(error, None)
                hint = right if problem.sqlstate == "42501" else problem.hint
                raise SkyError(f"{what} cannot be read: {problem.message}.", hint) from error

    async def close(self) -> None:
        """Cancel what runs and let go of the connection; a reading that is under way ends as LOST."""
        self._closed = True
        conn = self._conn
        if conn is None:
            return
        if self._turn.locked():
            with contextlib.suppress(psycopg.Error, OSError):
                await conn.cancel_safe(timeout=2.0)
        await conn.close()
        self._conn = None

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._closed:
            raise UnreachableError(f"The connection to {self._name} is closed.")
        if self._conn is not None and not self._conn.closed:
            return self._conn
        conn = await connect(self._dsn, application_name=APPLICATION)
        conn.prepare_threshold = 0
        self._conn = conn
        await conn.execute(_READS["session"], (f"{round(self._timeout * 1000)}ms",))
        self._slow_read_at = self._counted_at = None
        return conn

    async def _let_go_if_broken(self) -> bool:
        """True when the connection cannot be used any more; it is closed then."""
        conn = self._conn
        if conn is None:
            return True
        if not conn.closed and conn.info.transaction_status != psycopg.pq.TransactionStatus.UNKNOWN:
            return False
        self._conn = None
        await conn.close()
        return True

    async def _read(self, parts: frozenset[Part]) -> Snapshot:
        conn = await self._connected()
        fresh = self._last is None
        try:
            answers = await self._ask(conn, parts)
        except psycopg.Error:
            # A backend that was terminated while the server lives on is replaced at once, unseen.
            if fresh or not await self._let_go_if_broken():
                raise
            conn = await self._connected()
            answers = await self._ask(conn, parts)
        return await self._snapshot(conn, answers, parts)

    async def _ask(self, conn: psycopg.AsyncConnection[Any], parts: frozenset[Part]) -> _Answers:
        """Send all statements at once; those behind a refused one are sent again without it."""
        wanted = ["server"]
        if Part.QUEUES in parts:
            wanted.append("queues")
        if Part.CONSUMERS in parts:
            wanted.append("consumers")
        if Part.SESSIONS in parts:
            wanted.append("sessions")
        slow = self._is_due(self._slow_read_at, _SLOW_EVERY)
        if slow:
            wanted.append("size")
        count = Part.QUEUES in parts and self._is_due(self._counted_at, _COUNTS_EVERY)
        if count:
            wanted += self._countable
        answers = _Answers()
        while wanted:
            refused = await self._send(conn, wanted, answers)
            if refused is None:
                break
            error = answers.errors[refused]
            if refused in ("queues", "consumers") and error.sqlstate in _HELD_UP:
                raise error  # Old rows never pass for a live reading; only a right that is lacking leaves a part out.
            wanted = wanted[wanted.index(refused) + 1 :]
        if slow and not answers.errors:
            self._slow_read_at = self._clock.monotonic()
        if count and not answers.errors:
            self._counted_at = self._clock.monotonic()
        return answers

    def _is_due(self, done: float | None, every: float) -> bool:
        return done is None or self._clock.monotonic() - done >= every

    @property
    def _countable(self) -> list[str]:
        return [name for name, may in zip(("retries", "letters"), self._may_count, strict=True) if may]

    async def _send(self, conn: psycopg.AsyncConnection[Any], wanted: Sequence[str], answers: _Answers) -> str | None:
        """One round trip; the name of the statement that the server refused, None if none."""
        cursors: list[tuple[str, psycopg.AsyncCursor[Any]]] = []
        refusal: psycopg.Error | None = None
        # The error leaves the block: a pipeline that ends without one complains again of what stood behind the refused.
        try:
            async with conn.pipeline() as pipeline:
                for name in wanted:
                    cursor = conn.cursor(binary=True)
                    cursors.append((name, cursor))
                    await cursor.execute(_READS[name], _ARGUMENTS.get(name))
                await pipeline.sync()
        except psycopg.Error as error:
            refusal = error
        for name, cursor in cursors:
            if cursor.pgresult is None or cursor.pgresult.status != psycopg.pq.ExecStatus.TUPLES_OK:
                break
            answers.rows[name] = await cursor.fetchall()
        if refusal is None:
            return None
        left = [name for name in wanted if name not in answers.rows]
        if conn.closed or not left:
            raise refusal
        answers.errors[left[0]] = refusal
        return left[0]

    async def _snapshot(
        self, conn: psycopg.AsyncConnection[Any], answers: _Answers, parts: frozenset[Part]
    ) -> Snapshot:
        if "server" in answers.errors:
            raise answers.errors["server"]
        row = answers.rows["server"][0]
        now, pgq_oid, ours, may_count = moment(row[4]), row[6], row[8], (row[10], row[11])
        missed = may_count != self._may_count
        self._may_count = may_count
        if pgq_oid != self._pgq_oid:
            self._forget(pgq_oid)
            if ours:
                self._own_version = (await self._all(conn, "own_version"))[0][0]
        if "size" in answers.rows:
            self._size = answers.rows["size"][0][0]
        server = server_facts(row, self._own_version, self._size)
        if self._last is not None and self._last.server == server:
            server = self._last.server
        taken = self._clock.now()
        if pgq_oid is None:
            sessions = self._session_rows(answers)
            return Snapshot(
                self._name,
                taken,
                now,
                Phase.NO_PGQ,
                server,
                sessions=sessions,
                parts=parts,
                times=dict.fromkeys(parts, now),
            )
        if "queues" in answers.rows and (missed or self._counts is NOT_COUNTED):
            for name in self._countable:
                if name not in answers.rows and name not in answers.errors:
                    answers.rows[name] = await self._all(conn, name)
        return self._facts(answers, parts, server, taken, now)

    async def _all(self, conn: psycopg.AsyncConnection[Any], name: str) -> Sequence[Row]:
        async with conn.cursor(binary=True) as cursor:
            await cursor.execute(_READS[name])
            return await cursor.fetchall()

    def _facts(
        self, answers: _Answers, parts: frozenset[Part], server: ServerFacts, taken: datetime, now: datetime
    ) -> Snapshot:
        last = self._last
        problems = [_problem(error, _PART_OF.get(name)) for name, error in answers.errors.items()]
        failed = {problem.part for problem in problems}
        if Part.QUEUES in parts and not self._may_count[0]:
            problems.append(
                Problem(
                    "permission denied for table retry_queue",
                    "42501",
                    "Counting retry events needs membership in the role pgq_admin.",
                    Part.QUEUES,
                )
            )
        queues = () if last is None else last.queues
        consumers = () if last is None else last.consumers
        if "queues" in answers.rows:
            queues = self._queue_rows(answers)
        if "consumers" in answers.rows:
            rows = answers.rows["consumers"]
            bare = self._consumers.take(rows, consumer_maker(rows))
            consumers = self._counted.take(bare, {one.name: one.queue_id for one in queues}, self._counts)
        fresh = frozenset(part for part in parts if part not in failed)
        times = {} if last is None else dict(last.times)
        times.update(dict.fromkeys(fresh, now))
        return Snapshot(
            source=self._name,
            taken=taken,
            server_time=now,
            phase=Phase.LIVE,
            server=server,
            queues=queues,
            consumers=consumers,
            sessions=self._session_rows(answers),
            problems=tuple(problems),
            parts=fresh,
            times=times,
        )

    def _queue_rows(self, answers: _Answers) -> tuple[QueueFacts, ...]:
        asked = [answers.rows.get(name) for name in ("retries", "letters")]
        if any(rows is not None for rows in asked) or not any(self._may_count):
            counts = Counts.of(*asked)
            if counts != self._counts:
                self._counts = counts
                self._queues.clear()
        counts = self._counts
        return self._queues.take(answers.rows["queues"], lambda row, _: queue_facts(row, counts))

    def _session_rows(self, answers: _Answers) -> tuple[SessionFacts, ...]:
        if "sessions" in answers.rows:
            return self._sessions.take(answers.rows["sessions"], session_facts)
        return () if self._last is None else self._last.sessions

    def _forget(self, pgq_oid: int | None) -> None:
        """PgQ came, went, or was made anew: nothing that was known of it holds."""
        self._pgq_oid = pgq_oid
        self._own_version = None
        self._counts = NOT_COUNTED
        self._slow_read_at = self._counted_at = None
        self._queues.clear()
        self._consumers.clear()

    def _unread(self, phase: Phase, problem: Problem) -> Snapshot:
        now = self._clock.now()
        last = self._last
        if last is None:
            return Snapshot(self._name, now, now, phase, problems=(problem,))
        return replace(last, phase=phase, problems=(problem,), parts=frozenset())


def _problem(error: psycopg.Error, part: Part | None) -> Problem:
    primary = error.diag.message_primary or str(error) or type(error).__name__
    sqlstate = error.sqlstate or ""
    hint = error.diag.message_hint or _HINTS.get(sqlstate, "")
    return Problem(redact(primary.strip().splitlines()[0]), sqlstate, redact(hint), part)


def _unreachable(error: UnreachableError) -> Problem:
    return Problem(redact(error.message), getattr(error, "sqlstate", None) or "", redact(error.hint))
