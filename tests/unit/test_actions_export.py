"""Tables as CSV, JSON and Markdown, and the clipboard's limits."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skyconsole.console.clipboard import LIMIT, send_to_terminal
from skyconsole.console.export import FileExists, Format, save_table, table_text
from skyconsole.console.shown import named, shown, typable
from skyconsole.engine.errors import SkyError, UsageError
from skyconsole.engine.monitor.picture import Level
from textual.app import App

MOMENT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
COLUMNS = ("name", "lag", "level")


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1))
def test_csv_for_programs_gives_back_every_text(rows: list[tuple[str, str, str]]) -> None:
    text = table_text(COLUMNS, rows, Format.CSV)
    back = list(csv.reader(io.StringIO(text, newline="")))
    assert back == [list(COLUMNS), *map(list, rows)]


@given(st.lists(st.tuples(st.text(), st.integers(), st.none() | st.booleans())))
def test_json_gives_back_every_value(rows: list[tuple[str, int, bool | None]]) -> None:
    back = json.loads(table_text(COLUMNS, rows, Format.JSON))
    assert back == [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_a_text_that_a_spreadsheet_would_run_is_defused_for_spreadsheets_only(text: str) -> None:
    for_people = table_text(("a", "b"), [(text, -1)], Format.CSV, spreadsheet=True)
    for_programs = table_text(("a", "b"), [(text, -1)], Format.CSV)
    assert next(csv.reader(io.StringIO(for_people.split("\n", 1)[1], newline=""))) == ["'" + text, "-1"]
    assert next(csv.reader(io.StringIO(for_programs.split("\n", 1)[1], newline=""))) == [text, "-1"]


def test_markdown_keeps_each_row_on_its_line_and_no_text_becomes_markup() -> None:
    text = table_text(COLUMNS, [("a|b\n*c*", 1.5, Level.CRIT), ("<b>", None, Level.OK)], Format.MARKDOWN)
    assert text.splitlines() == [
        "| name | lag | level |",
        "| --- | --- | --- |",
        "| a\\|b<br>\\*c\\* | 1.5 | crit |",
        "| \\<b\\> |  | ok |",
    ]


def test_values_are_written_as_standards_have_them() -> None:
    rows = [(MOMENT, timedelta(minutes=1), Decimal("1.50"), [1, 2], float("inf"))]
    (row,) = json.loads(table_text(("a", "b", "c", "d", "e"), rows, Format.JSON))
    assert row == {"a": "2026-11-22T12:00:00+00:00", "b": 60.0, "c": "1.50", "d": [1, 2], "e": "inf"}


def test_a_file_is_never_overwritten_silently(tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    save_table(target, ("a",), [(1,)])
    with pytest.raises(FileExists):
        save_table(target, ("a",), [(2,)])
    assert target.read_text() == "a\n1\n"
    save_table(target, ("a",), [(2,)], overwrite=True)
    assert target.read_text() == "a\n2\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SkyError, match="cannot be written"):
        save_table(tmp_path / "missing" / "t.csv", ("a",), [])


@pytest.mark.parametrize("name", ["t", "t.xls", ".csv.", ""])
def test_an_unknown_ending_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        save_table(tmp_path / name, ("a",), [])
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_shown_text_is_printable_and_loses_nothing(text: str) -> None:
    said = shown(text)
    assert len(said) >= len(text)
    assert "\n" not in said
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_a_blank_name_is_quoted_and_cannot_be_asked_for() -> None:
    assert named("") == '""'
    assert named(" a") == '" a"'
    assert named("orders") == "orders"
    assert not typable(" ")
    assert typable("Ünï 🦄")


async def test_what_a_terminal_would_cut_off_is_not_copied() -> None:
    app: App[object] = App()
    async with app.run_test() as pilot:
        assert send_to_terminal(app, "select 1;", "the SQL")
        assert app.clipboard == "select 1;"
        assert not send_to_terminal(app, "x" * (LIMIT + 1), "the table")
        assert app.clipboard == "select 1;"
        await pilot.pause()
