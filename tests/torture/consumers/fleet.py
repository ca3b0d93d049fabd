"""Real processes that are quickly there: a nursery that has everything imported, and forks a child for each job."""

from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

_NURSERY = Path(__file__).with_name("nursery.py")


class Child:
    """One process."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self._ended = threading.Event()
        self._status = 0

    def ended(self, status: int) -> None:
        """The nursery says that it has ended."""
        self._status = status
        self._ended.set()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    @property
    def is_stopped(self) -> bool:
        """Whether a SIGSTOP holds it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return fields[0] == "T"

    def wait(self, seconds: float) -> int:
        """Its exit code, negative for a signal; fails when it does not end in time."""
        if not self._ended.wait(seconds):
            raise AssertionError(f"process {self.pid} does not end within {seconds} s\n{self.told()}")
        return os.waitstatus_to_exitcode(self._status)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.is_running:
            os.kill(self.pid, number)

    def told(self) -> str:
        """What it wrote."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""


class Fleet:
    """Starts children and learns of their ends; whatever is left ends with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[int, Child] = {}
        self._started: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._nursery = subprocess.Popen(
            [sys.executable, str(_NURSERY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.close()
        self._nursery.wait(10)
        self._listener.join(10)
        self._nursery.stdout.close()

    def start(self, job: dict[str, Any]) -> Child:
        """A child that does this job; one start at a time."""
        assert self._nursery.stdin is not None
        log = self._folder / f"worker{next(self._numbers)}.log"
        self._nursery.stdin.write(json.dumps({**job, "log": str(log)}) + "\n")
        self._nursery.stdin.flush()
        try:
            return self._started.get(timeout=20)
        except queue.Empty:
            raise AssertionError("the nursery forks nothing") from None

    def _listen(self) -> None:
        assert self._nursery.stdout is not None
        for line in self._nursery.stdout:
            told = json.loads(line)
            if "log" in told:
                child = self._children[told["pid"]] = Child(told["pid"], Path(told["log"]))
                self._started.put(child)
            else:
                self._children.pop(told["pid"]).ended(told["status"])
