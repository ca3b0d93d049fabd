"""The command log: what ran, what came of it, what would undo it; kept in memory and, if wanted, in a file.

The file is JSON Lines, one object a command, appended in one write. Read again at the start, it gives back undo
and redo.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path

from ..clock import Clock, SystemClock
from .errors import LanguageError
from .model import Command, Outcome, Risk
from .parse import parse


class Turn(Enum):
    """What a command was to the journal."""

    DO = "do"
    UNDO = "undo"
    REDO = "redo"


@dataclass(frozen=True, slots=True)
class Entry:
    """One command that was run."""

    time: str
    """UTC, ISO 8601, to the millisecond."""
    target: str
    """The database it ran in, as its title says; undo and redo stay within it."""
    turn: str
    """A Turn's value."""
    text: str
    """The command in the language."""
    sql: tuple[str, ...]
    """The statements with their values."""
    ok: bool
    word: str
    rows: int
    seconds: float
    changes: bool
    """It was to change the database, not to look."""
    inverse: str = ""
    """The command that undoes it; empty: none."""
    error: str = ""
    sqlstate: str = ""


class Journal:
    """The log of one console, with undo and redo.

    `undo()` and `redo()` only say which command is due; it takes effect here when its Outcome is recorded.
    Where the file cannot be written, the log goes on in memory and `problem` says so.
    """

    def __init__(
        self, path: Path | None = None, *, target: str = "", clock: Clock | None = None, keep: int = 2000
    ) -> None:
        """Reads the last `keep` entries of the file, if there are any."""
        self._path = path
        self._clock = clock or SystemClock()
        self._keep = keep
        self._entries: list[Entry] = []
        self._done: dict[str, list[Entry]] = {}
        self._undone: dict[str, list[Entry]] = {}
        self._due: tuple[Turn, str, str] | None = None
        self.target = target
        """The database that the next command runs in."""
        self.problem = ""
        """Why the file does not hold the log; empty while it does."""
        for entry in self._load():
            self._keep_entry(entry)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Oldest first."""
        return tuple(self._entries)

    def record(self, outcome: Outcome, *, target: str | None = None) -> Entry | None:
        """Notes what came of a command. A dry run leaves no entry."""
        if outcome.dry_run:
            return None
        text = outcome.command.text()
        place = self.target if target is None else target
        turn = Turn.DO
        if self._due is not None and self._due[1:] == (place, text):
            turn = self._due[0]
        if outcome.command.risk > Risk.LOOK:
            self._due = None
        entry = Entry(
            time=self._clock.now().isoformat(timespec="milliseconds"),
            target=place,
            turn=turn.value,
            text=text,
            sql=tuple(step.preview() for step in outcome.plan.steps),
            ok=outcome.ok,
            word=outcome.word,
            rows=len(outcome.rows),
            seconds=outcome.seconds,
            changes=outcome.command.risk > Risk.LOOK,
            inverse=outcome.plan.inverse.text() if outcome.ok and outcome.plan.inverse is not None else "",
            error=outcome.error,
            sqlstate=outcome.sqlstate,
        )
        self._keep_entry(entry)
        self._append(entry)
        return entry

    def undo(self, *, target: str | None = None) -> Command | None:
        """The command that takes back the last change; None: there is no change, or it cannot be taken back."""
        place = self.target if target is None else target
        done = self._done.get(place)
        return self._next(Turn.UNDO, place, done[-1].inverse) if done else None

    def redo(self, *, target: str | None = None) -> Command | None:
        """The command that was undone last, to be done again; None: there is none."""
        place = self.target if target is None else target
        undone = self._undone.get(place)
        return self._next(Turn.REDO, place, undone[-1].text) if undone else None

    def script(self) -> str:
        """The log as a script of the language; what failed is a comment."""
        return script(self._entries)

    def _next(self, turn: Turn, place: str, text: str) -> Command | None:
        if not text:
            return None
        (command,) = parse(text)
        self._due = (turn, place, command.text())
        return command

    def _keep_entry(self, entry: Entry) -> None:
        self._entries.append(entry)
        del self._entries[: -self._keep]
        if not (entry.ok and entry.changes):
            return
        done = self._done.setdefault(entry.target, [])
        undone = self._undone.setdefault(entry.target, [])
        match Turn(entry.turn):
            case Turn.DO:
                undone.clear()
                done.append(entry)
            case Turn.UNDO:
                if done:
                    undone.append(done.pop())
            case Turn.REDO:
                if undone:
                    undone.pop()
                done.append(entry)

    def _append(self, entry: Entry) -> None:
        if self._path is None:
            return
        line = json.dumps(asdict(entry), ensure_ascii=False) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line.encode("utf-8", "surrogateescape"))
            finally:
                os.close(handle)
        except OSError as error:
            self.problem = f"The command log {self._path} cannot be written: {error.strerror}."
        else:
            self.problem = ""

    def _load(self) -> list[Entry]:
        if self._path is None:
            return []
        try:
            lines = self._path.read_text("utf-8", "replace").removesuffix("\n").split("\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problem = f"The command log {self._path} cannot be read: {error.strerror}."
            return []
        found = [_entry(line) for line in lines[-self._keep :]]
        if None in found:
            self.problem = f"The command log {self._path} has lines that are no entries; they are left out."
        return [entry for entry in found if entry is not None]


def script(entries: Iterable[Entry]) -> str:
    """Entries as a script: each command after a comment that says when it ran; what failed, wholly as a comment."""
    lines: list[str] = []
    for entry in entries:
        verdict = f"{round(entry.seconds * 1000)} ms" if entry.ok else f"failed: {entry.error}"
        lines += _comment(f"{entry.time} {entry.target} {verdict}".replace("  ", " "))
        lines += [entry.text] if entry.ok else _comment(entry.text)
    return "\n".join(lines) + "\n" if lines else ""


def _comment(text: str) -> list[str]:
    return [f"-- {line}" for line in text.splitlines() or [""]]


def _entry(line: str) -> Entry | None:
    """One line of the file; None when it is not an entry whose commands can be read."""
    try:
        found = json.loads(line)
        entry = Entry(**{**found, "sql": tuple(found["sql"])})
        Turn(entry.turn)
        for text in (entry.text, entry.inverse):
            parse(text)
    except (ValueError, TypeError, KeyError, LanguageError):
        return None
    wrong = [one.name for one in fields(Entry) if type(getattr(entry, one.name)).__name__ not in (*_types(one.type),)]
    return None if wrong else entry


def _types(annotation: object) -> tuple[str, ...]:
    name = str(annotation).partition("[")[0]
    return ("float", "int") if name == "float" else (name,)
