"""`skyconsole demo`: the sample in a process of its own, and the console on it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping

import click

from ...engine.errors import SkyError

STOP_SECONDS = 30
"""How long the sample may take to stop its server and remove its files."""


@contextlib.contextmanager
def sample(seed: int) -> Iterator[Mapping[str, str]]:
    """Run the sample; yields its databases' DSNs by name.

    Its standard input is a pipe of ours: it closes however this process ends, and the sample stops itself.
    """
    call = [sys.executable, "-m", __package__.split(".")[0], "--headless", "demo", "--until-eof", "--seed", str(seed)]
    with subprocess.Popen(
        call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise SkyError("The sample did not start.", "Its reason stands above.")
            yield json.loads(line)["databases"]
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@click.command("demo")
@click.option("--once", is_flag=True, help="Print every screen's main table as text, stop everything, exit 0.")
@click.option("--seed", default=7, show_default=True, help="Of the producers' random numbers.")
@click.option("--theme", metavar="NAME", help="As for the console.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII only.")
def command(once: bool, seed: int, theme: str | None, ascii_only: bool) -> None:
    """A living sample: an embedded PostgreSQL, queues, producers and consumers of every temper."""
    from ..launch import Look, as_text, is_terminal, on_screen

    click.echo("starting the sample …", err=True)
    with sample(seed) as databases:
        if once or not is_terminal():
            as_text(databases, readings=3, interval=1.0)
        else:
            on_screen(databases, None, Look(theme=theme, ascii_only=ascii_only), remembered=False)
