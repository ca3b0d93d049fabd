"""Configuration files in the original C daemon's strict INI dialect, with file and line in every complaint."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import UsageError

MOST_INCLUDES = 10
"""How deep files may include each other."""


class ConfigError(UsageError):
    """A configuration file cannot be read, or a line of it is not what we accept."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key = value` line."""

    section: str
    key: str
    value: str
    where: str
    """ "FILE:LINE", or "--set"."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key a daemon knows: how its value is read, what it is when left out, and a sentence of help."""

    name: str
    parse: Callable[[str], object]
    """Raises ValueError with the end of the sentence "KEY ..."."""
    default: object
    help: str
    sample: str = ""
    """The value shown, commented out, by --ini; empty: the default."""
    ours: bool = False
    """The original does not know this key."""


def read_ini(path: Path) -> tuple[Entry, ...]:
    """All entries of a file and of those it includes, in order. Raises ConfigError.

    Whole lines of comment begin with `#` or `;`; a value goes to the end of its line, blanks trimmed, with no
    quoting, no continuation and no interpolation; `%include FILE` reads another file. Source: spec/ticker.md 3.
    """
    return tuple(_entries(path, 0))


def _entries(path: Path, depth: int) -> Iterable[Entry]:
    if depth > MOST_INCLUDES:
        raise ConfigError(f"{path}: more than {MOST_INCLUDES} files include each other.")
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 at byte {error.start}.", "Save it as UTF-8.") from error
    section = ""
    for number, raw in enumerate(text.split("\n"), 1):
        line, where = raw.strip(), f"{path}:{number}"
        if not line or line[0] in "#;":
            continue
        if line.startswith("%include"):
            target = Path(line.removeprefix("%include").strip()).expanduser()
            if target == Path():
                raise ConfigError(f"{where}: %include names no file.")
            included = tuple(_entries(path.parent / target, depth + 1))
            yield from included
            section = included[-1].section if included else section
        elif line.startswith("["):
            if not line.endswith("]") or not line[1:-1].strip():
                raise ConfigError(f"{where}: a section is written [name].")
            section = line[1:-1].strip()
        else:
            key, equals, value = line.partition("=")
            if not equals or not key.strip():
                raise ConfigError(f"{where}: expected `key = value`.")
            if not section:
                raise ConfigError(f"{where}: {key.strip()} stands before the first [section].")
            yield Entry(section, key.strip(), value.strip(), where)


def settle(
    entries: Sequence[Entry], keys: Collection[Key], *, strict: bool = False
) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """The value of every key, and what is worth a warning: unknown keys, unless `strict`, which refuses them.

    Later entries win. Raises ConfigError.
    """
    known = {key.name: key for key in keys}
    values = {key.name: key.default for key in keys}
    warnings = []
    for entry in entries:
        key = known.get(entry.key)
        if key is None:
            complaint = f"{entry.where}: unknown key {entry.key} in [{entry.section}]"
            if strict:
                raise ConfigError(f"{complaint}.", "Known are: " + ", ".join(sorted(known)) + ".")
            warnings.append(f"{complaint}, ignored")
            continue
        try:
            values[key.name] = key.parse(entry.value)
        except ValueError as error:
            raise ConfigError(f"{entry.where}: {entry.key} {error}.") from error
    return values, tuple(warnings)


def overrides(settings: Iterable[str], section: str) -> tuple[Entry, ...]:
    """The entries of `--set key=value` options. Raises ConfigError."""
    found = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {setting}: expected key=value.")
        found.append(Entry(section, key.strip(), value.strip(), "--set"))
    return tuple(found)


def sample(section: str, keys: Iterable[Key]) -> str:
    """A configuration file that says every key with its default, commented out."""
    lines = [f"[{section}]"]
    for key in keys:
        lines += ["", *(f"# {line}" for line in key.help.split("\n"))]
        if key.ours:
            lines.append("# (not known to the original)")
        lines.append(f"#{key.name} = {key.sample or _shown(key.default)}".rstrip())
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def seconds(value: str) -> float:
    """Non-negative decimal seconds."""
    message = f"must be seconds such as 0.5 or 60, not {value!r}"
    if not value.replace(".", "", 1).isascii() or not value.replace(".", "", 1).isdigit():
        raise ValueError(message)
    return float(value)


def number(value: str) -> int:
    """A non-negative whole number."""
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"must be a whole number, not {value!r}")
    return int(value)


def flag(value: str) -> bool:
    """0 or 1, also as yes/no, on/off, true/false."""
    lowered = value.lower()
    if lowered in ("1", "yes", "on", "true"):
        return True
    if lowered in ("0", "no", "off", "false"):
        return False
    raise ValueError(f"must be 0 or 1, not {value!r}")


def text(value: str) -> str:
    """Any text."""
    return value


def file_name(value: str) -> Path | None:
    """A file name, `~` and `~user` expanded; empty: none."""
    if not value:
        return None
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"names the home of nobody we know: {value!r}") from error
