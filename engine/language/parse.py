"""From text to commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ..errors import UsageError
from .errors import LanguageError
from .grammar import RULES
from .model import Command
from .names import NO_NAMES, Names
from .nodes import Captures, Keyword, Path, Resolver, Rule
from .tokens import Kind, Token, tokens

START: tuple[Path, ...] = tuple(Path(rule, (rule.form,)) for rule in RULES)
"""Before the first word of a statement, everything may come."""


_MOST = 7
"""An error names so many of the words that could stand at its place."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One command with the place it was read from."""

    command: Command
    rule: Rule
    start: int
    """Characters from the beginning of the text to its first word."""
    end: int
    """To behind its last word, the `;` left out."""
    ended: bool
    """A `;` follows."""
    notices: tuple[str, ...] = ()
    """What a person should know about how it was read."""


def parse(text: str, names: Names = NO_NAMES) -> list[Command]:
    """The commands of the text. The last `;` may be missing. Raises LanguageError."""
    return [one.command for one in statements(text, names)]


def statements(text: str, names: Names = NO_NAMES) -> list[Statement]:
    """The commands of the text with their places. An empty statement is none. Raises LanguageError."""
    return [_statement(text, words, ended, names) for words, ended in split(tokens(text)) if words]


def split(found: Sequence[Token]) -> Iterator[tuple[list[Token], bool]]:
    """The words of each statement, and whether a `;` ends it; the last one may be empty."""
    words: list[Token] = []
    for token in found:
        if token.is_symbol(";"):
            yield words, True
            words = []
        else:
            words.append(token)
    yield words, False


def follow(paths: Sequence[Path], token: Token) -> tuple[Path, ...]:
    """The ways that are left when this token comes next."""
    return tuple(further for path in paths for further in path.take(token))


def expected(paths: Sequence[Path]) -> tuple[str, ...]:
    """What may come next, each once, in the grammar's order."""
    found = dict.fromkeys(str(terminal) for path in paths for terminal in path.next())
    if any(path.may_end for path in paths):
        found[";"] = None
    return tuple(found)


def _statement(text: str, words: list[Token], ended: bool, names: Names) -> Statement:
    paths: Sequence[Path] = START
    for token in words:
        further = follow(paths, token)
        if not further:
            raise _unexpected(text, token, paths)
        paths = further
    end = words[-1].end
    path = next((one for one in paths if one.may_end), None)
    if path is None:
        wanted = expected(paths)
        raise LanguageError(
            text,
            end,
            f"The statement ends too early: {_one_of(wanted)} is missing.",
            expected=wanted,
            incomplete=not ended,
        )
    resolver = Resolver(names)
    try:
        command = path.rule.build(Captures(path.captures, resolver))
    except LanguageError as error:
        raise LanguageError(text, error.position, error.message, hint=error.hint, length=error.length) from error
    except UsageError as error:
        raise LanguageError(text, words[0].start, error.message, hint=error.hint) from error
    return Statement(command, path.rule, words[0].start, end, ended, tuple(resolver.notices))


def _unexpected(text: str, token: Token, paths: Sequence[Path]) -> LanguageError:
    wanted = expected(paths)
    words = [terminal.word for path in paths for terminal in path.next() if isinstance(terminal, Keyword)]
    near = get_close_matches(token.value.lower(), words, 1) if token.kind is Kind.NAME else []
    return LanguageError(
        text,
        token.start,
        f"{token.text} cannot stand here: {_one_of(wanted)} is expected.",
        expected=wanted,
        hint=f"Did you mean {near[0]}?" if near else "",
        length=len(token.text),
    )


def _one_of(wanted: tuple[str, ...]) -> str:
    if len(wanted) > _MOST:
        return f"{', '.join(wanted[: _MOST - 2])} or one of {len(wanted) - _MOST + 2} others"
    return wanted[0] if len(wanted) == 1 else f"{', '.join(wanted[:-1])} or {wanted[-1]}"
