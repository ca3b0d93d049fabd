"""The commands on consumers. Source of behaviour: spec/qadmin.md, part 4 and 11; spec/pgq.md 4.3."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from ..postgres.sql import queries
from .looks import Looks
from .model import Command, Context, Guard, Plan, Risk, Row, Step, Undo
from .scope import (
    EVERY,
    Every,
    consumer_facts,
    consumers_of,
    did_you_mean,
    listed,
    plural,
    queue_facts,
    queue_or_default,
    write,
)
from .tokens import quote_name

_FILE = "language/consumer.sql"
_GREATEST_TICK = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ShowConsumer(Looks):
    """Lists consumers; the default queue plays no part (spec/qadmin.md 4)."""

    consumer: str | Every = EVERY
    queue: str | Every = EVERY

    def text(self) -> str:
        if self.queue is not EVERY:
            return f"show consumer {write(self.consumer)} on {write(self.queue)};"
        return "show consumer;" if self.consumer is EVERY else f"show consumer {write(self.consumer)};"

    def plan(self, context: Context) -> Plan:
        queue = None if isinstance(self.queue, Every) else self.queue
        consumer = None if isinstance(self.consumer, Every) else self.consumer
        title = f'Consumer "{"*" if consumer is None else consumer}" on queue "{"*" if queue is None else queue}":'
        return Plan((Step(queries(_FILE)["show"], (queue, consumer)),), "", title=title)


@dataclass(frozen=True, slots=True)
class RegisterConsumer:
    """Registers a consumer on a queue, or moves it to another tick."""

    consumer: str
    queue: str | None = None
    """None: the default queue."""
    at: int | None = None
    """The tick it has finished; a consumer that is registered already is moved there and loses its open batch."""
    copy: str | None = None
    """Where this consumer of the same queue stands; overrides `at`."""

    def __post_init__(self) -> None:
        if self.at is not None and not 0 <= self.at <= _GREATEST_TICK:
            raise UsageError(f"There is no tick {self.at}.", "A tick's number is at least 1 and fits into 8 bytes.")

    @property
    def risk(self) -> Risk:
        return Risk.REVERSIBLE

    @property
    def reason(self) -> str:
        if self.at is None and self.copy is None:
            return "the queue keeps its events until this consumer has read them"
        return "a consumer that is registered already is moved: it skips events or reads them again"

    @property
    def confirm_name(self) -> str:
        return ""

    def text(self) -> str:
        words = ["register consumer", quote_name(self.consumer)]
        if self.queue is not None:
            words += ["on", quote_name(self.queue)]
        if self.copy is not None:
            words += ["copy", quote_name(self.copy)]
        if self.at is not None:
            words += ["at", str(self.at)]
        return " ".join(words) + ";"

    def plan(self, context: Context) -> Plan:
        queue = queue_or_default(self.queue, context)
        found = consumer_facts(queue, self.consumer, context)
        return Plan(
            (self._step(queue),),
            "REGISTER",
            guards=self._guards(queue, context),
            effect=self._effect(queue, context),
            inverse=self._inverse(queue, () if found is None else ((found.last_tick_id, 1),)),
            undo=Undo(_position(queue, self.consumer, context), lambda rows: self._inverse(queue, rows)),
        )

    def _step(self, queue: str) -> Step:
        sql = queries(_FILE)
        if self.copy is not None:
            return Step(sql["register_copy"], (queue, self.consumer, queue, self.copy))
        if self.at is not None:
            return Step(sql["register_at"], (queue, self.consumer, self.at))
        return Step(sql["register"], (queue, self.consumer))

    def _guards(self, queue: str, context: Context) -> tuple[Guard, ...]:
        sql = queries(_FILE)
        exists = Step(queries("language/queue.sql")["exists"], (queue,))
        guards = [Guard(exists, f'Queue "{queue}" not found.', did_you_mean(queue, context))]
        if self.copy is not None:
            other = Step(sql["has_position"], (queue, self.copy))
            guards.append(Guard(other, f'There is no consumer "{self.copy}" on queue "{queue}" to copy.'))
        elif self.at is None:
            new = Step(sql["is_new"], (queue, self.consumer))
            guards.append(Guard(new, "Consumer already registered.", "`at TICK` or `copy CONSUMER` moves it."))
        return tuple(guards)

    def _effect(self, queue: str, context: Context) -> tuple[str, ...]:
        if self.copy is not None:
            goal = f"to where {self.copy} stands"
        elif self.at is not None:
            goal = f"to tick {self.at}"
        else:
            return (f"{self.consumer} reads what is inserted into {queue} from now on",)
        found = consumer_facts(queue, self.consumer, context)
        if found is None:
            return (f"registers {self.consumer}, or moves it, {goal}",)
        lines = [f"moves {self.consumer} from tick {found.last_tick_id} {goal}"]
        if found.batch_id is not None:
            lines.append(f"its open batch {found.batch_id} is dropped")
        return tuple(lines)

    def _inverse(self, queue: str, rows: tuple[Row, ...]) -> Command | None:
        if not rows:
            return UnregisterConsumer(self.consumer, queue)
        return _back_to(rows[0], self.consumer, queue)


@dataclass(frozen=True, slots=True)
class UnregisterConsumer:
    """Takes a consumer, or every consumer, off a queue."""

    consumer: str | Every
    queue: str | None = None
    """None: the default queue."""

    @property
    def risk(self) -> Risk:
        return Risk.DESTROYS if self.consumer is EVERY else Risk.COSTLY

    @property
    def reason(self) -> str:
        if self.consumer is EVERY:
            return "every position on the queue is lost, with the events that wait for a retry"
        return "its events that wait for a retry are deleted; its position is lost once the tables rotate"

    @property
    def confirm_name(self) -> str:
        return (self.queue or "*") if self.consumer is EVERY else ""

    def text(self) -> str:
        ending = "" if self.queue is None else f" from {quote_name(self.queue)}"
        return f"unregister consumer {write(self.consumer)}{ending};"

    def plan(self, context: Context) -> Plan:
        queue = queue_or_default(self.queue, context)
        if isinstance(self.consumer, Every):
            return self._plan_every(queue, context)
        found = consumer_facts(queue, self.consumer, context)
        return Plan(
            (Step(queries(_FILE)["unregister"], (queue, self.consumer)),),
            "UNREGISTER",
            guards=() if found is None else (_same(queue, self.consumer, found.sub_id),),
            effect=self._effect(queue, context),
            inverse=None if found is None or found.subconsumer else self._inverse(queue, ((found.last_tick_id, 1),)),
            undo=Undo(_position(queue, self.consumer, context), lambda rows: self._inverse(queue, rows)),
        )

    def _plan_every(self, queue: str, context: Context) -> Plan:
        sql = queries(_FILE)
        known = [one.name for one in consumers_of(queue, context)]
        guards = []
        if queue_facts(queue, context) is not None:
            sentence = f'Consumers were registered on queue "{queue}" since it was shown.'
            guards.append(Guard(Step(sql["no_newcomer"], (known, queue)), sentence, "Look again."))
        lines = (f"unregisters {plural(len(known), 'consumer')}:", listed(known)) if known else ()
        return Plan((Step(sql["unregister_every"], (queue,)),), "UNREGISTER", guards=tuple(guards), effect=lines)

    def _effect(self, queue: str, context: Context) -> tuple[str, ...]:
        for row in context.picture.consumers if context.picture else ():
            if row.facts.queue == queue and row.facts.name == self.consumer:
                lines = [f"{row.facts.name} stands at tick {row.facts.last_tick_id} of {queue}"]
                if row.pending:
                    lines.append(f"{plural(row.pending, 'event')} it has not read")
                if row.facts.batch_id is not None:
                    lines.append(f"its open batch {row.facts.batch_id} is dropped")
                return (*lines, "its events that wait for a retry are deleted, also when it is undone")
        return ()

    def _inverse(self, queue: str, rows: tuple[Row, ...]) -> Command | None:
        return _back_to(rows[0], str(self.consumer), queue) if rows else None


def _back_to(position: Row, consumer: str, queue: str) -> Command | None:
    """Registers again at the tick; a registration shared by subconsumers cannot be made again."""
    tick, members = position
    if not isinstance(tick, int) or members != 1:
        return None
    return RegisterConsumer(consumer, queue, at=tick)


def _position(queue: str, consumer: str, context: Context) -> Step:
    server = context.picture.snapshot.server if context.picture else None
    name = "position_locked" if server is not None and server.can_write else "position"
    return Step(queries(_FILE)[name], (queue, consumer))


def _same(queue: str, consumer: str, sub_id: int) -> Guard:
    step = Step(queries(_FILE)["is_same"], (queue, consumer, sub_id))
    sentence = f'Consumer "{consumer}" was registered anew on queue "{queue}" since it was shown.'
    return Guard(step, sentence, "Look again before you unregister it.")
