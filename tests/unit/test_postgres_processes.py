"""Whose process a pid is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from skyconsole.engine.postgres.processes import PidFile, is_alive, read_pid_file, serves


def test_a_whole_pid_file_is_read(tmp_path: Path) -> None:
    text = "4711\n/data\n1700000000\n5433\n/run/x\n\n  123  4\nready   \n"
    (tmp_path / "postmaster.pid").write_text(text, "utf-8")
    assert read_pid_file(tmp_path) == PidFile(4711, 1700000000.0, 5433, Path("/run/x"))


def test_a_pid_file_being_written_and_one_of_a_stand_alone_backend_are_read(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text("-4711\n/data\n", "utf-8")
    assert read_pid_file(tmp_path) == PidFile(4711)
    (tmp_path / "postmaster.pid").write_text("", "utf-8")
    assert read_pid_file(tmp_path) is None
    assert read_pid_file(tmp_path / "none") is None


def test_a_zombie_and_a_process_that_was_waited_for_are_not_alive() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(child.pid), "ended, but not waited for"
    child.wait()
    assert not is_alive(child.pid)
    assert is_alive(os.getpid())


def test_a_foreign_process_in_the_data_directory_does_not_serve_it(tmp_path: Path) -> None:
    shell = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    try:
        assert not serves(shell.pid, tmp_path)
    finally:
        shell.kill()
        shell.wait()
