"""The processes of a server, known by the data directory they work in, and the postmaster.pid that names the first."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class PidFile:
    """What postmaster.pid says; later lines may be missing. Source: PostgreSQL manual, "Database File Layout"."""

    pid: int
    started: float | None = None
    port: int = 5432
    socket_dir: Path | None = None


def read_pid_file(data_dir: Path) -> PidFile | None:
    """The parsed postmaster.pid, or None when there is none, or none that names a process."""
    try:
        lines = (data_dir / "postmaster.pid").read_text("utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return None
    lines += [""] * (8 - len(lines))
    try:
        # A negative number is a stand-alone backend's.
        pid = abs(int(lines[0]))
    except ValueError:
        return None
    return PidFile(
        pid,
        float(lines[2]) if lines[2].strip().isdigit() else None,
        int(lines[3]) if lines[3].strip().isdigit() else 5432,
        Path(lines[4]) if lines[4].startswith("/") else None,
    )


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie that nobody has waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        state = (_PROC / str(pid) / "stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        # Gone since, or a system without /proc.
        return not _PROC.joinpath("self").exists()
    return bool(state) and state[0] not in "ZX"


def serves(pid: int, data_dir: Path) -> bool:
    """Whether the process is a living PostgreSQL process of this data directory.

    A pid alone proves nothing: after a crash or a restart of the machine it may be anybody's. Each process of a
    server has the data directory as its working directory.
    """
    if pid <= 0 or not is_alive(pid):
        return False
    try:
        return os.path.samefile(_PROC / str(pid) / "cwd", data_dir) and _is_postgres(pid)
    except FileNotFoundError:
        return False
    except PermissionError:
        return _started_for(pid, data_dir)


def _is_postgres(pid: int) -> bool:
    name = (_PROC / str(pid) / "comm").read_text("utf-8", errors="replace").strip()
    return name in ("postgres", "postmaster")


def _started_for(pid: int, data_dir: Path) -> bool:
    # The working directory of another account's process is hidden from us, its arguments are not.
    try:
        arguments = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return Path(os.fsdecode(arguments[0])).name.startswith("postgres") and os.fsencode(data_dir) in arguments


def server_processes(data_dir: Path) -> tuple[int, ...]:
    """All living PostgreSQL processes of this data directory, the first included, in ascending order."""
    pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()) if _PROC.is_dir() else ()
    return tuple(sorted(pid for pid in pids if _serves_now(pid, data_dir)))


def _serves_now(pid: int, data_dir: Path) -> bool:
    try:
        return serves(pid, data_dir)
    except OSError:
        # It ended while we looked.
        return False


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal these processes; those that have ended since are left out. Raises PermissionError."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_gone(pids: Iterable[int], data_dir: Path, seconds: float) -> bool:
    """Wait until none of these serves the data directory; False when some still does after so many seconds."""
    deadline = time.monotonic() + seconds
    waiting = list(pids)
    while waiting := [pid for pid in waiting if _serves_now(pid, data_dir)]:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True
