"""One pass over all databases and out: `--once`, and `--dry-run`, which only says what would be done."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ...engine.errors import ExitCode, UnreachableError
from ...engine.queue import maintenance, ticks
from .chores import MOST_RETRY_CALLS, in_hours, sentence
from .config import TickerConfig
from .server import list_databases
from .session import names_of_the_role, own_names_only, read_facts, session

Say = Callable[[str], None]


async def run_once(config: TickerConfig, *, dry_run: bool, hour: int, say: Say) -> ExitCode:
    """Tick what is due, do the maintenance and move due retry events in every database, telling each step.

    `hour` is the hour of the day, for maint_hours. A database that fails is told, and the others go on.
    """
    chosen = config.database_list
    names = chosen.only or tuple((await list_databases(config)).names)
    worst = ExitCode.DONE
    for name in names:
        if name in chosen.never:
            continue
        try:
            async with session(config.of(name), name, config.operation_timeout) as connection:
                await _visit(connection, config.of(name), dry_run, hour, lambda line, name=name: say(f"{name}: {line}"))  # type: ignore[misc]
        except (UnreachableError, psycopg.Error) as error:
            say(f"{name}: error: {sentence(error)}")
            worst = ExitCode.FAILED
    return worst


async def _visit(
    connection: AsyncConnection[TupleRow], config: TickerConfig, dry_run: bool, hour: int, say: Say
) -> None:
    facts = await read_facts(connection)
    if facts.in_recovery or not facts.has_pgq:
        say("is a standby" if facts.in_recovery else "no pgq here")
        return
    if facts.problem:
        say(facts.problem)
        return
    if not dry_run and not await ticks.try_guard(connection):
        say(f"left alone: it is ticked by {await ticks.guard_holder(connection)}")
        return
    verb = "would" if dry_run else "did"
    await own_names_only(connection)
    for queue in (await ticks.look(connection)).due:
        made = () if dry_run else await ticks.tick(connection, (queue,))
        say(f"{verb} tick queue {queue.name}" + (f": tick {made[0].tick_id}" if made else ""))
    await names_of_the_role(connection)
    for operation in await maintenance.operations(connection):
        if operation.is_vacuum and not in_hours(config.maint_hours, hour):
            continue
        if not dry_run:
            await maintenance.run(connection, operation)
        say(f"{verb} call {operation}")
    if await maintenance.retry_is_due(connection):
        moved = 0
        for _ in range(0 if dry_run else MOST_RETRY_CALLS):
            if (now := await maintenance.retry(connection)) == 0:
                break
            moved += now
        say(f"{verb} move due retry events" + ("" if dry_run else f": {moved}"))
