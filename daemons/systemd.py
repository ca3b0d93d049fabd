"""Telling systemd how we are: readiness, reloading, stopping and the watchdog, over its datagram socket."""

from __future__ import annotations

import os
import socket
import time


class ServiceNotifier:
    """Sends to $NOTIFY_SOCKET; does nothing where there is none."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        self._address = variables.get("NOTIFY_SOCKET", "")
        micros = variables.get("WATCHDOG_USEC", "")
        pid = variables.get("WATCHDOG_PID", "")
        mine = not pid or pid == str(os.getpid())
        self.watchdog_interval = int(micros) / 2_000_000 if micros.isdigit() and mine else None
        """Seconds between two signs of life; None: nobody waits for them."""

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def status(self, line: str) -> None:
        self._send("STATUS=" + line.replace("\n", " "))

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message.encode(), address)
            except (ConnectionError, FileNotFoundError, BlockingIOError):
                return
