"""Choose the column that orders the rows."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ..columns import Column
from ..format import fit
from ..view import ViewState
from ..widgets.action_menu import MenuList
from ..widgets.dialog import Dialog


class SortMenu(Dialog[Column]):
    """Lists the columns with their meaning; the answer is the chosen one."""

    AUTO_FOCUS = "MenuList"
    DEFAULT_CSS = """
    SortMenu #dialog { max-width: 64; }
    """

    def __init__(self, columns: Sequence[Column], state: ViewState) -> None:
        super().__init__("sort by")
        self._columns = list(columns)
        self._state = state

    def compose_body(self) -> ComposeResult:
        options = [Option(self._line(column)) for column in self._columns]
        yield MenuList(*options, markup=False, id="sort-menu")

    def on_mount(self) -> None:
        super().on_mount()
        menu = self.query_one(MenuList)
        menu.highlighted = next((i for i, column in enumerate(self._columns) if column.id == self._state.sort), 0)
        menu.focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._columns[event.option_index])

    def _line(self, column: Column) -> Content:
        arrow = ("▼" if self._state.descending else "▲") if column.id == self._state.sort else " "
        return Content.assemble(
            (f" {arrow} ", "bold"), (fit(column.title, 12), "bold"), (column.help, "$foreground-muted")
        )
