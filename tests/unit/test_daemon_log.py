"""The daemons' log: the original's lines, whatever happens to the disk."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from skyconsole.daemons.log import NOISE, DaemonLog, LogFile


@dataclass
class Settings:
    logfile: Path | None = None
    syslog: bool = False
    syslog_ident: str = "test"
    syslog_facility: str = "nonsense"


@pytest.fixture
def log() -> DaemonLog:
    made = DaemonLog("skyconsole.test-log", verbose=2, quiet=True)
    made.logger.handlers.clear()
    return made


def test_lines_have_the_original_form_and_all_its_levels(log: DaemonLog, tmp_path: Path) -> None:
    log.configure(Settings(tmp_path / "l"))
    for level in (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, NOISE):
        log.logger.log(level, "message %d", level)
    lines = (tmp_path / "l").read_text().splitlines()
    form = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] (\w+) message \d+")
    matches = [form.fullmatch(line) for line in lines]
    assert [m and m[1] for m in matches] == ["FATAL", "ERROR", "WARNING", "LOG", "DEBUG", "NOISE"]
    log.close()


def test_further_lines_begin_with_a_tab_and_control_characters_become_question_marks(
    log: DaemonLog, tmp_path: Path
) -> None:
    log.configure(Settings(tmp_path / "l"))
    log.logger.info("[%s] one\ntwo\x1b[31m \x00é \ud800", "d\tb")
    content = (tmp_path / "l").read_text("utf-8")
    assert content.endswith("] LOG [d\tb] one\n\ttwo?[31m ?é \\ud800\n")
    log.close()


def test_a_moved_file_is_followed_by_a_new_one_when_configured_again(log: DaemonLog, tmp_path: Path) -> None:
    log.configure(Settings(tmp_path / "l"))
    log.logger.info("first")
    (tmp_path / "l").rename(tmp_path / "old")
    log.configure(Settings(tmp_path / "l"))
    log.logger.info("second")
    assert "first" in (tmp_path / "old").read_text()
    assert "second" in (tmp_path / "l").read_text()
    with pytest.raises(FileNotFoundError):
        log.configure(Settings(tmp_path / "no such folder" / "l"))
    log.logger.info("third")
    assert "third" in (tmp_path / "l").read_text(), "the old file goes on"
    log.configure(Settings(None))
    log.logger.info("fourth")
    assert "fourth" not in (tmp_path / "l").read_text()
    log.close()


def test_lines_lost_on_a_full_disk_are_counted_when_there_is_room_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = LogFile(Path("/dev/full"))
    for number in range(3):
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "line %d", (number,), None))
    assert handler.lost == 3
    handler.reopen(tmp_path / "l")
    handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "room", (), None))
    handler.close()
    assert (tmp_path / "l").read_text().splitlines() == ["3 log lines were lost: the log could not be written", "room"]
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_file_size_limit_does_not_end_the_process(tmp_path: Path) -> None:
    code = f"""
import logging, resource
from pathlib import Path
from skyconsole.daemons.log import LogFile
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
handler = LogFile(Path({str(tmp_path / "l")!r}))
for number in range(100):
    handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "a line of some length %d", (number,), None))
print(handler.lost)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert int(done.stdout) > 50
    assert (tmp_path / "l").stat().st_size == 1000


def test_the_database_stands_in_brackets_whatever_its_name(log: DaemonLog, tmp_path: Path) -> None:
    log.configure(Settings(tmp_path / "l"))
    about = logging.LoggerAdapter(log.logger, {"database": "50%s [/x]\x07"})
    about.info("no arguments")
    about.info("one %s", "argument")
    lines = (tmp_path / "l").read_text().splitlines()
    assert [line.partition(" LOG ")[2] for line in lines] == ["[50%s [/x]?] no arguments", "[50%s [/x]?] one argument"]
    log.close()
