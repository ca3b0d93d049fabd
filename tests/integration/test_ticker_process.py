"""`skyconsole --headless ticker` as a process: files, switches, signals, log, status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] (FATAL|ERROR|WARNING|LOG|DEBUG|NOISE) .")


def _lines(dsn: str, *more: str) -> str:
    parts = {k: str(v) for k, v in conninfo_to_dict(dsn).items()}
    name = parts.pop("dbname")
    return "\n".join([f"base_connstr = {make_conninfo('', **parts)}", f"database_list = {name}", *more])


def _soon(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def ticks(conn: psycopg.Connection) -> Callable[[], int]:
    """A queue that is always due, and how many ticks it has."""
    conn.execute("select pgq.create_queue('q')")
    conn.execute("update pgq.queue set queue_ticker_max_lag = '0', queue_ticker_idle_period = '0'")

    def count() -> int:
        row = conn.execute("select count(*) from pgq.tick").fetchone()
        assert row is not None
        return int(row[0])

    return count


def test_it_runs_tells_its_statistics_and_stops_gracefully(
    pgq_database: str, ticks: Callable[[], int], ticker_process: Any
) -> None:
    process = ticker_process(_lines(pgq_database, "stats_period = 1"))
    _soon(lambda: ticks() > 2, "ticks")
    _soon(lambda: re.search(r"LOG \{ticks: [1-9]\d*, maint: \d+, retry: \d+\}", process.said()), "statistics")
    process.send(signal.SIGINT)
    assert process.wait() == 0
    assert all(LINE.match(line) for line in process.said().splitlines())


def test_it_loads_neither_textual_nor_prompt_toolkit() -> None:
    code = (
        "import sys; from skyconsole.console.cli import main\n"
        "try: main(['--headless', 'ticker', '--ini'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'textual', 'prompt_toolkit', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/", stdout=subprocess.DEVNULL)


def test_background_signals_status_and_pid_file(
    pgq_database: str, ticks: Callable[[], int], ticker_process: Any, ticker_command: Any, tmp_path: Path
) -> None:
    pidfile, log = tmp_path / "t.pid", tmp_path / "t.log"
    settings = _lines(pgq_database, f"pidfile = {pidfile}", f"logfile = {log}")
    starter = ticker_process(settings, "-d", "-v")
    assert starter.wait() == 0
    _soon(lambda: pidfile.exists() and pidfile.read_text().strip().isdigit() and ticks() > 1, "it ticks")
    pid = int(pidfile.read_text())
    assert pidfile.read_text() == f"{pid}\n"
    assert pid != starter.process.pid
    _soon(lambda: ticker_command("--status", starter.ini).returncode == 0, "a healthy status")
    status = json.loads(ticker_command("--status", "--json", starter.ini).stdout)
    assert [d["state"] for d in status["databases"]] == ["ticking"]
    second = ticker_command(starter.ini)
    assert second.returncode == 1
    assert "another instance running?" in second.stderr

    log.rename(tmp_path / "t.log.1")
    assert ticker_command("-r", starter.ini).returncode == 0
    _soon(lambda: log.exists() and "read again" in log.read_text(), "the log is opened anew")
    assert ticker_command("-s", starter.ini).returncode == 0
    _soon(lambda: not pidfile.exists(), "it ends and removes its pid file")
    assert not os.path.exists(f"/proc/{pid}") or "stopped" in log.read_text()
    assert ticker_command("--status", starter.ini).returncode == 2
    assert ticker_command("-s", starter.ini).returncode == 3
    assert ticker_command("-s", "--compat", starter.ini).returncode == 0


def test_a_stale_pid_file_is_taken_over(pgq_database: str, ticks: Any, ticker_process: Any, tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    pidfile = tmp_path / "t.pid"
    pidfile.write_text(f"{gone.pid}\n")
    process = ticker_process(_lines(pgq_database, f"pidfile = {pidfile}"))
    _soon(lambda: "stale pid file" in process.said(), "it says what it found")
    _soon(lambda: pidfile.read_text() == f"{process.process.pid}\n", "the file names the new process")
    _soon(lambda: ticks() > 1, "it ticks")


@pytest.mark.parametrize(("switches", "code"), [((), 0), (("--compat-signals",), 1)])
def test_sigterm_stops(
    pgq_database: str, ticks: Any, ticker_process: Any, switches: tuple[str, ...], code: int
) -> None:
    process = ticker_process(_lines(pgq_database), *switches)
    _soon(lambda: ticks() > 1, "it ticks")
    process.send(signal.SIGTERM)
    assert process.wait() == code


def test_a_broken_file_at_sighup_is_told_and_the_old_settings_stay(
    pgq_database: str, ticks: Callable[[], int], ticker_process: Any
) -> None:
    process = ticker_process(_lines(pgq_database))
    _soon(lambda: ticks() > 1, "it ticks")
    good = process.ini.read_text()
    process.ini.write_text(good + "ticker_period = soon\n")
    process.send(signal.SIGHUP)
    _soon(lambda: "the old one goes on" in process.said(), "the error is told")
    assert f"{process.ini}:{len(good.splitlines()) + 1}: ticker_period" in process.said()
    before = ticks()
    _soon(lambda: ticks() > before + 1, "it still ticks")
    process.ini.write_text(good + "stats_period = 1\n")
    process.send(signal.SIGHUP)
    _soon(lambda: "was read again" in process.said(), "a good file is taken over")
    assert process.process.poll() is None


def test_sighup_takes_over_every_key(
    pgq_database: str, ticks: Callable[[], int], ticker_process: Any, tmp_path: Path
) -> None:
    process = ticker_process(_lines(pgq_database, "ticker_period = 3600", f"pidfile = {tmp_path / 'a.pid'}"))
    _soon(lambda: (tmp_path / "a.pid").exists() and ticks() > 1, "the first look")
    before = ticks()
    lines = _lines(
        pgq_database, "ticker_period = 0.05", f"pidfile = {tmp_path / 'b.pid'}", f"logfile = {tmp_path / 'l'}"
    )
    process.ini.write_text(f"[pgqd]\nsyslog = 0\n{lines}\n")
    process.send(signal.SIGHUP)
    _soon(lambda: ticks() > before + 3, "the new period counts")
    assert (tmp_path / "b.pid").exists()
    assert not (tmp_path / "a.pid").exists()
    assert "read again" in (tmp_path / "l").read_text()


def test_a_full_disk_under_the_log_does_not_stop_the_ticks(
    pgq_database: str, ticks: Callable[[], int], ticker_process: Any
) -> None:
    process = ticker_process(_lines(pgq_database, "logfile = /dev/full", "ticker_period = 0.1"), "-v", "-v")
    _soon(lambda: ticks() > 5, "it ticks")
    assert "cannot be written: No space left on device" in process.said()
    process.send(signal.SIGINT)
    assert process.wait() == 0


def test_once_does_one_pass_and_a_dry_run_only_tells(
    pgq_database: str, ticks: Callable[[], int], conn: psycopg.Connection, ticker_command: Any, tmp_path: Path
) -> None:
    ini = tmp_path / "once.ini"
    ini.write_text("[pgqd]\n" + _lines(pgq_database) + "\n")
    conn.execute("update pgq.queue set queue_rotation_period = '0'")
    before, told = ticks(), ticker_command("--once", "--dry-run", ini)
    assert told.returncode == 0, told.stderr
    assert "would tick queue q" in told.stdout
    assert "would call pgq.maint_rotate_tables_step1(q)" in told.stdout
    assert ticks() == before
    done = ticker_command("--once", ini)
    assert done.returncode == 0, done.stderr
    assert "did tick queue q: tick 2" in done.stdout
    assert conn.execute("select queue_cur_table from pgq.queue").fetchone() == (1,)


def test_without_a_file_libpq_variables_or_a_dsn_name_the_server(
    pgq_database: str, ticks: Callable[[], int], ticker_command: Any
) -> None:
    told = ticker_command("--once", "--dsn", pgq_database)
    assert told.returncode == 0, told.stderr + told.stdout
    assert ": did tick queue q: tick 2" in told.stdout
    assert "postgres: no pgq here" in told.stdout


def test_mistakes_are_told_with_file_and_line(ticker_command: Any, tmp_path: Path) -> None:
    ini = tmp_path / "t.ini"
    for text, code, said in (
        ("[pgqd]\nticker_period = -1\n", 2, f"{ini}:2: ticker_period must be seconds"),
        ("[other]\nx = 1\n", 2, f"{ini}:2: unknown section [other]"),
        ("ticker_period = 1\n", 2, f"{ini}:1: ticker_period stands before the first [section]"),
    ):
        ini.write_text(text)
        told = ticker_command(ini)
        assert (told.returncode, said in told.stderr) == (code, True), told.stderr
        assert ticker_command("--compat", ini).returncode == 1
    ini.write_text("[pgqd]\nunknown_key = 1\n")
    assert "unknown key unknown_key" in ticker_command("--strict", ini).stderr
    assert ticker_command("--no-such-switch").returncode == 2
    assert ticker_command("-d", ini).returncode == 2
    assert ticker_command("-s", ini).returncode == 2


def test_help_version_and_sample_are_on_stdout(ticker_command: Any, tmp_path: Path) -> None:
    for switch, said in (("-h", "--release"), ("-V", "skyconsole ticker"), ("--ini", "[pgqd]")):
        told = ticker_command(switch)
        assert told.returncode == 0
        assert said in told.stdout


def test_a_failing_database_makes_the_status_unhealthy(
    server: Any, ticker_process: Any, ticker_command: Any, tmp_path: Path
) -> None:
    lines = _lines(server.dsn("there is no such database"), f"pidfile = {tmp_path / 'u.pid'}", "unhealthy_after = 0.3")
    process = ticker_process(lines)
    _soon(lambda: ticker_command("--status", process.ini).returncode == 1, "an unhealthy status")
    assert "there is no such database: error" in ticker_command("--status", process.ini).stdout


def test_a_released_database_can_be_dropped(
    server: Any, ticker_process: Any, ticker_command: Any, tmp_path: Path
) -> None:
    name = server.create_database(server.template_of("pgq"))
    process = ticker_process(_lines(server.dsn(name), f"pidfile = {tmp_path / 'r.pid'}"))

    def sessions() -> int:
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            row = conn.execute("select count(*) from pg_stat_activity where datname = %s", (name,)).fetchone()
            assert row is not None
            return int(row[0])

    _soon(lambda: sessions() > 0, "it is ticked")
    released = ticker_command("--release", name, "--seconds", "30", process.ini)
    assert released.returncode == 0, released.stderr
    _soon(lambda: sessions() == 0, "our sessions are gone")
    server.drop_database(name)
    assert ticker_command("--release", "unknown", process.ini).returncode == 1
