"""The sample as a person starts it: a process with an embedded server, which ends cleanly however it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from skyconsole.daemons import fleet

SKYCONSOLE = [sys.executable, "-m", "skyconsole"]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for the sample's servers that the server's account can reach."""
    folder = Path(tempfile.mkdtemp(prefix="skyconsole-demo-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "SKYCONSOLE_PG_DATA": str(home / "data")}


def processes_of(home: Path) -> list[str]:
    """Command lines of all processes that name the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(home) in line:
                found.append(line)
    return found


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def left_behind(home: Path) -> list[str]:
    return [path.name for path in home.iterdir() if path.suffix != ".lock"]


def start(environment: dict[str, str], stdin: int = subprocess.PIPE) -> tuple[subprocess.Popen[str], dict[str, str]]:
    process = subprocess.Popen(
        [*SKYCONSOLE, "--headless", "demo", "--until-eof"],
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["databases"]


def close(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    code = process.wait(30)
    process.stdout.close()
    return code


def test_once_prints_every_screen_with_whole_names_and_leaves_nothing(home: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*SKYCONSOLE, "demo", "--once"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for title in ("OVERVIEW", "QUEUES", "CONSUMERS", "DAEMONS", "EVENTS"):
        assert title in done.stdout
    for queues in fleet.DATABASES.values():
        for queue in queues:
            assert queue.name in done.stdout
            assert all(consumer.name in done.stdout for consumer in queue.consumers)
    for level in ("crit", "warn", "ok", "off"):
        assert f" {level} " in done.stdout
    assert processes_of(home) == []
    assert left_behind(home) == []


def test_the_sample_stops_when_the_one_who_started_it_is_killed(home: Path, environment: dict[str, str]) -> None:
    """The console may die of anything: its end of the pipe closes all the same."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        assert json.loads(parent.stdout.readline())["databases"]
    parent.kill()
    parent.wait(10)
    assert eventually(lambda: processes_of(home) == [])
    assert eventually(lambda: left_behind(home) == [])


PARENT = """
import subprocess, sys
call = [sys.executable, "-m", "skyconsole", "--headless", "demo", "--until-eof"]
subprocess.Popen(call, stdin=subprocess.PIPE, start_new_session=True).wait()
"""


def test_a_killed_sample_is_cleared_by_the_next_and_two_at_once_do_not_meet(
    home: Path, environment: dict[str, str]
) -> None:
    killed, databases = start(environment)
    killed.kill()
    close(killed)
    assert processes_of(home) != [], "its server goes on alone"

    first, again = start(environment)
    assert again == databases, "the same place is used again"
    second, others = start(environment)
    assert set(databases.values()).isdisjoint(others.values())
    assert close(first) == 0

    def finished_tick() -> int:
        with psycopg.connect(others["shop"]) as conn:
            row = conn.execute("select last_tick from pgq.get_consumer_info('clickstream', 'sessions')").fetchone()
            assert row is not None
            return int(row[0])

    before = finished_tick()
    assert eventually(lambda: finished_tick() > before + 2), "it lives on when the other one ends"
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
    close(second)
    assert processes_of(home) == []
    assert left_behind(home) == []
