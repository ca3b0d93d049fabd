"""A command of the console's language: what it says, what it will run, how risky it is, what undoes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from ..monitor.picture import Picture
from .literal import fill

Row = tuple[object, ...]


class Risk(IntEnum):
    """design/console.md 4.8."""

    LOOK = 0
    REVERSIBLE = 1
    COSTLY = 2
    DESTROYS = 3


@dataclass(frozen=True, slots=True)
class Context:
    """What a command may look at when it plans; captured at the keypress."""

    picture: Picture | None = None
    default_queue: str | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One SQL statement of a plan."""

    sql: str
    """With `%s` placeholders, as psycopg takes it; every statement text comes from sql/."""
    params: tuple[object, ...] = ()
    only_if: str = ""
    """A query without parameters: the step is left out unless its first column is true. Empty: always."""

    def preview(self) -> str:
        """The statement with its values written as SQL literals, ending in `;`, to be shown and copied."""
        return fill(self.sql, self.params).rstrip().rstrip(";") + ";"


@dataclass(frozen=True, slots=True)
class Guard:
    """A fact that must hold in the command's transaction, before its steps run."""

    step: Step
    """Holds when it returns at least one row and the first column of each is true."""
    otherwise: str
    """What is said when it does not hold: one sentence."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Undo:
    """How the inverse is made from what stood in the database just before the command ran."""

    before: Step
    """Read in the command's transaction, after the guards and before the steps."""
    inverse: Callable[[tuple[Row, ...]], Command | None]
    """The rows of `before` to the command that undoes; None: no undo."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command will do, in one transaction unless it only reads."""

    steps: tuple[Step, ...]
    word: str
    """The result word: 'CREATE', 'ALTER', … or '' for a table."""
    title: str = ""
    """Title of the result table."""
    guards: tuple[Guard, ...] = ()
    """Checked in the same transaction, before the steps."""
    effect: tuple[str, ...] = ()
    """Lines that say what it touches: 'destroys 3 event tables', '2 consumers still attached: a, b'."""
    inverse: Command | None = None
    """The command that undoes it; None: no undo. As the picture shows it until the command ran; then exact."""
    undo: Undo | None = None
    """How the executor makes `inverse` exact."""
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    """The result of a plan without steps: a table that needs no server."""


class Command(Protocol):
    """A statement of the language, parsed or built by a key; frozen."""

    @property
    def risk(self) -> Risk: ...
    @property
    def reason(self) -> str:
        """Why it is risky, empty for LOOK."""

    @property
    def confirm_name(self) -> str:
        """The name a person types to confirm a command that destroys; empty otherwise."""

    def text(self) -> str:
        """The command in the language, ending in `;`; parses back to an equal command."""

    def plan(self, context: Context) -> Plan:
        """Pure. Raises SkyError when the context shows that it cannot work (no queue given, unknown name …)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command."""

    command: Command
    plan: Plan
    ok: bool
    word: str
    title: str = ""
    columns: tuple[str, ...] = ()
    rows: Sequence[Row] = ()
    seconds: float = 0.0
    dry_run: bool = False
    locks: tuple[str, ...] = ()
    """Dry run only: 'AccessExclusiveLock on pgq.event_3_0'."""
    changes: tuple[str, ...] = ()
    """Dry run only: 'delete 6 rows from pgq.subscription'."""
    notices: tuple[str, ...] = ()
    error: str = ""
    sqlstate: str = ""
    detail: str = ""
    hint: str = ""
