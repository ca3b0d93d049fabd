"""What the whole console costs: its process on a real terminal, watching 1,000 queues and 10,000 consumers.

Run: python tests/bench/console_cpu.py [--seconds 30]. Prints the CPU of the console's process as a share of one core,
on the Queues and the Consumers screen, while nothing moves and while every row moves between two readings.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import psycopg
from monitor_read import INTERVAL, MOVE, database, fill, prepare

TICKS = os.sysconf("SC_CLK_TCK")


class Console:
    """The program on a pseudo-terminal of 140x40 whose output is thrown away."""

    def __init__(self, dsn: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
        self.written = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skyconsole", "--dsn", dsn, "--interval", str(INTERVAL)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )
        os.close(slave)
        self._drain = threading.Thread(target=self._read, daemon=True)
        self._drain.start()

    def _read(self) -> None:
        while self.process.poll() is None:
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.written += len(os.read(self.master, 65536))
                except OSError:
                    return

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def cpu(self) -> float:
        """Seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Resident memory in MB."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        self.press("\x11")
        self.process.wait(10)


def share(console: Console, seconds: float, mover: psycopg.Connection | None) -> float:
    """CPU seconds of the console for each second of the wall."""
    began, before = time.monotonic(), console.cpu()
    while (left := began + seconds - time.monotonic()) > 0:
        if mover is not None:
            mover.execute(MOVE)
        time.sleep(min(left, INTERVAL))
    return (console.cpu() - before) / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    with database(None) as dsn:
        asyncio.run(prepare(dsn))
        fill(dsn, 1000, 10000)
        console = Console(dsn)
        try:
            with psycopg.connect(dsn, autocommit=True) as mover:
                for key, screen in (("2", "Queues"), ("3", "Consumers")):
                    console.press(key)
                    time.sleep(3 * INTERVAL)
                    for moving in (False, True):
                        written = console.written
                        cost = share(console, options.seconds, mover if moving else None)
                        assert console.process.poll() is None, "the console ended"
                        assert console.written > written, "nothing was drawn"
                        print(
                            f"{screen:9} {'every row moves' if moving else 'nothing moves  '} "
                            f"{cost:6.1%} of a core, {console.memory():.0f} MB"
                        )
        finally:
            console.stop()


if __name__ == "__main__":
    main()
