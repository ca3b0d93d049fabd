"""The text's words by the part they play, for whoever paints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .names import NO_NAMES, Names
from .nodes import Path, Resolver, Slot, SlotKind
from .parse import START, follow
from .tokens import Kind, Token, scan


class Role(Enum):
    """What a word is in its sentence."""

    VERB = "verb"
    """The first word of a statement."""
    OBJECT = "object"
    """The word that says what the verb is about: `queue`."""
    KEYWORD = "keyword"
    KNOWN = "known name"
    NEW = "new name"
    """A name where a name belongs, of nothing that is known."""
    NUMBER = "number"
    STRING = "string"
    SIGN = "sign"
    COMMENT = "comment"
    WRONG = "wrong"
    """Not in the language here; and everything behind it up to the `;`."""


@dataclass(frozen=True, slots=True)
class Span:
    """A painted piece of the text."""

    start: int
    end: int
    role: Role


def highlight(text: str, names: Names = NO_NAMES, *, cursor: int | None = None) -> list[Span]:
    """The spans of the text's words, in order; blanks are left out.

    A last word that touches the cursor and could still become right is not wrong yet.
    """
    spans: list[Span] = []
    paths: Sequence[Path] = START
    index = 0
    resolver = Resolver(names)
    for token in scan(text):
        if token.kind is Kind.COMMENT:
            spans.append(Span(token.start, token.end, Role.COMMENT))
            continue
        if token.is_symbol(";"):
            spans.append(Span(token.start, token.end, Role.SIGN))
            paths, index = START, 0
            continue
        further = follow(paths, token)
        if not further and cursor == token.end and _may_grow(token, paths):
            role = _word(index)
        else:
            role = _role(token, paths, index, names, resolver) if further else Role.WRONG
            paths = further
        spans.append(Span(token.start, token.end, role))
        index += 1
    return spans


def _may_grow(token: Token, paths: Sequence[Path]) -> bool:
    """More letters could make it a word that fits."""
    if token.kind is Kind.ERROR:
        return any(isinstance(one, Slot) for path in paths for one in path.next())
    return token.kind is Kind.NAME and any(
        str(one).startswith(token.value.lower()) for path in paths for one in path.next() if not isinstance(one, Slot)
    )


def _role(token: Token, paths: Sequence[Path], index: int, names: Names, resolver: Resolver) -> Role:
    terminal = next(one for path in paths for one in path.next() if one.fits(token))
    if isinstance(terminal, Slot):
        match terminal.kind:
            case SlotKind.QUEUE | SlotKind.NEW_QUEUE:
                known = names.has_queue(resolver.name(token, terminal.kind))
                return Role.KNOWN if known else Role.NEW
            case SlotKind.CONSUMER:
                return Role.KNOWN if names.has_consumer(resolver.name(token, terminal.kind)) else Role.NEW
            case SlotKind.SUBCONSUMER | SlotKind.TRIGGER | SlotKind.TABLE:
                return Role.NEW
            case SlotKind.TICK | SlotKind.LETTER:
                return Role.NUMBER
            case SlotKind.TOPIC:
                return Role.KEYWORD
    match token.kind:
        case Kind.NUMBER:
            return Role.NUMBER
        case Kind.STRING:
            return Role.STRING
        case Kind.SYMBOL:
            return Role.SIGN
        case _:
            return _word(index)


def _word(index: int) -> Role:
    """What a keyword is by its place in the statement."""
    return (Role.VERB, Role.OBJECT)[index] if index < 2 else Role.KEYWORD
