"""Opens the console on what was asked for: full screen in a terminal, one snapshot as text without one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import click

from ..engine.errors import ExitCode, UnreachableError
from ..engine.monitor.derive import derive
from ..engine.monitor.model import Part, Phase
from ..engine.monitor.picture import Level, Picture
from ..engine.monitor.postgres_source import PostgresSource
from ..engine.postgres.connect import describe, resolve_dsn
from ..engine.postgres.services import services
from ..engine.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Look:
    """How the console shall look and behave; None: as the settings say."""

    read_only: bool | None = None
    theme: str | None = None
    interval: float | None = None
    ascii_only: bool = False


def is_terminal() -> bool:
    """Whether a person sits there: a full screen needs both ends, and a terminal that can place its cursor."""
    ends = (sys.stdin, sys.stdout)  # None where the caller closed it
    return all(end is not None and end.isatty() for end in ends) and os.environ.get("TERM", "dumb") != "dumb"


def watch(dsns: tuple[str, ...], config: str | None, look: Look) -> int:
    """The console, or without a terminal its text; returns the exit code."""
    settings = load_settings(config)
    databases = targets(dsns, settings)
    if is_terminal():
        on_screen(databases, settings, look)
    else:
        as_text(databases, settings)
    return ExitCode.DONE


def targets(dsns: tuple[str, ...], settings: Settings) -> Mapping[str, str]:
    """Name -> DSN of the databases to watch: those asked for, else the configured, else the embedded PostgreSQL."""
    if dsns:
        named: dict[str, str] = {}
        for text in dsns:
            dsn = resolve_dsn(text)
            name = describe(dsn)
            named[name if name not in named else f"{name} #{len(named) + 1}"] = dsn
        return named
    if settings.services:
        return {name: resolve_dsn(service.dsn) for name, service in settings.services.items()}
    found = services()
    if found:
        return {name: resolve_dsn(f"service={name}") for name in found}
    return {"embedded": embedded()}


def embedded() -> str:
    """The DSN of the embedded PostgreSQL, created and started if need be."""
    from ..engine.postgres.binaries import find_binaries
    from ..engine.postgres.cluster import Cluster, default_data_dir

    cluster = Cluster(default_data_dir(), find_binaries())
    cluster.create()
    cluster.start()
    click.echo("No database was named and none is configured: this is the embedded PostgreSQL.", err=True)
    return cluster.dsn()


def on_screen(databases: Mapping[str, str], settings: Settings | None, look: Look, *, remembered: bool = True) -> None:
    """The full-screen console, until the person leaves; `remembered`: history and command log outlive it."""
    from ..engine.language.journal import Journal
    from .app import SkyConsole
    from .prompt.history import History, default_path

    chosen = settings or Settings()
    history = History(default_path() if remembered else None)
    history.load()
    app = SkyConsole(
        [PostgresSource(dsn, name) for name, dsn in databases.items()],
        chosen,
        read_only=look.read_only,
        theme=look.theme or chosen.theme,
        interval=look.interval or chosen.interval,
        ascii_only=look.ascii_only,
        journal=Journal(default_path().with_name("journal.jsonl") if remembered else None),
        history=history,
    )
    app.run()


def pictures(databases: Mapping[str, str], settings: Settings | None, readings: int, interval: float) -> list[Picture]:
    """One picture of each database, from so many readings (rates need two)."""

    async def one(name: str, dsn: str) -> Picture:
        source = PostgresSource(dsn, name)
        thresholds = (settings or Settings()).thresholds_of(name)
        picture = None
        try:
            for number in range(readings):
                if number:
                    await asyncio.sleep(interval)
                picture = derive(picture, await source.read(frozenset(Part)), thresholds)
        finally:
            await source.close()
        assert picture is not None
        return picture

    async def all_of_them() -> list[Picture]:
        return list(await asyncio.gather(*(one(name, dsn) for name, dsn in databases.items())))

    return asyncio.run(all_of_them())


def as_text(
    databases: Mapping[str, str], settings: Settings | None = None, *, readings: int = 2, interval: float = 0.5
) -> list[Picture]:
    """Print every screen's main table of each database. Raises UnreachableError when none could be reached."""
    from .plain import plain_screens

    taken = pictures(databases, settings, readings, interval)
    click.echo(plain_screens(taken))
    if all(picture.snapshot.phase is Phase.LOST for picture in taken):
        raise unreachable(taken[0])
    return taken


def as_json(databases: Mapping[str, str], settings: Settings | None = None) -> list[Picture]:
    """Print the same as JSON: a list of databases, each with its queues and consumers."""
    from .plain import plain_rows

    taken = pictures(databases, settings, readings=2, interval=0.5)
    click.echo(json.dumps([plain_rows(picture) for picture in taken], ensure_ascii=False, indent=2))
    return taken


def unreachable(picture: Picture) -> UnreachableError:
    """The error that a lost picture is."""
    problem = next(iter(picture.snapshot.problems), None)
    if problem is None:
        return UnreachableError(f"{picture.snapshot.source} cannot be reached.")
    return UnreachableError(problem.message, problem.hint)


def health(taken: list[Picture]) -> ExitCode:
    """The exit code of what was seen: unreachable, unhealthy at any WARN or worse or unread, else done."""
    if any(picture.snapshot.phase is Phase.LOST for picture in taken):
        return ExitCode.UNREACHABLE
    unread = (Phase.STALE, Phase.CONNECTING)
    if any(picture.overview.level >= Level.WARN or picture.snapshot.phase in unread for picture in taken):
        return ExitCode.UNHEALTHY
    return ExitCode.DONE
