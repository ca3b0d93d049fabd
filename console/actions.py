"""The actions of the console: one registry, read by the keys, the `a` menu, the palette and the help.

An action either builds a command of the language from the row under the cursor, or opens a form or screen that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from ..engine.language.commands import AlterQueue, DropQueue, ShowConsumer, ShowQueue, UnregisterConsumer
from ..engine.language.model import Command, Context, Risk
from ..engine.monitor.picture import ConsumerRow, QueueRow
from .submission import refusal, sql_of

Row = object
"""What stands under the cursor: a QueueRow, a ConsumerRow, any other row of a screen, or None."""


class Subject(Enum):
    """What an action is done to."""

    QUEUE = "queue"
    CONSUMER = "consumer"
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
        case _:
            return Subject.ANYTHING


def queue_of(row: Row) -> str:
    """The queue a row stands for or belongs to; raises LookupError for a row without one."""
    match row:
        case QueueRow():
            return row.facts.name
        case ConsumerRow():
            return row.facts.queue
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
        case _:
            return ""


def _queue_facts(row: Row) -> QueueRow:
    if isinstance(row, QueueRow):
        return row
    raise LookupError("this row is no queue")


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
    if isinstance(row, ConsumerRow) and row.facts.subconsumer:
        return "a subconsumer leaves through its main consumer"
    return ""


def _move_refused(row: Row, context: Context) -> str:
    return _leave_refused(row, context)


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
        "unregister", "Unregister", Subject.CONSUMER, Risk.COSTLY, "X",
        "Ends the subscription; the position is remembered for undo.",
        build=lambda row: UnregisterConsumer(consumer_of(row), queue_of(row)), refuses=_leave_refused, bulk=True,
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
    return tuple(action.build(one) for one in (fitting if action.bulk and fitting else [row]))


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
