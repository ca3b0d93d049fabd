"""What every daemon shares: switches, configuration, signals, pid file, log, control socket and the process's life."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NoReturn, Protocol, TypeVar, runtime_checkable

from .. import __version__
from ..engine.errors import ExitCode, SkyError, UsageError
from .control import ControlServer
from .log import DaemonLog, LogSettings
from .pidfile import PidFile, running_pid
from .systemd import ServiceNotifier

STOP_SECONDS = 5.0
"""How long a graceful stop waits for running statements."""

NOT_RUNNING = 3
"""Exit code of -s, -k and -r when no process was found."""


class Settings(LogSettings, Protocol):
    """The part of a daemon's configuration that its process needs."""

    @property
    def pidfile(self) -> Path | None: ...


C = TypeVar("C", bound=Settings)
C_contra = TypeVar("C_contra", bound=Settings, contravariant=True)


class Service(Protocol[C_contra]):
    """What a daemon does, apart from being a process."""

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Work until `stop` is set, finish what is running, return; `ready` is called once the work goes on."""

    def reconfigure(self, config: C_contra) -> None:
        """Go on with these settings."""

    def answer(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Answer a request of the control socket. Raises SkyError."""

    def summary(self) -> str:
        """One line for the service supervisor."""


@runtime_checkable
class Finishing(Protocol):
    """A service that at SIGINT ends what it has in hand, however long that takes, as the original's scripts do."""

    def finish(self) -> None:
        """Return from `run` as soon as the work in hand is done."""


@dataclass(frozen=True, slots=True)
class Daemon(Generic[C]):
    """A kind of daemon, for `run`."""

    name: str
    load: Callable[[], tuple[C, tuple[str, ...]]]
    """Reads the configuration, with warnings. Raises UsageError. Called again at SIGHUP."""
    make: Callable[[C], Service[C]]
    socket: Callable[[C], Path]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}.", f"See {self.prog} --help.")


def parser(name: str, description: str, *, quiet: str = "nothing to stderr") -> argparse.ArgumentParser:
    """The switches that all daemons know, as users of the original know them."""
    made = _Parser(f"skyconsole --headless {name}", description=description, add_help=False, allow_abbrev=False)
    made.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="configuration file")
    made.add_argument("-h", "--help", action="store_true", help="this text")
    made.add_argument("-V", "--version", action="store_true", help="the version")
    made.add_argument("--ini", action="store_true", help="a sample configuration")
    made.add_argument("-d", "--daemon", action="store_true", help="run in the background")
    made.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice: every statement")
    made.add_argument("-q", "--quiet", action="store_true", help=quiet)
    made.add_argument("-s", "--stop", action="store_true", help="stop the running process gracefully (SIGINT)")
    made.add_argument("-k", "--kill", action="store_true", help="stop the running process at once (SIGTERM)")
    made.add_argument("-r", "--reload", action="store_true", help="let the running process re-read its file (SIGHUP)")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting above the file's")
    made.add_argument("--strict", action="store_true", help="refuse unknown keys instead of warning")
    made.add_argument("--compat", action="store_true", help="exit codes as the original's")
    made.add_argument("--compat-signals", action="store_true", help="SIGTERM stops at once with exit code 1")
    made.add_argument("--status", action="store_true", help="how the running process is")
    made.add_argument("--json", action="store_true", help="with --status: as JSON")
    return made


def complain(error: SkyError, *, compat: bool) -> int:
    """Tell an error on stderr; returns the exit code."""
    sys.stderr.write(f"skyconsole: {error}\n")
    return int(ExitCode.FAILED if compat else error.exit_code)


def send_signal(switches: argparse.Namespace, settings: Settings) -> int:
    """Do what -s, -k or -r ask for; returns the exit code. Raises SkyError."""
    number = signal.SIGINT if switches.stop else signal.SIGTERM if switches.kill else signal.SIGHUP
    if settings.pidfile is None:
        raise UsageError("No pidfile is configured, so the running process is not known.", "Set pidfile.")
    pid = running_pid(settings.pidfile)
    if pid is None:
        sys.stderr.write(f"skyconsole: no process runs under {settings.pidfile}\n")
        return 0 if switches.compat else NOT_RUNNING
    try:
        os.kill(pid, number)
    except OSError as error:
        raise SkyError(f"Process {pid} cannot be signalled: {error.strerror}.") from error
    sys.stderr.write(f"skyconsole: {number.name} sent to process {pid}\n")
    return 0


def run(daemon: Daemon[C], switches: argparse.Namespace) -> int:
    """Be the daemon until it is told to stop; returns the exit code. Raises SkyError before the work begins."""
    config, warnings = daemon.load()
    log = DaemonLog(f"skyconsole.{daemon.name}", verbose=switches.verbose, quiet=switches.quiet)
    if switches.daemon and config.pidfile is None:
        raise UsageError("A background daemon needs a pid file.", "Set pidfile.")
    if switches.daemon and config.logfile is None and not config.syslog:
        raise UsageError("A background daemon needs a log.", "Set logfile, or syslog = 1.")
    pidfile = PidFile(config.pidfile) if config.pidfile else None
    if pidfile:
        pidfile.acquire()
    try:
        try:
            log.configure(config)
        except OSError as error:
            raise SkyError(f"The log {config.logfile} cannot be written: {error.strerror}.") from error
        if switches.daemon:
            log.silence_stderr()
            detach()
            if pidfile:
                pidfile.rewrite()
        if pidfile and pidfile.notice:
            log.logger.warning("%s", pidfile.notice)
        for warning in warnings:
            log.logger.warning("%s", warning)
        process = _Process(daemon, config, log, pidfile, abrupt=switches.compat_signals)
        try:
            return asyncio.run(process.live())
        finally:
            pidfile = process.pidfile
    finally:
        log.close()
        if pidfile:
            pidfile.release()


def detach() -> None:
    """Go to the background: a new session, no terminal, stdin, stdout and stderr on /dev/null."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)


class _Process(Generic[C]):
    """A daemon's process: signals in, exit code out."""

    def __init__(self, daemon: Daemon[C], config: C, log: DaemonLog, pidfile: PidFile | None, *, abrupt: bool) -> None:
        self._daemon = daemon
        self._config = config
        self._log = log
        self.pidfile = pidfile
        self._abrupt = abrupt
        self._service = daemon.make(config)
        self._notifier = ServiceNotifier()
        self._exit_code = 0
        self._is_finishing = False

    async def live(self) -> int:
        logger = self._log.logger
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        logger.info("skyconsole %s %s starts", self._daemon.name, __version__)
        server = ControlServer(self._daemon.socket(self._config), self._service.answer)
        try:
            await server.start()
        except (OSError, SkyError) as error:
            logger.warning("no status socket: %s", error)
        work = asyncio.create_task(self._service.run(stop, self._ready))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_stop, number, stop, work)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        watchdog = asyncio.create_task(self._watch())
        try:
            await self._until_done(work, stop)
        finally:
            watchdog.cancel()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)
                # The process is about to end: one more signal must not spoil its exit code.
                signal.signal(number, signal.SIG_IGN)
            await server.stop()
        logger.info("skyconsole %s stopped", self._daemon.name)
        return self._exit_code

    async def _until_done(self, work: asyncio.Task[None], stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not work.done():
            self._notifier.stopping()
            done, _ = await asyncio.wait({work}, timeout=STOP_SECONDS)
            if not done:
                self._log.logger.warning("statements still run after %g s: they are cancelled", STOP_SECONDS)
                work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            return
        except SkyError as error:
            self._log.logger.critical("%s", error)
            self._exit_code = int(error.exit_code)
        except Exception:
            self._log.logger.critical("the work ended by an error of the program", exc_info=True)
            self._exit_code = int(ExitCode.FAILED)

    def _ready(self) -> None:
        self._notifier.ready()

    def _on_stop(self, number: signal.Signals, stop: asyncio.Event, work: asyncio.Task[None]) -> None:
        if number == signal.SIGINT and not stop.is_set() and not self._is_finishing:
            self._is_finishing = isinstance(self._service, Finishing)
            if isinstance(self._service, Finishing):
                self._log.logger.info("%s: stopping when the work in hand is done", number.name)
                self._notifier.stopping()
                self._service.finish()
                return
        again = stop.is_set() or (self._is_finishing and number == signal.SIGINT)
        at_once = again or (self._abrupt and number == signal.SIGTERM)
        if (self._abrupt and number == signal.SIGTERM) or (again and self._is_finishing):
            self._exit_code = 1
        self._log.logger.info("%s: stopping%s", number.name, " at once" if at_once else "")
        stop.set()
        if at_once:
            work.cancel()

    def _on_reload(self) -> None:
        logger = self._log.logger
        self._notifier.reloading()
        try:
            config, warnings = self._daemon.load()
            self._move_pidfile(config)
            self._log.configure(config)
        except (SkyError, OSError) as error:
            logger.error("the configuration is not taken over, the old one goes on: %s", error)
        else:
            for warning in warnings:
                logger.warning("%s", warning)
            self._config = config
            self._service.reconfigure(config)
            logger.info("the configuration was read again")
        self._notifier.ready()

    def _move_pidfile(self, config: C) -> None:
        old = self.pidfile.path if self.pidfile else None
        if config.pidfile is None or (old is not None and config.pidfile.absolute() == old):
            return
        fresh = PidFile(config.pidfile)
        fresh.acquire()
        if self.pidfile:
            self.pidfile.release()
        self.pidfile = fresh

    async def _watch(self) -> None:
        interval = self._notifier.watchdog_interval
        while True:
            await asyncio.sleep(interval or 30.0)
            self._notifier.alive()
            self._notifier.status(self._service.summary())


def refuse_extra(switches: argparse.Namespace) -> None:
    """Refuse combinations that mean nothing. Raises UsageError."""
    chosen: Sequence[str] = [name for name in ("stop", "kill", "reload", "status") if getattr(switches, name)]
    if len(chosen) > 1:
        raise UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other.")
