"""One PostgreSQL cluster on this machine: created, started, stopped and described. Sockets only, no port to clash."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.conninfo import make_conninfo

from .account import Account, server_account
from .binaries import Binaries
from .creation import SUPERUSER, make_cluster, make_folders, server_environment
from .failures import ClusterError, no_way_in, not_readable, not_writable, server_failure
from .places import default_data_place, reachable_binaries, release_socket_dir, remove_stale_sockets, socket_dir
from .processes import PidFile, is_alive, read_pid_file, send, server_processes, serves, wait_gone
from .refusals import unreachable

__all__ = ["Cluster", "ClusterError", "ClusterStatus", "cluster_major", "default_data_dir"]

_LOG_LIMIT = 16 * 1024 * 1024
_LOCK_WAIT = 120.0
_ORPHANS_WAIT = 2.0
_NOT_YET = "57P03"
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# The background job of a shell that ends: the server belongs to init, survives us and leaves no zombie with us.
_LAUNCH = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What a data directory holds and whether a server works in it. `major` is None when there is no cluster."""

    data_dir: Path
    major: int | None
    running: bool
    pid: int | None = None
    started: datetime | None = None
    socket_dir: Path | None = None
    port: int | None = None
    log: Path | None = None


def default_data_dir() -> Path:
    """The data directory when none is given; places.default_data_place also says when it is not the usual one."""
    return default_data_place().path


def cluster_major(data_dir: Path) -> int | None:
    """The major version that made this data directory, None when it holds no cluster. Raises ClusterError."""
    try:
        text = (data_dir / "PG_VERSION").read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise not_readable(data_dir, error) from error
    try:
        return int(text.partition(".")[0])
    except ValueError:
        raise ClusterError(f'{data_dir}/PG_VERSION holds "{text}", which is no version.') from None


class Cluster:
    """A data directory and the programs that work on it. Safe to call from any thread.

    Every call raises ClusterError, or another SkyError, with what to do about it.
    """

    def __init__(self, data_dir: Path, binaries: Binaries) -> None:
        self.data_dir = Path(os.path.realpath(data_dir))
        self.binaries = binaries

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.data_dir / "server.log"

    def status(self) -> ClusterStatus:
        """What is there now."""
        major = cluster_major(self.data_dir)
        if major is None:
            return ClusterStatus(self.data_dir, None, running=False)
        pid_file = self._pid_file()
        if pid_file is None or not serves(pid_file.pid, self.data_dir):
            return ClusterStatus(self.data_dir, major, running=False, log=self.log)
        started = datetime.fromtimestamp(pid_file.started, UTC) if pid_file.started else None
        folder, port = pid_file.socket_dir, pid_file.port
        return ClusterStatus(self.data_dir, major, True, pid_file.pid, started, folder, port, self.log)

    def dsn(self, dbname: str = "postgres", user: str | None = None) -> str:
        """How to connect, as a libpq connection string; of a stopped cluster, how it will be."""
        status = self.status()
        host = status.socket_dir or socket_dir(self.data_dir, self._account(), make=False)
        return make_conninfo("", host=str(host), port=status.port or 5432, dbname=dbname, user=user or SUPERUSER)

    def create(self, *, options: Sequence[str] = ()) -> bool:
        """Make the cluster with initdb; False when it is there already. `options` are passed to initdb."""
        with self._lock():
            if self._holds_cluster():
                return False
            account = self._account()
            make_cluster(self.data_dir, reachable_binaries(self.binaries, account), account, options)
            return True

    def start(self, settings: Mapping[str, str] | None = None, *, timeout: float = 60.0) -> bool:
        """Start the server and wait until it accepts connections; False when it was running already.

        `settings` go on top of postgresql.conf. `timeout` in seconds covers recovery after a crash.
        """
        with self._lock():
            if not self._holds_cluster():
                raise ClusterError(f"{self.data_dir} holds no database cluster.", "Create it first.")
            status = self.status()
            if status.running and status.pid:
                self._wait_ready(status.pid, timeout)
                return False
            account = self._account()
            binaries = reachable_binaries(self.binaries, account)
            if not account.may_enter(self.data_dir):
                raise no_way_in(self.data_dir, account)
            folder = socket_dir(self.data_dir, account)
            self._clear_leftovers(folder)
            self._wait_ready(self._launch(binaries, account, _arguments(folder, settings or {})), timeout)
            return True

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast", *, timeout: float = 60.0) -> bool:
        """Stop the server and wait until it has ended; False when none was running."""
        with self._lock():
            status = self.status()
            pid = status.pid
            if pid is None:
                return False
            try:
                send([pid], _SIGNALS[mode])
            except PermissionError as error:
                raise ClusterError(f"The server of {self.data_dir} (pid {pid}) is not yours to stop.") from error
            if not wait_gone([pid], self.data_dir, timeout):
                raise ClusterError(
                    f"The server of {self.data_dir} (pid {pid}) has not stopped within {timeout:.0f} s.",
                    f"See {self.log}; the mode immediate does not wait for sessions.",
                )
            if status.socket_dir is not None:
                release_socket_dir(status.socket_dir, self.data_dir)
            return True

    def kill(self) -> None:
        """Kill every process of the server at once, as a power cut would. For tests."""
        deadline = time.monotonic() + 30
        while pids := server_processes(self.data_dir):
            send(pids, signal.SIGKILL)
            if not wait_gone(pids, self.data_dir, 5) and time.monotonic() > deadline:
                raise ClusterError(f"Processes {pids} of {self.data_dir} survive SIGKILL.")

    def remove(self) -> None:
        """End the server at once and delete the cluster with everything in it, its socket folder and its lock."""
        with self._lock():
            self.kill()
            if self.data_dir.exists():
                release_socket_dir(socket_dir(self.data_dir, self._account(), make=False), self.data_dir)
                try:
                    shutil.rmtree(self.data_dir)
                except OSError as error:
                    raise ClusterError(f"{self.data_dir} could not be deleted ({error}).") from error
            (self.data_dir.parent / self._lock_name).unlink(missing_ok=True)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the server's log; empty when there is none."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 64 * 1024))
                return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _holds_cluster(self) -> bool:
        """True when a cluster of our version stands there, False when one may be made there."""
        major = cluster_major(self.data_dir)
        if major is None:
            try:
                occupied = self.data_dir.exists() and any(self.data_dir.iterdir())
            except OSError as error:
                raise not_readable(self.data_dir, error) from error
            if occupied:
                raise ClusterError(
                    f"{self.data_dir} is not empty and holds no database cluster.", "Choose another folder."
                )
            return False
        if major != self.binaries.version[0]:
            raise ClusterError(
                f"{self.data_dir} was made by PostgreSQL {major}, but {self.binaries.bindir} holds PostgreSQL "
                f"{self.binaries.version[0]}.",
                f"Set SKYCONSOLE_PG_BIN to the bin folder of PostgreSQL {major}, choose another folder, "
                "or bring the data over with pg_upgrade.",
            )
        owner, us = self.data_dir.stat().st_uid, os.geteuid()
        if us not in (0, owner):
            raise ClusterError(f"{self.data_dir} belongs to another user.", "Only its owner may start a server on it.")
        if us == owner == 0:
            raise ClusterError(
                f"{self.data_dir} belongs to root, and PostgreSQL does not run as root.",
                "Give it to the account that shall run the server, with chown -R.",
            )
        return True

    def _account(self) -> Account:
        try:
            return server_account(self.data_dir.stat().st_uid)
        except FileNotFoundError:
            return server_account()
        except OSError as error:
            raise not_readable(self.data_dir, error) from error

    def _pid_file(self) -> PidFile | None:
        try:
            return read_pid_file(self.data_dir)
        except OSError as error:
            raise not_readable(self.data_dir, error) from error

    @property
    def _lock_name(self) -> str:
        return f".{self.data_dir.name[:200]}.lock"

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One process and thread at a time creates, starts or stops; the second then finds it done."""
        descriptor = self._acquire_lock()
        try:
            yield
        finally:
            os.close(descriptor)

    def _acquire_lock(self) -> int:
        deadline = time.monotonic() + _LOCK_WAIT
        while True:
            descriptor = self._open_lock_file()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"Another process has been starting or stopping {self.data_dir} for {_LOCK_WAIT:.0f} s."
                    ) from None
                time.sleep(0.05)
                continue
            # A lock file whose last owner removed it with the cluster guards nothing any more.
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)

    def _open_lock_file(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            make_folders(self.data_dir.parent)
            return os.open(self.data_dir.parent / self._lock_name, flags, 0o600)
        except OSError as beside:
            try:
                # The folder around it is not ours, so the folder itself carries the lock.
                return os.open(self.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise not_writable(self.data_dir.parent, beside) from beside
            except OSError:
                raise not_readable(self.data_dir, beside) from beside

    def _clear_leftovers(self, sockets: Path) -> None:
        """Make way after an earlier run that was killed.

        Its backends may still be at work and hold the shared memory: they are given time to notice, then ended. A
        pid file whose number now belongs to a foreign process would stop the server from starting.
        """
        for patience, number in ((_ORPHANS_WAIT, signal.SIGQUIT), (_ORPHANS_WAIT, signal.SIGKILL), (10.0, None)):
            orphans = server_processes(self.data_dir)
            if wait_gone(orphans, self.data_dir, patience):
                break
            if number is None:
                raise ClusterError(f"Processes {orphans} of an earlier server of {self.data_dir} do not end.")
            send(orphans, number)
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        remove_stale_sockets(sockets)

    def _launch(self, binaries: Binaries, account: Account, arguments: Sequence[str]) -> int:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_name(f"{self.log.name}.1"))
        done = subprocess.run(
            ["/bin/sh", "-c", _LAUNCH, "sh", self.log, binaries.postgres, "-D", self.data_dir, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=server_environment(self.data_dir),
            umask=0o077,
            start_new_session=True,
            **account.identity,
        )
        if not done.stdout.strip().isdigit():
            raise server_failure(f"The server of {self.data_dir} did not start", done.stderr, self.data_dir)
        return int(done.stdout)

    def _wait_ready(self, pid: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        refused = ""
        while is_alive(pid):
            if self.status().running:
                try:
                    psycopg.connect(self.dsn(), connect_timeout=5, application_name="skyconsole").close()
                except psycopg.OperationalError as error:
                    refusal = unreachable(error, str(self.data_dir))
                    # A refusal for any other reason than "not yet" shows that it is up: pg_hba.conf is its owner's.
                    if refusal.sqlstate not in (None, _NOT_YET):
                        return
                    refused = refusal.message
                else:
                    return
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"The server of {self.data_dir} accepts no connections after {timeout:.0f} s. {refused}".rstrip(),
                    f"It may still be recovering: see {self.log}.",
                )
            time.sleep(0.03)
        raise server_failure(f"The server of {self.data_dir} did not start", self.log_tail(), self.data_dir, self.log)


def _arguments(sockets: Path, settings: Mapping[str, str]) -> list[str]:
    every = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "logging_collector": "off",
        "log_destination": "stderr",
        **settings,
    }
    return [part for name, value in every.items() for part in ("-c", f"{name}={value}")]
