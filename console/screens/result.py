"""What a `show …` command brought: a table that can be sorted, filtered, copied and exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from ...engine.language.model import Outcome
from ...engine.monitor.explain import Evidence
from ...engine.monitor.model import Part
from ...engine.monitor.picture import Level, Picture
from .. import format as fmt
from ..columns import Column, Kind, text_column
from ..lines import Line, Span, line
from ..shown import shown
from ..view import World
from ..widgets.snapshot_table import SnapshotTable
from .table_screen import TableScreen
from .text_dialog import LinesDialog

_WIDEST = 20
"""Cells a column takes before the others have found room."""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One row of a result."""

    number: int
    values: tuple[object, ...]

    @property
    def key(self) -> int:
        return self.number

    @property
    def level(self) -> Level:
        return Level.UNKNOWN


def result_columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> tuple[Column, ...]:
    """Columns as wide as their widest value; numbers and durations stand right and sort as such."""
    return tuple(_column(index, name, [row[index] for row in rows]) for index, name in enumerate(names))


class ResultScreen(TableScreen):
    """A result as it came; it does not change. Enter shows a whole row."""

    NEEDS: ClassVar[frozenset[Part]] = frozenset({Part.SERVER})
    SORT: ClassVar[tuple[str, bool]] = ("", False)
    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "run_again", "Run again", id="result.again")]
    COLUMNS: tuple[Column, ...]  # type: ignore[misc]  # a result brings its own

    def __init__(self, outcome: Outcome, source: str) -> None:
        self.COLUMNS = result_columns(outcome.columns, outcome.rows)
        super().__init__()
        self.outcome = outcome
        self._source = source
        self._rows = tuple(ResultRow(number, tuple(row)) for number, row in enumerate(outcome.rows))

    @property
    def source(self) -> str:
        return self._source

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        return (self._source, self.outcome.command.text().rstrip().removesuffix(";"))

    def selector(self) -> Callable[[World], Sequence[Any]]:
        return partial(_same_rows, self._rows)

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        return (line(Span("no rows", "strong")), line(Span("the command found nothing", "muted")))

    def why(self, row: Any) -> Sequence[Evidence]:
        return ()

    def detail(self, room: int) -> tuple[Line, ...]:
        row = self.table.row
        if not isinstance(row, ResultRow):
            return ()
        lines: list[Line] = []
        for name, value in zip(self.outcome.columns, row.values, strict=True):
            lines.append(line(Span(shown(name), "label")))
            text = shown(_text(value), keep_lines=True)
            lines += [line(Span(f"  {piece}")) for part in text.split("\n") for piece in fmt.wrap(part, room - 2)]
        return tuple(lines)

    def on_snapshot_table_opened(self, event: SnapshotTable.Opened) -> None:
        self.app.push_screen(LinesDialog("row", self.detail))

    def action_run_again(self) -> None:
        console = self.console
        console.pop_screen()
        console.run_command(self.outcome.command)


def _same_rows(rows: tuple[ResultRow, ...], world: World) -> Sequence[ResultRow]:  # noqa: ARG001
    return rows


def _column(index: int, name: str, values: Sequence[object]) -> Column:
    present = [value for value in values if value is not None]

    def value_of(row: ResultRow) -> Any:
        return row.values[index]

    def text_of(row: ResultRow) -> str:
        return _text(row.values[index])

    widest = max([fmt.width(shown(name)), *(fmt.width(shown(_text(value))) for value in values)], default=1)
    identity = f"{index}:{name}"
    room, aliases = min(widest, _WIDEST), (name.casefold(),)
    if present and all(isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) for value in present):
        return Column(identity, shown(name), text_of, value_of, width=room, priority=index, aliases=aliases)
    if present and all(isinstance(value, timedelta) for value in present):

        def seconds_of(row: ResultRow) -> float | None:
            value = row.values[index]
            return value.total_seconds() if isinstance(value, timedelta) else None

        return Column(
            identity, shown(name), text_of, seconds_of, Kind.DURATION, width=room, priority=index, aliases=aliases
        )
    return text_column(identity, shown(name), text_of, width=room, grow=widest - room, priority=index, aliases=aliases)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case timedelta():
            return fmt.duration(value.total_seconds())
        case datetime():
            return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
        case date():
            return value.isoformat()
        case _:
            return str(value)
