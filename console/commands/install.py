"""`skyconsole install`: SQL modules into a database, or up to our version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import click

from ...engine.postgres.connect import connect, describe, resolve_dsn
from ...engine.postgres.modules import InstallReport, install, module_named


@click.command()
@click.argument("modules", nargs=-1, required=True, metavar="MODULE...")
@click.option("--dsn", metavar="DSN", help="The database: DSN, URI or service name; else libpq's variables.")
@click.option("--dry-run", is_flag=True, help="Do everything in a transaction, tell of it and roll it back.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each module.")
def command(modules: Sequence[str], dsn: str | None, dry_run: bool, as_json: bool) -> None:
    """Install SQL modules such as pgq, or upgrade them to the version that comes with this program.

    An installed extension of the same name, or a schema made by other scripts, is used as it is.
    """
    for name in modules:
        module_named(name)
    for report in asyncio.run(_install_all(modules, resolve_dsn(dsn), dry_run)):
        for one in (*report.required, report):
            if as_json:
                facts = {"module": one.name, "action": one.action, "version": one.version, "detail": one.detail}
                click.echo(json.dumps({**facts, "dry_run": dry_run}))
            else:
                click.echo(f"{one.name}: {one.action}{f' {one.version}' if one.version else ''}. {one.detail}")
    if dry_run:
        click.echo("Dry run: nothing was changed.", err=True)


async def _install_all(modules: Sequence[str], dsn: str, dry_run: bool) -> list[InstallReport]:
    conn = await connect(dsn, application_name="skyconsole install")
    async with conn:
        click.echo(f"Database: {describe(dsn)}, PostgreSQL {conn.info.server_version // 10000}", err=True)
        return [await install(conn, name, dry_run=dry_run) for name in modules]
