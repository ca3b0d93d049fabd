"""Runs the language's commands: one at a time, each in one transaction, on a connection of its own.

A session is named `skyconsole:<user>:action` and waits for a lock for 2 seconds at most, so that an action never stands
in the way of the work it is about. What looks runs in a read-only transaction; in read-only mode everything does.
"""

from __future__ import annotations

import asyncio
import getpass
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import Enum

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.errors import Diagnostic

from ..clock import Clock, SystemClock
from ..errors import SkyError
from ..postgres.sql import queries
from .model import Command, Context, Guard, Outcome, Plan, Risk, Row, Step

Connect = Callable[[], Awaitable[AsyncConnection]]
"""Opens a new connection. Raises SkyError."""

_FILE = "language/session.sql"
_NOTHING = Plan((), "")
NOTHING_CHANGED = "Nothing was changed."
LOST_WHILE_COMMITTING = "The connection was lost while committing: look whether it was done."
_HINTS = {
    "55P03": "Another session holds a lock it needs; see the dry run for which, or try again.",
    "57014": "It took longer than the statement timeout.",
    "42501": "The session's role lacks the right; queues are changed by members of pgq_admin.",
    "3F000": "PgQ is not in this database: `skyconsole install pgq --dsn DSN`.",
    "42883": "PgQ is not in this database, or is older than it should be: `skyconsole install pgq --dsn DSN`.",
    "42P01": "PgQ is not in this database: `skyconsole install pgq --dsn DSN`.",
    "25006": "The server or the session is read-only.",
    "23505": "Another session did the same at this moment.",
}


class _Stage(Enum):
    """How far a transaction has come: decides what may be said when it fails."""

    BEFORE = "before"
    INSIDE = "inside"
    COMMIT = "commit"


class _GuardFailed(SkyError):
    """The world is not as the plan takes it to be."""


class _TakenBack(Exception):
    """Ends a dry run's transaction without a trace."""


@dataclass(slots=True)
class _Result:
    """What one transaction gathers on its way."""

    plan: Plan
    stage: _Stage = _Stage.BEFORE
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    locks: tuple[tuple[int, str, str | None], ...] = ()
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows changed, by table and verb."""


class Executor:
    """Runs commands on one database. What the server or the plan refuses is told by the Outcome, never raised."""

    def __init__(
        self,
        connect: Connect,
        *,
        clock: Clock | None = None,
        user: str | None = None,
        lock_timeout: float = 2.0,
        statement_timeout: float = 60.0,
    ) -> None:
        """`user` is the person named in the session's application name; both timeouts are in seconds."""
        self._connect = connect
        self._clock = clock or SystemClock()
        self._application = application_name(user)
        self._timeouts = (f"{round(lock_timeout * 1000)}ms", f"{round(statement_timeout * 1000)}ms")
        self._connection: AsyncConnection | None = None
        self._notices: list[str] = []
        self._turn = asyncio.Lock()

    async def run(self, command: Command, context: Context) -> Outcome:
        """Runs the command and commits. A refusal or failure is an Outcome that is not ok."""
        return await self._perform(command, context, dry=False)

    async def dry_run(self, command: Command, context: Context) -> Outcome:
        """Runs the command, notes the rows it changed and the locks it took, and rolls it all back.

        In read-only mode it is refused like the command itself: it would take locks.
        """
        return await self._perform(command, context, dry=True)

    async def open(self) -> AsyncConnection:
        """The connection, made now if there is none. Raises SkyError where the server cannot be reached.

        Only to be looked at: what it runs is the executor's.
        """
        async with self._turn:
            if self._connection is None or self._connection.closed:
                self._connection = await self._connect()
                self._connection.add_notice_handler(self._notice)
            return self._connection

    async def close(self) -> None:
        """Lets go of the connection; what runs is cancelled on the server."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            if connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                await connection.cancel_safe(timeout=2.0)
            await connection.close()

    async def _perform(self, command: Command, context: Context, *, dry: bool) -> Outcome:
        started = self._clock.monotonic()
        try:
            plan = command.plan(context)
        except SkyError as error:
            return _refused(command, _NOTHING, error, dry=dry)
        if context.read_only and command.risk > Risk.LOOK:
            refusal = SkyError("Read-only mode: this command would change the database.", "Leave read-only mode first.")
            return _refused(command, plan, refusal, dry=dry)
        if not plan.steps:
            return Outcome(command, plan, True, plan.word, plan.title, plan.columns, plan.rows, dry_run=dry)
        async with self._turn:
            self._notices.clear()
            outcome = await self._attempt(command, plan, read_only=command.risk is Risk.LOOK, dry=dry)
            notices = tuple(self._notices)
        return replace(outcome, seconds=self._clock.monotonic() - started, notices=notices)

    async def _attempt(self, command: Command, plan: Plan, *, read_only: bool, dry: bool) -> Outcome:
        result = _Result(plan)
        try:
            connection = await self._session(read_only=read_only)
            await self._transact(connection, result, read_only=read_only, dry=dry)
            locks = await _named(connection, result.locks) if dry else ()
        except SkyError as error:
            return _refused(command, plan, error, dry=dry)
        except psycopg.Error as error:
            return self._failed(command, result, error, dry=dry)
        return Outcome(
            command, result.plan, True, plan.word, plan.title, result.columns, result.rows, dry_run=dry, locks=locks,
            changes=_lines(result.counts),
        )  # fmt: skip

    async def _session(self, *, read_only: bool) -> AsyncConnection:
        """The open connection, made ready; one that died unnoticed is replaced once."""
        params = (self._application, "on" if read_only else "off")
        if self._connection is not None:
            try:
                await self._prepare(self._connection, params)
            except psycopg.OperationalError:
                await self._drop()
            else:
                return self._connection
        connection = await self._connect()
        connection.add_notice_handler(self._notice)
        self._connection = connection
        await self._prepare(connection, params)
        return connection

    async def _prepare(self, connection: AsyncConnection, params: tuple[str, str]) -> None:
        async with connection.transaction():
            await connection.execute(queries(_FILE)["session"], params)

    async def _transact(self, connection: AsyncConnection, result: _Result, *, read_only: bool, dry: bool) -> None:
        try:
            async with connection.transaction(), connection.cursor() as cursor:
                result.stage = _Stage.INSIDE
                params = (*self._timeouts, "on" if read_only else "off")
                await cursor.execute(queries(_FILE)["transaction"], params)
                # The server's counts include what earlier transactions of the session did until it reports them.
                counted = await _changes(cursor) if dry else Counter[tuple[str, str]]()
                await self._steps(cursor, result)
                if dry:
                    result.counts = await _changes(cursor) - counted
                    await cursor.execute(queries(_FILE)["locks"])
                    result.locks = tuple(_lock(row) for row in await cursor.fetchall())
                    raise _TakenBack
                result.stage = _Stage.COMMIT
        except _TakenBack:
            result.stage = _Stage.BEFORE

    async def _steps(self, cursor: AsyncCursor[Row], result: _Result) -> None:
        plan = result.plan
        for guard in plan.guards:
            await _check(cursor, guard)
        if plan.undo is not None:
            before = tuple(await _fetch(cursor, plan.undo.before))
            result.plan = replace(plan, inverse=plan.undo.inverse(before))
        rows: list[Row] = []
        for step in plan.steps:
            if step.only_if and not await _holds(cursor, step.only_if):
                continue
            rows += await _fetch(cursor, step)
            result.columns = tuple(one.name for one in cursor.description or ())
        result.rows = tuple(rows)

    def _notice(self, diagnostic: Diagnostic) -> None:
        if diagnostic.message_primary:
            self._notices.append(f"{diagnostic.severity}: {diagnostic.message_primary}")

    def _failed(self, command: Command, result: _Result, error: psycopg.Error, *, dry: bool) -> Outcome:
        """The Outcome of an error from the server or the driver."""
        lost = self._connection is None or self._connection.closed
        if lost:
            self._connection = None
        said = error.diag.message_primary or str(error).partition("\n")[0]
        hint = error.diag.message_hint or _HINTS.get(error.sqlstate or "", "")
        if lost and result.stage is _Stage.COMMIT and not dry and command.risk > Risk.LOOK:
            hint = LOST_WHILE_COMMITTING
        elif command.risk > Risk.LOOK:
            hint = f"{hint} {NOTHING_CHANGED}".lstrip()
        return Outcome(
            command, result.plan, False, "", dry_run=dry, error=said, sqlstate=error.sqlstate or "",
            detail=error.diag.message_detail or "", hint=hint,
        )  # fmt: skip

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def application_name(user: str | None = None) -> str:
    """`skyconsole:<user>:action`; without a user, the one who runs the program."""
    if user is None:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = "unknown"
    plain = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in user)
    return f"skyconsole:{plain[:40]}:action"


async def _fetch(cursor: AsyncCursor[Row], step: Step) -> list[Row]:
    await cursor.execute(step.sql, step.params or None)
    return await cursor.fetchall() if cursor.description is not None else []


async def _holds(cursor: AsyncCursor[Row], query: str) -> bool:
    (row,) = await _fetch(cursor, Step(query))
    return row[0] is True


async def _check(cursor: AsyncCursor[Row], guard: Guard) -> None:
    rows = await _fetch(cursor, guard.step)
    if not rows or not all(row[0] is True for row in rows):
        raise _GuardFailed(guard.otherwise, guard.hint)


_VERBS = (("insert", "into"), ("update", "in"), ("delete", "from"))
_STRENGTH = (
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
"""PostgreSQL manual 13.3.1, weakest first."""


async def _changes(cursor: AsyncCursor[Row]) -> Counter[tuple[str, str]]:
    """Rows changed, by table and verb, in this transaction and those the session has not reported yet."""
    await cursor.execute(queries(_FILE)["changes"])
    counts: Counter[tuple[str, str]] = Counter()
    for table, *numbers in await cursor.fetchall():
        for (verb, _), number in zip(_VERBS, numbers, strict=True):
            counts[str(table), verb] += int(str(number))
    return counts


def _lines(counts: Counter[tuple[str, str]]) -> tuple[str, ...]:
    links = dict(_VERBS)
    return tuple(
        f"{verb} {number} {'row' if number == 1 else 'rows'} {links[verb]} {table}"
        for (table, verb), number in sorted(counts.items())
    )


def _lock(row: Row) -> tuple[int, str, str | None]:
    oid, mode, name = row
    return int(str(oid)), str(mode), None if name is None else str(name)


async def _named(connection: AsyncConnection, locks: tuple[tuple[int, str, str | None], ...]) -> tuple[str, ...]:
    """The strongest lock of each relation as a line; those that the dry run dropped have their names back after it."""
    names = {oid: name for oid, _, name in locks if name is not None}
    unnamed = sorted({oid for oid, _, name in locks if name is None})
    if unnamed:
        async with connection.transaction():
            cursor = await connection.execute(queries(_FILE)["relations"], (unnamed,))
            names.update(await cursor.fetchall())
    strongest: dict[str, str] = {}
    for oid, mode, _ in locks:
        name = names.get(oid)
        if name is not None and (name not in strongest or _strength(mode) > _strength(strongest[name])):
            strongest[name] = mode
    order = sorted(strongest.items(), key=lambda one: (-_strength(one[1]), one[0]))
    return tuple(f"{mode} on {name}" for name, mode in order)


def _strength(mode: str) -> int:
    return _STRENGTH.index(mode) if mode in _STRENGTH else -1


def _refused(command: Command, plan: Plan, error: SkyError, *, dry: bool) -> Outcome:
    sqlstate = getattr(error, "sqlstate", None) or ""
    return Outcome(command, plan, False, "", dry_run=dry, error=error.message, sqlstate=sqlstate, hint=error.hint)
