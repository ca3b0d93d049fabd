"""The filter of a table: `text`, `!text`, `~regex`, `lag>30s`, `level=warn`, `queue=ord*`; words are joined by and.

Pure: a text and the columns in, a predicate on rows out.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from ..engine.errors import UsageError
from ..engine.monitor.picture import Level
from .columns import Column, Kind
from .glyphs import LEVEL_WORDS

Predicate = Callable[[Any], bool]

_TERM = re.compile(r'(?P<not>!)?(?P<body>(?:"[^"]*"?|[^\s"])+)')
_COMPARISON = re.compile(r"(?P<field>[A-Za-z_/]+)(?P<op>>=|<=|!=|=|>|<|~)(?P<value>.*)", re.DOTALL)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_COUNTS = {"": 1.0, "k": 1e3, "M": 1e6, "m": 1e6, "G": 1e9, "g": 1e9}
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


class FilterError(UsageError):
    """A filter that is not understood; `position` is the index of the character where it goes wrong."""

    def __init__(self, message: str, position: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.position = position


@lru_cache(maxsize=64)
def parse_filter(text: str, columns: tuple[Column, ...]) -> Predicate:
    """A predicate on rows of these columns. Raises FilterError."""
    terms = [_term(match, columns) for match in _TERM.finditer(text)]
    if len(terms) == 1:
        return terms[0]
    return lambda row: all(term(row) for term in terms)


def _term(match: re.Match[str], columns: tuple[Column, ...]) -> Predicate:
    body, start = match["body"], match.start("body")
    predicate = _positive(body, start, columns)
    if match["not"]:
        return lambda row: not predicate(row)
    return predicate


def _positive(body: str, start: int, columns: tuple[Column, ...]) -> Predicate:
    if body == "!":
        raise FilterError("Nothing follows the `!`.", start, "write `!text` to hide rows")
    if body.startswith("~"):
        pattern = _regex(_unquoted(body[1:]), start + 1)
        texts = _texts(columns)
        return lambda row: any(pattern.search(text(row)) for text in texts)
    comparison = None if body.startswith('"') else _COMPARISON.fullmatch(body)
    if comparison:
        return _comparison(comparison, start, columns)
    needle = _unquoted(body).casefold()
    texts = _texts(columns)
    return lambda row: any(needle in text(row).casefold() for text in texts)


def _comparison(match: re.Match[str], start: int, columns: tuple[Column, ...]) -> Predicate:
    field, sign, value = match["field"].casefold(), match["op"], _unquoted(match["value"])
    column = next((c for c in columns if field == c.id or field in c.aliases), None)
    if column is None:
        known = ", ".join(c.id for c in columns if c.kind is not Kind.TREND)
        raise FilterError(f"There is no column `{field}`.", start, f"columns: {known}")
    at = start + match.start("value")
    if not value and column.kind is not Kind.TEXT:
        raise FilterError(f"`{field}{sign}` wants a value.", at)
    if sign == "~":
        pattern, text = _regex(value, at), column.text
        return lambda row: pattern.search(text(row)) is not None
    if column.kind is Kind.TEXT:
        return _text_comparison(column, sign, value, at)
    compare = _OPERATORS[sign]
    if column.kind is Kind.LEVEL:
        wanted = _level(value, at)
        level = column.level
        return lambda row: compare(level(row), wanted)
    amount, number = _amount(column.kind, value, at), column.value
    return lambda row: (found := number(row)) is not None and compare(found, amount)


def _text_comparison(column: Column, sign: str, value: str, at: int) -> Predicate:
    text = column.plain
    if sign not in {"=", "!="}:
        raise FilterError(f"`{column.id}` is text: use `=`, `!=` or `~`.", at)
    if "*" in value or "?" in value:
        pattern = value.casefold().replace("[", "[[]")
        return lambda row: fnmatchcase(text(row).casefold(), pattern) is (sign == "=")
    wanted = value.casefold()
    return lambda row: (text(row).casefold() == wanted) is (sign == "=")


def _texts(columns: tuple[Column, ...]) -> list[Callable[[Any], str]]:
    return [column.plain for column in columns if column.kind is Kind.TEXT]


def _unquoted(text: str) -> str:
    return text.replace('"', "")


def _regex(text: str, at: int) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise FilterError(f"The regular expression is not complete: {error.msg}.", at + (error.pos or 0)) from error


def _level(word: str, at: int) -> Level:
    for level, name in LEVEL_WORDS.items():
        if name == word.casefold():
            return level
    raise FilterError(f"`{word}` is no level.", at, "levels: ok, unknown, off, warn, crit")


def _amount(kind: Kind, text: str, at: int) -> float:
    units = _SECONDS if kind is Kind.DURATION else _COUNTS
    total, end = 0.0, 0
    for match in _AMOUNT.finditer(text):
        factor = units.get(match[2])
        if factor is None or text[end : match.start()].strip():
            break
        total += float(match[1]) * factor
        end = match.end()
    if not end or text[end:].strip():
        example = "30s, 5m, 1h30m" if kind is Kind.DURATION else "100, 10k, 2M"
        raise FilterError(f"`{text}` is no {'duration' if kind is Kind.DURATION else 'number'}.", at, f"like {example}")
    return total
