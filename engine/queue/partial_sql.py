"""Rows as partial SQL statements, as the trigger sqltriga writes them. Source: spec/pgq.md 9.3."""

from __future__ import annotations

import re
from typing import Literal, overload

from .urlencoding import EncodingError

Row = dict[str, str | None]

_BLANKS = re.compile(r"\s*")
_NAME = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
_WORD = re.compile(r"[A-Za-z]+")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_QUOTED = re.compile(r"'([^']*(?:''[^']*)*)'")
_ESCAPED = re.compile(r"[eE]'([^'\\]*(?:(?:''|\\.)[^'\\]*)*)'", re.DOTALL)
_ESCAPE = re.compile(r"''|\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_LETTER_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@overload
def parse_logtriga_sql(op: str, sql: str, splitkeys: Literal[False] = False) -> Row: ...
@overload
def parse_logtriga_sql(op: str, sql: str, splitkeys: Literal[True]) -> tuple[Row, Row]: ...
@overload
def parse_logtriga_sql(op: str, sql: str, splitkeys: bool) -> Row | tuple[Row, Row]: ...
def parse_logtriga_sql(op: str, sql: str, splitkeys: bool = False) -> Row | tuple[Row, Row]:
    """Column -> value of a partial statement; `op` is I, U or D. A key's value is that of the condition.

    With `splitkeys`: the columns of the condition, and the others. Raises EncodingError. Source: spec/pgq-clients.md 6.
    """
    found, given = parse_statement(op, sql)
    return (found, given) if splitkeys else {**given, **found}


parse_sqltriga_sql = parse_logtriga_sql


def parse_statement(op: str, sql: str) -> tuple[Row, Row]:
    """The columns of the condition and those that are set, each with its value. Raises EncodingError."""
    reader = _Reader(sql)
    match op:
        case "I":
            found, given = {}, reader.insertion()
        case "U":
            given = reader.pairs(",")
            reader.expect_word("where")
            found = {} if reader.at_end() else reader.pairs("and")
        case "D":
            found, given = {} if reader.at_end() else reader.pairs("and"), {}
        case _:
            raise EncodingError(f"There is no partial SQL for the operation {op!r}.", 0)
    if not reader.at_end():
        raise EncodingError("The partial SQL goes on where it should end.", reader.position)
    return found, given


class _Reader:
    """Reads a statement from left to right; each method skips blanks first. All raise EncodingError."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def insertion(self) -> Row:
        self.expect("(")
        names: list[str] = []
        while not self.accept(")"):
            if names:
                self.expect(",")
            names.append(self.name())
        self.expect_word("values")
        self.expect("(")
        row: Row = {}
        for number, name in enumerate(names):
            if number:
                self.expect(",")
            row[name] = self.value()
        self.expect(")")
        return row

    def pairs(self, separator: str) -> Row:
        row: Row = {}
        while True:
            name = self.name()
            self.expect("=")
            row[name] = self.value()
            if not (self.accept(",") if separator == "," else self.accept_word(separator)):
                return row

    def name(self) -> str:
        found = self._match(_NAME)
        if found is None:
            raise EncodingError("A column's name is missing in the partial SQL.", self.position)
        quoted, bare = found.groups()
        return str(bare) if quoted is None else str(quoted).replace('""', '"')

    def value(self) -> str | None:
        if (quoted := self._match(_QUOTED)) is not None:
            return str(quoted.group(1)).replace("''", "'")
        start = self.position
        if (escaped := self._match(_ESCAPED)) is not None:
            return _ESCAPE.sub(lambda found: _unescape(found, start + 2), escaped.group(1))
        if self.accept_word("null"):
            return None
        if (number := self._match(_NUMBER)) is not None:
            return number.group()
        raise EncodingError("A value is missing in the partial SQL.", self.position)

    def at_end(self) -> bool:
        self._skip()
        return self.position == len(self.text)

    def accept(self, symbol: str) -> bool:
        self._skip()
        found = self.text.startswith(symbol, self.position)
        self.position += len(symbol) * found
        return found

    def expect(self, symbol: str) -> None:
        if not self.accept(symbol):
            raise EncodingError(f"A {symbol} is missing in the partial SQL.", self.position)

    def accept_word(self, word: str) -> bool:
        self._skip()
        found = _WORD.match(self.text, self.position)
        if found is None or found.group().lower() != word:
            return False
        self.position = found.end()
        return True

    def expect_word(self, word: str) -> None:
        if not self.accept_word(word):
            raise EncodingError(f"The word `{word}` is missing in the partial SQL.", self.position)

    def _skip(self) -> None:
        found = _BLANKS.match(self.text, self.position)
        self.position = found.end() if found else self.position

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._skip()
        found = pattern.match(self.text, self.position)
        if found is not None:
            self.position = found.end()
        return found


def _unescape(found: re.Match[str], start: int) -> str:
    octal, two, four, eight, other = found.groups()
    if octal is not None:
        return chr(int(octal, 8))
    if (digits := two or four or eight) is not None:
        if int(digits, 16) > 0x10FFFF:
            raise EncodingError("There is no such character.", start + found.start())
        return chr(int(digits, 16))
    return "'" if other is None else _LETTER_ESCAPES.get(other, other)
