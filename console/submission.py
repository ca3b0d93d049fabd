"""What a person asked to be done, planned: which commands, how they are confirmed, what the preview says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import assert_never

from ..engine.language.model import Command, Context, Plan, Risk
from .shown import typable


class Origin(Enum):
    """Where a submission comes from; the journal moves differently for each."""

    DO = "do"
    UNDO = "undo"
    REDO = "redo"


class Ask(Enum):
    """How a person is asked before anything runs. Source: design/console.md 4.8."""

    NOTHING = "nothing"
    ENTER = "enter"
    """A preview; one Enter runs it."""
    DIALOG = "dialog"
    """A preview; the focus is on Cancel."""
    TYPE = "type"
    """A preview; the name, or the count, must be typed."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A command with the plan it had when it was asked for."""

    command: Command
    plan: Plan


@dataclass(frozen=True, slots=True)
class Submission:
    """Commands that run in order and stop at the first failure, with all that was known at the keypress."""

    planned: tuple[Planned, ...]
    context: Context
    source: str
    taken: datetime
    origin: Origin = Origin.DO

    @property
    def risk(self) -> Risk:
        return max((one.command.risk for one in self.planned), default=Risk.LOOK)

    @property
    def phrase(self) -> str:
        """What is to be typed before the commands that destroy run; empty when nothing has to be typed.

        One command: its name, or `destroy` when the name cannot be typed. More than one: their count.
        """
        destroying = [one.command for one in self.planned if one.command.risk >= Risk.DESTROYS]
        if not destroying:
            return ""
        if len(destroying) > 1:
            return str(len(destroying))
        name = destroying[0].confirm_name
        return name if typable(name) else "destroy"

    @property
    def sql(self) -> str:
        """All statements with their values, as they will run, to be shown and copied."""
        return "\n".join(sql_of(one.plan) for one in self.planned)

    @property
    def text(self) -> str:
        """The commands in the language, one a line."""
        return "\n".join(one.command.text() for one in self.planned)

    @property
    def undo_text(self) -> str:
        """Whether it can be taken back, in a few words."""
        plans = [one.plan for one in self.planned if one.command.risk > Risk.LOOK]
        if all(plan.inverse is not None for plan in plans):
            return "u undoes it."
        return "u may undo it." if all(plan.inverse or plan.undo for plan in plans) else "no undo."


def plan_all(
    commands: Sequence[Command], context: Context, source: str, taken: datetime, origin: Origin = Origin.DO
) -> Submission:
    """Plans the commands; raises the SkyError of the first that cannot work."""
    planned = tuple(Planned(command, command.plan(context)) for command in commands)
    return Submission(planned, context, source, taken, origin)


def how_to_ask(risk: Risk, *, careful: bool, previewed: bool = False) -> Ask:
    """How a submission of this risk is confirmed.

    `careful`: in production, and wherever the person may not know what is about to run, even what can be undone is
    shown before. `previewed`: the person has just seen the SQL.
    """
    match risk:
        case Risk.LOOK:
            return Ask.NOTHING
        case Risk.REVERSIBLE:
            return Ask.ENTER if careful and not previewed else Ask.NOTHING
        case Risk.COSTLY:
            return Ask.DIALOG
        case Risk.DESTROYS:
            return Ask.TYPE
        case _:
            assert_never(risk)


def sql_of(plan: Plan) -> str:
    """The statements of one plan with their values."""
    return "\n".join(step.preview() for step in plan.steps)


def effects_of(submission: Submission) -> tuple[str, ...]:
    """The lines that say what will be touched, in order, each once."""
    lines: dict[str, None] = {}
    for one in submission.planned:
        lines.update(dict.fromkeys(one.plan.effect))
        if one.command.reason and not one.plan.effect:
            lines[one.command.reason] = None
    return tuple(lines)


def title_of(submission: Submission) -> str:
    """What the submission does, in a few words: `drop queue orders`, `3 commands`."""
    if len(submission.planned) == 1:
        return submission.planned[0].command.text().rstrip().removesuffix(";")
    return f"{len(submission.planned)} commands"


def refusal(risk: Risk, *, read_only: bool) -> str:
    """Why a command of this risk may not run now; empty when it may."""
    return "read-only: press R" if read_only and risk > Risk.LOOK else ""
