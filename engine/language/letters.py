"""The commands on dead letters and on events that wait for a retry. Source: spec/pgq.md 1.6."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from ..postgres.sql import queries
from .literal import quote_string
from .looks import Looks
from .model import Context, Guard, Plan, Risk, Step
from .scope import EVERY, Every, consumers_of, listed, plural, queue_or_default, write
from .tokens import quote_name

_FILE = "language/aside.sql"
_MOST = 1000
"""Rows that a list shows."""
_GREATEST_ID = 2**63 - 1


def _scope_text(queue: str | Every | None, consumer: str | None) -> str:
    on = "" if queue is None else f" on {write(queue)}"
    return on + ("" if consumer is None else f" for {quote_name(consumer)}")


def _queue_of(queue: str | Every | None, context: Context) -> str | None:
    """The queue that is meant: the default one where none is named; None: every queue."""
    chosen = context.default_queue if queue is None else queue
    return None if chosen is EVERY or chosen is None else chosen


def _title(what: str, queue: str | None, consumer: str | None) -> str:
    on = "every queue" if queue is None else f'queue "{queue}"'
    return f"{what} on {on}:" if consumer is None else f'{what} of consumer "{consumer}" on {on}:'


def _keeps_letters() -> Guard:
    return Guard(
        Step(queries(_FILE)["keeps_letters"]),
        "The PgQ of this database keeps no dead letters.",
        "skyconsole's own PgQ does: `skyconsole install pgq --dsn DSN`.",
    )


@dataclass(frozen=True, slots=True)
class ShowDeadLetters(Looks):
    """Lists dead letters, oldest first, the first thousand."""

    queue: str | Every | None = None
    """None: the default queue, or every queue when there is none."""
    consumer: str | None = None

    def text(self) -> str:
        return f"show dead letters{_scope_text(self.queue, self.consumer)};"

    def plan(self, context: Context) -> Plan:
        queue = _queue_of(self.queue, context)
        step = Step(queries(_FILE)["letters"], (queue, self.consumer, _MOST))
        return Plan((step,), "", title=_title("Dead letters", queue, self.consumer), guards=(_keeps_letters(),))


@dataclass(frozen=True, slots=True)
class ShowRetry(Looks):
    """Lists the events of the retry queue, due first, the first thousand."""

    queue: str | Every | None = None
    """None: the default queue, or every queue when there is none."""
    consumer: str | None = None

    def text(self) -> str:
        return f"show retry{_scope_text(self.queue, self.consumer)};"

    def plan(self, context: Context) -> Plan:
        queue = _queue_of(self.queue, context)
        step = Step(queries(_FILE)["retries"], (queue, queue, self.consumer, self.consumer, _MOST))
        return Plan((step,), "", title=_title("Retry queue", queue, self.consumer))


def _checked(letters: tuple[int, ...]) -> None:
    wrong = next((one for one in letters if not 1 <= one <= _GREATEST_ID), None)
    if wrong is not None:
        raise UsageError(f"There is no dead letter {wrong}.", "A letter's number is at least 1 and fits into 8 bytes.")


def _all_there(letters: tuple[int, ...]) -> Guard:
    ids = list(dict.fromkeys(letters))
    sentence = "A dead letter is not there any more." if len(ids) > 1 else f"There is no dead letter {ids[0]}."
    return Guard(Step(queries(_FILE)["letters_exist"], (ids, ids)), sentence, "`show dead letters;` lists them.")


def _letter_words(letters: tuple[int, ...]) -> str:
    return ", ".join(map(str, letters))


def _letters_named(letters: tuple[int, ...]) -> str:
    """`dead letter 17`, `3 dead letters: 17, 18, 21`."""
    if len(letters) == 1:
        return f"dead letter {letters[0]}"
    return f"{len(letters)} dead letters: {listed(list(map(str, letters)))}"


def _counted(queue: str | None, consumer: str | None, context: Context) -> int | None:
    """How many letters the picture knows of; None: it does not."""
    if context.picture is None:
        return None
    if queue is not None and consumer is not None:
        return next((one.dead_count for one in consumers_of(queue, context) if one.name == consumer), None)
    if consumer is not None:
        return None
    rows = [row.facts for row in context.picture.queues if queue in (None, row.facts.name)]
    return sum(row.dead_count or 0 for row in rows)


@dataclass(frozen=True, slots=True)
class ReplayDeadLetters:
    """Hands dead letters to their consumers again: by the retry queue, due now."""

    letters: tuple[int, ...] = ()
    """The numbers of the letters; empty: all of the queue and consumer."""
    queue: str | Every | None = None
    consumer: str | None = None

    def __post_init__(self) -> None:
        _checked(self.letters)

    @property
    def risk(self) -> Risk:
        return Risk.COSTLY

    @property
    def reason(self) -> str:
        return "the consumer gets the event again; the letter is gone"

    @property
    def confirm_name(self) -> str:
        return ""

    def text(self) -> str:
        if self.letters:
            return f"replay dead letter {_letter_words(self.letters)};"
        return f"replay dead letters{_scope_text(self.queue, self.consumer)};"

    def plan(self, context: Context) -> Plan:
        sql = queries(_FILE)
        if self.letters:
            step = Step(sql["replay"], (list(self.letters),))
            effect = (f"hands {_letters_named(self.letters)} to the retry queue, due now",)
            return Plan((step,), "REPLAY", guards=(_keeps_letters(), _all_there(self.letters)), effect=effect)
        queue = None if self.queue is EVERY else queue_or_default(_named(self.queue), context)
        number = _counted(queue, self.consumer, context)
        many = "every dead letter" if number is None else plural(number, "dead letter")
        effect = (f"hands {many} to the retry queue, due now",)
        return Plan(
            (Step(sql["replay_all"], (queue, self.consumer)),), "REPLAY", guards=(_keeps_letters(),), effect=effect
        )


@dataclass(frozen=True, slots=True)
class PurgeDeadLetters:
    """Deletes dead letters: their events are lost."""

    letters: tuple[int, ...] = ()
    """The numbers of the letters; empty: all of the queue and consumer."""
    queue: str | Every | None = None
    consumer: str | None = None
    older_than: str | None = None
    """An interval: only letters that are older. Only without numbers."""

    def __post_init__(self) -> None:
        _checked(self.letters)

    @property
    def risk(self) -> Risk:
        return Risk.DESTROYS

    @property
    def reason(self) -> str:
        return "the events in the letters are lost"

    @property
    def confirm_name(self) -> str:
        if self.letters:
            return str(self.letters[0] if len(self.letters) == 1 else len(self.letters))
        return self.queue if isinstance(self.queue, str) and self.queue else "*"

    def text(self) -> str:
        if self.letters:
            return f"purge dead letter {_letter_words(self.letters)};"
        older = "" if self.older_than is None else f" older than {quote_string(self.older_than)}"
        return f"purge dead letters{_scope_text(self.queue, self.consumer)}{older};"

    def plan(self, context: Context) -> Plan:
        sql = queries(_FILE)
        if self.letters:
            step = Step(sql["purge"], (list(self.letters),))
            effect = (f"deletes {_letters_named(self.letters)} with what is in it",)
            return Plan((step,), "PURGE", guards=(_keeps_letters(), _all_there(self.letters)), effect=effect)
        queue = None if self.queue is EVERY else queue_or_default(_named(self.queue), context)
        number = _counted(queue, self.consumer, context)
        many = "every dead letter" if number is None else plural(number, "dead letter")
        if self.older_than is not None:
            many = f"of {many} those older than {self.older_than}"
        owners = sorted({one.name for one in consumers_of(queue, context) if one.dead_count}) if queue else []
        effect = (f"deletes {many} with the events in them", *((f"of {listed(owners)}",) if owners else ()))
        step = Step(sql["purge_all"], (queue, self.consumer, self.older_than or "0"))
        return Plan((step,), "PURGE", guards=(_keeps_letters(),), effect=effect)


def _named(queue: str | Every | None) -> str | None:
    return None if isinstance(queue, Every) else queue
