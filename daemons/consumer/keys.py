"""The keys of a consumer's configuration file: how each is read, its default, and a sentence of help."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from ...engine.errors import UsageError
from ...engine.postgres.connect import describe, resolve_dsn
from ...engine.queue.retry import RetryPolicy
from ...engine.queue.settings import ConsumerSettings
from ..ini import Key, file_name, flag, number, seconds, text


class Kind(Enum):
    """What a consumer's process runs."""

    CLASS = "a class of the user's"
    SIMPLE = "a statement for each row event"
    SIMPLE_LOCAL = "a statement for each row event, with the position in a file"


SECTIONS: Mapping[str, Kind] = MappingProxyType(
    {"consumer": Kind.CLASS, "simple_consumer3": Kind.SIMPLE, "simple_local_consumer3": Kind.SIMPLE_LOCAL}
)
OPTION_SECTION = "consumer options"
"""Its keys are given to the user's class by name."""

ALIASES: Mapping[str, str] = MappingProxyType({"pgq_queue_name": "queue_name", "pgq_consumer_id": "consumer_name"})
"""Old spelling -> new one; the old one wins where both are set."""

_FORMATS = tuple(
    f"{kind}_{place}{verbose}"
    for kind in ("logfmt", "logdatefmt")
    for place in ("console", "file")
    for verbose in ("", "_verbose")
)

WITHOUT_EFFECT: Mapping[str, str] = MappingProxyType(
    {
        "use_skylog": "the log goes to logfile, standard error and, with syslog = 1, to syslog",
        "skylog_locations": "the log goes to logfile, standard error and, with syslog = 1, to syslog",
        **dict.fromkeys(_FORMATS, "log lines have the form of our other daemons"),
    }
)
"""Keys of the original that we accept and do not need, with the reason."""


def interval(value: str) -> str | None:
    """A time span as PostgreSQL reads it, such as `5 minutes` or `00:05:00`; empty: none."""
    if not value:
        return None
    if not _INTERVAL.fullmatch(value.strip().lower()):
        raise ValueError(f"must be a time span such as 30 seconds, 5 minutes or 01:30:00, not {value!r}")
    return value


_UNITS = (
    "us|usecs?|microseconds?|ms|msecs?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|"
    "d|days?|w|weeks?|mons?|months?|y|yrs?|years?"
)
_INTERVAL = re.compile(
    rf"(?:\d+(?:\.\d*)?\s*(?:{_UNITS})\b\s*)*(?:\d+:\d\d(?::\d\d(?:\.\d*)?)?|\d+(?:\.\d*)?)?"
    r"|p(?=[\dt])(?:\d+(?:\.\d+)?[ymwd])*(?:t(?:\d+(?:\.\d+)?[hms])+)?"
)


def signed_seconds(value: str) -> float:
    """Decimal seconds; a negative number has a meaning of its own."""
    return -seconds(value[1:]) if value.startswith("-") else seconds(value)


def factor(value: str) -> float:
    """A decimal number of 0 or more."""
    try:
        return seconds(value)
    except ValueError:
        raise ValueError(f"must be a number such as 0.5 or 2, not {value!r}") from None


def size(value: str) -> int:
    """Bytes: `10`, `3K`, `4 MB`; powers of 1024."""
    found = re.fullmatch(r"(\d+)\s*([KMGT]?)B?", value.strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"must be a size such as 10485760, 512K or 10 MB, not {value!r}")
    power = "KMGT".index(found[2].upper()) + 1 if found[2] else 0
    return int(found[1]) * int(1024**power)


def names(value: str) -> tuple[str, ...]:
    """A list by commas."""
    return tuple(item for part in value.split(",") if (item := part.strip()))


def folders(value: str) -> tuple[Path, ...]:
    """Folders by commas, `~` expanded."""
    return tuple(path for item in names(value) if (path := file_name(item)) is not None)


def connection_string(value: str) -> str:
    """A connection string, or the name of a service. The complaint never repeats it, as it may hold a password."""
    if not value:
        return ""
    try:
        dsn = resolve_dsn(value)
        describe(dsn)
    except UsageError as error:
        raise ValueError(f"is refused: {error}".removesuffix(".")) from None
    return dsn


_PARAMETER = re.compile(r"%%|%\([^()]*\)s")


def statement(value: str) -> str:
    """A statement with parameters written %(name)s, and every other % doubled."""
    if "%" in _PARAMETER.sub("", value):
        raise ValueError("has a % that is neither %(name)s nor doubled; in the file each of them is doubled once more")
    return value


def on_error(value: str) -> str:
    """What an exception of process_event does."""
    if value not in ("repeat", "retry", "dead_letter"):
        raise ValueError(f"must be repeat, retry or dead_letter, not {value!r}")
    return value


def import_path(value: str) -> str:
    """`package.module:Class`."""
    module, colon, name = value.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ValueError(f"must be written package.module:Class, not {value!r}")
    return value


_SETTINGS = ConsumerSettings("", "")
_RETRY = RetryPolicy()


def _key(
    name: str, parse: Callable[[str], object], default: object, help: str, sample: str = "", *, ours: bool = False
) -> Key:
    return Key(name, parse, default, help, sample, ours)


_QUEUE = (
    _key("job_name", text, "", "Unique name of this consumer's process; left out: the file's name.", "mailer"),
    _key("src_db", connection_string, "", "The queue's database: connection string, URI or service.", "dbname=app"),
    _key("src_db_extra_connstr", connection_string, "", "More for that connection string.", "sslmode=require"),
    _key("queue_name", text, "", "The queue. Old name: pgq_queue_name.", "orders"),
    _key("pgq_queue_name", text, "", "Old name of queue_name; wins where both are set."),
    _key("consumer_name", text, "", "The name it is registered by; left out: job_name. Old name: pgq_consumer_id."),
    _key("pgq_consumer_id", text, "", "Old name of consumer_name; wins where both are set."),
)
_TARGET = (
    _key("dst_db", connection_string, "", "The other database, of a consumer that writes to one.", "dbname=target"),
    _key("dst_db_extra_connstr", connection_string, "", "More for that connection string."),
)
_MEMBER = (
    _key("subconsumer_name", text, "", "The name of this member of a cooperative group.", "worker1"),
    _key(
        "subconsumer_timeout",
        interval,
        None,
        "The batch of a member that is silent for so long is taken over.",
        "1 hour",
    ),
)
_POSITION = (
    _key(
        "local_tracking_file",
        file_name,
        None,
        "Where a local consumer keeps its position; the folder must be there.",
        "~/state/%(job_name)s.tick",
    ),
)
_CLASS = (
    _key("consumer_class", import_path, "", "The class to run.", "shop.mail:Mailer", ours=True),
    _key(
        "consumer_path",
        folders,
        (),
        "Folders, by commas, in which Python looks for the class first; relative ones are below this file's folder.",
        ".",
        ours=True,
    ),
)
_STATEMENT = (
    _key(
        "dst_query",
        statement,
        "",
        "The statement for each event I:, U: or D:. Parameters are the row's columns and pgq.tick_id, pgq.ev_id,\n"
        "pgq.ev_time, pgq.ev_type, pgq.ev_data, pgq.ev_extra1 to pgq.ev_extra4; each commits by itself.",
        "select public.on_change(%%(id)s, %%(pgq.ev_type)s)",
    ),
)
_SQL_RETRY = (
    _key("sql_retry", flag, False, "Try a statement again when its connection was lost."),
    _key("sql_retry_max_count", number, 10, "Tries at most."),
    _key("sql_retry_max_time", seconds, 300.0, "Seconds at most, over all tries."),
    _key("sql_retry_formula_a", factor, 1.0, "Seconds before try n: a + b * n, cap at most."),
    _key("sql_retry_formula_b", factor, 5.0, "See sql_retry_formula_a."),
    _key("sql_retry_formula_cap", seconds, 60.0, "See sql_retry_formula_a."),
)
_BATCHES = (
    _key("table_filter", names, (), "Only events of these tables (ev_extra1), by commas.", "public.orders, stock"),
    _key("consumer_filter", text, "", "Only events that meet this SQL condition.", "ev_type like 'I:%%'"),
    _key("pgq_lazy_fetch", number, _SETTINGS.lazy_fetch, "Events fetched at once; 0: the whole batch."),
    _key("pgq_autocommit", flag, False, "Commit each statement on the queue's side; needs pgq_lazy_fetch = 0."),
    _key("pgq_batch_collect_events", number, 0, "Take no batch before it has so many events ..."),
    _key("pgq_batch_collect_interval", interval, None, "... or spans so much time.", "1 minute"),
    _key("pgq_keep_lag", interval, None, "Stay so far behind.", "1 hour"),
    _key("keepalive_stats", seconds, _SETTINGS.keepalive_stats, "Seconds after which an idle consumer says so."),
    _key(
        "loop_delay",
        signed_seconds,
        _SETTINGS.loop_delay,
        "Seconds to wait when there is no work; 0: end then; negative: one batch at most.",
    ),
    _key("prefetch", flag, _SETTINGS.prefetch, "Read ahead on a second connection.", ours=True),
    _key("listen", flag, _SETTINGS.listen, "Wake up when our ticker tells of a tick.", ours=True),
    _key("stop_timeout", seconds, _SETTINGS.stop_timeout, "Seconds a batch gets to end at SIGTERM.", ours=True),
)
_ERRORS = (
    _key("exception_sleep", seconds, _SETTINGS.exception_sleep, "Seconds to wait after an error."),
    _key("exception_quiet", names, (), "Classes of errors that are only warned of at first; ALL: every one.", "ALL"),
    _key("exception_grace", seconds, 300.0, "For how many seconds they are."),
    _key("exception_reset", seconds, 900.0, "A success so many seconds after the first error ends the trouble."),
    _key("connection_lifetime", seconds, _SETTINGS.connection_lifetime, "Older connections are made anew; 0: never."),
    _key(
        "on_error",
        on_error,
        _SETTINGS.on_error,
        "What an exception at one event does: repeat the batch, retry the event later, or dead_letter it.",
        ours=True,
    ),
    _key("retry_first", seconds, _RETRY.first, "Seconds before the first retry of an event.", ours=True),
    _key("retry_factor", factor, _RETRY.factor, "By how much each next wait is longer.", ours=True),
    _key("retry_most", seconds, _RETRY.most, "Seconds of the longest wait.", ours=True),
    _key("retry_jitter", factor, _RETRY.jitter, "By which share, 0 to 1, a wait is shortened at random.", ours=True),
    _key("retry_attempts", number, _RETRY.attempts, "After so many retries an event is a dead letter.", ours=True),
)
_PROCESS = (
    _key("logfile", file_name, None, "Where to log; opened anew at SIGHUP.", "~/log/%(job_name)s.log"),
    _key("log_size", size, 10 * 1024 * 1024, "Bytes after which the log is renamed to .1; 0: never.", "10 MB"),
    _key("log_count", number, 3, "How many renamed logs are kept."),
    _key("pidfile", file_name, None, "The pid file; needed by -d, -s, -k and -r.", "~/pid/%(job_name)s.pid"),
    _key("syslog", flag, False, "Log to syslog too.", ours=True),
    _key("syslog_ident", text, "", "Name in syslog; left out: job_name.", ours=True),
    _key("syslog_facility", text, "daemon", "auth, authpriv, daemon, user, local0 ... local7.", ours=True),
    _key("status_socket", file_name, None, "Socket for --status; left out: PIDFILE.sock.", ours=True),
    _key("metrics_file", file_name, None, "Prometheus text file, for node_exporter's textfile collector.", ours=True),
    _key("unhealthy_after", seconds, 300.0, "Failing for so long makes --status exit 1.", ours=True),
)

KEYS: Mapping[Kind, tuple[Key, ...]] = MappingProxyType(
    {
        Kind.CLASS: (*_CLASS, *_QUEUE, *_TARGET, *_MEMBER, *_POSITION, *_BATCHES, *_ERRORS, *_PROCESS),
        Kind.SIMPLE: (*_STATEMENT, *_QUEUE, *_TARGET, *_SQL_RETRY, *_BATCHES, *_ERRORS, *_PROCESS),
        Kind.SIMPLE_LOCAL: (*_STATEMENT, *_QUEUE, *_TARGET, *_POSITION, *_SQL_RETRY, *_BATCHES, *_ERRORS, *_PROCESS),
    }
)
