"""The original's C ticker on our SQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

pytestmark = pytest.mark.peer


def _pgqd() -> str:
    found = shutil.which("pgqd")
    if found is None:
        if os.environ.get("SKYCONSOLE_TEST_REQUIRE") == "all":
            pytest.fail("the original's pgqd is not installed")
        pytest.skip("the original's pgqd is not installed on this machine")
    return found


@pytest.fixture
def pgqd(each_pgq_database: str, tmp_path: Path) -> Iterator[Path]:
    """The original's ticker at work on our SQL; yields its log."""
    parts = {k: str(v) for k, v in conninfo_to_dict(each_pgq_database).items()}
    name, log = parts.pop("dbname"), tmp_path / "pgqd.log"
    (tmp_path / "pgqd.ini").write_text(
        f"[pgqd]\nbase_connstr = {make_conninfo('', **parts)}\ndatabase_list = {name}\nlogfile = {log}\n"
        "syslog = 0\nticker_period = 0.1\nmaint_period = 0.5\nretry_period = 0.3\nstats_period = 1\n"
    )
    with subprocess.Popen([_pgqd(), "-q", str(tmp_path / "pgqd.ini")], cwd=tmp_path) as process:
        yield log
        process.terminate()


def _soon(condition: object, what: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"not within 20 s: {what}\n{log.read_text() if log.exists() else ''}"
        time.sleep(0.05)


def test_it_ticks_maintains_and_retries(each_pgq_database: str, pgqd: Path) -> None:
    with psycopg.connect(each_pgq_database, autocommit=True) as conn:

        def value(query: str) -> object:
            row = conn.execute(query).fetchone()  # type: ignore[call-overload]
            return row and row[0]

        conn.execute("select pgq.create_queue('q')")
        conn.execute("select pgq.register_consumer('q', 'c')")
        conn.execute("select pgq.set_queue_config('q', 'ticker_max_lag', '0')")
        conn.execute("select pgq.insert_event('q', 't', 'x') from generate_series(1, 5)")

        def batch_of(size: int) -> bool:
            batch = value("select pgq.next_batch('q', 'c')")
            if batch is None:
                return False
            count = value(f"select count(*) from pgq.get_batch_events({batch})")
            if count == 5:
                conn.execute(f"select pgq.event_retry({batch}, ev_id, 0) from pgq.get_batch_events({batch}) limit 1")
            conn.execute(f"select pgq.finish_batch({batch})")
            return count == size

        _soon(lambda: batch_of(5), "the events are ticked", pgqd)
        _soon(lambda: batch_of(1), "the retried event comes back", pgqd)
        conn.execute("select pgq.unregister_consumer('q', 'c')")
        conn.execute("select pgq.set_queue_config('q', 'rotation_period', '0')")
        _soon(lambda: value("select queue_cur_table <> 0 from pgq.queue"), "the queue rotates", pgqd)
        _soon(lambda: "maint: 1" in pgqd.read_text() or "maint: 2" in pgqd.read_text(), "its statistics", pgqd)
    assert "bad pgq version" not in pgqd.read_text()
    assert " ERROR " not in pgqd.read_text()
