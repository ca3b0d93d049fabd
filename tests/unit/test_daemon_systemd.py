"""What a service supervisor is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from skyconsole.daemons.systemd import ServiceNotifier


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


def test_it_says_ready_status_alive_and_stopping(supervisor: socket.socket, tmp_path: Path) -> None:
    notifier = ServiceNotifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.ready()
    notifier.status("two\nlines")
    notifier.alive()
    notifier.reloading()
    notifier.stopping()
    said = [supervisor.recv(1000).decode() for _ in range(5)]
    assert said[:3] == ["READY=1", "STATUS=two lines", "WATCHDOG=1"]
    assert said[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert said[4] == "STOPPING=1"


def test_the_watchdog_is_fed_twice_in_its_time_and_only_by_the_process_it_watches() -> None:
    assert ServiceNotifier({"WATCHDOG_USEC": "10000000"}).watchdog_interval == 5.0
    assert ServiceNotifier({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_interval == 5.0
    assert ServiceNotifier({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}).watchdog_interval is None
    assert ServiceNotifier({}).watchdog_interval is None


def test_without_a_supervisor_or_after_its_end_nothing_happens(tmp_path: Path) -> None:
    ServiceNotifier({}).ready()
    ServiceNotifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
