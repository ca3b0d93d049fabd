"""A pid file belongs to one live process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from skyconsole.daemons.pidfile import PidFile, PidFileError, running_pid


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_it_holds_our_pid_and_is_gone_after(tmp_path: Path) -> None:
    pidfile = PidFile(tmp_path / "p")
    pidfile.acquire()
    assert (tmp_path / "p").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o644
    assert running_pid(tmp_path / "p") == os.getpid()
    assert pidfile.notice == ""
    pidfile.release()
    assert not (tmp_path / "p").exists()


def test_a_second_holder_is_refused(tmp_path: Path) -> None:
    first, second = PidFile(tmp_path / "p"), PidFile(tmp_path / "p")
    first.acquire()
    with pytest.raises(PidFileError, match="another instance running"):
        second.acquire()
    first.release()


def test_a_live_daemon_that_does_not_lock_is_respected(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / "p").write_text(f"{other.pid}\n")
        with pytest.raises(PidFileError, match=f"names process {other.pid}"):
            PidFile(tmp_path / "p").acquire()
        other.communicate(b"\n")


@pytest.mark.parametrize("kind", ["dead", "another kind of program"])
def test_a_stale_file_is_taken_over_with_a_notice(tmp_path: Path, kind: str) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as cat:
        pid = _dead_pid() if kind == "dead" else cat.pid
        (tmp_path / "p").write_text(f"{pid}\n")
        assert running_pid(tmp_path / "p") is None
        pidfile = PidFile(tmp_path / "p")
        pidfile.acquire()
        assert f"of process {pid}" in pidfile.notice
        pidfile.release()
        cat.communicate()


@pytest.mark.parametrize("content", ["", "words\n", "-1\n", "0\n"])
def test_a_file_without_a_pid_is_taken_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "p").write_text(content)
    pidfile = PidFile(tmp_path / "p")
    pidfile.acquire()
    pidfile.release()
    assert running_pid(tmp_path / "p") is None


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PidFileError, match="cannot be made: No such file"):
        PidFile(tmp_path / "none" / "p").acquire()
