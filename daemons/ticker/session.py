"""One session of the ticker: how it is opened, what it finds, and waiting on it without polling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from ...engine.postgres.connect import connect
from ...engine.postgres.sql import queries
from .config import TickerConfig

_SQL = queries("ticker/ticks.sql")

APPLICATION = "skyconsole-ticker"

_KEEPALIVES = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a database says of itself and of PgQ in it."""

    in_recovery: bool
    max_connections: int
    has_pgq: bool
    version: str
    """Of PgQ; empty: there is none, or it does not say."""
    has_maintenance: bool

    @property
    def problem(self) -> str:
        """Why this version of PgQ is not ticked, in words; empty: it is."""
        major = self.version.partition(".")[0]
        if not major.isdigit() or int(major) < 3:
            return f"bad pgq version: {self.version or 'none'}"
        if not self.has_maintenance:
            return f"pgq version {self.version} is too old: 3.1 or newer is needed, as it lacks pgq.maint_operations"
        return ""


def conninfo(config: TickerConfig, database: str) -> str:
    """The connection string of one database; what base_connstr says of keepalives and hosts wins."""
    given = {k: str(v) for k, v in conninfo_to_dict(config.base_connstr).items() if v is not None}
    return make_conninfo("", **{**_KEEPALIVES, **given, "dbname": database})


@asynccontextmanager
async def session(
    config: TickerConfig, database: str, statement_timeout: float
) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """An autocommit connection with the ticker's settings. Raises UnreachableError, psycopg.Error."""
    connection = await connect(conninfo(config, database), application_name=APPLICATION)
    try:
        await connection.execute(
            _SQL["prepare_session"],
            {
                "lock_timeout": str(round(config.lock_timeout * 1000)),
                "statement_timeout": str(round(statement_timeout * 1000)),
            },
        )
        yield connection
    finally:
        await connection.close()


async def own_names_only(connection: AsyncConnection[TupleRow]) -> None:
    """No operator or function outside pg_catalog is found without its schema. Raises psycopg.Error.

    For sessions that run our own statements; extra maintenance functions of users get the role's own search_path.
    """
    await connection.execute(_SQL["own_names_only"])


async def names_of_the_role(connection: AsyncConnection[TupleRow]) -> None:
    """End what own_names_only began. Raises psycopg.Error."""
    await connection.execute(_SQL["names_of_the_role"])


async def read_facts(connection: AsyncConnection[TupleRow]) -> Facts:
    """Ask the database. Raises psycopg.Error."""
    row = await (await connection.execute(_SQL["probe"])).fetchone()
    if row is None:
        raise psycopg.DatabaseError("The server told nothing of itself.")
    in_recovery, has_pgq, has_version, has_maintenance, max_connections = row
    version = await (await connection.execute(_SQL["version"])).fetchone() if has_version and not in_recovery else None
    return Facts(in_recovery, max_connections, has_pgq, str(version[0] or "") if version else "", has_maintenance)


class Ears:
    """Waits on a connection for a NOTIFY, for its end, or for time to pass."""

    def __init__(self, connection: AsyncConnection[TupleRow], wake: asyncio.Event) -> None:
        self._connection = connection
        self._wake = wake
        self._told = False
        connection.add_notify_handler(self._on_notify)

    def _on_notify(self, notify: psycopg.Notify) -> None:
        self._told = True

    async def listen(self) -> None:
        """Be woken by NOTIFY. Raises psycopg.Error."""
        await self._connection.execute(_SQL["listen"])

    async def rest(self, seconds: float) -> bool:
        """Wait, but no longer than until the server says something; True: it was a NOTIFY for us.

        A session that the server ends is noticed at once. Raises psycopg.OperationalError then.
        """
        if seconds <= 0:
            await asyncio.sleep(0)
        elif not self._told:
            loop, descriptor = asyncio.get_running_loop(), self._connection.fileno()
            loop.add_reader(descriptor, self._wake.set)
            try:
                await wait(self._wake, seconds)
            finally:
                loop.remove_reader(descriptor)
            self._connection.pgconn.consume_input()
            while self._connection.pgconn.notifies() is not None:
                self._told = True
        told, self._told = self._told, False
        return told


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most so long, and clear it."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    finally:
        event.clear()


def quietly(warn: Callable[[str], None], tell: Callable[[str], None], now: Callable[[], float]) -> Callable[..., None]:
    """A notice handler: warnings of the server go to `warn`, each kind once a minute, everything else to `tell`."""
    noticed: dict[str, float] = {}

    def on_notice(notice: psycopg.errors.Diagnostic) -> None:
        text = notice.message_primary or ""
        if notice.severity_nonlocalized != "WARNING":
            tell(text)
            return
        kind, moment = "".join(c for c in text if not c.isdigit()), now()
        if moment - noticed.get(kind, float("-inf")) > 60.0:
            noticed[kind] = moment
            warn(text)

    return on_notice
