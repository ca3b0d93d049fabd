"""The questions asked before something changes, and the dialog that says why nothing did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Input, Static

from ...engine.errors import SkyError
from ...engine.language.model import Outcome, Risk
from ..clipboard import send_to_terminal
from ..shown import shown
from ..submission import Ask, Submission, effects_of, title_of
from .dialog import Dialog, button, marked, paragraph

MARKS: dict[Risk, tuple[str, str]] = {
    Risk.LOOK: ("·", "$foreground-muted"),
    Risk.REVERSIBLE: ("●", "$text-success"),
    Risk.COSTLY: ("▲", "$text-warning"),
    Risk.DESTROYS: ("■", "$text-error"),
}
"""Glyph and style of each risk; the glyph alone carries the meaning without colour."""

Rehearsal = Callable[[], "Future[tuple[Outcome, ...]]"]
"""Starts a dry run in the engine's thread."""


class ConfirmDialog(Dialog[bool]):
    """Shows what will run and what it touches; True when the person wants it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "rehearse", "Dry run", id="confirm.dry_run"),
        Binding("y", "copy_sql", "Copy SQL", id="confirm.copy"),
        Binding("ctrl+d", "rehearse", "Dry run", show=False, priority=True, id="confirm.dry_run_typing"),
        Binding("ctrl+y", "copy_sql", "Copy SQL", show=False, priority=True, id="confirm.copy_typing"),
    ]

    DEFAULT_CSS = """
    ConfirmDialog {
        & #confirm-command { margin-top: 1; }
        & #confirm-dry-run { display: none; margin-top: 1; &.-shown { display: block; } }
        &.-low #confirm-command, &.-low #confirm-dry-run { margin-top: 0; }
        & #confirm-question { height: auto; width: 1fr; margin-top: 1; }
        &.-low #confirm-question { margin-top: 0; }
        & #confirm-phrase { width: 1fr; }
    }
    """

    class Rehearsed(Message):
        """The dry run has come back."""

        def __init__(self, outcomes: tuple[Outcome, ...], error: str = "") -> None:
            super().__init__()
            self.outcomes = outcomes
            self.error = error

    def __init__(
        self,
        submission: Submission,
        ask: Ask,
        *,
        rehearsal: Rehearsal | None = None,
        production: bool = False,
    ) -> None:
        super().__init__(title_of(submission), submission.source, production=production)
        self._submission = submission
        self._ask = ask
        self._rehearsal = rehearsal
        self._phrase = submission.phrase if ask is Ask.TYPE else ""

    def compose_body(self) -> ComposeResult:
        glyph, style = MARKS[self._submission.risk]
        lines = effects_of(self._submission) or (title_of(self._submission),)
        yield marked(glyph, style, "\n".join(map(shown, lines)), widget_id="confirm-effect")
        yield paragraph(statement_of(self._submission), widget_id="confirm-command")
        yield paragraph("", widget_id="confirm-dry-run")

    def compose_foot(self) -> ComposeResult:
        undo = self._submission.undo_text
        if self._ask is not Ask.TYPE:
            yield paragraph(Content.styled(undo, "$foreground-muted"), widget_id="confirm-question")
            return
        named = "the number" if self._is_number else "the name" if self._names_it else "the word"
        asked = "how many are destroyed" if self._many else named
        question = Content.assemble((f"{undo} type {asked}: ", "$text-error"), (shown(self._phrase), "bold"))
        yield paragraph(question, widget_id="confirm-question")
        yield Input(id="confirm-phrase", compact=True, placeholder=shown(self._phrase))

    def compose_buttons(self) -> ComposeResult:
        typing = self._ask is Ask.TYPE
        yield button("Cancel", "esc", "cancel", widget_id="confirm-cancel")
        yield button("Run", "⏎", "run", widget_id="confirm-run")
        if self._rehearsal is not None:
            yield button("Dry run", "^d" if typing else "d", "rehearse")
        yield button("Copy", "^y" if typing else "y", "copy_sql")

    def on_mount(self) -> None:
        run = self.query_one("#confirm-run", Button)
        match self._ask:
            case Ask.TYPE:
                run.disabled = True
                self.query_one("#confirm-phrase", Input).focus()
            case Ask.DIALOG:
                self.query_one("#confirm-cancel", Button).focus()
            case Ask.ENTER | Ask.NOTHING:
                run.focus()

    @property
    def _many(self) -> bool:
        return self._phrase.isdecimal() and len(self._submission.planned) > 1

    @property
    def _is_number(self) -> bool:
        return self._phrase.isdecimal() and self._names_it

    @property
    def _names_it(self) -> bool:
        return any(one.command.confirm_name == self._phrase for one in self._submission.planned)

    @on(Input.Changed, "#confirm-phrase")
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#confirm-run", Button).disabled = event.value != self._phrase

    @on(Input.Submitted, "#confirm-phrase")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_run()

    def action_cancel(self) -> None:
        self.dismiss(False)

    def action_run(self) -> None:
        if not self.query_one("#confirm-run", Button).disabled:
            self.dismiss(True)

    def action_copy_sql(self) -> None:
        send_to_terminal(self.app, self._submission.sql, "the SQL")

    def action_rehearse(self) -> None:
        if self._rehearsal is None:
            return
        self._show_rehearsal(Content.styled("dry run …", "$foreground-muted"))
        self._rehearsal().add_done_callback(self._rehearsal_done)

    def _rehearsal_done(self, future: Future[tuple[Outcome, ...]]) -> None:
        """Runs in the engine's thread."""
        if future.cancelled():
            self.post_message(self.Rehearsed((), "the dry run was cancelled"))
            return
        error = future.exception()
        if error is None:
            self.post_message(self.Rehearsed(future.result()))
        else:
            text = str(error) if isinstance(error, SkyError) else f"{type(error).__name__}: {error}"
            self.post_message(self.Rehearsed((), text))

    def on_confirm_dialog_rehearsed(self, message: Rehearsed) -> None:
        if message.error:
            self._show_rehearsal(Content.styled(f"dry run failed: {shown(message.error)}", "$text-error"))
        else:
            self._show_rehearsal(rehearsal_text(message.outcomes))

    def _show_rehearsal(self, content: Content) -> None:
        place = self.query_one("#confirm-dry-run", Static)
        place.update(content)
        place.add_class("-shown")
        self.call_after_refresh(place.scroll_visible, animate=False)


class QuestionDialog(Dialog[bool]):
    """A plain question: yes or no, the focus on no."""

    def __init__(self, title: str, question: str, yes: str, source: str = "", *, production: bool = False) -> None:
        super().__init__(title, source, production=production)
        self._question = question
        self._yes = yes

    def compose_body(self) -> ComposeResult:
        yield paragraph(shown(self._question, keep_lines=True))

    def compose_buttons(self) -> ComposeResult:
        yield button("Cancel", "esc", "cancel", widget_id="question-no")
        yield button(self._yes, "⏎", "yes", widget_id="question-yes")

    def on_mount(self) -> None:
        self.query_one("#question-no", Button).focus()

    def action_cancel(self) -> None:
        self.dismiss(False)

    def action_yes(self) -> None:
        self.dismiss(True)


class FailureDialog(Dialog[None]):
    """Why a command did not run: the statement, what the server said, and what state that left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", id="failure.copy"),
        Binding("enter", "cancel", "Close", show=False),
    ]

    DEFAULT_CSS = """
    FailureDialog {
        & #dialog { border: round $error; border-title-color: $text-error; }
        &.-ascii #dialog { border: ascii $error; }
    }
    """

    def __init__(
        self,
        title: str,
        source: str,
        error: str,
        *,
        statement: str = "",
        sqlstate: str = "",
        detail: str = "",
        hint: str = "",
        state: str = "nothing was changed",
    ) -> None:
        super().__init__(title, source)
        self._error = error
        self._statement = statement
        self._sqlstate = sqlstate
        self._detail = detail
        self._hint = hint
        self._state = state

    def compose_body(self) -> ComposeResult:
        error = Content.styled(shown(self._error, keep_lines=True), "bold")
        yield marked("■", "$text-error", error, widget_id="failure-error")
        facts = [("SQLSTATE", self._sqlstate), ("detail", self._detail), ("hint", self._hint)]
        lines = [
            Content.assemble((f"{word:<9}", "$foreground-muted"), shown(value, keep_lines=True))
            for word, value in facts
            if value
        ]
        if lines:
            yield paragraph(Content("\n").join(lines), widget_id="failure-facts")
        if self._statement:
            yield paragraph(Content.styled(shown(self._statement, keep_lines=True), "$foreground-muted"))
        yield paragraph(Content.styled(self._state, "bold"), widget_id="failure-state")

    def compose_buttons(self) -> ComposeResult:
        yield button("Close", "esc", "cancel", widget_id="failure-close")
        yield button("Copy", "y", "copy")

    def on_mount(self) -> None:
        self.query_one("#failure-close", Button).focus()

    def action_copy(self) -> None:
        parts = [self._error, self._sqlstate, self._detail, self._hint, self._statement]
        send_to_terminal(self.app, "\n".join(part for part in parts if part), "the error")


def statement_of(submission: Submission) -> Content:
    """The commands in the language, each with the SQL it will run under it."""
    blocks: list[Content] = []
    for one in submission.planned:
        blocks.append(Content.styled(shown(one.command.text()), "bold"))
        sql = Submission((one,), submission.context, submission.source, submission.taken).sql
        blocks.append(Content.styled(shown(sql, keep_lines=True), "$foreground-muted"))
    return Content("\n").join(blocks)


def rehearsal_text(outcomes: Sequence[Outcome]) -> Content:
    """What a dry run found: rows and locks of each command, or the error it would meet."""
    lines: list[Content] = []
    for outcome in outcomes:
        if not outcome.ok:
            state = f" ({outcome.sqlstate})" if outcome.sqlstate else ""
            lines.append(Content.styled(f"dry run: would fail{state}: {shown(outcome.error)}", "$text-error"))
            lines += [Content(f"  {shown(text)}") for text in (outcome.detail, outcome.hint) if text]
            continue
        lines.append(
            Content.assemble(
                ("dry run: ", "$text-success"),
                f"works, {outcome.seconds * 1000:.0f} ms, rolled back",
            )
        )
        lines += [Content(f"  {_row(outcome.columns, row)}") for row in outcome.rows[:12]]
        if len(outcome.rows) > 12:
            lines.append(Content(f"  and {len(outcome.rows) - 12} more rows"))
        lines += [Content(f"  {shown(change)}") for change in outcome.changes]
        lines += [Content.styled(f"  lock: {shown(lock)}", "$foreground-muted") for lock in outcome.locks]
        lines += [Content.styled(f"  notice: {shown(text)}", "$foreground-muted") for text in outcome.notices]
    return Content("\n").join(lines)


def _row(columns: Sequence[str], row: Sequence[object]) -> str:
    return ", ".join(f"{shown(column)} {shown(str(value))}" for column, value in zip(columns, row, strict=False))
