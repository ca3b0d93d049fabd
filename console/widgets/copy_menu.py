"""The copy menu: what of the row under the cursor goes to the clipboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ..export import Format, table_text
from ..format import fit
from ..shown import shown
from .action_menu import MenuList
from .dialog import Dialog


@dataclass(frozen=True, slots=True)
class Copyable:
    """One thing that can be copied."""

    key: str
    word: str
    text: str


def copyables(
    columns: Sequence[str], row: Sequence[object], *, name: str = "", cell: int | None = None, sql: str = ""
) -> tuple[Copyable, ...]:
    """What a row offers: its name, the cell, the row as tab-separated text, the SQL that shows it, JSON."""
    found = [Copyable("n", "name", name)] if name else []
    if cell is not None and 0 <= cell < len(row):
        found.append(Copyable("c", f"cell {columns[cell]}", _plain(row[cell])))
    found.append(Copyable("r", "row", "\t".join(_plain(value) for value in row)))
    if sql:
        found.append(Copyable("s", "SQL", sql))
    found.append(Copyable("j", "JSON", table_text(columns, [row], Format.JSON)[1:-2].strip()))
    return tuple(found)


class CopyMenu(Dialog[Copyable]):
    """Asks what to copy; Enter, click or the letter chooses."""

    DEFAULT_CSS = """
    CopyMenu #dialog { max-width: 72; }
    """

    def __init__(self, choices: Sequence[Copyable]) -> None:
        super().__init__("copy", "through the terminal (OSC 52)")
        self._choices = tuple(choices)

    def compose_body(self) -> ComposeResult:
        yield MenuList(*[Option(_line(choice)) for choice in self._choices], markup=False, id="copy-menu")

    def on_mount(self) -> None:
        self.query_one(MenuList).focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index])

    def on_key(self, event: events.Key) -> None:
        for choice in self._choices:
            if event.character == choice.key:
                event.stop()
                event.prevent_default()
                self.dismiss(choice)
                return


def _line(choice: Copyable) -> Content:
    sample = shown(" ".join(choice.text.split()))
    return Content.assemble(
        (f" {choice.key}  ", "bold $text-accent"),
        fit(shown(choice.word), 16),
        (fit(sample, 40).rstrip(), "$foreground-muted"),
    )


def _plain(value: object) -> str:
    return "" if value is None else str(value)
