"""What was typed before: one file for the pane and the REPL, in the form of prompt_toolkit's FileHistory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ...engine.clock import Clock, SystemClock

_SECRET = re.compile(r"\b(?:pg)?passw(?:or)?d\b|://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)


class History:
    """Texts that were run, newest last. One that names a password is not kept anywhere.

    Where the file cannot be read or written, the history goes on in memory and `problem` says so.
    """

    def __init__(self, path: Path | None = None, *, clock: Clock | None = None, keep: int = 5000) -> None:
        """Without a path, or before `load`, it begins empty. `keep` is the number of texts that are remembered."""
        self._path = path
        self._clock = clock or SystemClock()
        self._keep = keep
        self._texts: list[str] = []
        self.problem = ""
        """Why the file does not hold the history; empty while it does."""

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self._texts)

    def load(self) -> None:
        """Reads the file, if there is one."""
        if self._path is None:
            return
        try:
            written = self._path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return
        except OSError as error:
            self.problem = f"The history {self._path} cannot be read: {error.strerror}."
            return
        self._texts = list(_entries(written))[-self._keep :]

    def append(self, text: str) -> None:
        """Remembers a text that was run, unless it repeats the last one, is blank or names a password."""
        text = text.strip()
        if not text or has_secret(text) or (self._texts and self._texts[-1] == text):
            return
        self._texts.append(text)
        del self._texts[: -self._keep]
        if self._path is None:
            return
        lines = "".join(f"+{line}\n" for line in text.split("\n"))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, f"\n# {self._clock.now()}\n{lines}".encode("utf-8", "surrogateescape"))
            finally:
                os.close(handle)
        except OSError as error:
            self.problem = f"The history {self._path} cannot be written: {error.strerror}."

    def ghost(self, text: str) -> str:
        """What would complete the text to the newest one that begins with it; empty when there is none."""
        if not text.strip():
            return ""
        return next((old[len(text) :] for old in reversed(self._texts) if old.startswith(text) and old != text), "")

    def search(self, part: str) -> Iterator[str]:
        """The texts that hold the part, newest first, each once."""
        part = part.casefold()
        return iter(dict.fromkeys(old for old in reversed(self._texts) if part in old.casefold()))

    def starting(self, prefix: str) -> list[str]:
        """The texts that begin with the prefix, newest first, each once."""
        return list(dict.fromkeys(old for old in reversed(self._texts) if old.startswith(prefix) and old != prefix))


def has_secret(text: str) -> bool:
    """The text names a password, alone or in a connect string."""
    return _SECRET.search(text) is not None


def default_path() -> Path:
    """Where a person's history is kept."""
    from platformdirs import user_state_path

    return user_state_path("skyconsole") / "history"


def _entries(written: str) -> Iterator[str]:
    lines: list[str] = []
    for line in (*written.split("\n"), ""):
        if line.startswith("+"):
            lines.append(line[1:])
        elif lines:
            yield "\n".join(lines)
            lines = []
