"""How the application runs commands: plan, ask, run in the engine's thread, show, remember, undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.reactive import reactive
from textual.signal import Signal

from ..engine.clock import Clock, SystemClock
from ..engine.errors import SkyError
from ..engine.language.executor import LOST_WHILE_COMMITTING, NOTHING_CHANGED
from ..engine.language.journal import Journal
from ..engine.language.model import Command, Context, Outcome, Risk
from ..engine.monitor.picture import Picture
from ..engine.monitor.source import Source
from .performing import CommandExecutor, Engine, executor_of, keep, perform, rehearse
from .shown import shown
from .submission import Ask, Origin, Submission, how_to_ask, plan_all, refusal, sql_of, title_of
from .widgets.command_log import KEPT, CommandLog, LogEntry, State
from .widgets.confirm import ConfirmDialog, FailureDialog, QuestionDialog
from .widgets.signs import only_ascii, text_in_ascii
from .widgets.toast import notice_of


class CommandFlow(App[object]):
    """An application that runs commands of the language.

    It never blocks: everything that waits for a server runs in `engine`, and comes back as a message.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "undo", "Undo", tooltip="Take back the last command", id="command.undo"),
        Binding("U", "redo", "Redo", show=False, tooltip="Do again what was undone", id="command.redo"),
        Binding(
            "R",
            "toggle_read_only",
            "Read-only",
            show=False,
            tooltip="Allow changes or not",
            id="command.read_only",
        ),
        Binding("L", "toggle_command_log", "Log", show=False, tooltip="Show or hide the command log", id="command.log"),
    ]

    read_only: reactive[bool] = reactive(False, bindings=True)
    """Nothing may be changed in this session until `R` says otherwise."""

    engine: Engine
    clock: Clock = SystemClock()
    journal: Journal | None = None
    """None: commands are not remembered and cannot be undone."""
    default_queue: str | None = None
    """The queue that commands without one mean."""

    class StepCame(Message):
        """One command of a submission came back."""

        def __init__(self, first: int, number: int, outcome: Outcome, submission: Submission) -> None:
            super().__init__()
            self.first = first
            """The log entry of the submission's first command."""
            self.number = number
            self.outcome = outcome
            self.submission = submission

    class Ended(Message):
        """A submission is over; `failure` when it broke off without an outcome."""

        def __init__(
            self, first: int, submission: Submission, outcomes: tuple[Outcome, ...], failure: BaseException | None
        ) -> None:
            super().__init__()
            self.first = first
            self.submission = submission
            self.outcomes = outcomes
            self.failure = failure

    def __init__(self, *, read_only: bool = False) -> None:
        super().__init__()
        self.set_reactive(CommandFlow.read_only, read_only)
        self.log_changed: Signal[tuple[LogEntry, ...]] = Signal(self, "command log")
        self._log_entries: tuple[LogEntry, ...] = ()
        self._log_count = 0
        self._executors: dict[str, CommandExecutor | None] = {}
        self._keepers: list[Future[None]] = []
        """Held, for a task that nobody holds is collected while it waits."""
        self._on_way: dict[int, Future[tuple[Outcome, ...]]] = {}

    # What the application gives.

    @property
    def picture(self) -> Picture | None:
        """The last picture of the present source."""
        return None

    @property
    def current_source(self) -> str:
        """The name of the source that commands go to."""
        return ""

    def source_named(self, name: str) -> Source | None:
        """The source of this name."""
        return None

    def executor_for(self, source: str) -> CommandExecutor | None:
        """What runs commands on this source; None for a source that takes none (a sample, a recording)."""
        if source not in self._executors:
            executor = executor_of(self.source_named(source))
            self._executors[source] = executor
            if executor is not None:
                self._keepers.append(self.engine.submit(keep(executor)))
        return self._executors[source]

    def in_production(self, source: str) -> bool:
        """Whether the source belongs to production, where even small changes are confirmed."""
        return False

    def command_done(self) -> None:
        """A command has changed the database: what is shown of it may be old."""

    def show_result(self, outcome: Outcome, source: str) -> None:
        """Opens the table that a `show …` command brought."""
        from .screens.result import ResultScreen

        self.push_screen(ResultScreen(outcome, source))

    # What the screens, the prompt and the forms call.

    @property
    def command_context(self) -> Context:
        """What commands may look at, as it stands now."""
        return Context(picture=self.picture, default_queue=self.default_queue, read_only=self.read_only)

    @property
    def log_entries(self) -> tuple[LogEntry, ...]:
        """The command log of this session, oldest first."""
        return self._log_entries

    @property
    def running_commands(self) -> int:
        """Submissions that are still under way."""
        return len(self._on_way)

    def run_command(self, command: Command, *, previewed: bool = False) -> None:
        """Plans, confirms and runs one command; returns at once."""
        self.run_commands((command,), previewed=previewed)

    def run_commands(self, commands: Sequence[Command], *, previewed: bool = False, origin: Origin = Origin.DO) -> None:
        """Plans them all, asks once, runs them in order and stops at the first failure; returns at once.

        `previewed` says that the person has just seen the SQL, so that a reversible command is not asked for again.
        """
        if not commands:
            return
        source, context = self.current_source, self.command_context
        try:
            submission = plan_all(commands, context, source, self.clock.now(), origin)
        except SkyError as error:
            self._refused(commands, error, source)
            return
        reason = refusal(submission.risk, read_only=context.read_only)
        if reason:
            self.notify(f"{shown(title_of(submission))}: not done.", title=reason, severity="warning", markup=False)
            return
        executor = self.executor_for(source)
        if executor is None:
            self.notify("This source takes no commands.", title=shown(source), severity="warning", markup=False)
            return
        production = self.in_production(source)
        unseen = origin is not Origin.DO and not self._log_entries  # it takes back what an earlier session did
        ask = how_to_ask(submission.risk, careful=production or unseen, previewed=previewed)
        if ask is Ask.NOTHING:
            self._start(submission, executor)
            return

        def rehearsal() -> Future[tuple[Outcome, ...]]:
            return self.engine.submit(rehearse(submission, executor))

        def answered(wanted: bool | None) -> None:
            if wanted:
                self._start(submission, executor)

        self.push_screen(ConfirmDialog(submission, ask, rehearsal=rehearsal, production=production), answered)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """A toast; what it says is never markup, for it may hold a name."""
        if only_ascii(self):
            message, title = text_in_ascii(message), text_in_ascii(title)
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    def leave(self) -> None:
        """Ends the program; asks first while a command is under way."""
        if not self.running_commands:
            self.exit()
            return

        def answered(wanted: bool | None) -> None:
            if wanted:
                self.exit()

        many = "A command is" if self.running_commands == 1 else f"{self.running_commands} commands are"
        question = f"{many} still under way. Leaving cancels what has not been committed."
        self.push_screen(QuestionDialog("leave", question, "Leave", self.current_source), answered)

    # Keys.

    def action_undo(self) -> None:
        self._from_journal(Origin.UNDO)

    def action_redo(self) -> None:
        self._from_journal(Origin.REDO)

    def action_toggle_read_only(self) -> None:
        if not self.read_only:
            self.read_only = True
            self.notify("R allows changes again.", title="read-only", markup=False)
            return
        source = self.current_source
        if not self.in_production(source):
            self._allow_changes()
            return

        def answered(wanted: bool | None) -> None:
            if wanted:
                self._allow_changes()

        question = f"{shown(source)} is a production database.\nAllow changes in this session?"
        self.push_screen(QuestionDialog("allow changes", question, "Allow", source, production=True), answered)

    def action_toggle_command_log(self) -> None:
        for log in self.screen.query(CommandLog):
            log.toggle()

    # What comes back.

    def on_command_flow_step_came(self, message: StepCame) -> None:
        self._replace_entry(message.first + message.number, lambda entry: entry.finished(message.outcome))
        outcome = message.outcome
        if not outcome.ok:
            return
        if outcome.command.risk > Risk.LOOK:
            self._only_last_is_undone(message.first + message.number, message.submission.source)
        if outcome.columns and outcome.command.risk is Risk.LOOK:
            self.show_result(outcome, message.submission.source)
            return
        self.command_done()
        notice = notice_of(outcome, message.submission.origin)
        self.notify(notice.text, title=notice.title, severity=notice.severity, markup=False)

    def on_command_flow_ended(self, message: Ended) -> None:
        self._on_way.pop(message.first, None)
        submission, outcomes = message.submission, message.outcomes
        total = len(submission.planned)
        came = len(outcomes)
        if message.failure is not None:
            self._broke_off(message)
            return
        for number in range(came, total):
            self._replace_entry(message.first + number, lambda entry: replace(entry, state=State.SKIPPED))
        if outcomes and not outcomes[-1].ok:
            self.push_screen(failure_dialog(submission, outcomes))

    # The way of a submission.

    def _from_journal(self, origin: Origin) -> None:
        if self.journal is None:
            self.notify("Commands are not remembered here.", severity="warning", markup=False)
            return
        source = self.current_source
        command = self.journal.undo(target=source) if origin is Origin.UNDO else self.journal.redo(target=source)
        if command is None:
            self.notify(f"nothing to {origin.value}", markup=False)
            return
        self.run_commands((command,), origin=origin)

    def _start(self, submission: Submission, executor: CommandExecutor) -> None:
        first = self._log_count
        entries = [
            LogEntry(
                number=first + number,
                time=self.clock.now(),
                source=submission.source,
                text=one.command.text(),
                sql=sql_of(one.plan),
                origin=submission.origin,
            )
            for number, one in enumerate(submission.planned)
        ]
        self._log_count += len(entries)
        self._set_log(self._log_entries + tuple(entries))

        def came(number: int, outcome: Outcome) -> None:
            self._tell(self.StepCame(first, number, outcome, submission))

        def over(future: Future[tuple[Outcome, ...]]) -> None:
            failure = None if future.cancelled() else future.exception()
            outcomes = () if future.cancelled() or failure is not None else future.result()
            self._tell(self.Ended(first, submission, outcomes, failure))

        future = self.engine.submit(perform(submission, executor, came, self.journal))
        self._on_way[first] = future
        future.add_done_callback(over)

    def _tell(self, message: Message) -> None:
        """Posts from the engine's thread; when the screen is gone there is nobody left to tell."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            self.post_message(message)

    def _allow_changes(self) -> None:
        self.read_only = False
        self.notify("R makes it read-only again.", title="changes allowed", severity="warning", markup=False)

    def _refused(self, commands: Sequence[Command], error: SkyError, source: str) -> None:
        text = "\n".join(command.text() for command in commands)
        self.push_screen(FailureDialog("not possible", source, error.message, statement=text, hint=error.hint))

    def _broke_off(self, message: Ended) -> None:
        failure = message.failure
        text = failure.message if isinstance(failure, SkyError) else f"{type(failure).__name__}: {failure}"
        hint = failure.hint if isinstance(failure, SkyError) else ""
        for number in range(len(message.submission.planned)):
            self._replace_entry(
                message.first + number,
                lambda entry: (
                    replace(entry, state=State.FAILED, result=text) if entry.state is State.RUNNING else entry
                ),
            )
        self.push_screen(
            FailureDialog(
                title_of(message.submission),
                message.submission.source,
                text,
                statement=message.submission.sql,
                hint=hint,
                state="it is not known whether anything was changed",
            )
        )

    def _replace_entry(self, number: int, change: Callable[[LogEntry], LogEntry]) -> None:
        self._set_log(tuple(change(entry) if entry.number == number else entry for entry in self._log_entries))

    def _only_last_is_undone(self, number: int, source: str) -> None:
        """The keys take back the last change of a source: what stood before it in the log promises nothing more."""
        self._set_log(
            tuple(
                replace(entry, back="") if entry.source == source and entry.number < number else entry
                for entry in self._log_entries
            )
        )

    def _set_log(self, entries: tuple[LogEntry, ...]) -> None:
        self._log_entries = entries[-KEPT:]
        self.log_changed.publish(self._log_entries)


def failure_dialog(submission: Submission, outcomes: tuple[Outcome, ...]) -> FailureDialog:
    """The dialog for a submission whose last outcome is a failure."""
    outcome = outcomes[-1]
    return FailureDialog(
        shown(outcome.command.text().rstrip().removesuffix(";")),
        submission.source,
        outcome.error,
        statement=sql_of(outcome.plan),
        sqlstate=outcome.sqlstate,
        detail=outcome.detail,
        hint=outcome.hint.removesuffix(NOTHING_CHANGED).rstrip(),
        state=state_after(len(submission.planned), outcomes),
    )


def state_after(total: int, outcomes: tuple[Outcome, ...]) -> str:
    """What a failed submission left behind, in a sentence."""
    done = len(outcomes) - 1
    left = total - len(outcomes)
    lost = outcomes[-1].hint == LOST_WHILE_COMMITTING
    first = "nothing was changed" if not done else f"{done} command{'s' if done > 1 else ''} before it took effect"
    if lost:
        first = "the connection was lost: look whether it took effect"
    return first + (f", {left} not run" if left else "")
