"""Configuration files in the dialect of the original's Python scripts, with file and line in every complaint.

Sections with defaults, values over several lines, and values that name others. Source: spec/scripts.md 1.2.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .ini import ConfigError, Entry

DEFAULT_SECTION = "DEFAULT"
"""The section whose keys stand in all others."""

DEEPEST = 10
"""How many values may stand inside each other."""

_REFERENCE = re.compile(r"%(?:(%)|\(([^()]*)\)s)?")
_BRACED = re.compile(r"\$(?:(\$)|\{([^{}]*)\})?")
_INLINE_COMMENT = re.compile(r"\s;.*")


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """A file as it is written: every key once in its section, values not yet put together."""

    path: Path
    sections: Mapping[str, Mapping[str, Entry]]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScriptSection:
    """One section with the defaults below it and the settings of the command line above it."""

    entries: tuple[Entry, ...]
    """The section's own keys and those of the command line, values put together."""
    inherited: tuple[Entry, ...]
    """The keys of [DEFAULT] that the section does not set itself."""
    named: frozenset[str]
    """Keys that other values name: they are known for that reason alone."""
    warnings: tuple[str, ...]


def read_script_ini(path: Path) -> ScriptFile:
    """Read a file. A key given twice counts as it stands last, with a warning. Raises ConfigError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 at byte {error.start}.", "Save it as UTF-8.") from error
    return _Reader(path).read(text.splitlines())


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections: dict[str, dict[str, Entry]] = {}
        self.warnings: list[str] = []
        self._section: str | None = None
        self._open: Entry | None = None
        """The key whose value further indented lines continue."""
        self._indent = 0

    def read(self, lines: Iterable[str]) -> ScriptFile:
        for number, line in enumerate(lines, 1):
            text, where = line.strip(), f"{self.path}:{number}"
            indent = len(line) - len(line.lstrip())
            if not text or text[0] in "#;":
                continue
            if self._open is not None and indent > self._indent:
                self._open = replace(self._open, value=f"{self._open.value}\n{text}".lstrip("\n"))
                self.sections[self._open.section][self._open.key] = self._open
            elif text.startswith("["):
                self._begin(text, where)
            else:
                self._indent = indent
                self._add(text, where)
        return ScriptFile(self.path, self.sections, tuple(self.warnings))

    def _begin(self, text: str, where: str) -> None:
        end = text.find("]")
        if end < 2 or text[end + 1 :].strip()[:1] not in ("", "#", ";"):
            raise ConfigError(f"{where}: a section is written [name].")
        self._section, self._open = text[1:end].strip(), None
        if self._section in self.sections:
            self.warnings.append(f"{where}: the section [{self._section}] stands here again, both count")
        self.sections.setdefault(self._section, {})

    def _add(self, text: str, where: str) -> None:
        if self._section is None:
            raise ConfigError(f"{where}: {text!r} stands before the first [section].")
        end = min((at for at in (text.find("="), text.find(":")) if at >= 0), default=0)
        key = text[:end].strip().lower()
        if not key:
            raise ConfigError(f"{where}: expected `key = value`.")
        value = text[end + 1 :].strip()
        if comment := _INLINE_COMMENT.search(value):
            value = value[: comment.start()].strip()
            self.warnings.append(f"{where}: what stands after a blank and ; is taken as a comment")
        if key in self.sections[self._section]:
            self.warnings.append(f"{where}: {key} stands in [{self._section}] before, the last one counts")
        self._open = self.sections[self._section][key] = Entry(self._section, key, value, where)


def builtin_keys(path: Path, service: str) -> dict[str, str]:
    """The keys that every file may name in its values without setting them."""
    absolute = path.absolute()
    return {
        "job_name": absolute.stem,
        "service_name": service,
        "host_name": socket.gethostname(),
        "config_dir": str(absolute.parent),
        "config_file": str(absolute),
    }


def section_of(file: ScriptFile, section: str, overrides: Sequence[Entry] = ()) -> ScriptSection:
    """One section of a file, its values put together; `overrides` count above all. Raises ConfigError."""
    below = file.sections.get(DEFAULT_SECTION, {})
    own = {**file.sections.get(section, {}), **{entry.key: entry for entry in overrides}}
    builtin = builtin_keys(file.path, section)
    values = _Values(file, {**{k: Entry("", k, v, "") for k, v in builtin.items()}, **below, **own})
    entries = tuple(values.settled(entry) for entry in own.values())
    inherited = tuple(values.settled(entry) for key, entry in below.items() if key not in own)
    return ScriptSection(entries, inherited, frozenset(values.named), tuple(values.warnings))


class _Values:
    """Puts values together: `%(key)s`, or `${key}` and `${section:key}` where config_format is 2."""

    def __init__(self, file: ScriptFile, entries: Mapping[str, Entry]) -> None:
        self._file = file
        self._entries = entries
        form = entries.get("config_format")
        if form is not None and form.value not in ("1", "2"):
            raise ConfigError(f"{form.where}: config_format must be 1 or 2, not {form.value!r}.")
        self._braces = form is not None and form.value == "2"
        self.named: set[str] = {"config_format"}
        self.warnings: list[str] = []

    def settled(self, entry: Entry) -> Entry:
        return entry if entry.where == "--set" else replace(entry, value=self._whole(entry, entry, 0))

    def _whole(self, entry: Entry, asked: Entry, depth: int) -> str:
        if depth > DEEPEST:
            raise ConfigError(f"{asked.where}: the values that {asked.key} names stand in each other.")
        sign = "$" if self._braces else "%"

        def put(found: re.Match[str]) -> str:
            doubled, name = found.groups()
            if doubled is not None:
                return sign
            if name is None:
                warning = f"{entry.where}: a single {sign} in {entry.key} is taken as it is; it should be doubled"
                if warning not in self.warnings:
                    self.warnings.append(warning)
                return sign
            return self._whole(self._find(name, entry), asked, depth + 1)

        return (_BRACED if self._braces else _REFERENCE).sub(put, entry.value)

    def _find(self, name: str, entry: Entry) -> Entry:
        section, colon, key = name.rpartition(":") if self._braces else ("", "", name)
        key = key.strip().lower()
        entries = self._file.sections.get(section, {}) if colon else self._entries
        if key not in entries:
            example = "$${name}" if self._braces else "%%(name)s"
            raise ConfigError(
                f"{entry.where}: {entry.key} names {name}, which is no key of this file.",
                f"What is meant for a query is written {example}.",
            )
        if not colon:
            self.named.add(key)
        return entries[key]
