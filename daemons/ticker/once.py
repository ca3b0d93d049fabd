"""One pass over all databases and out: `--once`, and `--dry-run`, which only says what would be done."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ...engine.errors import ExitCode, UnreachableError
from ...engine.postgres.connect import connect
from ...engine.postgres.sql import queries
from ...engine.queue import maintenance, ticks
from .chores import MOST_RETRY_CALLS, in_hours, sentence
from .config import TickerConfig
from .database import APPLICATION, conninfo, version_problem
from .server import list_databases

_SQL = queries("ticker/ticks.sql")

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
            connection = await connect(conninfo(config, name), application_name=APPLICATION)
            async with connection:
                await _visit(connection, config.of(name), dry_run, hour, lambda line, name=name: say(f"{name}: {line}"))  # type: ignore[misc]
        except (UnreachableError, psycopg.Error) as error:
            say(f"{name}: error: {sentence(error)}")
            worst = ExitCode.FAILED
    return worst


async def _visit(
    connection: AsyncConnection[TupleRow], config: TickerConfig, dry_run: bool, hour: int, say: Say
) -> None:
    await connection.execute(
        _SQL["prepare_session"],
        {
            "lock_timeout": str(round(config.lock_timeout * 1000)),
            "statement_timeout": str(round(config.operation_timeout * 1000)),
        },
    )
    facts = await (await connection.execute(_SQL["probe"])).fetchone()
    if facts is None or facts[0] or not facts[1]:
        say("is a standby" if facts and facts[0] else "no pgq here")
        return
    row = await (await connection.execute(_SQL["version"])).fetchone() if facts[2] else None
    if problem := version_problem(str(row[0] or "") if row else "", facts[3]):
        say(problem)
        return
    if not dry_run and not await ticks.try_guard(connection):
        say(f"left alone: it is ticked by {await ticks.guard_holder(connection)}")
        return
    verb = "would" if dry_run else "did"
    for queue in (await ticks.look(connection)).due:
        made = () if dry_run else await ticks.tick(connection, (queue,))
        say(f"{verb} tick queue {queue.name}" + (f": tick {made[0].tick_id}" if made else ""))
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
