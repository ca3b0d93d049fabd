"""The statements on dead letters, waiting events, subconsumers and capture triggers. Source: spec/qadmin.md, part 3."""

from __future__ import annotations

from ..errors import UsageError
from .captures import CompileCapture, ShowCapture, UncompileCapture
from .letters import PurgeDeadLetters, ReplayDeadLetters, ShowDeadLetters, ShowRetry
from .members import RegisterSubconsumer, ShowSubconsumers, UnregisterSubconsumer
from .model import Command, Risk
from .nodes import Captures, Choice, Keyword, Node, Option, Repeat, Rule, Slot, SlotKind, Symbol
from .scope import EVERY
from .terms import (
    CONSUMER,
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

_REPLAY = Keyword("replay", help="dead letters")
_PURGE = Keyword("purge", help="dead letters")
_COMPILE = Keyword("compile", help="a capture trigger")
_UNCOMPILE = Keyword("uncompile", help="a capture trigger")
_LETTERS = series(Keyword("dead", help="letters: events that were given up"), Keyword("letters", also=("letter",)))
_ON_QUEUE = series(link("on"), Choice((EVERY_QUEUE, QUEUE)))
_FOR_CONSUMER = series(Keyword("for", help="one consumer"), CONSUMER)
_SCOPE = Repeat(Choice((_ON_QUEUE, _FOR_CONSUMER)))
_NUMBERS = Repeat(Slot(SlotKind.LETTER, "letter", "number"), Symbol(",", help="another letter"))
_SUBCONSUMER = Keyword("subconsumer", help="a worker of a cooperative consumer")
_MEMBER = Slot(SlotKind.SUBCONSUMER, "subconsumer")
_TRIGGER = Slot(SlotKind.TRIGGER, "trigger")
_ON_TABLE = series(link("on"), Slot(SlotKind.TABLE, "table"))


def _numbers(captures: Captures) -> tuple[int, ...]:
    return tuple(_number(token) for token in captures.all("letter"))


def _number(token: Token) -> int:
    if len(token.text) < 20:
        try:
            ReplayDeadLetters((int(token.text),))
        except UsageError as error:
            raise at_token(token, error) from error
        return int(token.text)
    raise at_token(token, UsageError(f"There is no dead letter {token.text}."))


def _show_letters(captures: Captures) -> Command:
    return ShowDeadLetters(scope_in(captures, "queue"), captures.name("consumer"))


def _replay(captures: Captures) -> Command:
    return ReplayDeadLetters(_numbers(captures), scope_in(captures, "queue"), captures.name("consumer"))


def _purge(captures: Captures) -> Command:
    age = captures.token("age")
    older = None if age is None else age.value
    return PurgeDeadLetters(_numbers(captures), scope_in(captures, "queue"), captures.name("consumer"), older)


def _show_retry(captures: Captures) -> Command:
    return ShowRetry(scope_in(captures, "queue"), captures.name("consumer"))


def _show_members(captures: Captures) -> Command:
    return ShowSubconsumers(captures.name("consumer"), scope_in(captures, "queue"))


def _register_member(captures: Captures) -> Command:
    if not captures.has("consumer"):
        raise UsageError("No consumer specified.", "Name it: `for CONSUMER`.")
    return RegisterSubconsumer(name_in(captures, "subconsumer"), name_in(captures, "consumer"), captures.name("queue"))


def _unregister_member(captures: Captures) -> Command:
    scope = scope_in(captures, "subconsumer")
    member = EVERY if scope is EVERY else name_in(captures, "subconsumer")
    return UnregisterSubconsumer(member, name_in(captures, "consumer"), captures.name("queue"), captures.has("close"))


def _table(captures: Captures) -> str | None:
    """The table as SQL names it: what stands in the text, or between the single quotes."""
    token = captures.token("table")
    if token is None:
        return None
    return token.value if token.kind is Kind.STRING else token.text


def _table_named(captures: Captures) -> str:
    table = _table(captures)
    if table is None:
        raise UsageError("The statement names no table.")
    return table


def _show_capture(captures: Captures) -> Command:
    return ShowCapture(_table(captures))


def _compile(captures: Captures) -> Command:
    form = captures.token("form")
    return CompileCapture(
        name_in(captures, "trigger"), _table_named(captures), "auto" if form is None else fold(form.value)
    )


def _uncompile(captures: Captures) -> Command:
    return UncompileCapture(name_in(captures, "trigger"), _table_named(captures))


def _forms() -> tuple[Node, ...]:
    words = (("row", "for each row"), ("statement", "once a statement"), ("auto", "what is faster for it"))
    return tuple(Keyword(word, field="form", help=text) for word, text in words)


ASIDE_RULES: tuple[Rule, ...] = (
    Rule(
        "show dead letters",
        series(SHOW, _LETTERS, _SCOPE),
        _show_letters,
        "events that a consumer gave up, oldest first",
        Risk.LOOK,
        "",
        "show dead letters on orders for mailer;",
    ),
    Rule(
        "show retry",
        series(SHOW, Keyword("retry", help="events that wait to be tried again"), _SCOPE),
        _show_retry,
        "events that wait to be tried again, due first",
        Risk.LOOK,
        "",
        "show retry on orders;",
    ),
    Rule(
        "show subconsumers",
        series(
            SHOW,
            Keyword("subconsumers", also=("subconsumer",), help="who shares a consumer's batches"),
            Repeat(Choice((_FOR_CONSUMER, _ON_QUEUE))),
        ),
        _show_members,
        "who shares a consumer's batches, and which batch each holds",
        Risk.LOOK,
        "",
        "show subconsumers for mailer on orders;",
    ),
    Rule(
        "show capture",
        series(SHOW, Keyword("capture", help="triggers that write events"), Option(_ON_TABLE)),
        _show_capture,
        "the triggers that write a table's changes into queues",
        Risk.LOOK,
        "",
        "show capture on public.orders;",
    ),
    Rule(
        "replay dead letters",
        series(_REPLAY, _LETTERS, Choice((_NUMBERS, _SCOPE))),
        _replay,
        "hands dead letters to their consumers again",
        Risk.COSTLY,
        "the consumer gets the event again; the letter is gone",
        "replay dead letter 17, 18;",
    ),
    Rule(
        "purge dead letters",
        series(
            _PURGE,
            _LETTERS,
            Choice(
                (
                    _NUMBERS,
                    series(
                        _SCOPE,
                        Option(
                            series(
                                Keyword("older", help="only letters of some age"),
                                Keyword("than", follow=" '"),
                                Slot(SlotKind.VALUE, "age", "interval"),
                            )
                        ),
                    ),
                )
            ),
        ),
        _purge,
        "deletes dead letters",
        Risk.DESTROYS,
        "the events in the letters are lost",
        "purge dead letters on orders older than '30 days';",
    ),
    Rule(
        "register subconsumer",
        series(REGISTER, _SUBCONSUMER, _MEMBER, Repeat(Choice((_FOR_CONSUMER, series(link("on"), QUEUE))))),
        _register_member,
        "lets one more worker share a consumer's batches",
        Risk.REVERSIBLE,
        "the consumer's batches are shared among its subconsumers",
        "register subconsumer w1 for mailer on orders;",
    ),
    Rule(
        "unregister subconsumer",
        series(
            UNREGISTER,
            _SUBCONSUMER,
            Choice((Symbol("*", field="subconsumer", help="every subconsumer"), _MEMBER)),
            _FOR_CONSUMER,
            Option(series(link("from"), QUEUE)),
            Option(
                series(
                    Keyword("close", field="close", help="also with an open batch, whose events are lost"),
                    Option(Keyword("batch")),
                )
            ),
        ),
        _unregister_member,
        "takes the worker out of the group",
        Risk.COSTLY,
        "the worker gets no more batches; refused while it holds one",
        "unregister subconsumer w1 for mailer from orders;",
    ),
    Rule(
        "compile capture",
        series(
            _COMPILE,
            Keyword("capture"),
            _TRIGGER,
            _ON_TABLE,
            Option(series(Keyword("as", help="row or statement"), Choice(_forms()))),
        ),
        _compile,
        "puts a function made for the table behind the trigger",
        Risk.REVERSIBLE,
        "replaces the trigger; waits for a lock on the table",
        "compile capture to_billing on public.invoices;",
    ),
    Rule(
        "uncompile capture",
        series(_UNCOMPILE, Keyword("capture"), _TRIGGER, _ON_TABLE),
        _uncompile,
        "puts the generic function behind the trigger again",
        Risk.REVERSIBLE,
        "replaces the trigger; waits for a lock on the table",
        "uncompile capture to_billing on public.invoices;",
    ),
)
