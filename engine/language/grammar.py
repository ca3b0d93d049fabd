"""The statements of the language. Source: spec/qadmin.md, parts 3 and 11.

One definition yields parsing, errors, completion, highlighting, help and the risk of each statement. An older form
comes before an extension of it, so that every old sentence keeps its meaning.
"""

from __future__ import annotations

from ..errors import UsageError
from .aside_grammar import ASIDE_RULES
from .consumers import RegisterConsumer, ShowConsumer, UnregisterConsumer
from .help import Help
from .model import Command, Risk
from .nodes import Captures, Choice, Keyword, Option, Repeat, Rule, Series, Slot, SlotKind, Symbol
from .queues import AlterQueue, CreateQueue, DropQueue, ShowQueue
from .scope import EVERY
from .settings import SETTINGS, Setting, ValueKind, normalise
from .terms import (
    CONSUMER,
    EVERY_CONSUMER,
    EVERY_QUEUE,
    QUEUE,
    REGISTER,
    SHOW,
    UNREGISTER,
    at_token,
    link,
    name_in,
    scope_in,
    series,
)
from .tokens import Kind, Token, fold

_CREATE = Keyword("create", help="a queue")
_ALTER = Keyword("alter", help="a queue's settings")
_DROP = Keyword("drop", help="a queue")


def _setting(setting: Setting) -> Series:
    follow = " = '" if setting.kind is ValueKind.INTERVAL else " = "
    word = Keyword(setting.name, field="setting", follow=follow, help=setting.help)
    return series(word, Symbol("="), Slot(SlotKind.VALUE, "value", label=setting.kind.name.lower()))


def _show_queue(captures: Captures) -> Command:
    return ShowQueue(scope_in(captures, "queue"))


def _show_consumer(captures: Captures) -> Command:
    consumer, queue = scope_in(captures, "consumer"), scope_in(captures, "queue")
    return ShowConsumer(EVERY if consumer is None else consumer, EVERY if queue is None else queue)


def _help(captures: Captures) -> Command:
    return Help(" ".join(fold(token.value) for token in captures.all("topic")))


def _create_queue(captures: Captures) -> Command:
    return CreateQueue(name_in(captures, "queue"))


def _drop_queue(captures: Captures) -> Command:
    return DropQueue(name_in(captures, "queue"), captures.has("force"), captures.has("empty"))


def _alter_queue(captures: Captures) -> Command:
    scope = scope_in(captures, "queue")
    pairs = zip(captures.all("setting"), captures.all("value"), strict=True)
    settings = tuple((fold(name.value), _value(fold(name.value), token)) for name, token in pairs)
    return AlterQueue(name_in(captures, "queue") if scope is None else scope, settings)


def _value(setting: str, token: Token) -> str | None:
    value = None if token.is_word("null") else token.value
    try:
        if token.kind is Kind.NAME and value is not None and fold(value) not in _WORDS_OF_VALUES:
            raise UsageError(f"{setting} cannot be {value}.", "Write an interval between single quotes.")
        return normalise(setting, value)
    except UsageError as error:
        raise at_token(token, error) from error


_WORDS_OF_VALUES = frozenset(("true", "false", "on", "off", "yes", "no"))


def _register(captures: Captures) -> Command:
    tick = captures.token("tick")
    at: int | None = None
    if tick is not None:
        try:
            at = int(tick.text) if len(tick.text) < 20 else -1
            RegisterConsumer("", at=at)
        except UsageError as error:
            raise at_token(tick, UsageError(f"There is no tick {tick.text}.", error.hint)) from error
    return RegisterConsumer(name_in(captures, "consumer"), captures.name("queue"), at, captures.name("copy"))


def _unregister(captures: Captures) -> Command:
    scope = scope_in(captures, "consumer")
    return UnregisterConsumer(name_in(captures, "consumer") if scope is None else scope, captures.name("queue"))


_QUEUE_RULES: tuple[Rule, ...] = (
    Rule(
        "show queue",
        series(SHOW, Keyword("queue", help="queues"), Option(Choice((EVERY_QUEUE, QUEUE)))),
        _show_queue,
        "the queue, or every queue",
        Risk.LOOK,
        "",
        "show queue orders;",
    ),
    Rule(
        "show consumer",
        series(
            SHOW,
            Keyword("consumer", help="consumers"),
            Option(
                Choice(
                    (
                        series(
                            Choice((EVERY_CONSUMER, CONSUMER)),
                            Option(series(link("on"), Choice((EVERY_QUEUE, QUEUE)))),
                        ),
                        series(link("on"), Choice((EVERY_QUEUE, QUEUE))),
                    )
                )
            ),
        ),
        _show_consumer,
        "consumers: their lag, position and open batch",
        Risk.LOOK,
        "",
        "show consumer * on orders;",
    ),
    Rule(
        "show help",
        series(SHOW, Keyword("help", help="the statements of the language")),
        _help,
        "the statements of the language",
        Risk.LOOK,
        "",
        "show help;",
    ),
    Rule(
        "help",
        series(Keyword("help", help="explain statements"), Repeat(Slot(SlotKind.TOPIC, "topic"))),
        _help,
        "the statements that begin with these words",
        Risk.LOOK,
        "",
        "help alter queue;",
    ),
    Rule(
        "create queue",
        series(_CREATE, Keyword("queue", help="a new queue"), Slot(SlotKind.NEW_QUEUE, "queue", "name")),
        _create_queue,
        "creates a queue",
        Risk.REVERSIBLE,
        "creates the queue's event tables and sequences",
        "create queue orders;",
    ),
    Rule(
        "alter queue",
        series(
            _ALTER,
            Keyword("queue", help="settings of a queue"),
            Choice((EVERY_QUEUE, QUEUE)),
            Keyword("set"),
            Repeat(
                Choice(tuple(_setting(one) for one in SETTINGS), brief="<setting> = <value>"),
                Symbol(",", help="another setting"),
            ),
        ),
        _alter_queue,
        "changes settings of the queue, in one transaction",
        Risk.REVERSIBLE,
        "changes how the queue is ticked or written",
        "alter queue orders set max_count = 1000, max_lag = '2 seconds';",
    ),
    Rule(
        "drop queue",
        series(
            _DROP,
            Keyword("queue", help="a queue with its events"),
            QUEUE,
            Option(
                Choice(
                    (
                        Keyword("force", field="force", help="unregister its consumers first"),
                        series(
                            Keyword("if", help="only if nothing was ever in it"),
                            Keyword("empty", field="empty"),
                        ),
                    )
                )
            ),
        ),
        _drop_queue,
        "drops the queue",
        Risk.DESTROYS,
        "deletes the event tables and all events in them",
        "drop queue orders force;",
    ),
    Rule(
        "register consumer",
        series(
            REGISTER,
            Keyword("consumer", help="on a queue"),
            CONSUMER,
            Repeat(
                Choice(
                    (
                        series(link("on"), QUEUE),
                        series(Keyword("at", help="the tick it has finished"), Slot(SlotKind.TICK, "tick")),
                        series(
                            Keyword("copy", help="where another consumer stands"),
                            Slot(SlotKind.CONSUMER, "copy", "consumer"),
                        ),
                    )
                )
            ),
        ),
        _register,
        "registers the consumer, or moves it to a tick",
        Risk.REVERSIBLE,
        "the queue keeps its events until this consumer has read them",
        "register consumer mailer on orders;",
    ),
    Rule(
        "unregister consumer",
        series(
            UNREGISTER,
            Keyword("consumer", help="from a queue"),
            Choice((EVERY_CONSUMER, CONSUMER)),
            Option(series(link("from"), QUEUE)),
        ),
        _unregister,
        "takes the consumer off the queue",
        Risk.COSTLY,
        "its events that wait for a retry are deleted; its position is lost once the tables rotate",
        "unregister consumer mailer from orders;",
    ),
)

RULES: tuple[Rule, ...] = _QUEUE_RULES + ASIDE_RULES
"""Every statement; those of spec/qadmin.md come first, so that what was typed for years is offered first."""
