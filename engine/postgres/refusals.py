"""Why a connection failed, as a sentence a person can act on. libpq reports such failures as text alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg

from ..errors import UnreachableError

_WORDS = re.compile(r"""(?ix) \b(\w*password|passwd|\w*secret) (\s*=\s*) ('(?:[^'\\]|\\.)*' | [^\s&'"]+)""")
_AUTHORITY = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@?#]*):([^\s/?#]*)@")
_PREFIX = re.compile(r"^connection (?:failed|is bad): |^connection to server (?:on|at) .*? failed: ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Refusal:
    sign: re.Pattern[str]
    sqlstate: str | None
    sentence: str
    hint: str


def _refusal(sign: str, sqlstate: str | None, sentence: str, hint: str) -> _Refusal:
    return _Refusal(re.compile(sign), sqlstate, sentence, hint)


_NO_PASSWORD = _refusal(
    "no password supplied", "28P01", "{where} wants a password, and none was given.", "Put it into ~/.pgpass."
)
_WRONG_PASSWORD = _refusal(
    "password authentication failed", "28P01", "{where} refuses the password.", "Check the user and ~/.pgpass."
)
_REFUSALS = (
    _NO_PASSWORD,
    _WRONG_PASSWORD,
    _refusal(r'database ".*" does not exist', "3D000", "{where}: {said}.", "Check the name, or create it."),
    _refusal(r'role ".*" does not exist', "28000", "{where}: {said}.", "Check the user's name, or create the role."),
    _refusal(
        "authentication failed|no pg_hba.conf entry|rejects connection|not permitted to log in",
        "28000",
        "{where} does not let us in: {said}.",
        "See pg_hba.conf on the server.",
    ),
    _refusal(
        "too many clients|too many connections|connection slots are reserved",
        "53300",
        "{where} has no connection left: {said}.",
        "End idle sessions, or raise max_connections.",
    ),
    _refusal(
        "starting up|not yet accepting|shutting down|in recovery mode|not accepting connections",
        "57P03",
        "{where} is up but not ready: {said}.",
        "Wait a little.",
    ),
    _refusal("permission denied for database", "42501", "{where}: {said}.", "Grant CONNECT on the database."),
    _refusal('definition of service ".*" not found', None, "{said}.", "Check pg_service.conf."),
    _refusal(
        "failed to resolve host|could not translate host",
        None,
        "The host of {where} has no address.",
        "Check its name.",
    ),
    _refusal("timeout expired|timed out", None, "{where} does not answer in time.", "Check the network and the port."),
    _refusal(
        "Connection refused|No such file or directory|Is the server running",
        None,
        "No server is running at {where}.",
        "Start it, or check host and port.",
    ),
    _refusal("Permission denied", None, "The socket of {where} is closed to this account.", "Use another account."),
)


def redact(text: str) -> str:
    """The text with every password of a connection string, URI or setting in it replaced by ***."""
    return _WORDS.sub(r"\1\2***", _AUTHORITY.sub(r"\1:***@", text))


def unreachable(error: psycopg.Error, where: str) -> UnreachableError:
    """The failure of a connection attempt to `where`. `sqlstate` is what the server's message stands for."""
    text = redact(str(error)).strip()
    lines = [_PREFIX.sub("", _PREFIX.sub("", line)).strip() for line in text.splitlines()]
    said = re.sub(r"^FATAL: +", "", next((line for line in reversed(lines) if "FATAL:" in line), lines[0])).rstrip(".")
    refusal = _by_flags(error) or next((one for one in _REFUSALS if one.sign.search(text)), None)
    if refusal is None:
        return UnreachableError(f"{where} can not be reached: {said}.", sqlstate=error.sqlstate)
    sentence = refusal.sentence.replace("{where}", where).replace("{said}", said)
    return UnreachableError(sentence, refusal.hint, sqlstate=error.sqlstate or refusal.sqlstate)


def _by_flags(error: psycopg.Error) -> _Refusal | None:
    # These hold whatever language the server speaks.
    if error.pgconn is None:
        return None
    if error.pgconn.needs_password:
        return _NO_PASSWORD
    text = str(error)
    if error.pgconn.used_password and not any(one.sign.search(text) for one in _REFUSALS):
        return _WRONG_PASSWORD
    return None
