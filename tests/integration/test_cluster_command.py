"""`skyconsole pg`, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.cluster import Cluster


def _pg(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "skyconsole", "pg", *arguments], capture_output=True, text=True, timeout=100, cwd="/"
    )


@pytest.fixture
def data_dir(servers: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = Path(servers.folder, f"command {os.getpid()}")
    monkeypatch.setenv("SKYCONSOLE_PG_DATA", str(place))
    monkeypatch.setenv("SKYCONSOLE_PG_BIN", str(server.cluster.binaries.bindir))
    yield place
    Cluster(place, server.cluster.binaries).remove()


def test_a_started_server_outlives_the_command_until_it_is_stopped(data_dir: Path) -> None:
    nothing = _pg("status")
    assert (nothing.returncode, "running: no" in nothing.stdout) == (3, True)
    assert _pg("dsn").returncode == 1

    started = _pg("start")
    assert started.returncode == 0, started.stderr
    dsn = started.stdout.strip()
    with psycopg.connect(dsn) as conn:
        assert conn.execute("select 1").fetchone() == (1,)
    assert "Made a new cluster" in started.stderr

    again = _pg("start", "--json")
    assert json.loads(again.stdout)["dsn"] == dsn
    assert "running already" in again.stderr
    assert _pg("dsn").stdout.strip() == dsn
    found = _pg("status", "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout)["running"] is True

    stopped = _pg("stop")
    assert (stopped.returncode, stopped.stderr) == (0, "Stopped.\n")
    assert _pg("status").returncode == 3
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)


def test_a_mistake_is_one_sentence_and_no_traceback(servers: Any) -> None:
    crowded = servers.folder / "crowded"
    crowded.mkdir()
    (crowded / "letter.txt").touch()
    done = _pg("start", "--data-dir", str(crowded))
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert "Traceback" not in done.stderr
