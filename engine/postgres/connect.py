"""Connections: by DSN, URI, service or libpq's variables; what they are called; and how long to wait between tries."""

from __future__ import annotations

import getpass
import math
import os
import random
import re
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..errors import UsageError
from .refusals import redact, unreachable
from .services import hidden_service, services

__all__ = ["Backoff", "connect", "connect_sync", "describe", "redact", "resolve_dsn", "services"]

_URI = re.compile(r"^postgres(?:ql)?://", re.IGNORECASE)
_LONGEST_NAME = 63


async def connect(
    dsn: str, *, application_name: str, autocommit: bool = True, connect_timeout: float = 5.0
) -> AsyncConnection[Any]:
    """An open connection. `connect_timeout` in seconds, for each host; a timeout in the DSN wins.

    Raises UnreachableError with a sentence and `.sqlstate`, and UsageError for a DSN that can not be read.
    """
    where = describe(dsn)
    parameters = _parameters(dsn, application_name, connect_timeout)
    try:
        return await AsyncConnection.connect(**parameters, autocommit=autocommit)
    except psycopg.Error as error:
        raise unreachable(error, where) from error


def connect_sync(
    dsn: str, *, application_name: str, autocommit: bool = True, connect_timeout: float = 5.0
) -> Connection[Any]:
    """As connect, for code that is not asynchronous."""
    where = describe(dsn)
    parameters = _parameters(dsn, application_name, connect_timeout)
    try:
        return Connection.connect(**parameters, autocommit=autocommit)
    except psycopg.Error as error:
        raise unreachable(error, where) from error


def resolve_dsn(text: str | None) -> str:
    """What a person wrote as a DSN: key=value pairs, a URI, or the bare name of a service; nothing means libpq's own.

    Raises UsageError, which never repeats the text, as it may hold a password.
    """
    if not text or not text.strip():
        return ""
    text = text.strip()
    if _URI.match(text) or "=" in text:
        _parse(text)
        return text
    known = services()
    if text not in known:
        raise UsageError(
            f'There is no service "{redact(text)}".',
            f"Known services: {', '.join(known)}." if known else "No pg_service.conf was found; give a DSN.",
        )
    return make_conninfo("", service=text)


def describe(dsn: str) -> str:
    """A short name for titles, without a password: the service, or database@host:port. Raises UsageError."""
    given = _parse(dsn)
    if service := given.get("service"):
        return service
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or ""
    port = given.get("port") or os.environ.get("PGPORT") or "5432"
    user = given.get("user") or os.environ.get("PGUSER") or _account()
    dbname = given.get("dbname") or os.environ.get("PGDATABASE") or user
    place = "local" if not host or host.startswith(("/", "@")) else host
    return f"{dbname}@{place}" if port == "5432" else f"{dbname}@{place}:{port}"


class Backoff:
    """Seconds to wait before the next try: doubling from `first` to `cap`, each shortened by up to half at random.

    The jitter keeps a hundred clients of a restarted server from coming back in step.
    """

    def __init__(self, first: float = 0.5, cap: float = 10.0, rng: random.Random | None = None) -> None:
        self._first = first
        self._cap = cap
        self._rng = rng or random.Random()
        self._full = first

    def next(self) -> float:
        """The next wait, in seconds; between half of the full step and all of it."""
        full = min(self._full, self._cap)
        self._full = min(self._full * 2, self._cap)
        return full * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew, after a success."""
        self._full = self._first


def _parse(dsn: str) -> dict[str, str]:
    authority = _URI.sub("", dsn).partition("/")[0] if _URI.match(dsn) else ""
    if authority.count("@") > 1:
        # libpq would take the rest of the password for the host, and print it.
        raise UsageError("The connection URI holds more than one @.", "Write an @ of the password as %40.")
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.ProgrammingError:
        # Its text quotes the piece it stumbled on, which may be part of a password: it is neither told nor chained.
        raise UsageError(
            "The connection string can not be read.",
            "It is host=... port=... dbname=... user=... with quotes around values that hold spaces, "
            "or postgresql://user@host:port/dbname.",
        ) from None
    if any(port and not port.isdigit() for port in given.get("port", "").split(",")):
        # user:password without @host reads as host:port: the port is not repeated.
        raise UsageError(
            "The port of the connection string is not a number.",
            "A URI with a user and a password needs a host too: postgresql://user:password@host/dbname.",
        )
    return given


def _parameters(dsn: str, application_name: str, connect_timeout: float) -> dict[str, Any]:
    given = _parse(dsn)
    if (service := given.get("service")) and (found := hidden_service(service)) is not None:
        given = {**found, **{name: value for name, value in given.items() if name != "service"}}
    if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" not in os.environ:
        given["connect_timeout"] = str(max(1, math.ceil(connect_timeout)))
    return {
        **given,
        "application_name": application_name.encode()[:_LONGEST_NAME].decode(errors="ignore"),
        # A database in SQL_ASCII or LATIN1 must not decide how our own names are written.
        "client_encoding": "utf8",
    }


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "?"
