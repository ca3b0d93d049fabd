"""The ticker's configuration: the original's keys with the original's defaults, and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from ...engine.errors import UsageError
from ...engine.postgres.connect import describe
from ..ini import (
    ConfigError,
    Entry,
    Key,
    file_name,
    flag,
    number,
    overrides,
    read_ini,
    sample,
    seconds,
    settle,
    text,
)

SECTION = "pgqd"
OUR_SECTIONS = ("skyconsole", "skyconsole ticker")
DATABASE_SECTION = "skyconsole database "


@dataclass(frozen=True, slots=True)
class DatabaseList:
    """Which databases are ticked. An empty `only` means all that are found on the server."""

    only: tuple[str, ...] = ()
    never: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TickerConfig:
    """Everything the ticker can be told; times in seconds. Source: spec/ticker.md 3 and 9."""

    logfile: Path | None = None
    pidfile: Path | None = None
    base_connstr: str = ""
    initial_database: str | None = None
    database_list: DatabaseList = field(default_factory=DatabaseList)
    syslog: bool = True
    syslog_ident: str = "pgqd"
    syslog_facility: str = "daemon"
    check_period: float = 60.0
    retry_period: float = 30.0
    maint_period: float = 120.0
    ticker_period: float = 1.0
    stats_period: float = 30.0
    connection_lifetime: float = 3600.0
    ticker_min_period: float = 0.005
    max_connections: int = 0
    worker_connections: int = 4
    lock_timeout: float = 1.0
    statement_timeout: float = 30.0
    operation_timeout: float = 3600.0
    maint_hours: tuple[int, int] | None = None
    status_socket: Path | None = None
    unhealthy_after: float = 60.0
    metrics_file: Path | None = None
    databases: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Settings of single databases that differ from those above."""

    def of(self, database: str) -> TickerConfig:
        """The settings of one database."""
        own = self.databases.get(database)
        return replace(self, **own) if own else self  # type: ignore[arg-type]


def database_list(value: str) -> DatabaseList:
    """Names by commas; a name may stand in double quotes (a quote in it doubled), `!name` excludes one."""
    only: list[str] = []
    never: set[str] = set()
    position = 0
    while position <= len(value) and value.strip():
        name, excluded, position = _item(value, position)
        if excluded:
            never.add(name)
        else:
            only.append(name)
    return DatabaseList(tuple(dict.fromkeys(only)), frozenset(never))


def _item(value: str, start: int) -> tuple[str, bool, int]:
    while start < len(value) and value[start] == " ":
        start += 1
    excluded = value.startswith("!", start)
    start += excluded
    if not value.startswith('"', start):
        end = value.find(",", start)
        end = len(value) if end < 0 else end
        return value[start:end].strip(), excluded, end + 1
    name, position = "", start + 1
    while True:
        quote = value.find('"', position)
        if quote < 0:
            raise ValueError(f"has a name that lacks its closing quote: {value[start:]}")
        name += value[position:quote]
        if not value.startswith('""', quote):
            break
        name, position = name + '"', quote + 2
    rest = value[quote + 1 :].split(",", 1)[0]
    if rest.strip():
        raise ValueError(f"has {rest.strip()!r} after a quoted name")
    return name, excluded, quote + 1 + len(rest) + 1


def hours(value: str) -> tuple[int, int] | None:
    """`1-5`: from 01:00 to 05:00 by the machine's clock; `22-4` crosses midnight; empty: always."""
    if not value:
        return None
    first, dash, last = value.partition("-")
    if not (dash and first.strip().isdigit() and last.strip().isdigit()) or max(int(first), int(last)) > 24:
        raise ValueError(f"must be hours such as 1-5 or 22-4, not {value!r}")
    return int(first), int(last)


def connection_string(value: str) -> str:
    """A connection string that can be read. The complaint never repeats it, as it may hold a password."""
    try:
        describe(value)
    except UsageError as error:
        raise ValueError(f"is refused: {error}".removesuffix(".")) from None
    return value


def _optional(value: str) -> str | None:
    return value or None


_DEFAULT = TickerConfig()


def _key(name: str, parse: object, help: str, sample: str = "", *, ours: bool = False) -> Key:
    return Key(name, parse, getattr(_DEFAULT, name), help, sample, ours)  # type: ignore[arg-type]


KEYS = (
    _key("logfile", file_name, "Where to log; opened anew at SIGHUP.", "~/log/ticker.log"),
    _key("pidfile", file_name, "The pid file; needed by -d, -s, -k and -r.", "~/pid/ticker.pid"),
    _key("base_connstr", connection_string, "libpq connection string without a database name."),
    _key(
        "initial_database",
        _optional,
        "Database where the list of databases is read; left out: postgres, else template1\n"
        "(a session in template1 is in the way of CREATE DATABASE).",
        "template1",
    ),
    _key(
        "database_list",
        database_list,
        'Names by commas instead of all databases; "quoted, name", and !name leaves one out.',
        "db1, db2",
    ),
    _key("syslog", flag, "Log to syslog too."),
    _key("syslog_ident", text, "Name in syslog."),
    _key("syslog_facility", text, "auth, authpriv, daemon, user, local0 ... local7."),
    _key("check_period", seconds, "Seconds between looks for new databases, and for PgQ in those without it."),
    _key("retry_period", seconds, "Seconds between looks for retry events that are due."),
    _key("maint_period", seconds, "Seconds between maintenance cycles."),
    _key(
        "ticker_period",
        seconds,
        "Greatest distance of two looks at the queues, in seconds. While events come in, looks come as often as the\n"
        "most eager queue needs (its ticker_max_lag, ticker_max_count and rate), down to ticker_min_period.",
    ),
    _key("stats_period", seconds, "Seconds between statistics lines; 0: none."),
    _key("connection_lifetime", seconds, "Ticker connections older than this are opened anew; 0: never."),
    _key(
        "ticker_min_period",
        seconds,
        "Least distance of two looks, in seconds, down to 0.001. Looks take at most a tenth of the time;\n"
        "below 0.005 half of it, for the sake of latency.",
        ours=True,
    ),
    _key(
        "max_connections",
        number,
        "Ticker connections at most; databases above that take turns. 0: a quarter of the server's max_connections.",
        ours=True,
    ),
    _key("worker_connections", number, "Connections at most for maintenance, retry and checks.", ours=True),
    _key("lock_timeout", seconds, "How long a tick or an operation waits for a lock; 0: for ever.", ours=True),
    _key("statement_timeout", seconds, "How long a look or a tick may take; 0: for ever.", ours=True),
    _key("operation_timeout", seconds, "How long a maintenance operation may take; 0: for ever.", ours=True),
    _key(
        "maint_hours",
        hours,
        "Hours in which VACUUM may run, such as 1-5; rotation is never put off. Left out: always.",
        "1-5",
        ours=True,
    ),
    _key("status_socket", file_name, "Socket for --status and --release; left out: PIDFILE.sock.", ours=True),
    _key("unhealthy_after", seconds, "A database that fails for so long makes --status exit 1.", ours=True),
    _key("metrics_file", file_name, "Prometheus text file, for node_exporter's textfile collector.", ours=True),
)

_PER_DATABASE = tuple(
    key
    for key in KEYS
    if key.name
    in {
        "ticker_period", "ticker_min_period", "maint_period", "retry_period", "maint_hours",
        "lock_timeout", "statement_timeout", "operation_timeout",
    }
)  # fmt: skip


def sample_ini() -> str:
    """What --ini prints."""
    return (
        sample(SECTION, KEYS)
        + "\n# Settings of one database.\n"
        + "\n".join(f"#{line}" for line in ("[skyconsole database NAME]", "ticker_period = 0.1"))
        + "\n"
    )


def load(
    path: Path | None, settings: Sequence[str] = (), *, dsn: str | None = None, strict: bool = False
) -> tuple[TickerConfig, tuple[str, ...]]:
    """Read a configuration with its `--set` overrides, and what is worth a warning.

    Without a file everything has its default; `dsn` stands for base_connstr. Raises ConfigError.
    """
    entries = read_ini(path) if path is not None else ()
    main: list[Entry] = []
    single: dict[str, list[Entry]] = {}
    warnings: list[str] = []
    for entry in entries:
        if entry.section == SECTION or entry.section in OUR_SECTIONS:
            main.append(entry)
        elif entry.section.startswith(DATABASE_SECTION):
            single.setdefault(entry.section.removeprefix(DATABASE_SECTION), []).append(entry)
        elif entry.section.startswith("skyconsole "):
            warnings.append(f"{entry.where}: section [{entry.section}] is not the ticker's, ignored")
        else:
            raise ConfigError(f"{entry.where}: unknown section [{entry.section}].", f"The ticker's is [{SECTION}].")
    if dsn is not None:
        main.append(Entry(SECTION, "base_connstr", dsn, "--dsn"))
    main += overrides(settings, SECTION)
    values, found = settle(main, KEYS, strict=strict)
    warnings += found
    databases = {}
    for name, own in single.items():
        chosen, found = settle(own, _PER_DATABASE, strict=strict)
        warnings += found
        given = {entry.key for entry in own}
        databases[name] = {key: value for key, value in chosen.items() if key in given}
    known = {f.name for f in fields(TickerConfig)}
    config = TickerConfig(**{k: v for k, v in values.items() if k in known}, databases=databases)  # type: ignore[arg-type]
    return config, tuple(warnings)
