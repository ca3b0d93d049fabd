"""The short notice that follows a command: what ran, what came of it, how to take it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...engine.language.model import Outcome
from ..shown import shown
from ..submission import Origin, sql_of

LONGEST = 160
"""Characters of SQL in a toast; the command log has all of it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A toast before it is shown."""

    title: str
    text: str
    severity: Literal["information", "warning", "error"] = "information"


def notice_of(outcome: Outcome, origin: Origin = Origin.DO) -> Notice:
    """The notice for a command that succeeded."""
    before = {Origin.DO: "", Origin.UNDO: "undone: ", Origin.REDO: "done again: "}[origin]
    sql = shown(" ".join(sql_of(outcome.plan).split()))
    lines = [sql if len(sql) <= LONGEST else sql[: LONGEST - 1] + "…"]
    lines += [shown(text) for text in outcome.notices]
    lines.append(f"✓ {rows_and_time(outcome)}{way_back(outcome, origin)}")
    return Notice(before + shown(outcome.command.text().rstrip().removesuffix(";")), "\n".join(lines))


def rows_and_time(outcome: Outcome) -> str:
    """`1 row · 3 ms`."""
    count = len(outcome.rows)
    took = f"{outcome.seconds * 1000:.0f} ms" if outcome.seconds < 10 else f"{outcome.seconds:.0f} s"
    return f"{count} row{'' if count == 1 else 's'} · {took}" if outcome.rows else took


def way_back(outcome: Outcome, origin: Origin) -> str:
    """Which key takes it back, or that none does."""
    if origin is Origin.UNDO:
        return "   U does it again"
    return "   u undoes it" if outcome.plan.inverse is not None else "   no undo"
