"""The program's SQL files, read by path and by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from skyconsole.engine.postgres import sql
from skyconsole.engine.postgres.sql import SqlFileError, queries, sql_text


@pytest.fixture
def sql_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sql, "_ROOT", tmp_path)
    for function in (sql_text, queries):
        function.cache_clear()
    yield tmp_path
    for function in (sql_text, queries):
        function.cache_clear()


def test_a_file_is_read_by_its_path_below_sql() -> None:
    assert "-- name: lock" in sql_text("install/modules.sql")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SqlFileError, match=r"monitor/none\.sql is missing"):
        sql_text("monitor/none.sql")


def test_each_statement_begins_at_its_name_and_ends_at_the_next(sql_folder: Path) -> None:
    (sql_folder / "a.sql").write_text(
        "-- About.\n\n-- name: one\nselect 1;\n\n-- name:two\n-- why\nselect 2;\n", "utf-8"
    )
    assert dict(queries("a.sql")) == {"one": "select 1;", "two": "-- why\nselect 2;"}


def test_a_file_without_names_or_with_one_twice_is_refused(sql_folder: Path) -> None:
    (sql_folder / "none.sql").write_text("select 1;", "utf-8")
    (sql_folder / "twice.sql").write_text("-- name: a\nselect 1;\n-- name: a\nselect 2;\n", "utf-8")
    with pytest.raises(SqlFileError, match="no line"):
        queries("none.sql")
    with pytest.raises(SqlFileError, match="names a twice"):
        queries("twice.sql")
