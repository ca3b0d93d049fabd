"""A shop: a database with a queue, and consumers of it as the processes that users start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

COMMAND = (sys.executable, "-m", "skyconsole", "--headless", "consumer")

QUEUE = "[/q] Ünï"
CONSUMER = 'a"b.[red]'

KEEPER = """
import asyncio, logging, os, time
from skyconsole.engine.queue import *

class Keeper(Consumer):
    def process_event(self, db, event):
        db.execute("insert into kept values (%s, %s)", (event.ev_id, event.ev_data))
        if event.ev_data == "say":
            logging.getLogger("shop").warning("said by the user's own module")
        if event.ev_data == "bad":
            raise ValueError("a bad event")
        if event.ev_data == "slow":
            db.execute("select pg_sleep(1.5)")
        if event.ev_data == "for ever":
            time.sleep(60)

class AsyncKeeper(Consumer):
    async def process_event(self, db, event):
        await db.execute("insert into kept values (%s, %s)", (event.ev_id, event.ev_data))
        if event.ev_data == "for ever":
            await asyncio.sleep(60)

class Far(SerialConsumer):
    def process_remote_event(self, db, event, dst):
        dst.execute("insert into kept values (%s, %s)", (event.ev_id, event.ev_data))

class Member(CoopConsumer):
    def process_event(self, db, event):
        db.execute("insert into kept values (%s, %s)", (event.ev_id, event.ev_data))
        if event.ev_data == "for ever":
            time.sleep(60)
"""


def soon(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait until the condition holds; fails after `seconds`, saying what was awaited."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.03)


@dataclass
class ConsumerProcess:
    """A consumer as a process of its own."""

    process: subprocess.Popen[bytes]
    ini: Path
    narration: Path

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 15.0) -> int:
        return self.process.wait(seconds)

    def said(self) -> str:
        return self.narration.read_text("utf-8")


@dataclass
class Shop:
    """A database with a queue whose events are kept in a table, and processes that consume it."""

    dsn: str
    conn: psycopg.Connection[Any]
    folder: Path
    started: list[ConsumerProcess]

    def value(self, query: str, *parameters: object) -> Any:
        row = self.conn.execute(query.encode(), parameters).fetchone()
        return None if row is None else row[0]

    def put(self, *data: str, kind: str = "t", extra1: str | None = None) -> None:
        """One event for each text, then a tick."""
        for text in data:
            self.conn.execute("select pgq.insert_event(%s, %s, %s, %s, null, null, null)", (QUEUE, kind, text, extra1))
        self.tick()

    def tick(self) -> None:
        self.conn.execute("select pgq.force_tick(%s)", (QUEUE,))
        self.conn.execute("select pgq.ticker(%s)", (QUEUE,))

    def kept(self) -> list[str]:
        """What the consumer has kept, in order."""
        return [text for (text,) in self.conn.execute("select data from kept order by id")]

    def working(self) -> bool:
        """Whether the consumer's session has written in a transaction that is open."""
        return bool(
            self.value(
                "select count(*) from pg_stat_activity where application_name = %s and backend_xid is not null",
                CONSUMER,
            )
        )

    def ini(self, lines: str = "", section: str = "consumer", name: str = "job") -> Path:
        path = self.folder / f"{name}.ini"
        own = "consumer_path = .\n" if section == "consumer" else f"dst_db = {self.dsn}\n"
        path.write_text(
            f"[{section}]\nsrc_db = {self.dsn}\nqueue_name = {QUEUE}\nconsumer_name = {CONSUMER}\n"
            f"loop_delay = 0.2\nexception_sleep = 0.2\n{own}{lines}\n",
            "utf-8",
        )
        return path

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        return subprocess.run(
            [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, cwd="/", check=False,
            env=self._environment(),
        )  # fmt: skip

    def start(self, ini: Path, *switches: str, **environment: str) -> ConsumerProcess:
        narration = ini.with_suffix(f".{len(self.started)}.stderr")
        with narration.open("ab") as stderr:
            process = subprocess.Popen(
                [*COMMAND, *switches, str(ini)], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, cwd="/",
                env={**self._environment(), **environment},
            )  # fmt: skip
        self.started.append(ConsumerProcess(process, ini, narration))
        return self.started[-1]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)}


@contextmanager
def open_shop(dsn: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop in this database; its processes are killed at the end."""
    (tmp_path / "shop.py").write_text(KEEPER)
    started: list[ConsumerProcess] = []
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("create table kept (id bigint, data text)")
        conn.execute("select pgq.create_queue(%s)", (QUEUE,))
        try:
            yield Shop(dsn, conn, tmp_path, started)
        finally:
            _end(started, tmp_path)


def _end(started: list[ConsumerProcess], folder: Path) -> None:
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
    for pidfile in folder.glob("*.pid"):
        # One that went to the background, of a test that failed.
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(pidfile.read_text()), signal.SIGKILL)


@pytest.fixture
def shop(pgq_database: str, tmp_path: Path) -> Iterator[Shop]:
    """On our pgq, with CONSUMER registered."""
    with open_shop(pgq_database, tmp_path) as opened:
        opened.conn.execute("select pgq.register_consumer(%s, %s)", (QUEUE, CONSUMER))
        yield opened
