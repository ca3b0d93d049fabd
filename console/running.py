"""The application's actions: keys, menu and palette of the row under the cursor, its forms, help, copy and export."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.message import Message
from textual.screen import ModalScreen, Screen

from ..engine.errors import SkyError
from ..engine.monitor.picture import ConsumerRow, QueueRow
from . import actions
from .actions import Action, Offer, Row
from .clipboard import send_to_terminal
from .command_flow import CommandFlow
from .export import FileExists, save_table
from .shown import shown
from .widgets.action_menu import ActionMenu
from .widgets.confirm import FailureDialog, QuestionDialog
from .widgets.copy_menu import Copyable, CopyMenu, copyables
from .widgets.export_form import ExportForm
from .widgets.help_panel import HelpPanel, sections_of

_KEYS_OF_TABLES = frozenset({"enter"})
"""Keys of the registry that the tables bind themselves."""


def action_bindings() -> list[BindingType]:
    """One binding for each key of the registry; the row decides what it means."""
    return [
        Binding(
            key,
            f"act_on_key({key!r})",
            " / ".join(dict.fromkeys(action.title for action in found)),
            show=False,
            tooltip=found[0].help,
            id=f"action.{found[0].id}",
        )
        for key, found in actions.keys().items()
        if key not in _KEYS_OF_TABLES
    ]


class CommandRunner(CommandFlow):
    """An application whose rows can be acted on. The console's application is one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "action_menu", "Actions", tooltip="What can be done to this row", id="app.actions"),
        Binding("question_mark", "help", "Help", key_display="?", tooltip="Every key that works here", id="app.help"),
        Binding("ctrl+p", "palette", "Palette", show=False, tooltip="Find an action or a screen", id="app.palette"),
        Binding("y", "copy_menu", "Copy", show=False, tooltip="Copy name, cell, row, SQL or JSON", id="app.copy"),
        Binding("E", "export", "Export", show=False, tooltip="Write the table to a file", id="app.export"),
        *action_bindings(),
    ]

    class Exported(Message):
        """A file was written, or not."""

        def __init__(self, path: Path, rows: int, failure: BaseException | None) -> None:
            super().__init__()
            self.path = path
            self.rows = rows
            self.failure = failure

    # What the application gives.

    def selected_row(self) -> object | None:
        """The row under the cursor of the active screen."""
        return None

    def marked_rows(self) -> tuple[object, ...]:
        """The marked rows of the active screen."""
        return ()

    def export_rows(self) -> tuple[tuple[str, ...], tuple[tuple[object, ...], ...]] | None:
        """Column names and rows of the active table with plain values; None when there is no table."""
        give = getattr(self.base_screen, "export_rows", None)
        return give() if give is not None else None

    @property
    def base_screen(self) -> Screen[Any]:
        """The topmost screen that is no dialog."""
        stack = self.screen_stack
        return next((screen for screen in reversed(stack) if not isinstance(screen, ModalScreen)), stack[0])

    @property
    def place(self) -> tuple[str, ...]:
        """Where the active screen is, outermost first."""
        return tuple(getattr(self.base_screen, "title_crumbs", ()))

    # Acting on rows.

    def action_row(self) -> Row:
        """What actions are done to: the row under the cursor, else the queue whose rows the screen shows."""
        row = self.selected_row()
        if row is not None:
            return row
        queue = getattr(self.base_screen, "queue", None)
        rows = self.picture.queues if self.picture else ()
        return next((one for one in rows if one.facts.name == queue), None)

    def offers(self) -> list[Offer]:
        """What can be done here and now."""
        return actions.available(self.action_row(), self.command_context)

    def act(self, action: Action, row: Row) -> None:
        """Does an action to the row, or to the marked rows if it takes many."""
        if action.build is None:
            self._open(action, row)
            return
        try:
            commands = actions.commands_for(action, row, self.marked_rows(), self.command_context)
        except SkyError as error:
            self.push_screen(FailureDialog(action.title, self.current_source, error.message, hint=error.hint))
            return
        self.run_commands(commands)

    def _open(self, action: Action, row: Row) -> None:
        from .screens.alter_queue import AlterQueueForm
        from .screens.create_queue import CreateQueueForm, MoveConsumerForm, RegisterConsumerForm
        from .widgets.command_form import CommandForm

        source, context = self.current_source, self.command_context
        production = self.in_production(source)
        form: CommandForm
        match action.opens:
            case "create_queue":
                form = CreateQueueForm(source, context, production=production)
            case "register_consumer":
                form = RegisterConsumerForm(actions.queue_of(row), source, context, production=production)
            case "alter_queue" if isinstance(row, QueueRow):
                form = AlterQueueForm(row, source, context, production=production)
            case "move_consumer" if isinstance(row, ConsumerRow):
                form = MoveConsumerForm(row, source, context, production=production)
            case other:
                self.call_later(self.run_action, other)
                return
        self.push_screen(form, lambda command: self.run_command(command, previewed=True) if command else None)

    def action_act_on_key(self, key: str) -> None:
        row = self.action_row()
        offer = actions.offer_for_key(key, row, self.command_context)
        if offer is None:
            return
        if offer.enabled:
            self.act(offer.action, row)
        else:
            self.notify(offer.reason, title=offer.action.title, severity="warning", markup=False)

    def action_create_queue(self) -> None:
        self.action_act_on_key(actions.find("create", None).key)

    def action_action_menu(self) -> None:
        row = self.action_row()
        marked = len(self.marked_rows())

        def chosen(action: Action | None) -> None:
            if action is not None:
                self.act(action, row)

        menu = ActionMenu(
            actions.subject_text(row),
            self.offers(),
            self.current_source,
            count=marked,
            production=self.in_production(self.current_source),
        )
        self.push_screen(menu, chosen)

    def action_palette(self) -> None:
        from .palette import ActionProvider, PlaceProvider

        if not CommandPalette.is_open(self):
            providers = [ActionProvider, PlaceProvider]
            self.push_screen(CommandPalette(providers=providers, placeholder="find an action, a screen, a queue …"))

    def action_help(self) -> None:
        row = self.action_row()
        own = {action.key for action in actions.ACTIONS} - _KEYS_OF_TABLES
        about = str(getattr(self.screen, "HELP", None) or "")
        sections = sections_of(self.screen, skip=own)
        self.push_screen(HelpPanel(" › ".join(self.place), actions.subject_text(row), self.offers(), sections, about))

    # Copies and files.

    def action_copy_menu(self) -> None:
        choices = self._copyables()
        if not choices:
            self.notify("There is no row to copy.", markup=False)
            return

        def chosen(choice: Copyable | None) -> None:
            if choice is not None:
                send_to_terminal(self, choice.text, choice.word)

        self.push_screen(CopyMenu(choices), chosen)

    def _copyables(self) -> Sequence[Copyable]:
        row, table = self.selected_row(), self.export_rows()
        if row is None or table is None:
            return ()
        columns, rows = table
        cursor = getattr(getattr(self.screen, "table", None), "cursor", 0)
        if not 0 <= cursor < len(rows):
            return ()
        facts = getattr(row, "facts", None)
        name = str(getattr(facts, "name", "") or "")
        sort = getattr(getattr(self.screen, "table", None), "sort", "")
        cell = columns.index(sort) if sort in columns else None
        return copyables(columns, rows[cursor], name=name, cell=cell, sql=actions.sql_that_shows(row))

    def action_export(self) -> None:
        table = self.export_rows()
        if table is None:
            self.notify("There is no table here to export.", markup=False)
            return
        columns, rows = table
        moment = self.clock.now().astimezone()
        name = f"{self.place[-1] if self.place else 'table'}-{moment:%Y%m%d-%H%M%S}.csv"

        def chosen(path: Path | None) -> None:
            if path is not None:
                self.save(path, columns, rows)

        self.push_screen(ExportForm(Path(name.replace("/", "_").replace("\0", "")), len(rows)), chosen)

    def save(
        self, path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]], *, overwrite: bool = False
    ) -> None:
        """Writes a table to a file, away from the screen's thread; asks before it replaces one."""

        def over(future: Future[Path]) -> None:
            if not future.cancelled():
                self._tell(self.Exported(path, len(rows), future.exception()))

        def replace(wanted: bool | None) -> None:
            if wanted:
                self.save(path, columns, rows, overwrite=True)

        if not overwrite and path.expanduser().exists():
            question = f"{shown(str(path))} exists already."
            self.push_screen(QuestionDialog("replace the file", question, "Replace"), replace)
            return
        work = asyncio.to_thread(save_table, path, columns, rows, overwrite=overwrite)
        self.engine.submit(work).add_done_callback(over)

    def on_command_runner_exported(self, message: Exported) -> None:
        failure = message.failure
        if failure is None:
            many = f"{message.rows} row{'' if message.rows == 1 else 's'}"
            self.notify(shown(str(message.path)), title=f"{many} written", markup=False)
        elif isinstance(failure, FileExists):
            self.notify(shown(failure.message), title="not written", severity="warning", markup=False)
        elif isinstance(failure, SkyError):
            self.push_screen(
                FailureDialog("export", "", failure.message, hint=failure.hint, state="no file was written")
            )
        else:
            raise failure
