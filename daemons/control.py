"""Asking a running daemon: a socket of this machine, one JSON object a line each way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ..engine.errors import SkyError, UnreachableError

LONGEST_PATH = 100
"""Bytes a socket's path may have everywhere."""

ANSWER_SECONDS = 5.0

_NO_REQUEST = "A request is one JSON object with a text under `command`."

Answer = Callable[[Mapping[str, object]], Mapping[str, object]]
"""What a daemon answers a request with. Raises SkyError."""


class NotRunningError(UnreachableError):
    """No process answers at the daemon's socket."""


def socket_path(wanted: Path | None, pidfile: Path | None, identity: str) -> Path:
    """Where a daemon listens: the path wanted, else beside its pid file, else in the runtime folder by its identity."""
    if wanted is not None:
        return wanted.absolute()
    if pidfile is not None:
        beside = pidfile.absolute().with_name(pidfile.name + ".sock")
        if len(os.fsencode(beside)) <= LONGEST_PATH:
            return beside
        identity = str(pidfile.absolute())
    name = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return _runtime_folder() / f"{name}.sock"


def _runtime_folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and Path(base).is_dir():
        return Path(base) / "skyconsole"
    return Path(tempfile.gettempdir()) / f"skyconsole-{os.getuid()}"


class ControlServer:
    """Listens while the daemon runs; only the user it runs as, and root, may connect."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path = path
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen. Raises SkyError when the folder is another user's, OSError when it cannot be written."""
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.name == f"skyconsole-{os.getuid()}" and folder.stat().st_uid != os.getuid():
            raise SkyError(f"The folder {folder} belongs to another user.", "Set status_socket.")
        self.path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, path=str(self.path))
        finally:
            os.umask(old)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), ANSWER_SECONDS)
            writer.write(json.dumps(self._reply(line)).encode() + b"\n")
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            return
        finally:
            writer.close()

    def _reply(self, line: bytes) -> Mapping[str, object]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"refused": _NO_REQUEST}
        if not isinstance(request, dict) or not isinstance(request.get("command"), str):
            return {"refused": _NO_REQUEST}
        try:
            return self._answer(request)
        except SkyError as error:
            return {"refused": str(error)}


def ask(path: Path, request: Mapping[str, object]) -> dict[str, object]:
    """Ask the daemon that listens at `path`. Raises NotRunningError, and SkyError when it refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            received = bytearray()
            while chunk := client.recv(65536):
                received += chunk
        except OSError as error:
            raise NotRunningError(f"No daemon answers at {path}.", "Start it, or name its configuration.") from error
    if not received:
        raise NotRunningError(f"The daemon at {path} hung up without an answer.")
    answer = json.loads(received)
    if not isinstance(answer, dict):
        raise SkyError(f"What listens at {path} is no daemon of ours.")
    if "refused" in answer:
        raise SkyError(str(answer["refused"]))
    return answer
