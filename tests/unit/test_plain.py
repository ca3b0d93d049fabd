"""The screens as text."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from skyconsole.console.plain import SCREENS, plain_rows, plain_screens, plain_table
from skyconsole.engine.clock import SystemClock
from skyconsole.engine.errors import UsageError
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.monitor.sample import SampleSource, Scenario


def picture(scenario: Scenario = "fleet") -> Picture:
    async def read() -> Picture:
        return derive(None, await SampleSource(7, SystemClock(), scenario=scenario, name="shop").read())

    return asyncio.run(read())


def test_every_screen_has_its_table() -> None:
    text = plain_screens([picture()])
    for screen in SCREENS:
        assert screen.upper() in text
    assert "invoice_export stalled" in text


def test_names_are_whole_and_on_one_line() -> None:
    text = plain_table(picture(), "queues", 60)
    for row in picture().queues:
        assert sum(row.facts.name in line for line in text.splitlines()) >= 1
    assert "…" not in text


def test_ascii_is_ascii_apart_from_names() -> None:
    text = plain_table(picture(), "daemons", ascii_only=True)
    assert text.isascii()


def test_a_problem_is_told_before_the_tables() -> None:
    text = plain_screens([picture("lost")])
    assert "problem: server closed the connection unexpectedly" in text


def test_a_database_without_pgq_says_so() -> None:
    assert "PgQ is not installed" in plain_screens([picture("no_pgq")])


def test_the_values_can_be_written_as_json() -> None:
    rows = json.loads(json.dumps(plain_rows(picture())))
    assert rows["database"] == "shop"
    assert {row["queue"] for row in rows["queues"]} == {row.facts.name for row in picture().queues}
    assert len(rows["consumers"]) == 44


def test_an_unknown_screen_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="queues"):
        plain_table(picture(), "nowhere")


def test_text_is_made_without_loading_the_full_screen_part() -> None:
    code = "import sys, skyconsole.console.plain; sys.exit('textual' in sys.modules or 'prompt_toolkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
