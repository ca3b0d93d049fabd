"""The actions of the console: one registry, read by the keys, the `a` menu, the palette and the help.

An action either builds a command of the language from the row under the cursor, or opens a form or screen that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from ..engine.language.captures import table_name
from ..engine.language.commands import (
    AlterQueue,
    CompileCapture,
    DropQueue,
    PurgeDeadLetters,
    ReplayDeadLetters,
    ShowCapture,
    ShowConsumer,
    ShowDeadLetters,
    ShowQueue,
    ShowRetry,
    UncompileCapture,
    UnregisterConsumer,
    UnregisterSubconsumer,
)
from ..engine.language.model import Command, Context, Risk
from ..engine.monitor.picture import ConsumerRow, QueueRow
from .aside_columns import CaptureRow, LetterRow, WaitingRow, member_name
from .submission import refusal, sql_of

Row = object
"""What stands under the cursor: a QueueRow, a ConsumerRow, any other row of a screen, or None."""


class Subject(Enum):
    """What an action is done to."""

    QUEUE = "queue"
    CONSUMER = "consumer"
    LETTER = "dead letter"
    CAPTURE = "capture trigger"
    ANYTHING = "anything"
    """It needs no row."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a person can do."""

    id: str
    title: str
    subject: Subject
    risk: Risk
    key: str
    """As Textual names it; the keymap may change it by the id `action.<id>`."""
    help: str
    build: Callable[[Row], Command] | None = None
    """Makes the command from the row; None: `opens` says what asks for the rest."""
    opens: str = ""
    """The application's action that opens a form or a screen, without the row: `create_queue`."""
    refuses: Callable[[Row, Context], str] | None = None
    """Why it cannot be done to this row now; empty when it can."""
    bulk: bool = False
    """It may be done to all marked rows at once."""
    gather: Callable[[Sequence[Row]], Command] | None = None
    """Makes one command of all marked rows, where the language has it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An action as it stands for one row."""

    action: Action
    reason: str = ""
    """Why it is disabled; empty when it is not."""

    @property
    def enabled(self) -> bool:
        return not self.reason


def subject_of(row: Row) -> Subject:
    """What kind of thing a row is."""
    match row:
        case QueueRow():
            return Subject.QUEUE
        case ConsumerRow():
            return Subject.CONSUMER
        case LetterRow():
            return Subject.LETTER
        case CaptureRow():
            return Subject.CAPTURE
        case _:
            return Subject.ANYTHING


def queue_of(row: Row) -> str:
    """The queue a row stands for or belongs to; raises LookupError for a row without one."""
    match row:
        case QueueRow():
            return row.facts.name
        case ConsumerRow():
            return row.facts.queue
        case LetterRow():
            return row.letter.queue
        case WaitingRow():
            return row.waiting.queue
        case CaptureRow():
            return row.capture.queue
        case _:
            raise LookupError("this row belongs to no queue")


def consumer_of(row: Row) -> str:
    """The consumer a row stands for; raises LookupError for other rows."""
    if isinstance(row, ConsumerRow):
        return row.facts.name
    raise LookupError("this row is no consumer")


def sql_that_shows(row: Row) -> str:
    """The SQL that shows what the row stands for, to be copied; empty for other rows."""
    match row:
        case QueueRow():
            plan = ShowQueue(row.facts.name).plan(Context())
        case ConsumerRow():
            plan = ShowConsumer(row.facts.name, row.facts.queue).plan(Context())
        case LetterRow():
            plan = ShowDeadLetters(row.letter.queue, row.letter.consumer).plan(Context())
        case WaitingRow():
            plan = ShowRetry(row.waiting.queue, row.waiting.consumer).plan(Context())
        case CaptureRow():
            plan = ShowCapture(_table_of(row)).plan(Context())
        case _:
            return ""
    return sql_of(plan)


def subject_text(row: Row) -> str:
    """The row in words, with its name as it is: `queue orders`, `consumer mailer on orders`."""
    match row:
        case QueueRow():
            return f"queue {row.facts.name}"
        case ConsumerRow():
            return f"consumer {row.facts.name} on {row.facts.queue}"
        case LetterRow():
            return f"dead letter {row.letter.dl_id} of {row.letter.consumer} on {row.letter.queue}"
        case WaitingRow():
            return f"event {row.waiting.event.ev_id} on {row.waiting.queue}"
        case CaptureRow():
            return f"capture trigger {row.capture.trigger} on {row.capture.relation}"
        case _:
            return ""


def _queue_facts(row: Row) -> QueueRow:
    if isinstance(row, QueueRow):
        return row
    raise LookupError("this row is no queue")


def _letter(row: Row) -> int:
    if isinstance(row, LetterRow):
        return row.letter.dl_id
    raise LookupError("this row is no dead letter")


def _capture(row: Row) -> CaptureRow:
    if isinstance(row, CaptureRow):
        return row
    raise LookupError("this row is no capture trigger")


def _table_of(row: Row) -> str:
    capture = _capture(row).capture
    return table_name(capture.schema, capture.table)


def _unregister(row: Row) -> UnregisterConsumer | UnregisterSubconsumer:
    """A subconsumer leaves its group; with a batch only if it is closed, which is asked as what destroys is."""
    if isinstance(row, ConsumerRow) and row.facts.main is not None:
        holds = row.facts.batch_id is not None
        return UnregisterSubconsumer(member_name(row), row.facts.main, row.facts.queue, close=holds)
    return UnregisterConsumer(consumer_of(row), queue_of(row))


def _compile_refused(row: Row, context: Context) -> str:
    capture = _capture(row).capture
    server = context.picture.snapshot.server if context.picture else None
    if server is not None and server.pgq_origin == "extension":
        return "the original PgQ compiles none"
    return "" if capture.form == "generic" or capture.state == "stale" else f"compiled already: {capture.form}"


def _uncompile_refused(row: Row, _: Context) -> str:
    return "not compiled" if _capture(row).capture.form == "generic" else ""


def _needs_admin(_: Row, context: Context) -> str:
    server = context.picture.snapshot.server if context.picture else None
    return "this login may not change queues" if server is not None and not server.can_write else ""


def _needs_queue(row: Row, _: Context) -> str:
    return "" if isinstance(row, (QueueRow, ConsumerRow)) else "choose a queue first"


def _pause_refused(row: Row, context: Context) -> str:
    queue = _queue_facts(row).facts
    if queue.external_ticker:
        return "ticked from outside"
    return "paused already" if queue.paused else _needs_admin(row, context)


def _resume_refused(row: Row, context: Context) -> str:
    return _needs_admin(row, context) if _queue_facts(row).facts.paused else "not paused"


def _batch_refused(row: Row, _: Context) -> str:
    return "" if isinstance(row, ConsumerRow) and row.facts.batch_id is not None else "no batch is open"


def _leave_refused(row: Row, _: Context) -> str:
    if isinstance(row, ConsumerRow) and row.facts.subconsumer and row.facts.main is None:
        return "its main consumer is not known"
    return ""


def _move_refused(row: Row, _: Context) -> str:
    if isinstance(row, ConsumerRow) and row.facts.subconsumer:
        return "a subconsumer moves with its main consumer"
    return ""


ACTIONS: tuple[Action, ...] = (
    Action(
        "open", "Open", Subject.QUEUE, Risk.LOOK, "enter",
        "Shows its consumers, their batches and events.", opens="open_row",
    ),
    Action(
        "settings", "Change settings", Subject.QUEUE, Risk.REVERSIBLE, "S",
        "Ticker limits, rotation, inserts; shows the SQL before it runs.", opens="alter_queue", refuses=_needs_admin,
    ),
    Action(
        "pause-ticker", "Pause the ticker", Subject.QUEUE, Risk.REVERSIBLE, "t",
        "No new batches are made; events are kept.",
        build=lambda row: AlterQueue.paused(queue_of(row), True), refuses=_pause_refused, bulk=True,
    ),
    Action(
        "resume-ticker", "Resume the ticker", Subject.QUEUE, Risk.REVERSIBLE, "t",
        "Batches are made again.",
        build=lambda row: AlterQueue.paused(queue_of(row), False), refuses=_resume_refused, bulk=True,
    ),
    Action(
        "register", "Register a consumer", Subject.ANYTHING, Risk.REVERSIBLE, "C",
        "Asks for its name and where it starts.", opens="register_consumer", refuses=_needs_queue,
    ),
    Action(
        "drop", "Drop the queue", Subject.QUEUE, Risk.DESTROYS, "X",
        "Deletes its event tables and registrations; the queue's name must be typed.",
        build=lambda row: DropQueue(queue_of(row), force=bool(_queue_facts(row).consumers)),
        refuses=_needs_admin, bulk=True,
    ),
    Action(
        "open", "Open", Subject.CONSUMER, Risk.LOOK, "enter",
        "Shows where it stands and its batch.", opens="open_row",
    ),
    Action(
        "batch", "Show the open batch", Subject.CONSUMER, Risk.LOOK, "b",
        "The events it is working on; nothing is consumed.", opens="open_batch", refuses=_batch_refused,
    ),
    Action(
        "move", "Move to a tick", Subject.CONSUMER, Risk.REVERSIBLE, "M",
        "Puts its position on another tick: it sees events again, or skips them.",
        opens="move_consumer", refuses=_move_refused,
    ),
    Action(
        "members", "Cooperative members", Subject.CONSUMER, Risk.LOOK, "m",
        "Who shares its batches: working, idle or stale.", opens="open_members",
    ),
    Action(
        "add-member", "Register a subconsumer", Subject.CONSUMER, Risk.REVERSIBLE, "N",
        "One more worker shares its batches: put its name into the prompt. Needs pgq_coop.",
        opens="add_member",
    ),
    Action(
        "unregister", "Unregister", Subject.CONSUMER, Risk.COSTLY, "X",
        "Ends the subscription; the position is remembered for undo. A subconsumer leaves its group.",
        build=_unregister, refuses=_leave_refused, bulk=True,
    ),
    Action(
        "open", "Open", Subject.LETTER, Risk.LOOK, "enter",
        "Shows the letter with its event, decoded.", opens="open_row",
    ),
    Action(
        "replay", "Replay", Subject.LETTER, Risk.COSTLY, "P",
        "Its consumer gets the event again, by the retry queue; the letter is gone.",
        build=lambda row: ReplayDeadLetters((_letter(row),)), bulk=True,
        gather=lambda rows: ReplayDeadLetters(tuple(map(_letter, rows))),
    ),
    Action(
        "purge", "Purge", Subject.LETTER, Risk.DESTROYS, "X",
        "Deletes the letter with the event in it; its number must be typed.",
        build=lambda row: PurgeDeadLetters((_letter(row),)), bulk=True,
        gather=lambda rows: PurgeDeadLetters(tuple(map(_letter, rows))),
    ),
    Action(
        "open", "Open", Subject.CAPTURE, Risk.LOOK, "enter",
        "Shows the trigger with its arguments.", opens="open_row",
    ),
    Action(
        "compile", "Compile", Subject.CAPTURE, Risk.REVERSIBLE, "c",
        "Puts a function made for this table behind the trigger: the same events, faster.",
        build=lambda row: CompileCapture(_capture(row).capture.trigger, _table_of(row)),
        refuses=_compile_refused, bulk=True,
    ),
    Action(
        "uncompile", "Make it generic again", Subject.CAPTURE, Risk.REVERSIBLE, "c",
        "Puts the generic function behind the trigger.",
        build=lambda row: UncompileCapture(_capture(row).capture.trigger, _table_of(row)),
        refuses=_uncompile_refused, bulk=True,
    ),
    Action(
        "letters", "Dead letters", Subject.ANYTHING, Risk.LOOK, "d",
        "Events that were given up: of this consumer, this queue, or the database.", opens="open_letters",
    ),
    Action(
        "waiting", "Retry queue", Subject.ANYTHING, Risk.LOOK, "W",
        "Events that wait to be tried again, and delayed ones.", opens="open_waiting",
    ),
    Action(
        "captures", "Capture triggers", Subject.ANYTHING, Risk.LOOK, "T",
        "What writes changes of tables into queues; on such a trigger: those of its table.", opens="open_captures",
    ),
    Action(
        "create", "Create a queue", Subject.ANYTHING, Risk.REVERSIBLE, "A",
        "Asks for its name and settings; shows the SQL before it runs.", opens="create_queue", refuses=_needs_admin,
    ),
)  # fmt: skip
"""All actions, in the order of the menu."""


def available(row: Row, context: Context, actions: Sequence[Action] = ACTIONS) -> list[Offer]:
    """What can be done to the row, then what needs none; each with the reason if it cannot be done now."""
    wanted = dict.fromkeys((subject_of(row), Subject.ANYTHING))
    return [
        Offer(action, _reason(action, row, context))
        for subject in wanted
        for action in actions
        if action.subject is subject
    ]


def offer_for_key(key: str, row: Row, context: Context) -> Offer | None:
    """The action a key means for this row: of several (pause, resume) the one that can be done."""
    offers = [offer for offer in available(row, context) if offer.action.key == key]
    return next((offer for offer in offers if offer.enabled), offers[0] if offers else None)


def find(action_id: str, row: Row) -> Action:
    """The action of this id that applies to the row; raises LookupError."""
    subject = subject_of(row)
    for action in ACTIONS:
        if action.id == action_id and action.subject in {subject, Subject.ANYTHING}:
            return action
    raise LookupError(f"no action {action_id} for {subject.value}")


def commands_for(action: Action, row: Row, marked: Iterable[Row], context: Context) -> tuple[Command, ...]:
    """The commands an action makes: for the marked rows if it can take many and some fit, else for the row."""
    if action.build is None:
        return ()
    fitting = [one for one in marked if subject_of(one) is action.subject and not _reason(action, one, context)]
    rows = fitting if action.bulk and fitting else [row]
    if action.gather is not None and len(rows) > 1:
        return (action.gather(rows),)
    return tuple(action.build(one) for one in rows)


def keys() -> dict[str, list[Action]]:
    """Every key with the actions it stands for."""
    found: dict[str, list[Action]] = {}
    for action in ACTIONS:
        found.setdefault(action.key, []).append(action)
    return found


def _reason(action: Action, row: Row, context: Context) -> str:
    closed = refusal(action.risk, read_only=context.read_only)
    if action.refuses is None:
        return closed
    return action.refuses(row, context) or closed
