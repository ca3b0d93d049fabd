"""Asks for the file that a table is written to."""

from __future__ import annotations

from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Button, Input, Static

from ...engine.errors import SkyError
from ..export import Format
from ..shown import shown
from .dialog import Dialog, button, paragraph


class ExportForm(Dialog[Path]):
    """The ending of the name decides the format: .csv, .json or .md."""

    DEFAULT_CSS = """
    ExportForm #dialog { max-width: 76; }
    ExportForm #export-path { background: $panel; &:focus { background: $primary 25%; background-tint: transparent; } }
    """

    def __init__(self, suggestion: Path, rows: int) -> None:
        super().__init__("export", f"{rows} row{'' if rows == 1 else 's'}")
        self._suggestion = suggestion

    def compose_body(self) -> ComposeResult:
        yield paragraph("write the table to this file; it ends in .csv, .json or .md")
        yield Input(str(self._suggestion), id="export-path", compact=True, select_on_focus=False)
        yield paragraph("", widget_id="export-note")

    def compose_buttons(self) -> ComposeResult:
        yield button("Cancel", "esc", "cancel")
        yield button("Write", "⏎", "write", widget_id="export-write")

    def on_mount(self) -> None:
        self.query_one("#export-path", Input).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        path = Path(event.value)
        try:
            note = f"as {Format.of(path).name} in {shown(str(path.expanduser().absolute().parent))}"
            style, usable = "$foreground-muted", True
        except SkyError as error:
            note, style, usable = f"■ {shown(str(error))}", "$text-error", False
        self.query_one("#export-note", Static).update(Content.styled(note, style))
        self.query_one("#export-write", Button).disabled = not usable

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_write()

    def action_write(self) -> None:
        if not self.query_one("#export-write", Button).disabled:
            self.dismiss(Path(self.query_one("#export-path", Input).value))
