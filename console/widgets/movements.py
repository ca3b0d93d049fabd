"""Which numbers of the rows in sight went up or down since the picture before."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...engine.monitor.picture import Level
from ..columns import Column


@dataclass(frozen=True, slots=True)
class Movement:
    """A number that changed between two pictures."""

    rising: bool
    flashing: bool


class Movements:
    """The movements of the last picture, by row key and column id."""

    def __init__(self) -> None:
        self._moved: dict[Hashable, dict[str, Movement]] = {}

    def __bool__(self) -> bool:
        return bool(self._moved)

    def of(self, key: Hashable) -> Mapping[str, Movement]:
        """The movements of a row, by column id."""
        return self._moved.get(key, {})

    def compare(
        self, old: Sequence[Any], new: Sequence[Any], columns: Sequence[Column], flashing: bool
    ) -> set[Hashable]:
        """Take in what moved between two sets of rows; gives the keys of rows whose marks ended."""
        was = {row.key: row for row in old}
        moved: dict[Hashable, dict[str, Movement]] = {}
        for row in new:
            before = was.get(row.key)
            if before is not None and before is not row:
                found = _moved(before, row, columns, flashing)
                if found:
                    moved[row.key] = found
        ended = self._moved.keys() - moved.keys()
        self._moved = moved
        return ended

    def settle(self) -> set[Hashable]:
        """End the flash; the arrows stay until the next picture. Gives the keys of the rows concerned."""
        self._moved = {
            key: {column: Movement(movement.rising, False) for column, movement in found.items()}
            for key, found in self._moved.items()
        }
        return set(self._moved)


def _moved(old: Any, new: Any, columns: Sequence[Column], flashing: bool) -> dict[str, Movement]:
    """What moved so that a person would see it, in a row that is or was in trouble."""
    found: dict[str, Movement] = {}
    if max(old.level, new.level) < Level.WARN:
        return found
    for column in columns:
        if not column.moves or column.text(old) == column.text(new):
            continue
        before, now = column.value(old), column.value(new)
        if before is not None and now is not None:
            found[column.id] = Movement(now > before, flashing)
    return found
