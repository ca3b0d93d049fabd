"""Connection services: the sections of pg_service.conf. Source: PostgreSQL manual, "The Connection Service File"."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# Where the packages of Debian and Red Hat put it; the libpq inside of psycopg's wheel looks in neither.
_SYSTEM_FOLDERS = ("/etc/postgresql-common", "/etc/sysconfig/pgsql", "/etc")


def services() -> tuple[str, ...]:
    """The names of all services of the user and the system, each once, in the order of the files."""
    names: dict[str, None] = {}
    for file in (*_libpq_files(), *_system_files()):
        names.update(dict.fromkeys(_sections(file)))
    return tuple(names)


def hidden_service(name: str) -> Mapping[str, str] | None:
    """The parameters of a service that libpq itself would not find, from the system's file; None otherwise."""
    if any(name in _sections(file) for file in _libpq_files()):
        return None
    for file in _system_files():
        if found := _sections(file).get(name):
            return found
    return None


def _libpq_files() -> tuple[Path, ...]:
    named = os.environ.get("PGSERVICEFILE")
    user = Path(named) if named else Path(os.path.expanduser("~/.pg_service.conf"))
    folder = os.environ.get("PGSYSCONFDIR")
    return (user, Path(folder, "pg_service.conf")) if folder else (user,)


def _system_files() -> tuple[Path, ...]:
    return tuple(Path(folder, "pg_service.conf") for folder in _SYSTEM_FOLDERS)


def _sections(file: Path) -> dict[str, dict[str, str]]:
    try:
        lines = file.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        # libpq, too, passes over a file that is missing or closed to us.
        return {}
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in map(str.strip, lines):
        if line.startswith("[") and line.endswith("]"):
            # The first section of a name counts.
            current = {}
            sections.setdefault(line[1:-1], current)
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            current.setdefault(key, value)
    return sections
