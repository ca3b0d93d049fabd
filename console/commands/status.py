"""`skyconsole status`: what the console would show, once; the exit code says how it stands."""

from __future__ import annotations

from collections.abc import Sequence

import click


@click.command("status")
@click.option("--dsn", "dsns", multiple=True, metavar="DSN", help="This database: DSN, URI or service name.")
@click.option("--config", metavar="FILE", help="Read this skyconsole.toml instead of the user's own.")
@click.option("--json", "json_wanted", is_flag=True, help="As JSON.")
@click.pass_context
def command(ctx: click.Context, dsns: Sequence[str], config: str | None, json_wanted: bool) -> None:
    """What the console would show, once.

    Exit codes: 0 all is well, 3 a server cannot be reached, 4 something is late or broken.
    """
    from ...engine.settings import load_settings
    from ..launch import as_json, as_text, health, targets

    settings = load_settings(config)
    databases = targets(tuple(dsns), settings)
    taken = as_json(databases, settings) if json_wanted else as_text(databases, settings)
    ctx.exit(health(taken))
