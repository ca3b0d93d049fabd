"""skyconsole.toml: services, groups, thresholds, theme and interval; what is not understood is refused by line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from platformdirs import user_config_path

from .errors import SkyError, UsageError
from .monitor.pace import checked_interval
from .monitor.thresholds import Limits, Thresholds

FILE_NAME = "skyconsole.toml"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?")
_FACTORS = frozenset({"tick_warn", "tick_crit"})
_PAIRS = (("lag_warn", "lag_crit"), ("tick_warn", "tick_crit"), ("rotation_warn", "rotation_crit"))


@dataclass(frozen=True, slots=True)
class Group:
    """What the services of a group have in common."""

    name: str
    tint: str = ""
    """A colour that marks its screens; empty: none."""
    read_only: bool = False
    """The console starts without the right to change anything."""


PROD = Group("prod", tint="red", read_only=True)


@dataclass(frozen=True, slots=True)
class Service:
    """A database to watch."""

    name: str
    dsn: str = field(repr=False)
    """May hold a password: never shown."""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file, or its defaults."""

    services: Mapping[str, Service] = field(default_factory=lambda: MappingProxyType({}))
    """By name, in the order of the file."""
    groups: Mapping[str, Group] = field(default_factory=lambda: MappingProxyType({"prod": PROD}))
    thresholds: Thresholds = field(default_factory=Thresholds)
    theme: str | None = None
    interval: float = 2.0
    """Seconds between two readings."""
    path: Path | None = None
    """Where it was read; None: there is no file."""

    def group_of(self, service: str) -> Group | None:
        """The group of a service; None: it has none, or is not of this file."""
        known = self.services.get(service)
        return None if known is None else self.groups.get(known.group)

    def thresholds_of(self, service: str) -> Thresholds:
        """The thresholds that hold for a service."""
        return self.thresholds


def default_path() -> Path:
    """Where the file is looked for: the user's configuration directory."""
    return user_config_path("skyconsole") / FILE_NAME


def load_settings(path: str | Path | None = None) -> Settings:
    """Read the file given, or the user's own if it exists.

    Raises UsageError with file and line for anything that is not understood, and when the file given is not there.
    """
    file = default_path() if path is None else Path(path)
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        if path is None:
            return Settings()
        raise UsageError(f"There is no file {file}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} can not be read: {error}.") from error
    return replace(parse_settings(text, str(file)), path=file)


def parse_settings(text: str, file: str = FILE_NAME) -> Settings:
    """The settings that a text says. Raises UsageError with file and line."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The message ends in "(at line 3, column 9)" and does not quote the line, which may hold a password.
        raise UsageError(f"{file} is not TOML: {error}.") from None
    return _Reader(text, file).settings(found)


class _Reader:
    """Turns tables into settings and knows where in the text each key stands."""

    def __init__(self, text: str, file: str) -> None:
        self._lines = text.splitlines()
        self._file = file

    def settings(self, found: Mapping[str, Any]) -> Settings:
        self._known(found, (), ("services", "groups", "thresholds", "theme", "interval"))
        groups = {"prod": PROD}
        for name, table in self._tables(found, "groups"):
            groups[name] = self._group(name, table)
        services = {name: self._service(name, table, groups) for name, table in self._tables(found, "services")}
        interval = self._number(found, (), "interval", 2.0, _seconds)
        try:
            interval = checked_interval(interval)
        except UsageError as error:
            raise self._error((), "interval", error.message, error.hint) from None
        return Settings(
            services=MappingProxyType(services),
            groups=MappingProxyType(groups),
            thresholds=self._thresholds(self._table(found, (), "thresholds")),
            theme=self._text(found, (), "theme") or None,
            interval=interval,
        )

    def _group(self, name: str, table: Mapping[str, Any]) -> Group:
        where = ("groups", name)
        self._known(table, where, ("tint", "read_only"))
        default = PROD if name == PROD.name else Group(name)
        read_only = table.get("read_only", default.read_only)
        if not isinstance(read_only, bool):
            raise self._error(where, "read_only", "read_only must be true or false.")
        return Group(name, self._text(table, where, "tint", default.tint), read_only)

    def _service(self, name: str, table: Mapping[str, Any], groups: Mapping[str, Group]) -> Service:
        where = ("services", name)
        self._known(table, where, ("dsn", "group"))
        group = self._text(table, where, "group")
        if group and group not in groups:
            known = ", ".join(sorted(groups))
            raise self._error(where, "group", f'There is no group "{group}".', f"Known groups: {known}.")
        # Without a DSN the name is that of a service in pg_service.conf.
        return Service(name, self._text(table, where, "dsn") or name, group)

    def _thresholds(self, table: Mapping[str, Any]) -> Thresholds:
        names = tuple(one.name for one in dataclass_fields(Limits))
        where: tuple[str, ...] = ("thresholds",)
        self._known(table, where, (*names, "override"))
        general = self._limits(table, where, Limits())
        overrides = table.get("override", [])
        if not isinstance(overrides, list) or not all(isinstance(one, dict) for one in overrides):
            raise self._error(where, "override", "Overrides are written as [[thresholds.override]].")
        where = ("thresholds", "override")
        for one in overrides:
            self._known(one, where, (*names, "queue", "consumer"))
            if not isinstance(one.get("queue"), str) or not isinstance(one.get("consumer", ""), str):
                raise self._error(where, "queue", "An override names a queue, and if it likes a consumer, as text.")
        # Those of queues first: a consumer's override stands on its queue's.
        queues: dict[str, Limits] = {}
        for one in overrides:
            if "consumer" not in one:
                queues[one["queue"]] = self._limits(one, where, queues.get(one["queue"], general))
        consumers: dict[tuple[str, str], Limits] = {}
        for one in overrides:
            if "consumer" in one:
                key = (one["queue"], one["consumer"])
                base = consumers.get(key) or queues.get(one["queue"], general)
                consumers[key] = self._limits(one, where, base)
        return Thresholds(general, MappingProxyType(queues), MappingProxyType(consumers))

    def _limits(self, table: Mapping[str, Any], where: tuple[str, ...], base: Limits) -> Limits:
        values = {
            one.name: self._number(
                table, where, one.name, getattr(base, one.name), _factor if one.name in _FACTORS else _seconds
            )
            for one in dataclass_fields(Limits)
        }
        limits = Limits(**values)
        for warn, crit in _PAIRS:
            if getattr(limits, warn) > getattr(limits, crit):
                key = warn if warn in table else crit
                raise self._error(where, key, f"{warn} is greater than {crit}.")
        return limits

    def _number(
        self,
        table: Mapping[str, Any],
        where: tuple[str, ...],
        key: str,
        default: float,
        read: Callable[[object], float | None],
    ) -> float:
        if key not in table:
            return default
        value = read(table[key])
        if value is None:
            wanted = "a positive number" if read is _factor else 'a time such as 30, "30s", "5m" or "1h"'
            raise self._error(where, key, f"{key} must be {wanted}.")
        return value

    def _text(self, table: Mapping[str, Any], where: tuple[str, ...], key: str, default: str = "") -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            raise self._error(where, key, f"{key} must be text in quotes.")
        return value

    def _table(self, table: Mapping[str, Any], where: tuple[str, ...], key: str) -> Mapping[str, Any]:
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self._error(where, key, f"{key} must be a table: [{'.'.join((*where, key))}].")
        return value

    def _tables(self, found: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
        outer = self._table(found, (), key)
        return [(name, self._table(outer, (key,), name)) for name in outer]

    def _known(self, table: Mapping[str, Any], where: tuple[str, ...], names: tuple[str, ...]) -> None:
        for key in table:
            if key not in names:
                place = f" in [{'.'.join(where)}]" if where else ""
                raise self._error(where, key, f'The key "{key}"{place} is not known.', f"Known: {', '.join(names)}.")

    def _error(self, where: tuple[str, ...], key: str, message: str, hint: str = "") -> SkyError:
        line = self._line(where, key)
        place = f"{self._file}:{line}" if line else self._file
        return UsageError(f"{place}: {message}", hint)

    def _line(self, where: tuple[str, ...], key: str) -> int:
        """The line on which a key of a table stands, or its table's header; 0: it is written in another way."""
        table: tuple[str, ...] = ()
        header = 0
        for number, line in enumerate(self._lines, start=1):
            stripped = line.strip()
            if stripped.startswith("["):
                table = _names(stripped.strip("[] "))
                if table in (where, (*where, key)):
                    header = number
            elif stripped and not stripped.startswith("#"):
                left = (*table, *_names(stripped.partition("=")[0]))
                if left[: len(where) + 1] == (*where, key):
                    return number
        return header


def _names(text: str) -> tuple[str, ...]:
    """The parts of a dotted key, without their quotes."""
    return tuple(
        plain or quoted.strip("\"'") for quoted, plain in re.findall(r"""("[^"]*"|'[^']*')|([^\s."'\[\]#]+)""", text)
    )


def _seconds(value: object) -> float | None:
    """A duration as a number of seconds or as text with a unit; None if it is neither, or not above 0."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if value > 0 else None
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _UNITS[match[2] or "s"] or None
    return None


def _factor(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
