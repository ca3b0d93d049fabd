"""What grammars are made of: a statement's form as data, and the ways a text may go through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from .model import Command, Risk
from .names import Names
from .tokens import Kind, Token, fold


class SlotKind(Enum):
    """What a slot is filled with; decides which tokens fit and what is offered."""

    QUEUE = "queue"
    NEW_QUEUE = "new queue"
    CONSUMER = "consumer"
    SUBCONSUMER = "subconsumer"
    TRIGGER = "trigger"
    TABLE = "table"
    TICK = "tick"
    LETTER = "letter"
    VALUE = "value"
    TOPIC = "topic"


_NAMED = frozenset((SlotKind.QUEUE, SlotKind.NEW_QUEUE, SlotKind.CONSUMER, SlotKind.TRIGGER, SlotKind.TABLE))


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word of the language, in any case."""

    word: str
    also: tuple[str, ...] = ()
    """Other words that are taken for it."""
    field: str = ""
    """Where the token goes; empty: nowhere."""
    follow: str = " "
    """What completion puts after it."""
    help: str = ""

    def fits(self, token: Token) -> bool:
        return token.is_word(self.word) or any(token.is_word(other) for other in self.also)

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True, slots=True)
class Symbol:
    """A character of the language."""

    sign: str
    field: str = ""
    help: str = ""

    def fits(self, token: Token) -> bool:
        return token.is_symbol(self.sign)

    def __str__(self) -> str:
        return self.sign


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a name, a number or a value."""

    kind: SlotKind
    field: str
    label: str = ""

    def fits(self, token: Token) -> bool:
        if self.kind in _NAMED:
            return token.kind in (Kind.NAME, Kind.STRING)
        match self.kind:
            case SlotKind.SUBCONSUMER:
                return token.kind in (Kind.NAME, Kind.STRING, Kind.NUMBER)
            case SlotKind.TICK | SlotKind.LETTER:
                return token.kind is Kind.NUMBER and token.text.isascii() and token.text.isdigit()
            case SlotKind.TOPIC:
                return token.kind is Kind.NAME and not token.quoted
            case _:
                return token.kind in (Kind.STRING, Kind.NUMBER) or (token.kind is Kind.NAME and not token.quoted)

    def __str__(self) -> str:
        return f"<{self.label or self.kind.value}>"


@dataclass(frozen=True, slots=True)
class Series:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """May be left out."""

    node: Node


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these; where more than one fits, the first that leads to an end."""

    nodes: tuple[Node, ...]
    brief: str = ""
    """How the syntax line writes it, when the nodes are too many."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Any number of times; with a separator, at least once."""

    node: Node
    separator: Symbol | None = None


Terminal = Keyword | Symbol | Slot
Node = Terminal | Series | Option | Choice | Repeat


class Resolver:
    """Turns tokens into names: an unquoted one as typed if there is such a name, else in lower case.

    Source: spec/qadmin.md 11.3.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self.notices: list[str] = []
        """One for each unquoted word that could have meant two names."""

    def name(self, token: Token, kind: SlotKind) -> str:
        """What the token names."""
        folded = fold(token.value)
        if token.kind is Kind.STRING or token.quoted or folded == token.value or kind is SlotKind.NEW_QUEUE:
            return folded if token.kind is Kind.NAME and not token.quoted else token.value
        known = self._names.has_queue if kind is SlotKind.QUEUE else self._names.has_consumer
        if not known(token.value):
            return folded
        if known(folded):
            self.notices.append(f'There are {kind.value}s "{token.value}" and "{folded}": "{token.value}" was taken.')
        return token.value


@dataclass(frozen=True, slots=True)
class Capture:
    """A token that a command is built from."""

    field: str
    token: Token
    kind: SlotKind | None
    """None: a keyword or symbol."""


class Captures:
    """What one statement holds, for its builder. Where a field came more than once, the last wins."""

    def __init__(self, found: tuple[Capture, ...], resolver: Resolver) -> None:
        self._found = found
        self._resolver = resolver

    def token(self, field: str) -> Token | None:
        """The last token of the field."""
        return next((one.token for one in reversed(self._found) if one.field == field), None)

    def has(self, field: str) -> bool:
        return self.token(field) is not None

    def all(self, field: str) -> list[Token]:
        """Every token of the field, in order."""
        return [one.token for one in self._found if one.field == field]

    def name(self, field: str) -> str | None:
        """The name in the field, if there is one."""
        for one in reversed(self._found):
            if one.field == field and one.kind is not None:
                return self._resolver.name(one.token, one.kind)
        return None


@dataclass(frozen=True, slots=True)
class Rule:
    """One statement of the language: its form, what it builds, and what is told about it."""

    name: str
    """`create queue`"""
    form: Series
    build: Callable[[Captures], Command]
    """Raises UsageError, or LanguageError for the token that is wrong."""
    help: str
    risk: Risk
    reason: str
    """Why it is risky; empty for what only looks."""
    example: str


@dataclass(frozen=True, slots=True)
class Path:
    """One way through a rule, as far as the text has come."""

    rule: Rule
    rest: tuple[Node, ...]
    """What is still to come, in order."""
    captures: tuple[Capture, ...] = ()

    def take(self, token: Token) -> Iterator[Path]:
        """The ways on, when this token is next; the preferred one first."""
        for terminal, rest in expand(self.rest):
            if terminal is not None and terminal.fits(token):
                found = self.captures
                if terminal.field:
                    kind = terminal.kind if isinstance(terminal, Slot) else None
                    found = (*found, Capture(terminal.field, token, kind))
                yield Path(self.rule, rest, found)

    @property
    def may_end(self) -> bool:
        return any(terminal is None for terminal, _ in expand(self.rest))

    def next(self) -> Iterator[Terminal]:
        """What may come next, the preferred one first."""
        for terminal, _ in expand(self.rest):
            if terminal is not None:
                yield terminal


def expand(rest: tuple[Node, ...]) -> Iterator[tuple[Terminal | None, tuple[Node, ...]]]:
    """What may come next, with what follows it; None stands for the end of the statement."""
    if not rest:
        yield None, ()
        return
    head, tail = rest[0], rest[1:]
    match head:
        case Series(parts):
            yield from expand((*parts, *tail))
        case Option(node):
            yield from expand((node, *tail))
            yield from expand(tail)
        case Choice(nodes):
            for node in nodes:
                yield from expand((node, *tail))
        case Repeat(node, None):
            yield from expand((node, head, *tail))
            yield from expand(tail)
        case Repeat(node, separator) if separator is not None:
            yield from expand((node, Option(Series((separator, head))), *tail))
        case Keyword() | Symbol() | Slot():
            yield head, tail


def syntax(node: Node) -> str:
    """The form of a node as it is written in help: `[on <queue> | at <tick>]`."""
    match node:
        case Series(parts):
            return " ".join(_inner(part) for part in parts)
        case Option(inner):
            return f"[{syntax(inner)}]"
        case Choice(nodes, brief):
            return brief or " | ".join(syntax(one) for one in nodes)
        case Repeat(inner, None):
            return f"[{syntax(inner)}]…"
        case Repeat(inner, separator):
            return f"{_inner(inner)}[{separator} …]"
        case _:
            return str(node)


def _inner(node: Node) -> str:
    """A part of a series: a choice is put in parentheses."""
    text = syntax(node)
    return f"({text})" if isinstance(node, Choice) and not node.brief else text


def rest_syntax(rest: tuple[Node, ...]) -> str:
    """The form of what is still to come."""
    return syntax(Series(rest))
