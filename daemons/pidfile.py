"""The pid file of a daemon: created exclusively, locked while the process lives, removed at its end."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from ..engine.errors import SkyError

BECOMING = 0.5
"""Seconds that a process may take to become another program, in which it shows no command line."""


class PidFileError(SkyError):
    """The pid file cannot be made, or another instance holds it."""


class PidFile:
    """Our hold on a pid file (mode 0644, pid and newline)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notice = ""
        """What was found at `acquire`, when it is worth telling."""
        self._descriptor = -1

    def acquire(self) -> None:
        """Create the file, or take over the one a dead process left. Raises PidFileError."""
        self.path = self.path.absolute()
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise PidFileError(f"The pid file {self.path} cannot be made: {error.strerror}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise PidFileError(f"The pid file {self.path} is held: is another instance running?") from error
        old = _parse(os.pread(descriptor, 64, 0))
        if old is not None and old != os.getpid():
            if _is_daemon(old):
                os.close(descriptor)
                raise PidFileError(f"The pid file {self.path} names process {old}: is another instance running?")
            self.notice = f"removed the stale pid file {self.path} of process {old}"
        self._descriptor = descriptor
        self.rewrite()

    def rewrite(self) -> None:
        """Write the pid of the present process (again, after it has become another one)."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise PidFileError(f"The pid file {self.path} cannot be written: {error.strerror}.") from error

    def release(self) -> None:
        """Remove the file."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def running_pid(path: Path) -> int | None:
    """The pid of the live process that a pid file names; None: there is none. Raises PidFileError."""
    try:
        pid = _parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PidFileError(f"The pid file {path} cannot be read: {error.strerror}.") from error
    return pid if pid is not None and _is_daemon(pid) else None


def _parse(content: bytes) -> int | None:
    first = content.split(b"\n", 1)[0].strip()
    return int(first) if first.isdigit() and int(first) > 0 else None


def _is_daemon(pid: int) -> bool:
    """Alive, and not a process of quite another kind that got a dead one's number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    deadline = time.monotonic() + BECOMING
    while True:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
        except OSError:
            return True
        # Without a command line: ended and not yet waited for, a thread of the kernel, or just becoming a program.
        if command or state in (b"Z", b"X") or time.monotonic() > deadline:
            break
        time.sleep(0.005)
    return any(word in command for word in (b"pgqd", b"skyconsole", b"python"))
