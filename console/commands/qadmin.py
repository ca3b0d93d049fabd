"""`skyconsole qadmin`: the command language from the command line, a file, standard input or a prompt."""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import click
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from ...engine.errors import ExitCode, SkyError, UsageError
from ...engine.language.batch import Ran, read_text, run_text
from ...engine.language.errors import LanguageError
from ...engine.language.executor import Executor, application_name
from ...engine.language.model import Context, Risk
from ...engine.language.output import outcome_json, render_error, render_failure, render_outcome
from ...engine.language.parse import Statement
from ...engine.postgres.connect import connect, resolve_dsn


@dataclass(frozen=True, slots=True)
class Manner:
    """How statements are run and told."""

    yes: bool
    dry_run: bool
    as_json: bool
    compat: bool


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("database", required=False, metavar="[DBNAME|CONNSTR]")
@click.option("-h", "--host", metavar="HOST", help="Server or socket directory.")
@click.option("-p", "--port", metavar="PORT", help="Port.")
@click.option("-U", "--user", metavar="USER", help="Role.")
@click.option("-d", "--dbname", metavar="DBNAME", help="Database.")
@click.option("--dsn", metavar="DSN", help="DSN, URI or service name; the switches above go on top of it.")
@click.option("-Q", "--queue", metavar="QUEUE", help="The default queue.")
@click.option("-c", "text", metavar="STRING", help="Run these statements and leave.")
@click.option("-f", "file", metavar="FILE", help="Run the statements of this file and leave; - is standard input.")
@click.option("--yes", is_flag=True, help="Run what destroys without asking.")
@click.option("--dry-run", is_flag=True, help="Run each statement, tell of rows and locks, roll it back.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each statement.")
@click.option("--compat", is_flag=True, help="Print values as the original did: None, True, False.")
@click.option("--read-only", is_flag=True, help="Refuse everything that changes the database.")
def command(
    database: str | None,
    host: str | None,
    port: str | None,
    user: str | None,
    dbname: str | None,
    dsn: str | None,
    queue: str | None,
    text: str | None,
    file: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    compat: bool,
    read_only: bool,
) -> None:
    """The queues' command language: `show help;` lists its statements."""
    if text is not None and file is not None:
        raise UsageError("-c and -f cannot be given together.")
    where = _where(database, dsn, {"host": host, "port": port, "user": user, "dbname": dbname})
    context = Context(default_queue=queue, read_only=read_only)
    manner = Manner(yes, dry_run, as_json, compat)
    origin, given = _text(text, file)
    if given is None:
        from ..prompt.repl import interact

        code = asyncio.run(interact(where, context, compat=compat))
    else:
        code = asyncio.run(_batch(where, given, origin, context, manner))
    sys.exit(int(code))


def _where(database: str | None, dsn: str | None, parts: dict[str, str | None]) -> str:
    """The connect string: switches on top of the DSN, the argument on top of all (spec/qadmin.md 1)."""
    named = {key: value for key, value in parts.items() if value is not None}
    if database is not None and "=" not in database and "://" not in database:
        named["dbname"] = database
        database = None
    base = resolve_dsn(dsn)
    whole = make_conninfo(base, **named)
    if database is None:
        return whole
    return make_conninfo(whole, **_parts(database))


def _parts(dsn: str) -> dict[str, str]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except ProgrammingError as error:
        raise UsageError("The connect string cannot be read.", "It has the form `host=… dbname=…`.") from error


def _text(text: str | None, file: str | None) -> tuple[str, str | None]:
    """What is to be run, and what its errors call it; no text: a person is at the keyboard."""
    if text is not None:
        return "", text
    if file is None and sys.stdin.isatty():
        return "", None
    if file is None or file == "-":
        return "stdin", sys.stdin.read()
    try:
        return file, Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"The file {file} cannot be read: {reason}.") from error


async def _batch(where: str, text: str, origin: str, context: Context, manner: Manner) -> ExitCode:
    async def open_connection() -> AsyncConnection:
        return await connect(where, application_name=application_name(), connect_timeout=15.0)

    executor = Executor(open_connection)
    try:
        found = await read_text(executor, text)
        _refuse_to_destroy(found, manner)
        # A server that is not there is another failure than a statement that is refused.
        if found:
            await executor.open()
        ran: Ran | None = None
        async for ran in run_text(executor, text, found, context, dry=manner.dry_run):
            _tell(ran, manner)
        if ran is not None and not ran.outcome.ok:
            place = f"{origin}:" if origin else "line "
            left = len(found) - ran.number
            rest = f"; {left} not run" if left else ""
            click.echo(f"{place}{ran.line}: statement {ran.number} of {len(found)} failed{rest}", err=True)
            return ExitCode.FAILED
    except LanguageError as error:
        click.echo(render_error(error, origin), nl=False, err=True)
        return ExitCode.USAGE
    except SkyError as error:
        click.echo(f"{error.message}\n{error.hint}".rstrip(), err=True)
        return error.exit_code
    finally:
        await executor.close()
    return ExitCode.DONE


def _refuse_to_destroy(found: list[Statement], manner: Manner) -> None:
    """Nobody is there to ask: what destroys must have been allowed, before anything runs."""
    if manner.yes or manner.dry_run:
        return
    for statement in found:
        if statement.command.risk >= Risk.DESTROYS:
            raise UsageError(
                f"{statement.command.text()} destroys: {statement.command.reason}.",
                "Nothing was run. Give --yes to run it, --dry-run to see what it would do.",
            )


def _tell(ran: Ran, manner: Manner) -> None:
    for notice in ran.statement.notices:
        click.echo(f"NOTICE: {notice}", err=True)
    if manner.as_json:
        click.echo(outcome_json(ran.outcome))
    elif ran.outcome.ok:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo(render_outcome(ran.outcome, width, compat=manner.compat), nl=False)
    else:
        click.echo(render_failure(ran.outcome), nl=False, err=True)
