"""The README's guide "write a consumer in ten lines", pasted into a file and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import skyconsole

_README = Path(skyconsole.__file__ or "").parent / "README.md"


def _pasted() -> str:
    found = re.search(r"<!-- consumer guide -->\n```python\n(.*?)```", _README.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_guide_has_ten_lines() -> None:
    assert len([line for line in _pasted().splitlines() if line.strip()]) <= 10


def test_a_pasted_consumer_gets_an_event_and_ends_on_sigterm(pgq_database: str, tmp_path: Path) -> None:
    (tmp_path / "mailer.py").write_text(_pasted(), "utf-8")
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('orders')")
        consumer = subprocess.Popen(
            [sys.executable, "mailer.py"],
            cwd=tmp_path,
            env={**os.environ, "DSN": pgq_database},
            stdout=subprocess.PIPE,
            text=True,
        )
        ticker = subprocess.Popen(
            [sys.executable, "-m", "skyconsole", "--headless", "ticker", "-q", "--dsn", pgq_database], cwd=tmp_path
        )
        try:
            while not conn.execute("select 1 from pgq.get_consumer_info('orders', 'mailer')").fetchone():
                assert consumer.poll() is None
                conn.execute("select pg_sleep(0.05)")
            conn.execute("select pgq.insert_event('orders', 'created', 'order=1')")
            assert consumer.stdout is not None
            assert re.fullmatch(r"\d+ created order=1\n", consumer.stdout.readline())
            consumer.terminate()
            assert consumer.wait(10) == 0
        finally:
            for process in (consumer, ticker):
                process.kill()
                process.wait()
