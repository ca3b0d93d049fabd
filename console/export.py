"""A table written as CSV, JSON or Markdown; the screens and the headless commands use the same writer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path

from ..engine.errors import SkyError, UsageError
from .shown import shown

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Format(Enum):
    """What a table can be written as."""

    CSV = "csv"
    JSON = "json"
    MARKDOWN = "md"

    @classmethod
    def of(cls, path: Path) -> Format:
        """The format that the file's ending names. Raises UsageError."""
        ending = path.suffix.lower().lstrip(".")
        for known in cls:
            if ending == known.value or (known is cls.MARKDOWN and ending == "markdown"):
                return known
        endings = ", ".join(f".{known.value}" for known in cls)
        raise UsageError(f"No format is known for {path.name!r}.", f"End the file's name in one of {endings}.")


def table_text(
    columns: Sequence[str], rows: Iterable[Sequence[object]], form: Format, *, spreadsheet: bool = False
) -> str:
    """The table as text that ends in a line feed.

    Times are ISO 8601, durations seconds, None is empty (null in JSON). `spreadsheet` puts an apostrophe before
    CSV texts that a spreadsheet would run as a formula; without it the values are exact, for programs.
    """
    match form:
        case Format.CSV:
            return _csv(columns, rows, spreadsheet=spreadsheet)
        case Format.JSON:
            records = [dict(zip(columns, map(_value, row), strict=True)) for row in rows]
            return json.dumps(records, ensure_ascii=False, indent=2) + "\n"
        case Format.MARKDOWN:
            return _markdown(columns, rows)


def save_table(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]], *, overwrite: bool = False
) -> Path:
    """Writes the table in the format that the file's name tells, for people and their spreadsheets.

    Raises FileExists when the file is there and `overwrite` is not set, UsageError for an unknown ending,
    SkyError when the file cannot be written.
    """
    target = path.expanduser()
    text = table_text(columns, rows, Format.of(target), spreadsheet=True)
    try:
        with target.open("w" if overwrite else "x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError as error:
        raise FileExists(target) from error
    except OSError as error:
        raise SkyError(f"{target} cannot be written: {error.strerror}.", "Choose another place.") from error
    return target


class FileExists(SkyError):
    """The file to be written is there already, and nobody said that it may be replaced."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists already.", "Choose another name, or say that it may be replaced.")
        self.path = path


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]], *, spreadsheet: bool) -> str:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\r\n")  # with a bare line feed here, a carriage return goes unquoted
    lines: list[str] = []
    for row in (columns, *([_csv_cell(value, spreadsheet=spreadsheet) for value in row] for row in rows)):
        line.seek(0)
        line.truncate()
        writer.writerow(row)
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def _csv_cell(value: object, *, spreadsheet: bool) -> object:
    plain = _value(value)
    if isinstance(plain, (list, dict)):
        return json.dumps(plain, ensure_ascii=False)
    if spreadsheet and isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return plain


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [[_markdown_cell(column) for column in columns], ["---"] * len(columns)]
    lines += [[_markdown_cell(value) for value in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _markdown_cell(value: object) -> str:
    plain = _value(value)
    text = "" if plain is None else plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    escaped = "".join("\\" + char if char in "\\|`*_<>[]~#" else char for char in text.replace("\r\n", "\n"))
    return "<br>".join(shown(line) for line in escaped.split("\n"))


def _value(value: object) -> object:
    """The value as JSON knows it."""
    match value:
        case Enum():
            return value.name.lower()
        case None | bool() | int() | str():
            return value
        case float():
            return value if value == value and abs(value) != float("inf") else str(value)
        case Decimal():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case list() | tuple():
            return [_value(item) for item in value]
        case dict():
            return {str(key): _value(item) for key, item in value.items()}
        case _:
            return str(value)
