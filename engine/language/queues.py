"""The commands on queues. Source of behaviour: spec/qadmin.md, part 4 and 11."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ..errors import UsageError
from ..postgres.sql import queries
from .literal import quote_string
from .looks import Looks
from .model import Command, Context, Guard, Plan, Risk, Row, Step, Undo
from .scope import EVERY, Every, consumers_of, did_you_mean, listed, plural, queue_facts, write
from .settings import BY_NAME, SETTINGS, Setting, normalise, of_facts
from .tokens import quote_name

_FILE = "language/queue.sql"


@dataclass(frozen=True, slots=True)
class ShowQueue(Looks):
    """Lists one queue, or all of them."""

    queue: str | Every | None = None
    """None: the default queue, or every queue when there is none."""

    def text(self) -> str:
        return "show queue;" if self.queue is None else f"show queue {write(self.queue)};"

    def plan(self, context: Context) -> Plan:
        queue = context.default_queue if self.queue is None else self.queue
        name = None if queue is EVERY or queue is None else queue
        step = Step(queries(_FILE)["show"], (name,))
        return Plan((step,), "", title=f'Queue "{"*" if name is None else name}":')


@dataclass(frozen=True, slots=True)
class CreateQueue:
    """Creates a queue."""

    queue: str

    @property
    def risk(self) -> Risk:
        return Risk.REVERSIBLE

    @property
    def reason(self) -> str:
        return "creates the queue's event tables and sequences"

    @property
    def confirm_name(self) -> str:
        return ""

    def text(self) -> str:
        return f"create queue {quote_name(self.queue)};"

    def plan(self, context: Context) -> Plan:
        sql = queries(_FILE)
        taken = Guard(Step(sql["is_new"], (self.queue,)), "Queue already exists.", "`show queue *;` lists the queues.")
        return Plan(
            (Step(sql["create"], (self.queue,)),),
            "CREATE",
            guards=(taken,),
            effect=("creates the queue's event tables and sequences",),
            inverse=DropQueue(self.queue, if_empty=True),
        )


@dataclass(frozen=True, slots=True)
class DropQueue:
    """Drops a queue with its events."""

    queue: str
    force: bool = False
    """Unregisters its consumers first; without it, a queue with consumers is not dropped."""
    if_empty: bool = False
    """Only when no consumer is registered and no event was ever inserted: the undo of `create queue`."""

    def __post_init__(self) -> None:
        if self.force and self.if_empty:
            raise UsageError("`force` and `if empty` contradict each other.")

    @property
    def risk(self) -> Risk:
        return Risk.REVERSIBLE if self.if_empty else Risk.DESTROYS

    @property
    def reason(self) -> str:
        return "drops the empty event tables" if self.if_empty else "deletes the event tables and all events in them"

    @property
    def confirm_name(self) -> str:
        return "" if self.if_empty else self.queue

    def text(self) -> str:
        ending = " force" if self.force else " if empty" if self.if_empty else ""
        return f"drop queue {quote_name(self.queue)}{ending};"

    def plan(self, context: Context) -> Plan:
        sql = queries(_FILE)
        name = "drop_force" if self.force else "drop"
        return Plan(
            (Step(sql[name], (self.queue,)),),
            "DROP",
            guards=self._guards(context),
            effect=self._effect(context),
            inverse=CreateQueue(self.queue) if self.if_empty else None,
        )

    def _guards(self, context: Context) -> tuple[Guard, ...]:
        sql = queries(_FILE)
        guards = [_found(self.queue, context, "lock")]
        known = [one.name for one in consumers_of(self.queue, context)]
        if not self.force:
            sentence = f'Queue "{self.queue}" still has consumers.'
            if known:
                sentence = f'Queue "{self.queue}" still has consumers: {listed(known)}.'
            hint = f"`drop queue {quote_name(self.queue)} force;` unregisters them too."
            guards.append(Guard(Step(sql["is_free"], (self.queue,)), sentence, "" if self.if_empty else hint))
        elif queue_facts(self.queue, context) is not None:
            guards.append(
                Guard(
                    Step(sql["no_newcomer"], (known, self.queue)),
                    f'Consumers were registered on queue "{self.queue}" since it was shown.',
                    "Look again before you drop it.",
                )
            )
        if self.if_empty:
            guards.append(
                Guard(
                    Step(sql["is_unused"], (self.queue,)),
                    f'Queue "{self.queue}" is not empty: events were inserted into it.',
                    f"`drop queue {quote_name(self.queue)};` deletes them.",
                )
            )
        return tuple(guards)

    def _effect(self, context: Context) -> tuple[str, ...]:
        facts = queue_facts(self.queue, context)
        tables = "the event tables" if facts is None else plural(facts.ntables, "event table")
        if self.if_empty:
            return (f"drops {tables}, all empty",)
        names = [one.name for one in consumers_of(self.queue, context)]
        if not names:
            return (f"destroys {tables} and all events in them",)
        if not self.force:
            return (f"is refused: {plural(len(names), 'consumer')} still attached", listed(names))
        lines = [f"destroys {tables} and {plural(len(names), 'registration')}:", listed(names)]
        for row in context.picture.consumers if context.picture else ():
            if row.facts.queue == self.queue and row.pending:
                lines.append(f"{row.facts.name} still has {plural(row.pending, 'unread event')}")
        hidden = len(lines) - 6
        return (*lines[:6], f"and {hidden} more with unread events") if hidden > 1 else tuple(lines)


@dataclass(frozen=True, slots=True)
class AlterQueue:
    """Changes settings of a queue, or of every queue, in one transaction."""

    queue: str | Every
    settings: tuple[tuple[str, str | None], ...]
    """Names as in `settings.SETTINGS`, with values as the language writes them; a name twice: the last wins."""

    def __post_init__(self) -> None:
        if not self.settings:
            raise UsageError("`alter queue` needs a setting.", "`alter queue QUEUE set max_count = 500;`")
        values = {name: normalise(name, value) for name, value in self.settings}
        object.__setattr__(self, "settings", tuple(values.items()))

    @classmethod
    def of(cls, queue: str | Every, /, **settings: str | int | bool | None) -> Self:
        """`AlterQueue.of("orders", max_count=500, paused=True)`. Raises UsageError."""
        return cls(queue, tuple((name, normalise(name, value)) for name, value in settings.items()))

    @classmethod
    def paused(cls, queue: str, on: bool) -> Self:
        """Pauses the queue's ticker, or lets it go on."""
        return cls.of(queue, paused=on)

    @property
    def risk(self) -> Risk:
        return Risk.COSTLY if self.queue is EVERY else Risk.REVERSIBLE

    @property
    def reason(self) -> str:
        return "changes every queue" if self.queue is EVERY else "changes how the queue is ticked or written"

    @property
    def confirm_name(self) -> str:
        return ""

    def text(self) -> str:
        return f"alter queue {write(self.queue)} set {', '.join(_assignment(*one) for one in self.settings)};"

    def plan(self, context: Context) -> Plan:
        every = isinstance(self.queue, Every)
        guards = () if isinstance(self.queue, Every) else (_found(self.queue, context, "exists"),)
        before = Step(queries(_FILE)["settings_every" if every else "settings"], () if every else (self.queue,))
        return Plan(
            tuple(self._step(BY_NAME[name], value) for name, value in self.settings),
            "ALTER",
            guards=guards,
            effect=self._effect(context),
            inverse=self._expected(context),
            undo=Undo(before, self._inverse),
        )

    def _step(self, setting: Setting, value: str | None) -> Step:
        sql = queries(_FILE)
        if isinstance(self.queue, Every):
            if setting.direct:
                return Step(sql[f"{setting.parameter}_every"], (value,))
            return Step(sql["set_every"], (setting.parameter, value))
        if setting.direct:
            return Step(sql[setting.parameter], (value, self.queue))
        return Step(sql["set"], (self.queue, setting.parameter, value))

    def _effect(self, context: Context) -> tuple[str, ...]:
        facts = None if isinstance(self.queue, Every) else queue_facts(self.queue, context)
        if facts is not None:
            return tuple(f"{name}: {_shown(of_facts(name, facts))} → {_shown(value)}" for name, value in self.settings)
        if isinstance(self.queue, Every) and context.picture is not None:
            return (f"changes {plural(len(context.picture.queues), 'queue')}",)
        return ()

    def _expected(self, context: Context) -> Command | None:
        facts = None if isinstance(self.queue, Every) else queue_facts(self.queue, context)
        if facts is None:
            return None
        return AlterQueue(self.queue, tuple((name, of_facts(name, facts)) for name, _ in self.settings))

    def _inverse(self, rows: tuple[Row, ...]) -> Command | None:
        changed = {name for name, _ in self.settings}
        old = {
            tuple(
                (one.name, None if value is None else str(value))
                for one, value in zip(SETTINGS, row, strict=True)
                if one.name in changed
            )
            for row in rows
        }
        return AlterQueue(self.queue, old.pop()) if len(old) == 1 else None


def _found(queue: str, context: Context, check: str) -> Guard:
    return Guard(Step(queries(_FILE)[check], (queue,)), f'Queue "{queue}" not found.', did_you_mean(queue, context))


def _assignment(name: str, value: str | None) -> str:
    if value is None:
        return f"{name} = null"
    return f"{name} = {value}" if value.isascii() and value.isdigit() else f"{name} = {quote_string(value)}"


def _shown(value: str | None) -> str:
    return "any" if value is None else value
