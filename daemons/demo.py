"""`skyconsole --headless demo`: an embedded server with living queues, until it is told to stop.

Prints one line of JSON on standard output when everything runs: `{"databases": {NAME: DSN}, "pid": PID}`.
Leaves nothing: the server is stopped and its files are removed on SIGINT, SIGTERM, and with `--until-eof`
when standard input closes, which it does however the parent ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg

from ..engine.errors import ExitCode, SkyError
from ..engine.postgres.binaries import find_binaries
from ..engine.postgres.cluster import Cluster, default_data_dir
from ..engine.postgres.connect import connect
from ..engine.postgres.modules import install
from . import fleet

SLOTS = 16
"""How many samples may run at once."""

SETTINGS = {
    "fsync": "off",  # the sample's data lives as long as its process
    "synchronous_commit": "off",
    "max_connections": "80",
    "shared_buffers": "32MB",
    "autovacuum_naptime": "20s",
}


@contextlib.contextmanager
def slot(parent: Path) -> Iterator[Path]:
    """A data directory that no other sample uses; what a killed run left there is found by its free lock."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(SLOTS):
        data_dir = parent / f"demo-{number}"
        with open(parent / f"demo-{number}.lock", "a", encoding="ascii") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield data_dir
            return
    raise SkyError(f"{SLOTS} samples run already, with their data in {parent}.", "Stop one of them first.")


async def living(cluster: Cluster, seed: int, stop: asyncio.Event) -> None:
    """Set the databases up, say so, and keep them alive until `stop`."""
    databases = {}
    admin = await connect(cluster.dsn(), application_name="skyconsole-demo")
    async with admin:
        for name in fleet.DATABASES:
            await admin.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
            databases[name] = cluster.dsn(name)
    for name, queues in fleet.DATABASES.items():
        conn = await connect(databases[name], application_name="skyconsole-demo")
        async with conn:
            await install(conn, "pgq")
        await fleet.prepare(databases[name], queues)
    ticking = [asyncio.create_task(_tick(cluster, stop), name="ticker")]
    working = [asyncio.create_task(fleet.run(databases[n], q, seed), name=n) for n, q in fleet.DATABASES.items()]
    ended = asyncio.create_task(stop.wait(), name="stop")
    sys.stdout.write(json.dumps({"databases": databases, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    done, _ = await asyncio.wait([ended, *ticking, *working], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    for task in (ended, *working):
        task.cancel()
    results = await asyncio.gather(*ticking, *working, return_exceptions=True)
    if ended not in done:
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


async def _tick(cluster: Cluster, stop: asyncio.Event) -> None:
    from .ticker import TickerConfig, run_ticker

    await run_ticker(TickerConfig(base_connstr=cluster.dsn()), stop=stop)


async def serve(cluster: Cluster, seed: int, until_eof: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), _read_input, stop)
    await living(cluster, seed, stop)


def _read_input(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="skyconsole --headless demo", description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the sample's servers live")
    parser.add_argument("--seed", type=int, default=7, help="of the producers' random numbers")
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input closes")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = arguments(argv)
    try:
        binaries = find_binaries()
        sys.stderr.write(f"PostgreSQL {binaries.version[0]}.{binaries.version[1]}: {binaries.origin}\n")
        with slot(options.data_dir or default_data_dir().parent) as data_dir:
            cluster = Cluster(data_dir, binaries)
            cluster.remove()
            try:
                cluster.create()
                cluster.start(SETTINGS)
                asyncio.run(serve(cluster, options.seed, options.until_eof))
            finally:
                cluster.remove()
    except SkyError as error:
        sys.stderr.write(f"skyconsole: {error}\n")
        return error.exit_code
    return ExitCode.DONE
