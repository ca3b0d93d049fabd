"""`skyconsole --headless consumer CONFIG`: runs a consumer class of the user's, or a statement for each row event.

Takes the place of the original's consumer scripts with their configuration files. Source: spec/pgq-clients.md 4, 5, 9.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psycopg

from ... import __version__
from ...engine.errors import SkyError, UsageError
from ...engine.queue.consumer import Consumer
from ...engine.queue.local import LocalConsumer
from ...engine.queue.remote import RemoteConsumer, SerialConsumer
from ..base import Daemon, complain, parser, refuse_extra, run, send_signal
from ..control import NotRunningError, ask, socket_path
from .check import check
from .config import ConsumerConfig, load
from .loading import make_consumer
from .samples import sample_ini
from .service import ConsumerService

__all__ = ["ConsumerConfig", "ConsumerService", "main"]

STATUS_UNHEALTHY = 1
STATUS_DOWN = 2
"""Exit codes of --status beside 0, for probes: the consumer fails for too long; no process answers."""


def _parser() -> argparse.ArgumentParser:
    made = parser("consumer", "Runs a consumer of a PgQ queue.", quiet="log warnings and errors only")
    made.add_argument("--register", action="store_true", help="subscribe to the queue, then end")
    made.add_argument("--unregister", action="store_true", help="give up the subscription, then end")
    made.add_argument("--rewind", action="store_true", help="move the queue's position to the target's, then end")
    made.add_argument("--reset", action="store_true", help="forget the target's position, then end")
    made.add_argument("--resync", action="store_true", help="bring queue and target in step, then end")
    made.add_argument("--check", action="store_true", help="look whether it could work: class, databases, queue")
    made.add_argument("--section", metavar="NAME", help="the section of CONFIG: any, for a class of yours")
    made.epilog = (
        "Exit codes: 0 done, 1 failed, 2 usage, 3 unreachable, or nothing to signal; "
        "--status: 0 healthy, 1 the consumer fails, 2 no process."
    )
    return made


_COMMANDS = ("register", "unregister", "rewind", "reset", "resync", "check", "status", "stop", "kill", "reload")


def main(argv: Sequence[str]) -> int:
    """Run the consumer with these arguments; returns the exit code."""
    compat = "--compat" in argv
    made = _parser()
    try:
        switches = made.parse_args(list(argv))
        refuse_extra(switches)
        return _do(made, switches)
    except SkyError as error:
        return complain(error, compat=compat)


def _do(made: argparse.ArgumentParser, switches: argparse.Namespace) -> int:
    for wanted, text in (
        (switches.help, made.format_help),
        (switches.version, lambda: f"skyconsole consumer {__version__}\n"),
        (switches.ini, partial(sample_ini, switches.section, switches.set)),
    ):
        if wanted:
            sys.stdout.write(text())
            return 0
    chosen = [name for name in _COMMANDS if getattr(switches, name)]
    if len(chosen) > 1:
        raise UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other.")
    if switches.config is None:
        raise UsageError("A consumer needs a configuration file.", "skyconsole --headless consumer --ini shows one.")
    path = switches.config.absolute()
    read = partial(load, path, switches.set, section=switches.section)
    command = chosen[0] if chosen else ""
    if command in ("stop", "kill", "reload"):
        return send_signal(switches, read(for_work=False)[0])
    if command == "status":
        return _status(_socket(path, read(for_work=False)[0]), as_json=switches.json)
    if command == "check":
        return check(_read_aloud(read))
    if command:
        return _command(command, _read_aloud(read))
    if switches.quiet:
        # To the original's scripts it is a level of the log, which -v raises again.
        switches.quiet, switches.verbose = False, switches.verbose or -1
    return run(Daemon("consumer", partial(_load_whole, read), ConsumerService, partial(_socket, path)), switches)


def _load_whole(read: partial[tuple[ConsumerConfig, tuple[str, ...]]]) -> tuple[ConsumerConfig, tuple[str, ...]]:
    """The configuration, once it is sure that a consumer can be made of it."""
    config, warnings = read()
    make_consumer(config)
    return config, warnings


def _read_aloud(read: partial[tuple[ConsumerConfig, tuple[str, ...]]]) -> ConsumerConfig:
    config, warnings = read()
    for warning in warnings:
        sys.stderr.write(f"skyconsole: {warning}\n")
    return config


def _socket(path: Path, config: ConsumerConfig) -> Path:
    return socket_path(config.status_socket, config.pidfile, f"consumer {path} {config.section} {config.job_name}")


def _command(command: str, config: ConsumerConfig) -> int:
    consumer = make_consumer(config)
    try:
        said = _carried_out(command, consumer, config)
    except psycopg.Error as error:
        raise SkyError(f"--{command} failed: {str(error).splitlines()[0]}.") from error
    sys.stderr.write(f"skyconsole: {said}\n")
    return 0


def _carried_out(command: str, consumer: Consumer, config: ConsumerConfig) -> str:
    settings = config.settings
    name = (
        f"{settings.consumer_name}.{settings.subconsumer_name}" if settings.subconsumer_name else settings.consumer_name
    )
    who = f"consumer {_plain(name)} of queue {_plain(settings.queue_name)}"
    match command:
        case "register":
            return f"{who}: registered" if consumer.register() else f"{who}: was registered already"
        case "unregister":
            return f"{who}: unregistered" if consumer.unregister() else f"{who}: was not registered"
        case "rewind" if isinstance(consumer, LocalConsumer | SerialConsumer):
            return consumer.rewind()
        case "reset" if isinstance(consumer, LocalConsumer | RemoteConsumer):
            return consumer.reset()
        case "resync" if isinstance(consumer, RemoteConsumer):
            return consumer.resync()
        case _:
            raise UsageError(f"--{command} means nothing to a {type(consumer).__name__}: its position is in the queue.")


def _status(path: Path, *, as_json: bool) -> int:
    try:
        status = ask(path, {"command": "status"})
    except NotRunningError as error:
        sys.stderr.write(f"skyconsole: {error}\n")
        return STATUS_DOWN
    sys.stdout.write(json.dumps(status, indent=2) + "\n" if as_json else _as_text(status))
    return 0 if status["healthy"] else STATUS_UNHEALTHY


def _as_text(status: dict[str, object]) -> str:
    who = f"{_plain(str(status['consumer_name']))} on {_plain(str(status['queue_name']))}"
    done = f"{status['batches']} batches and {status['events']} events since {status['since']}"
    lines = [f"{who}: {status['state']}, {done}"]
    if status["batch_id"] is not None:
        lines.append(f"    batch {status['batch_id']} is in work")
    if status["error"]:
        lines.append(f"    fails since {status['failed_since']}: {_plain(str(status['error']))}")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
