"""A ticker for the tests: inside the test's own loop, or as the process that users start."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from skyconsole.daemons.ticker import Ticker, TickerConfig
from skyconsole.daemons.ticker.config import DatabaseList
from skyconsole.daemons.ticker.record import DatabaseRecord
from skyconsole.engine.clock import Clock

Starting = Callable[..., Ticker]
Until = Callable[..., Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Waits until an (asynchronous) condition holds; fails after `seconds`, saying what was awaited."""

    async def wait(condition: Callable[[], object], what: str, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
            await asyncio.sleep(0.02)

    return wait


def base_of(dsn: str) -> tuple[str, str]:
    """A DSN without its database's name, and that name."""
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    name = parts.pop("dbname")
    return make_conninfo("", **parts), name


def config_for(*dsns: str, **settings: object) -> TickerConfig:
    """A ticker's configuration for these databases of one server."""
    bases = [base_of(dsn) for dsn in dsns]
    chosen = {"check_period": 0.3, "maint_period": 0.5, "retry_period": 0.3, "syslog": False, **settings}
    names = DatabaseList(tuple(name for _, name in bases))
    return TickerConfig(base_connstr=bases[0][0], database_list=names, **chosen)  # type: ignore[arg-type]


@pytest.fixture
def configured() -> Callable[..., TickerConfig]:
    """`config_for`, as a fixture."""
    return config_for


@pytest_asyncio.fixture
async def ticking() -> AsyncIterator[Starting]:
    """Starts tickers in the test's loop; they are stopped at its end."""
    running: list[tuple[asyncio.Event, asyncio.Task[None]]] = []

    def start(config: TickerConfig, clock: Clock | None = None) -> Ticker:
        ticker, stop = Ticker(config, clock), asyncio.Event()
        running.append((stop, asyncio.create_task(ticker.run(stop))))
        return ticker

    yield start
    for stop, _ in running:
        stop.set()
    for _, task in running:
        async with asyncio.timeout(20):
            await task


@pytest.fixture
def record_of() -> Callable[[Ticker, str], DatabaseRecord | None]:
    """The record of the database with this DSN."""

    def find(ticker: Ticker, dsn: str) -> DatabaseRecord | None:
        return next((r for r in ticker.records if r.name == base_of(dsn)[1]), None)

    return find


@dataclass
class TickerProcess:
    """A ticker as a process of its own."""

    process: subprocess.Popen[bytes]
    ini: Path
    narration: Path

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 15.0) -> int:
        return self.process.wait(seconds)

    def said(self) -> str:
        return self.narration.read_text("utf-8")


COMMAND = (sys.executable, "-m", "skyconsole", "--headless", "ticker")


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A ticker's command that ends by itself."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, cwd="/", check=False
    )


@pytest.fixture
def ticker_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`call`, as a fixture."""
    return call


@pytest.fixture
def ticker_process(tmp_path: Path) -> Iterator[Callable[..., TickerProcess]]:
    """Starts `skyconsole --headless ticker` on a file with these lines; killed at the end if it still runs."""
    started: list[TickerProcess] = []

    def start(lines: str, *switches: str, name: str = "ticker") -> TickerProcess:
        ini = tmp_path / f"{name}.ini"
        ini.write_text(f"[pgqd]\nsyslog = 0\n{lines}\n", "utf-8")
        narration = tmp_path / f"{name}.stderr"
        with narration.open("ab") as stderr:
            process = subprocess.Popen(
                [*COMMAND, *switches, str(ini)], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, cwd="/",
                env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            )  # fmt: skip
        started.append(TickerProcess(process, ini, narration))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


@pytest.fixture
def ticks_in() -> Callable[[str], Awaitable[int]]:
    """How many ticks a database has."""

    async def count(dsn: str) -> int:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            row = await (await conn.execute("select count(*) from pgq.tick")).fetchone()
            assert row is not None
            return int(row[0])

    return count
