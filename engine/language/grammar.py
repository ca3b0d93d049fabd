"""The statements of the language. Source: spec/qadmin.md, parts 3 and 11.

One definition yields parsing, errors, completion, highlighting, help and the risk of each statement. An older form
comes before an extension of it, so that every old sentence keeps its meaning.
"""

from __future__ import annotations

from ..errors import UsageError
from .consumers import RegisterConsumer, ShowConsumer, UnregisterConsumer
from .errors import LanguageError
from .help import Help
from .model import Command, Risk
from .nodes import Captures, Choice, Keyword, Node, Option, Repeat, Rule, Series, Slot, SlotKind, Symbol
from .queues import AlterQueue, CreateQueue, DropQueue, ShowQueue
from .scope import EVERY, Every
from .settings import SETTINGS, Setting, ValueKind, normalise
from .tokens import Kind, Token, fold


def _series(*parts: Node) -> Series:
    return Series(parts)


def _link(word: str) -> Keyword:
    """`on`, `from` and `in` mean the same everywhere (spec/qadmin.md 11.2)."""
    return Keyword(word, also=tuple(other for other in ("on", "from", "in") if other != word))


_SHOW = Keyword("show", help="queues, consumers, help")
_CREATE = Keyword("create", help="a queue")
_ALTER = Keyword("alter", help="a queue's settings")
_DROP = Keyword("drop", help="a queue")
_REGISTER = Keyword("register", help="a consumer")
_UNREGISTER = Keyword("unregister", help="a consumer")
_QUEUE = Slot(SlotKind.QUEUE, "queue")
_CONSUMER = Slot(SlotKind.CONSUMER, "consumer")
_EVERY_QUEUE = Symbol("*", field="queue", help="every queue")
_EVERY_CONSUMER = Symbol("*", field="consumer", help="every consumer")


def _setting(setting: Setting) -> Series:
    follow = " = '" if setting.kind is ValueKind.INTERVAL else " = "
    word = Keyword(setting.name, field="setting", follow=follow, help=setting.help)
    return _series(word, Symbol("="), Slot(SlotKind.VALUE, "value", label=setting.kind.name.lower()))


def _scope(captures: Captures, field: str) -> str | Every | None:
    """The name in the field, the star, or nothing."""
    token = captures.token(field)
    if token is None:
        return None
    return EVERY if token.is_symbol("*") else captures.name(field)


def _name(captures: Captures, field: str) -> str:
    name = captures.name(field)
    if name is None:
        raise UsageError(f"The statement names no {field}.")
    return name


def _show_queue(captures: Captures) -> Command:
    return ShowQueue(_scope(captures, "queue"))


def _show_consumer(captures: Captures) -> Command:
    consumer, queue = _scope(captures, "consumer"), _scope(captures, "queue")
    return ShowConsumer(EVERY if consumer is None else consumer, EVERY if queue is None else queue)


def _help(captures: Captures) -> Command:
    return Help(" ".join(fold(token.value) for token in captures.all("topic")))


def _create_queue(captures: Captures) -> Command:
    return CreateQueue(_name(captures, "queue"))


def _drop_queue(captures: Captures) -> Command:
    return DropQueue(_name(captures, "queue"), captures.has("force"), captures.has("empty"))


def _alter_queue(captures: Captures) -> Command:
    scope = _scope(captures, "queue")
    pairs = zip(captures.all("setting"), captures.all("value"), strict=True)
    settings = tuple((fold(name.value), _value(fold(name.value), token)) for name, token in pairs)
    return AlterQueue(_name(captures, "queue") if scope is None else scope, settings)


def _value(setting: str, token: Token) -> str | None:
    value = None if token.is_word("null") else token.value
    try:
        if token.kind is Kind.NAME and value is not None and fold(value) not in _WORDS_OF_VALUES:
            raise UsageError(f"{setting} cannot be {value}.", "Write an interval between single quotes.")
        return normalise(setting, value)
    except UsageError as error:
        raise _at(token, error) from error


_WORDS_OF_VALUES = frozenset(("true", "false", "on", "off", "yes", "no"))


def _register(captures: Captures) -> Command:
    tick = captures.token("tick")
    at: int | None = None
    if tick is not None:
        try:
            at = int(tick.text) if len(tick.text) < 20 else -1
            RegisterConsumer("", at=at)
        except UsageError as error:
            raise _at(tick, UsageError(f"There is no tick {tick.text}.", error.hint)) from error
    return RegisterConsumer(_name(captures, "consumer"), captures.name("queue"), at, captures.name("copy"))


def _unregister(captures: Captures) -> Command:
    scope = _scope(captures, "consumer")
    return UnregisterConsumer(_name(captures, "consumer") if scope is None else scope, captures.name("queue"))


def _at(token: Token, error: UsageError) -> LanguageError:
    """The error with the place of the token; the parser puts the whole text to it."""
    return LanguageError("", token.start, error.message, hint=error.hint, length=len(token.text))


RULES: tuple[Rule, ...] = (
    Rule(
        "show queue",
        _series(_SHOW, Keyword("queue", help="queues"), Option(Choice((_EVERY_QUEUE, _QUEUE)))),
        _show_queue,
        "the queue, or every queue",
        Risk.LOOK,
        "",
        "show queue orders;",
    ),
    Rule(
        "show consumer",
        _series(
            _SHOW,
            Keyword("consumer", help="consumers"),
            Option(
                Choice(
                    (
                        _series(
                            Choice((_EVERY_CONSUMER, _CONSUMER)),
                            Option(_series(_link("on"), Choice((_EVERY_QUEUE, _QUEUE)))),
                        ),
                        _series(_link("on"), Choice((_EVERY_QUEUE, _QUEUE))),
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
        _series(_SHOW, Keyword("help", help="the statements of the language")),
        _help,
        "the statements of the language",
        Risk.LOOK,
        "",
        "show help;",
    ),
    Rule(
        "help",
        _series(Keyword("help", help="explain statements"), Repeat(Slot(SlotKind.TOPIC, "topic"))),
        _help,
        "the statements that begin with these words",
        Risk.LOOK,
        "",
        "help alter queue;",
    ),
    Rule(
        "create queue",
        _series(_CREATE, Keyword("queue", help="a new queue"), Slot(SlotKind.NEW_QUEUE, "queue", "name")),
        _create_queue,
        "creates a queue",
        Risk.REVERSIBLE,
        "creates the queue's event tables and sequences",
        "create queue orders;",
    ),
    Rule(
        "alter queue",
        _series(
            _ALTER,
            Keyword("queue", help="settings of a queue"),
            Choice((_EVERY_QUEUE, _QUEUE)),
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
        _series(
            _DROP,
            Keyword("queue", help="a queue with its events"),
            _QUEUE,
            Option(
                Choice(
                    (
                        Keyword("force", field="force", help="unregister its consumers first"),
                        _series(
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
        _series(
            _REGISTER,
            Keyword("consumer", help="on a queue"),
            _CONSUMER,
            Repeat(
                Choice(
                    (
                        _series(_link("on"), _QUEUE),
                        _series(Keyword("at", help="the tick it has finished"), Slot(SlotKind.TICK, "tick")),
                        _series(
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
        _series(
            _UNREGISTER,
            Keyword("consumer", help="from a queue"),
            Choice((_EVERY_CONSUMER, _CONSUMER)),
            Option(_series(_link("from"), _QUEUE)),
        ),
        _unregister,
        "takes the consumer off the queue",
        Risk.COSTLY,
        "its events that wait for a retry are deleted; its position is lost once the tables rotate",
        "unregister consumer mailer from orders;",
    ),
)
