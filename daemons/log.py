"""The log of a daemon: the original's line format, to a file that may be moved or full, to stderr and to syslog."""

from __future__ import annotations

import logging
import os
import sys
import syslog
import time
from pathlib import Path
from typing import Protocol, TextIO, runtime_checkable

NOISE = 5
"""Below DEBUG: every statement of the ticker."""

_LEVELS = {
    logging.CRITICAL: "FATAL",
    logging.ERROR: "ERROR",
    logging.WARNING: "WARNING",
    logging.INFO: "LOG",
    logging.DEBUG: "DEBUG",
    NOISE: "NOISE",
}

_VERBOSITY = {-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG, 2: NOISE}

_PRIORITIES = {
    logging.CRITICAL: syslog.LOG_CRIT,
    logging.ERROR: syslog.LOG_ERR,
    logging.WARNING: syslog.LOG_WARNING,
    logging.INFO: syslog.LOG_INFO,
}

_FACILITIES = {
    "auth": syslog.LOG_AUTH,
    "authpriv": syslog.LOG_AUTHPRIV,
    "daemon": syslog.LOG_DAEMON,
    "user": syslog.LOG_USER,
    **{f"local{n}": getattr(syslog, f"LOG_LOCAL{n}") for n in range(8)},
}

_CONTROL = dict.fromkeys((*range(9), *range(11, 32), 127), "?")


class LogSettings(Protocol):
    """The part of a daemon's configuration that says where its log goes."""

    @property
    def logfile(self) -> Path | None: ...
    @property
    def syslog(self) -> bool: ...
    @property
    def syslog_ident(self) -> str: ...
    @property
    def syslog_facility(self) -> str: ...


@runtime_checkable
class RotatedLog(Protocol):
    """Settings of a log that is renamed to FILE.1 when it is full, FILE.1 to FILE.2, and so on."""

    @property
    def log_size(self) -> int:
        """Bytes after which it is full; 0: never."""

    @property
    def log_count(self) -> int:
        """How many renamed ones are kept."""


class LineFormatter(logging.Formatter):
    """`YYYY-MM-DD HH:MM:SS.mmm TZ [pid] LEVEL message`, further lines begin with a tab. Source: spec/ticker.md 7."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.localtime(record.created)
        stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', moment)}.{int(record.msecs):03d} {moment.tm_zone}"
        return f"{stamp} [{os.getpid()}] {_LEVELS.get(record.levelno, record.levelname)} {message_of(record)}"


def message_of(record: logging.LogRecord) -> str:
    """`[DATABASE] ` if it is of one, message, traceback; control characters become `?`, lines after it get a tab."""
    database = getattr(record, "database", None)
    message = record.getMessage() if database is None else f"[{database}] {record.getMessage()}"
    if record.exc_info:
        message = f"{message}\n{logging.Formatter().formatException(record.exc_info)}"
    return message.rstrip("\n").translate(_CONTROL).replace("\n", "\n\t")


class LogFile(logging.Handler):
    """Appends whole lines to a file; a disk that is full costs lines, which are counted, never the process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.most_bytes = 0
        """When a file is as long as this, it is renamed; 0: never."""
        self.kept = 0
        """How many renamed files are kept."""
        self.lost = 0
        self._descriptor = -1
        self._unfinished = False
        self._open()

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def reopen(self, path: Path | None = None) -> None:
        """Go on in a new file of this name, for log rotation; the old one goes on when that fails. Raises OSError."""
        with self.lock or _NO_LOCK:
            old, old_path = self._descriptor, self.path
            self.path = path or self.path
            try:
                self._open()
            except OSError:
                self.path = old_path
                raise
            os.close(old)

    def emit(self, record: logging.LogRecord) -> None:
        lines = self.format(record) + "\n"
        if self.lost:
            again = logging.LogRecord(
                record.name, logging.WARNING, "", 0, "%d log lines were lost: the log could not be written",
                (self.lost,), None,
            )  # fmt: skip
            lines = self.format(again) + "\n" + lines
        if self._unfinished:
            lines = "\n" + lines
        data = lines.encode("utf-8", "backslashreplace")
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            if self.lost == 0 and sys.stderr is not None:
                sys.stderr.write(f"skyconsole: the log {self.path} cannot be written: {error.strerror}\n")
            self.lost += 1
            return
        if written < len(data):
            self._unfinished = True
            self.lost += 1
        else:
            self._unfinished = False
            self.lost = 0
            if self.most_bytes and self.kept and os.fstat(self._descriptor).st_size >= self.most_bytes:
                self._rotate()

    def _rotate(self) -> None:
        """Rename the full file and those before it; where that cannot be, the file goes on growing."""
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{n}") for n in range(1, self.kept + 1))]
        try:
            for older, newer in reversed(list(zip(names[1:], names[:-1], strict=True))):
                if newer.exists():
                    newer.replace(older)
            self.reopen()
        except OSError as error:
            self.most_bytes = 0
            if sys.stderr is not None:
                sys.stderr.write(f"skyconsole: the log {self.path} cannot be renamed: {error.strerror}\n")

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()


class SystemLog(logging.Handler):
    """The machine's syslog; its own clock and tag stand before our message."""

    def __init__(self, ident: str, facility: str) -> None:
        super().__init__(logging.INFO)
        syslog.openlog(ident, syslog.LOG_PID, _FACILITIES.get(facility.lower(), syslog.LOG_DAEMON))

    def emit(self, record: logging.LogRecord) -> None:
        syslog.syslog(_PRIORITIES.get(record.levelno, syslog.LOG_INFO), message_of(record).replace("\0", "?"))


class Narration(logging.StreamHandler[TextIO]):
    """stderr; a reader that went away is no reason to stop."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _NoLock:
    def __enter__(self) -> None: ...
    def __exit__(self, *details: object) -> None: ...


_NO_LOCK = _NoLock()


class DaemonLog:
    """The handlers of one process, set up from its configuration and set up again when that changes."""

    def __init__(self, name: str, *, verbose: int, quiet: bool) -> None:
        self.logger = logging.getLogger(name)
        self.logger.propagate = False
        self.logger.setLevel(_VERBOSITY[max(-1, min(verbose, 2))])
        self._quiet = quiet
        self._file: LogFile | None = None
        self._system: SystemLog | None = None
        self._narration: Narration | None = None

    def configure(self, settings: LogSettings) -> None:
        """Write where these settings say from now on; a log file is opened anew. Raises OSError."""
        if not self._quiet and self._narration is None:
            self._narration = Narration(sys.stderr)
            self._add(self._narration)
        if settings.logfile is None:
            self._remove(self._file)
            self._file = None
        elif self._file is None:
            self._file = LogFile(settings.logfile)
            self._add(self._file)
        else:
            self._file.reopen(settings.logfile)
        if self._file is not None and isinstance(settings, RotatedLog):
            self._file.most_bytes, self._file.kept = settings.log_size, settings.log_count
        self._remove(self._system)
        self._system = None
        if settings.syslog:
            self._system = SystemLog(settings.syslog_ident, settings.syslog_facility)
            self._add(self._system)

    def silence_stderr(self) -> None:
        """Write nothing to stderr from now on: there is none."""
        self._remove(self._narration)
        self._narration = None
        self._quiet = True

    def close(self) -> None:
        """Let go of all handlers."""
        for handler in (self._file, self._system, self._narration):
            self._remove(handler)
        self._file = self._system = self._narration = None

    def _add(self, handler: logging.Handler) -> None:
        handler.setFormatter(LineFormatter())
        self.logger.addHandler(handler)

    def _remove(self, handler: logging.Handler | None) -> None:
        if handler is not None:
            self.logger.removeHandler(handler)
            handler.close()
