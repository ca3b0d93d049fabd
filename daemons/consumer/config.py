"""The configuration of a consumer: the original's keys with the original's defaults, and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ...engine.errors import UsageError
from ...engine.queue.retry import RetryPolicy
from ...engine.queue.settings import ConsumerSettings
from ..ini import ConfigError, Entry, overrides, settle
from ..script_ini import DEFAULT_SECTION, ScriptFile, read_script_ini, section_of
from .keys import ALIASES, KEYS, OPTION_SECTION, SECTIONS, WITHOUT_EFFECT, Kind

REQUIRED: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.CLASS: ("src_db", "queue_name", "consumer_class"),
        Kind.SIMPLE: ("src_db", "dst_db", "queue_name", "dst_query"),
        Kind.SIMPLE_LOCAL: ("src_db", "dst_db", "queue_name", "dst_query", "local_tracking_file"),
    }
)


@dataclass(frozen=True, slots=True)
class SqlRetry:
    """How a statement is tried again after its connection was lost. Source: spec/scripts.md 1.3."""

    enabled: bool = False
    max_count: int = 10
    max_time: float = 300.0
    """Seconds over all tries."""
    formula_a: float = 1.0
    formula_b: float = 5.0
    formula_cap: float = 60.0

    def seconds(self, tries: int) -> float:
        """How long to wait after so many failed tries."""
        return min(self.formula_cap, self.formula_a + self.formula_b * tries)


@dataclass(frozen=True, slots=True)
class QuietErrors:
    """Which exceptions are only warned of while the trouble is young; times in seconds. Source: spec/scripts.md 1.3."""

    names: frozenset[str] = frozenset()
    """Class names, or ALL."""
    grace: float = 300.0
    reset: float = 900.0


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """Everything a consumer's process can be told. Times in seconds. Source: spec/pgq-clients.md 4, 5 and 9."""

    kind: Kind
    section: str
    job_name: str
    src_db: str
    dst_db: str | None
    settings: ConsumerSettings
    consumer_class: str = ""
    consumer_path: tuple[Path, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    """What the class is given by name when it is made: the keys of the section [consumer options]."""
    dst_query: str = ""
    sql_retry: SqlRetry = field(default_factory=SqlRetry)
    quiet: QuietErrors = field(default_factory=QuietErrors)
    logfile: Path | None = None
    log_size: int = 10 * 1024 * 1024
    """Bytes after which the log is renamed; 0: never."""
    log_count: int = 3
    pidfile: Path | None = None
    syslog: bool = False
    syslog_ident: str = "skyconsole"
    syslog_facility: str = "daemon"
    status_socket: Path | None = None
    metrics_file: Path | None = None
    unhealthy_after: float = 300.0


def load(
    path: Path, settings: Sequence[str] = (), *, section: str | None = None, for_work: bool = True
) -> tuple[ConsumerConfig, tuple[str, ...]]:
    """Read a configuration with its `--set` overrides, and what is worth a warning. Raises ConfigError.

    Unknown keys are refused. Without `for_work` only the process's own keys need be there, to signal it.
    """
    file = read_script_ini(path)
    name = _section_name(file, section)
    # A section of another name is that of a script of the user's own.
    kind = SECTIONS.get(name, Kind.CLASS)
    chosen = section_of(file, name, overrides(settings, name))
    known = {key.name for key in KEYS[kind]}
    entries, warnings = _entries(chosen.inherited, known, chosen.named, strict=False)
    own, more = _entries(chosen.entries, known, chosen.named, strict=True)
    values, _ = settle((*entries, *own), KEYS[kind], strict=True)
    if for_work:
        _require(path, name, kind, values)
    options = {e.key: e.value for e in section_of(file, OPTION_SECTION).entries} if kind is Kind.CLASS else {}
    config = _made(path, name, kind, values, options)
    return config, (*file.warnings, *chosen.warnings, *warnings, *more)


def _section_name(file: ScriptFile, wanted: str | None) -> str:
    found = [name for name in SECTIONS if name in file.sections]
    if wanted is not None:
        if wanted not in file.sections:
            raise ConfigError(f"{file.path}: there is no section [{wanted}].")
        return wanted
    if not found:
        others = ", ".join(f"[{name}]" for name in file.sections if name != DEFAULT_SECTION) or "no section"
        raise ConfigError(f"{file.path}: no consumer is configured here, there is {others}.", _sections_hint())
    if len(found) > 1:
        raise ConfigError(
            f"{file.path}: {' and '.join(f'[{name}]' for name in found)} are both consumers.",
            "Name one with --section.",
        )
    return found[0]


def _sections_hint() -> str:
    return f"A consumer's section is one of {', '.join(f'[{name}]' for name in SECTIONS)}."


def _entries(
    entries: Sequence[Entry], known: set[str], named: frozenset[str], *, strict: bool
) -> tuple[list[Entry], list[str]]:
    """Those that we know, by their newest names; without `strict` the unknown ones are left out."""
    kept: list[Entry] = []
    warnings: list[str] = []
    for entry in entries:
        if entry.key in WITHOUT_EFFECT:
            if entry.value not in ("", "0"):
                warnings.append(f"{entry.where}: {entry.key} has no effect: {WITHOUT_EFFECT[entry.key]}")
        elif entry.key in known or (strict and entry.key not in named):
            kept.append(entry)
    # The old spelling wins when both are there, so it comes last.
    kept.sort(key=lambda entry: entry.key in ALIASES)
    return kept, warnings


def _require(path: Path, section: str, kind: Kind, values: Mapping[str, object]) -> None:
    given = {new: values[old] for old, new in ALIASES.items() if values[old]}
    for name in REQUIRED[kind]:
        if values[name] in (None, "") and name not in given:
            raise ConfigError(f"{path}: [{section}] lacks {name}.", "skyconsole --headless consumer --ini explains it.")
    tracking = values.get("local_tracking_file")
    if isinstance(tracking, Path) and not tracking.parent.is_dir():
        raise ConfigError(f"{path}: local_tracking_file: path does not exist: {tracking.parent}.")


def _made(
    path: Path, section: str, kind: Kind, values: Mapping[str, object], options: Mapping[str, str]
) -> ConsumerConfig:
    value = cast(dict[str, Any], dict(values))
    for old, new in ALIASES.items():
        value[new] = value[old] or value[new]
    job_name = value["job_name"] or path.absolute().stem
    try:
        settings = ConsumerSettings(
            value["queue_name"] or "",
            value["consumer_name"] or job_name,
            lazy_fetch=value["pgq_lazy_fetch"],
            autocommit=value["pgq_autocommit"],
            min_count=value["pgq_batch_collect_events"] or None,
            min_interval=value["pgq_batch_collect_interval"],
            min_lag=value["pgq_keep_lag"],
            table_filter=value["table_filter"],
            consumer_filter=value["consumer_filter"] or None,
            keepalive_stats=value["keepalive_stats"],
            loop_delay=value["loop_delay"],
            exception_sleep=value["exception_sleep"],
            connection_lifetime=value["connection_lifetime"],
            stop_timeout=value["stop_timeout"],
            prefetch=value["prefetch"],
            listen=value["listen"],
            on_error=value["on_error"],
            retry=RetryPolicy(
                first=value["retry_first"],
                factor=value["retry_factor"],
                most=value["retry_most"],
                jitter=value["retry_jitter"],
                attempts=value["retry_attempts"],
            ),
            subconsumer_name=value.get("subconsumer_name") or None,
            subconsumer_timeout=value.get("subconsumer_timeout"),
            local_tracking_file=value.get("local_tracking_file"),
        )
    except UsageError as error:
        raise ConfigError(f"{path}: [{section}] {error.message}", error.hint) from error
    retry = {name: value[f"sql_retry_{name}"] for name in SqlRetry.__dataclass_fields__ if f"sql_retry_{name}" in value}
    return ConsumerConfig(
        kind,
        section,
        job_name,
        _with_extra(value["src_db"], value["src_db_extra_connstr"]),
        _with_extra(value["dst_db"], value["dst_db_extra_connstr"]) or None,
        settings,
        consumer_class=value.get("consumer_class", ""),
        consumer_path=tuple(path.absolute().parent / folder for folder in value.get("consumer_path", ())),
        options=MappingProxyType(dict(options)),
        dst_query=value.get("dst_query", ""),
        sql_retry=SqlRetry(value.get("sql_retry", False), **retry),
        quiet=QuietErrors(frozenset(value["exception_quiet"]), value["exception_grace"], value["exception_reset"]),
        logfile=value["logfile"],
        log_size=value["log_size"],
        log_count=value["log_count"],
        pidfile=value["pidfile"],
        syslog=value["syslog"],
        syslog_ident=value["syslog_ident"] or job_name,
        syslog_facility=value["syslog_facility"],
        status_socket=value["status_socket"],
        metrics_file=value["metrics_file"],
        unhealthy_after=value["unhealthy_after"],
    )


def _with_extra(dsn: str, extra: str) -> str:
    return make_conninfo(dsn, **conninfo_to_dict(extra)) if dsn and extra else dsn
