"""What the rules of the grammar are put together from: terminals that recur, and readers of what they caught."""

from __future__ import annotations

from ..errors import UsageError
from .errors import LanguageError
from .nodes import Captures, Keyword, Node, Series, Slot, SlotKind, Symbol
from .scope import EVERY, Every
from .tokens import Token

QUEUE = Slot(SlotKind.QUEUE, "queue")
CONSUMER = Slot(SlotKind.CONSUMER, "consumer")
EVERY_QUEUE = Symbol("*", field="queue", help="every queue")
EVERY_CONSUMER = Symbol("*", field="consumer", help="every consumer")
SHOW = Keyword("show", help="queues, consumers, dead letters, triggers, help")
REGISTER = Keyword("register", help="a consumer or a subconsumer")
UNREGISTER = Keyword("unregister", help="a consumer or a subconsumer")


def series(*parts: Node) -> Series:
    """One after the other."""
    return Series(parts)


def link(word: str) -> Keyword:
    """`on`, `from` and `in` mean the same everywhere (spec/qadmin.md 11.2)."""
    return Keyword(word, also=tuple(other for other in ("on", "from", "in") if other != word))


def scope_in(captures: Captures, field: str) -> str | Every | None:
    """The name in the field, the star, or nothing."""
    token = captures.token(field)
    if token is None:
        return None
    return EVERY if token.is_symbol("*") else captures.name(field)


def name_in(captures: Captures, field: str) -> str:
    """The name in the field. Raises UsageError when there is none."""
    name = captures.name(field)
    if name is None:
        raise UsageError(f"The statement names no {field}.")
    return name


def at_token(token: Token, error: UsageError) -> LanguageError:
    """The error with the place of the token; the parser puts the whole text to it."""
    return LanguageError("", token.start, error.message, hint=error.hint, length=len(token.text))
