"""What a person chose to see: order and filter, and the rows that follow from them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..engine.monitor.picture import Picture
from .columns import Column, ListedChange
from .filtering import FilterError, parse_filter


@dataclass(frozen=True, slots=True)
class ViewState:
    """The order and the filter of one table."""

    sort: str
    """Id of the column."""
    descending: bool
    filter: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Rows in the order they are drawn."""

    rows: tuple[Any, ...]
    total: int
    """Rows before the filter."""
    state: ViewState
    problem: FilterError | None = None
    """The filter as typed is not understood: every row is shown."""


EMPTY = View((), 0, ViewState("", False))


def sorted_by(state: ViewState, column: Column) -> ViewState:
    """Order by this column; its own direction first, the other one when it is chosen again."""
    if state.sort == column.id:
        return replace(state, descending=not state.descending)
    return replace(state, sort=column.id, descending=column.descending)


def neighbour(state: ViewState, columns: Sequence[Column], step: int) -> ViewState:
    """Order by the column to the left (-1) or right (+1) of the present one, around the ends."""
    ids = [column.id for column in columns]
    at = ids.index(state.sort) if state.sort in ids else 0
    column = columns[(at + step) % len(columns)]
    return replace(state, sort=column.id, descending=column.descending)


def arrange(rows: Sequence[Any], columns: Sequence[Column], state: ViewState) -> View:
    """Filter and sort. Rows without a value stand last in both directions; equal rows keep their order."""
    problem: FilterError | None = None
    kept: Iterable[Any] = rows
    if state.filter.strip():
        try:
            accepts = parse_filter(state.filter, tuple(columns))
        except FilterError as error:
            problem = error
        else:
            kept = [row for row in rows if accepts(row)]
    column = next((column for column in columns if column.id == state.sort), None)
    ordered = list(kept) if column is None else _sorted(kept, column.value, state.descending)
    return View(tuple(ordered), len(rows), state, problem)


def _sorted(rows: Iterable[Any], value: Callable[[Any], Any], descending: bool) -> list[Any]:
    present: list[tuple[Any, Any]] = []
    absent: list[Any] = []
    for row in rows:
        key = value(row)
        if key is None:
            absent.append(row)
        else:
            present.append((key, row))
    present.sort(key=_first, reverse=descending)
    return [row for _, row in present] + absent


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def held(before: Sequence[Any], view: View) -> View:
    """The view's rows in the order of the rows before: what is new comes last, what is gone is left out."""
    by_key: dict[Hashable, Any] = {row.key: row for row in view.rows}
    kept = [by_key.pop(row.key) for row in before if row.key in by_key]
    return replace(view, rows=(*kept, *by_key.values()))


@dataclass(frozen=True, slots=True)
class World:
    """All that is known: the newest picture of each source and what changed, newest first."""

    pictures: Mapping[str, Picture] = field(default_factory=dict)
    changes: tuple[ListedChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What a screen shows of the world; the engine thread arranges it ahead of the screen."""

    select: Callable[[World], Sequence[Any]]
    columns: tuple[Column, ...]
    state: ViewState

    def arrange(self, world: World) -> View:
        return arrange(self.select(world), self.columns, self.state)


CHANGES_KEPT = 2000


def with_picture(world: World, picture: Picture) -> World:
    """The world after one more picture."""
    changes = world.changes
    if picture.changes:
        number = changes[0].number + 1 if changes else 1
        new = [ListedChange(change, number + index) for index, change in enumerate(picture.changes)]
        changes = (*reversed(new), *changes)[:CHANGES_KEPT]
    return World({**world.pictures, picture.snapshot.source: picture}, changes)
