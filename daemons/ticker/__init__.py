"""`skyconsole --headless ticker [CONFIG]`: ticks and maintains PgQ in all databases of a server.

Takes the place of the original's C ticker with the original's configuration file. Source: spec/ticker.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from ... import __version__
from ...engine.errors import SkyError, UsageError
from ...engine.postgres.connect import resolve_dsn
from ..base import Daemon, complain, parser, refuse_extra, run, send_signal
from ..control import NotRunningError, ask, socket_path
from .config import TickerConfig, load, sample_ini
from .once import run_once
from .server import Ticker, run_ticker

__all__ = ["Ticker", "TickerConfig", "main", "run_ticker"]

STATUS_UNHEALTHY = 1
STATUS_DOWN = 2
"""Exit codes of --status beside 0, for probes: a database fails for too long; no process answers."""


def _parser() -> argparse.ArgumentParser:
    made = parser("ticker", "Ticks and maintains PgQ queues in all databases of a server.")
    made.add_argument(
        "--dsn", help="in place of CONFIG: the server, as DSN, URI or service; default: libpq's variables"
    )
    made.add_argument("--once", action="store_true", help="one pass over all databases, then end")
    made.add_argument("--dry-run", action="store_true", help="with --once: only say what would be done")
    made.add_argument("--release", metavar="DB", help="let the running process leave a database, as for DROP DATABASE")
    made.add_argument("--seconds", type=float, default=60.0, help="with --release: for how long (60)")
    made.epilog = (
        "Exit codes: 0 done, 1 failed, 2 usage, 3 unreachable, or nothing to signal; "
        "--status: 0 healthy, 1 a database fails, 2 no process."
    )
    return made


def main(argv: Sequence[str]) -> int:
    """Run the ticker with these arguments; returns the exit code."""
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
        (switches.version, lambda: f"skyconsole ticker {__version__}\n"),
        (switches.ini, sample_ini),
    ):
        if wanted:
            sys.stdout.write(text())
            return 0
    if switches.dsn is not None and switches.config is not None:
        raise UsageError("--dsn and CONFIG exclude each other.")
    dsn = None if switches.dsn is None else resolve_dsn(switches.dsn)
    path = None if switches.config is None else switches.config.absolute()
    read = partial(load, path, switches.set, dsn=dsn, strict=switches.strict)
    daemon = Daemon("ticker", read, Ticker, partial(_socket, path))
    if switches.stop or switches.kill or switches.reload:
        return send_signal(switches, read()[0])
    if switches.status:
        return _status(_socket(path, read()[0]), as_json=switches.json)
    if switches.release is not None:
        request = {"command": "release", "database": switches.release, "seconds": switches.seconds}
        ask(_socket(path, read()[0]), request)
        sys.stderr.write(f"skyconsole: database {switches.release} is left for {switches.seconds:g} s\n")
        return 0
    if switches.once or switches.dry_run:
        return _once(read()[0], dry_run=switches.dry_run)
    return run(daemon, switches)


def _socket(path: Path | None, config: TickerConfig) -> Path:
    return socket_path(config.status_socket, config.pidfile, f"ticker {path} {config.base_connstr}")


def _once(config: TickerConfig, *, dry_run: bool) -> int:
    def say(line: str) -> None:
        sys.stdout.write(line + "\n")

    return int(asyncio.run(run_once(config, dry_run=dry_run, hour=datetime.now().hour, say=say)))


def _status(path: Path, *, as_json: bool) -> int:
    try:
        status = ask(path, {"command": "status"})
    except NotRunningError as error:
        sys.stderr.write(f"skyconsole: {error}\n")
        return STATUS_DOWN
    if as_json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    else:
        sys.stdout.write(_as_text(status))
    return 0 if status["healthy"] else STATUS_UNHEALTHY


def _as_text(status: dict[str, object]) -> str:
    lines = ["standby: waiting for promotion"] if status["standby"] else []
    if status["error"]:
        lines.append(f"the list of databases cannot be read: {status['error']}")
    databases = status["databases"]
    for one in databases if isinstance(databases, list) else ():
        line = (
            f"{_plain(one['name'])}: {one['state']} since {one['since']}, {one['queues']} queues, {one['ticks']} ticks"
        )
        lines.append(line + (f", {_plain(one['error'])}" if one["error"] else ""))
        for kind in ("failures", "broken_queues"):
            lines += [f"    {_plain(what)}: {_plain(f['error'])} ({f['count']} times)" for what, f in one[kind].items()]
        lines += [
            f"    rotation of queue {_plain(held['queue'])} overdue by {held['overdue']:.0f} s, "
            f"slowest consumer {_plain(held['consumer'] or 'none')}"
            for held in one["held_rotations"]
        ]
        if one["other_ticker"]:
            lines.append(f"    {_plain(one['other_ticker'])}")
    return "\n".join(lines or ["no databases"]) + "\n"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
