"""`skyconsole status` and the console without a terminal, where the database or the caller gives nothing."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest
from skyconsole.console.launch import is_terminal
from skyconsole.engine.errors import ExitCode


def test_a_database_behind_a_lock_is_not_reported_as_healthy(pgq_database: str) -> None:
    with psycopg.connect(pgq_database) as blocker:
        blocker.execute("lock table pgq.queue in access exclusive mode")
        done = subprocess.run(
            [sys.executable, "-m", "skyconsole", "status", "--dsn", pgq_database],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == ExitCode.UNHEALTHY
    assert "stale" in done.stdout


@pytest.mark.parametrize("end", ["stdin", "stdout"])
def test_an_end_that_the_caller_closed_is_no_terminal(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, end, None)
    assert not is_terminal()
