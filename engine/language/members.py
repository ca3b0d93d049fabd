"""The commands on cooperative consumers: workers join and leave a group. Source: spec/pgq-coop.md, spec/qadmin.md 4."""

from __future__ import annotations

from dataclasses import dataclass

from ..postgres.sql import queries
from .consumers import UnregisterConsumer
from .looks import Looks
from .model import Command, Context, Guard, Plan, Risk, Row, Step, Undo
from .scope import EVERY, Every, consumer_facts, consumers_of, did_you_mean, listed, plural, queue_or_default, write
from .tokens import quote_name

_FILE = "language/aside.sql"
_CLOSE = 1
"""`i_batch_handling` that drops a member with its batch."""


def _has_coop() -> Guard:
    return Guard(
        Step(queries(_FILE)["has_coop"]),
        "pgq_coop is not installed in this database.",
        "`skyconsole install pgq_coop --dsn DSN` installs it.",
    )


@dataclass(frozen=True, slots=True)
class ShowSubconsumers(Looks):
    """Lists the members of groups: who works on which batch."""

    consumer: str | None = None
    queue: str | Every | None = None
    """None: the default queue, or every queue when there is none."""

    def text(self) -> str:
        words = ["show subconsumers"]
        if self.consumer is not None:
            words += ["for", quote_name(self.consumer)]
        if self.queue is not None:
            words += ["on", write(self.queue)]
        return " ".join(words) + ";"

    def plan(self, context: Context) -> Plan:
        chosen = context.default_queue if self.queue is None else self.queue
        queue = None if chosen is EVERY or chosen is None else chosen
        step = Step(queries(_FILE)["members"], (queue, queue, self.consumer, self.consumer))
        of = "*" if self.consumer is None else self.consumer
        return Plan((step,), "", title=f'Subconsumers of "{of}" on queue "{"*" if queue is None else queue}":')


@dataclass(frozen=True, slots=True)
class RegisterSubconsumer:
    """Lets one more worker share a consumer's batches."""

    subconsumer: str
    consumer: str
    queue: str | None = None
    """None: the default queue."""

    @property
    def risk(self) -> Risk:
        return Risk.REVERSIBLE

    @property
    def reason(self) -> str:
        return "the consumer's batches are shared among its subconsumers"

    @property
    def confirm_name(self) -> str:
        return ""

    def text(self) -> str:
        ending = "" if self.queue is None else f" on {quote_name(self.queue)}"
        return f"register subconsumer {quote_name(self.subconsumer)} for {quote_name(self.consumer)}{ending};"

    def plan(self, context: Context) -> Plan:
        sql, queue = queries(_FILE), queue_or_default(self.queue, context)
        member = f"{self.consumer}.{self.subconsumer}"
        exists = Step(queries("language/queue.sql")["exists"], (queue,))
        known = consumer_facts(queue, self.consumer, context)
        return Plan(
            (Step(sql["register_member"], (queue, self.consumer, self.subconsumer)),),
            "REGISTER",
            guards=(
                _has_coop(),
                Guard(exists, f'Queue "{queue}" not found.', did_you_mean(queue, context)),
                Guard(Step(sql["is_new_member"], (queue, member)), "Subconsumer already registered."),
            ),
            effect=(f"{self.subconsumer} takes batches of {self.consumer} on {queue}",),
            inverse=None if known is None else UnregisterSubconsumer(self.subconsumer, self.consumer, queue),
            undo=Undo(
                Step(sql["member"], (queue, self.consumer, queue, member)), lambda rows: self._inverse(queue, rows)
            ),
        )

    def _inverse(self, queue: str, rows: tuple[Row, ...]) -> Command | None:
        """Without the main consumer, which was registered along with the first member, the member goes with it."""
        if rows and rows[0][2]:
            return UnregisterSubconsumer(self.subconsumer, self.consumer, queue)
        return UnregisterConsumer(self.consumer, queue)


@dataclass(frozen=True, slots=True)
class UnregisterSubconsumer:
    """Takes a worker, or all of them, out of a group."""

    subconsumer: str | Every
    consumer: str
    queue: str | None = None
    """None: the default queue."""
    close: bool = False
    """Also one that holds a batch, whose events nobody of the group will get."""

    @property
    def risk(self) -> Risk:
        return Risk.DESTROYS if self.close else Risk.COSTLY

    @property
    def reason(self) -> str:
        if self.close:
            return "the events of its open batch are lost for the group"
        return "the worker gets no more batches; refused while it holds one"

    @property
    def confirm_name(self) -> str:
        if not self.close:
            return ""
        return self.consumer if isinstance(self.subconsumer, Every) else self.subconsumer

    def text(self) -> str:
        words = ["unregister subconsumer", write(self.subconsumer), "for", quote_name(self.consumer)]
        if self.queue is not None:
            words += ["from", quote_name(self.queue)]
        if self.close:
            words.append("close batch")
        return " ".join(words) + ";"

    def plan(self, context: Context) -> Plan:
        sql, queue = queries(_FILE), queue_or_default(self.queue, context)
        handling = _CLOSE if self.close else 0
        if isinstance(self.subconsumer, Every):
            members = sorted(one.name for one in consumers_of(queue, context) if one.main == self.consumer)
            lines = (f"unregisters {plural(len(members), 'subconsumer')}:", listed(members)) if members else ()
            step = Step(sql["unregister_members"], (handling, queue, self.consumer))
            return Plan((step,), "UNREGISTER", guards=(_has_coop(),), effect=lines)
        member = f"{self.consumer}.{self.subconsumer}"
        facts = consumer_facts(queue, member, context)
        again = RegisterSubconsumer(self.subconsumer, self.consumer, queue)
        return Plan(
            (Step(sql["unregister_member"], (queue, self.consumer, self.subconsumer, handling)),),
            "UNREGISTER",
            guards=(_has_coop(),),
            effect=self._effect(facts.batch_id if facts is not None else None),
            inverse=again if facts is not None and facts.batch_id is None else None,
            undo=Undo(
                Step(sql["member"], (queue, self.consumer, queue, member)),
                lambda rows: again if rows and rows[0][1] and rows[0][0] is None else None,
            ),
        )

    def _effect(self, batch: int | None) -> tuple[str, ...]:
        if batch is None:
            return (f"{self.subconsumer} takes no more batches of {self.consumer}",)
        if self.close:
            return (f"drops {self.subconsumer} with its batch {batch}, whose events the group never gets again",)
        return (f"is refused while {self.subconsumer} holds batch {batch}",)
