"""A form that becomes a command: fields on top, the command and its SQL below, changing as one types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Label, Static

from ...engine.errors import SkyError
from ...engine.language.model import Command, Context
from ..clipboard import send_to_terminal
from ..shown import shown
from ..submission import sql_of
from .confirm import MARKS
from .dialog import Dialog, button, paragraph


@dataclass(frozen=True, slots=True)
class Field:
    """One value that a form asks for."""

    id: str
    label: str
    value: str = ""
    hint: str = ""
    """Shown in the empty field."""
    choices: tuple[str, ...] = ()
    """What can be typed, offered as a ghost text; others are accepted unless `command_of` refuses them."""


class CommandForm(Dialog[Command]):
    """Asks for the parts of one command. Subclasses give the fields and `command_of`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("ctrl+y", "copy_sql", "Copy SQL", show=False, priority=True, id="form.copy"),
    ]

    DEFAULT_CSS = """
    CommandForm {
        & .form-row { height: 1; width: 1fr; }
        & .form-row Label { width: 18; color: $foreground-muted; }
        & .form-row Input {
            width: 1fr;
            background: $panel;
            &:focus { background: $primary 25%; background-tint: transparent; }
        }
        & #form-preview { margin-top: 1; height: auto; max-height: 8; overflow-y: auto; }
        &.-low #form-preview { margin-top: 0; max-height: 4; }
    }
    """

    def __init__(
        self,
        title: str,
        source: str,
        context: Context,
        fields: Sequence[Field],
        *,
        about: str = "",
        production: bool = False,
    ) -> None:
        super().__init__(title, source, production=production)
        self._known = context
        self._fields = tuple(fields)
        self._about = about
        self._command: Command | None = None
        self._sql = ""

    def command_of(self, values: Mapping[str, str]) -> Command | None:
        """The command that these values make; None while nothing is asked for. Raises SkyError with what is wrong."""
        raise NotImplementedError

    def compose_body(self) -> ComposeResult:
        if self._about:
            yield paragraph(Content.styled(shown(self._about, keep_lines=True), "bold"))
        for field in self._fields:
            with Horizontal(classes="form-row"):
                yield Label(field.label, markup=False)
                suggester = SuggestFromList(field.choices, case_sensitive=True) if field.choices else None
                yield Input(
                    field.value,
                    placeholder=field.hint,
                    id=f"field-{field.id}",
                    compact=True,
                    suggester=suggester,
                    select_on_focus=False,
                )

    def compose_foot(self) -> ComposeResult:
        yield paragraph("", widget_id="form-preview")

    def compose_buttons(self) -> ComposeResult:
        yield button("Cancel", "esc", "cancel")
        yield button("Run", "⏎", "run", widget_id="form-run")
        yield button("Copy SQL", "^y", "copy_sql")

    def on_mount(self) -> None:
        self.query_one(f"#field-{self._fields[0].id}", Input).focus()
        self._preview()

    @property
    def values(self) -> dict[str, str]:
        """What stands in the fields."""
        return {field.id: self.query_one(f"#field-{field.id}", Input).value for field in self._fields}

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._preview()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_run()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        event.widget.scroll_visible(animate=False)

    def action_run(self) -> None:
        if self._command is not None:
            self.dismiss(self._command)

    def action_copy_sql(self) -> None:
        if self._sql:
            send_to_terminal(self.app, self._sql, "the SQL")

    def _preview(self) -> None:
        self._command, self._sql = None, ""
        try:
            command = self.command_of(self.values)
            plan = command.plan(self._known) if command is not None else None
        except SkyError as error:
            said = Content.assemble(
                ("■ ", "$text-error"), shown(error.message), (f" {shown(error.hint)}", "$foreground-muted")
            )
            command = plan = None
        else:
            said = Content.styled("nothing to do yet", "$foreground-muted")
        if command is not None and plan is not None:
            self._command, self._sql = command, sql_of(plan)
            glyph, style = MARKS[command.risk]
            lines = [Content.assemble((f"{glyph} ", style), (shown(command.text()), "bold"))]
            lines.append(Content.styled(shown(self._sql, keep_lines=True), "$foreground-muted"))
            lines += [Content(shown(line)) for line in plan.effect]
            said = Content("\n").join(lines)
        self.query_one("#form-preview", Static).update(said)
        self.query_one("#form-run", Button).disabled = self._command is None
        self.call_after_refresh(self._fit)
