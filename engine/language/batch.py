"""Runs a whole text of the language: read completely before anything runs, stopped at the first failure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from .commands import EVERY, ShowConsumer, ShowQueue
from .executor import Executor
from .model import Context, Outcome
from .names import NO_NAMES, Names
from .parse import Statement, statements
from .tokens import Kind, fold, scan


@dataclass(frozen=True, slots=True)
class Ran:
    """One statement of the text and what came of it."""

    statement: Statement
    number: int
    """Counted from 1."""
    line: int
    """The line it begins in, counted from 1."""
    outcome: Outcome


async def read_names(executor: Executor, default_queue: str | None = None) -> Names:
    """The names of the database now; none when it cannot be asked."""
    queues = await executor.run(ShowQueue(EVERY), Context())
    consumers = await executor.run(ShowConsumer(), Context())
    found: dict[str, list[str]] = {}
    for queue, consumer, *_ in consumers.rows:
        found.setdefault(str(queue), []).append(str(consumer))
    by_queue = {queue: tuple(names) for queue, names in found.items()}
    return Names(tuple(str(row[0]) for row in queues.rows), by_queue, default_queue=default_queue)


async def read_text(executor: Executor, text: str) -> list[Statement]:
    """The statements of the text, its names found as they exist. Raises LanguageError before anything has run."""
    statements(text)
    ambiguous = any(
        token.kind is Kind.NAME and not token.quoted and fold(token.value) != token.value for token in scan(text)
    )
    return statements(text, await read_names(executor) if ambiguous else NO_NAMES)


async def run_text(
    executor: Executor, text: str, found: list[Statement], context: Context, *, dry: bool = False
) -> AsyncIterator[Ran]:
    """Runs the statements in order, each in a transaction of its own; ends behind the first that fails."""
    for number, statement in enumerate(found, 1):
        perform = executor.dry_run if dry else executor.run
        outcome = await perform(statement.command, context)
        yield Ran(statement, number, text.count("\n", 0, statement.start) + 1, outcome)
        if not outcome.ok:
            return
