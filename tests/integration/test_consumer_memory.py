"""A consumer's memory stays flat, however many events lie in a batch, and comes back after a very large one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

_COUNTER = Path(__file__).parent.parent / "bench" / "timers" / "own_counter.py"
_MB = 1_000_000

EVENTS = 50_000

_LARGE = 40
"""Megabytes of an event after which a connection is not kept."""


def _fill(connection: psycopg.Connection, events: int, size: int) -> None:
    """One batch of such events, and one of a single small event before it and after it."""
    connection.execute("select pgq.create_queue('q')")
    connection.execute("select pgq.set_queue_config('q', 'ticker_max_count', '1')")
    connection.execute("select pgq.register_consumer('q', 'bench')")
    for count, length in ((1, 1), (events, size), (1, 1)):
        connection.execute(
            "select count(pgq.insert_event('q', 't', repeat('x', %s))) from generate_series(1, %s)", (length, count)
        )
        connection.execute("select pgq.ticker('q')")


def _drain(dsn: str, kind: str, **settings: object) -> tuple[int, float, float]:
    """Events, and the megabytes by which a consumer's process grew since its first batch: at most, and at its last."""
    command = [sys.executable, str(_COUNTER), dsn, "q", kind, json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["events"], (told["most"] - told["first"]) / _MB, (told["last"] - told["first"]) / _MB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells no memory of processes")
@pytest.mark.parametrize("kind", ["event", "columns"])
def test_a_long_batch_takes_no_more_memory_than_a_short_one(pgq_database: str, kind: str) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as connection:
        _fill(connection, EVENTS, 100)
        events, grew, _ = _drain(pgq_database, kind)
        assert events == EVENTS + 2
        assert grew < 10, f"{grew} MB"
        if kind == "event":
            connection.execute("select pgq.register_consumer_at('q', 'bench', 1)")
            _, grew, _ = _drain(pgq_database, kind, lazy_fetch=0)
            assert grew > 15, "a whole batch in memory is seen by this test"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells no memory of processes")
@pytest.mark.parametrize("prefetch", [False, True])
def test_the_memory_of_a_very_large_event_is_given_back(pgq_database: str, prefetch: bool) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as connection:
        _fill(connection, 1, _LARGE * _MB)
    events, grew, kept = _drain(pgq_database, "event", prefetch=prefetch)
    assert events == 3
    assert grew < 5 * _LARGE, f"{grew} MB"
    assert kept < 15, f"{kept} MB are kept"
