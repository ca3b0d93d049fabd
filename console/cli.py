"""argv -> call: the program's one entry point. Every command's module is imported only when it is called."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import cast

import click
from click.core import ParameterSource

from .. import __version__
from ..engine.errors import ExitCode, SkyError

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "A living sample on an embedded PostgreSQL, and the console on it.",
        "install": "Install or upgrade SQL modules in a database.",
        "pg": "The embedded PostgreSQL: start, stop, status, dsn.",
        "qadmin": "The command language: -c, -f or standard input.",
        "status": "What the console would show, once, as text or JSON.",
    }
)
"""Command name -> its line in the help. The command itself is `console.commands.NAME:command`."""

DAEMONS: Mapping[str, str] = MappingProxyType(
    {
        "consumer": "a consumer of a queue: a class of yours, or a statement for each row event",
        "demo": "the sample's servers and processes, without the console",
        "ticker": "ticks, rotates and retries all databases of a server (pgqd's successor)",
    }
)
"""Daemon name -> what it does. The daemon itself is `daemons.NAME:main`."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called, not when the program starts."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".commands.{cmd_name}", __package__)
        return cast(click.Command, module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))
        with formatter.section("Daemons (skyconsole --headless NAME [CONFIG])"):
            formatter.write_dl(sorted(DAEMONS.items()))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="skyconsole", message="%(prog)s %(version)s")
@click.option("--dsn", "dsns", multiple=True, metavar="DSN", help="Watch this database: DSN, URI or service name.")
@click.option("--config", metavar="FILE", help="Read this skyconsole.toml instead of the user's own.")
@click.option("--read-only/--write", "read_only", default=None, help="Whether the console may change anything.")
@click.option("--theme", metavar="NAME", help="sky-dark, sky-light, sky-contrast, sky-deutan, sky-tritan, …")
@click.option("--interval", type=click.FloatRange(0.2, 60), metavar="SECONDS", help="Seconds between two readings.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII only.")
@click.pass_context
def program(
    ctx: click.Context,
    dsns: Sequence[str],
    config: str | None,
    read_only: bool | None,
    theme: str | None,
    interval: float | None,
    ascii_only: bool,
) -> None:
    """PgQ queues, replication and WAL of PostgreSQL, live on one screen.

    Without a command: the full-screen console on --dsn, else on the configured services, else on the
    embedded PostgreSQL. Without a terminal it prints one snapshot as text.

    Exit codes: 0 done, 1 failed, 2 usage, 3 unreachable, 4 unhealthy.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options_of_the_console(ctx)
        return
    from .launch import Look, watch

    look = Look(read_only=read_only, theme=theme, interval=interval, ascii_only=ascii_only)
    ctx.exit(watch(tuple(dsns), config, look))


def _refuse_options_of_the_console(ctx: click.Context) -> None:
    """An option that stands before a command would be lost, and the command would go somewhere else."""
    for parameter in ctx.command.params:
        given = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.opts[0].startswith("--"):
            raise click.UsageError(
                f"{parameter.opts[0]} stands before {ctx.invoked_subcommand!r}, where it means the console. "
                f"Write it behind: skyconsole {ctx.invoked_subcommand} {parameter.opts[0]} …",
                ctx,
            )


def headless(argv: Sequence[str]) -> int:
    """`--headless NAME [ARGUMENTS]`: run a daemon; its arguments are its own, as the original's were."""
    if not argv or argv[0] not in DAEMONS:
        asked = f"there is no daemon named {argv[0]!r}." if argv else "--headless needs the name of a daemon."
        click.echo(f"skyconsole: {asked} Daemons: {', '.join(sorted(DAEMONS))}.", err=True)
        return ExitCode.USAGE
    module = import_module(f"...daemons.{argv[0]}", __name__)
    return int(module.main(list(argv[1:])))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code. Errors of ours become one sentence on standard error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and arguments[0] == "--headless":
            return headless(arguments[1:])
        code = program.main(args=arguments, prog_name="skyconsole", standalone_mode=False)
        return int(code or ExitCode.DONE)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("skyconsole: stopped.", err=True)
        return ExitCode.FAILED
    except SkyError as error:
        click.echo(f"skyconsole: {error}", err=True)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.FAILED
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.FAILED
