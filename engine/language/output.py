"""What came of a command, as text: for batch use, logs and whoever has no screen. Source: spec/qadmin.md, part 4."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta

from .errors import LanguageError
from .model import Outcome, Row

_NARROWEST = 10
"""A column is at least this wide."""


def render_outcome(outcome: Outcome, width: int | None = None, *, compat: bool = False) -> str:
    """The outcome as lines, each ended by a newline: a table, or the result word; a failure as its error.

    With a width in cells, a table that is wider is written one value a line. `compat` writes values as the original
    did: `None`, `True`, `False`.
    """
    if not outcome.ok:
        return render_failure(outcome)
    parts = [f"{notice}\n" for notice in outcome.notices]
    if outcome.dry_run:
        parts.append(_dry_run(outcome))
    elif outcome.word:
        parts.append(f"{outcome.word}\n")
    else:
        parts.append(render_table(outcome.title, outcome.columns, outcome.rows, width, compat=compat))
    return "".join(parts)


def render_table(
    title: str, columns: Sequence[str], rows: Sequence[Row], width: int | None = None, *, compat: bool = False
) -> str:
    """Title, header, dashes, rows and an empty line. Columns are left-aligned, the last one is not padded."""
    cells = [[_cell(value, compat=compat) for value in row] for row in rows]
    widths = [
        max(_NARROWEST, cell_width(name), *(cell_width(row[index]) for row in cells), 0)
        for index, name in enumerate(columns)
    ]
    lines = [_clean(title)] if title else []
    if width is not None and sum(widths) + 2 * len(widths) - 2 > width:
        lines += _records(columns, cells)
    else:
        lines += [_row(columns, widths), "  ".join("-" * one for one in widths)]
        lines += [_row(row, widths) for row in cells]
    return "\n".join(lines) + "\n\n"


def render_failure(outcome: Outcome) -> str:
    """The error, its detail and its hint; the SQLSTATE where the server gave one."""
    state = f" [{outcome.sqlstate}]" if outcome.sqlstate else ""
    lines = [f"ERROR: {outcome.error}{state}"]
    lines += [f"DETAIL: {outcome.detail}"] if outcome.detail else []
    lines += [f"HINT: {outcome.hint}"] if outcome.hint else []
    return "\n".join((*outcome.notices, *lines)) + "\n"


def render_error(error: LanguageError, origin: str = "") -> str:
    """A text that is not in the language: the place, the line it stands in, and a mark under the word."""
    place = f"{origin}:{error.line}:{error.column}: " if origin else f"line {error.line}, column {error.column}: "
    source = error.text.split("\n")[error.line - 1] if error.text else ""
    before = source[: error.column - 1]
    room = max(1, min(error.length, len(source) - len(before)))
    mark = " " * cell_width(before) + "^" * max(1, cell_width(source[len(before) : len(before) + room]))
    lines = [f"{place}error: {error.message}", f"  {_clean(source)}", f"  {mark}"]
    lines += [f"HINT: {error.hint}"] if error.hint else []
    return "\n".join(lines) + "\n"


def outcome_json(outcome: Outcome) -> str:
    """The outcome as one JSON object on one line; intervals in seconds, times in ISO 8601."""
    shown: dict[str, object] = {"statement": outcome.command.text(), "ok": outcome.ok, "word": outcome.word}
    if outcome.ok and not outcome.word:
        shown["rows"] = [dict(zip(outcome.columns, row, strict=True)) for row in outcome.rows]
    for name in ("error", "sqlstate", "detail", "hint"):
        if value := getattr(outcome, name):
            shown[name] = value
    if outcome.dry_run:
        shown |= {"dry_run": True, "changes": outcome.changes, "locks": outcome.locks}
    return json.dumps(shown, ensure_ascii=False, default=_plain)


def cell_width(text: str) -> int:
    """Columns a terminal takes for the text."""
    if text.isascii():
        return len(text)
    return sum(_letter_width(letter) for letter in text)


def _letter_width(letter: str) -> int:
    if unicodedata.combining(letter) or letter in "\u200d\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1


def _dry_run(outcome: Outcome) -> str:
    lines = [f"Dry run of {_clean(outcome.command.text())}"]
    lines += [f"  would {line}" for line in outcome.changes] or ["  would change no row"]
    lines += [f"  takes {line}" for line in outcome.locks]
    return "\n".join((*lines, "Nothing was changed.")) + "\n"


def _cell(value: object, *, compat: bool) -> str:
    match value:
        case None:
            return "None" if compat else ""
        case bool():
            return str(value) if compat else str(value).lower()
        case float():
            return f"{value:.6g}" if not compat else str(value)
        case _:
            return _clean(str(value))


def _clean(text: str) -> str:
    """Control characters as escapes, so that a name cannot break the table or the terminal."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - cell_width(cell)) for cell, width in zip(cells[:-1], widths, strict=False)]
    return "  ".join((*padded, cells[-1])) if cells else ""


def _records(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    widest = max((cell_width(name) for name in columns), default=0)
    lines: list[str] = []
    for number, row in enumerate(cells, 1):
        lines.append(f"-[ {number} ]{'-' * (widest + 4)}")
        lines += [
            f"{name + ' ' * (widest - cell_width(name))}  {cell}" for name, cell in zip(columns, row, strict=True)
        ]
    return lines


def _plain(value: object) -> object:
    match value:
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
