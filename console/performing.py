"""The part of a command's way that runs in the engine's thread: it touches connections and files, never a widget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar, cast

from psycopg import AsyncConnection

from ..engine.language.executor import Executor, application_name
from ..engine.language.journal import Journal
from ..engine.language.model import Command, Context, Outcome
from .submission import Submission

Result = TypeVar("Result")


class Engine(Protocol):
    """The thread with the event loop that owns all connections."""

    def submit(self, coro: Coroutine[object, object, Result], /) -> Future[Result]:
        """Runs the coroutine in the engine's loop; never blocks."""


class CommandExecutor(Protocol):
    """Runs commands on a connection of its own."""

    async def run(self, command: Command, context: Context) -> Outcome:
        """Runs it in one transaction; a server's error is an Outcome that is not ok."""

    async def dry_run(self, command: Command, context: Context) -> Outcome:
        """Runs it, lists rows and locks, and rolls it back."""

    async def close(self) -> None:
        """Cancels what runs and lets go of the connection."""


async def keep(executor: CommandExecutor) -> None:
    """Waits until the engine ends, then lets go of the executor's connection."""
    try:
        await asyncio.Event().wait()
    finally:
        await executor.close()


class Opens(Protocol):
    """A source whose database takes commands."""

    async def open_connection(self, application_name: str) -> AsyncConnection[Any]:
        """A new connection. Raises SkyError."""


def executor_of(source: object) -> CommandExecutor | None:
    """What runs commands on a source's database; None for a sample or a recording, which take none."""
    opened: Opens | None = cast(Opens, source) if hasattr(source, "open_connection") else None
    return None if opened is None else Executor(lambda: opened.open_connection(application_name()))


async def perform(
    submission: Submission,
    executor: CommandExecutor,
    came: Callable[[int, Outcome], None],
    journal: Journal | None = None,
) -> tuple[Outcome, ...]:
    """Runs the commands in order and stops after the first that fails; `came` hears of each as it comes back."""
    outcomes: list[Outcome] = []
    for number, one in enumerate(submission.planned):
        outcome = await executor.run(one.command, submission.context)
        outcomes.append(outcome)
        if journal is not None:
            journal.record(outcome, target=submission.source)
        came(number, outcome)
        if not outcome.ok:
            break
    return tuple(outcomes)


async def rehearse(submission: Submission, executor: CommandExecutor) -> tuple[Outcome, ...]:
    """Runs each command on its own and rolls it back; stops after the first that would fail."""
    outcomes: list[Outcome] = []
    for one in submission.planned:
        outcome = await executor.dry_run(one.command, submission.context)
        outcomes.append(outcome)
        if not outcome.ok:
            break
    return tuple(outcomes)
