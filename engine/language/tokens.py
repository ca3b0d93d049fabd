"""The words of the command language, with their places in the text. Source: spec/qadmin.md, part 2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from .errors import LanguageError


class Kind(Enum):
    """What a token is."""

    NAME = "name"
    """An identifier: `q`, `"a b"`, `schema."Table"`."""
    STRING = "string"
    """`'x'`, `E'x'` or `$tag$x$tag$`."""
    NUMBER = "number"
    SYMBOL = "symbol"
    """One character that stands for itself."""
    COMMENT = "comment"
    ERROR = "error"
    """Characters that begin no token, or a token that does not end; `value` says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the text."""

    kind: Kind
    text: str
    """As it stands in the source."""
    start: int
    """Characters from the beginning of the source."""
    value: str
    """What it means: quotes and escapes resolved; for an error, the reason."""
    quoted: bool = False
    """A name with a quoted part keeps its case and is never a keyword."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def is_word(self, word: str) -> bool:
        """It is this keyword, in any case."""
        return self.kind is Kind.NAME and not self.quoted and fold(self.value) == word

    def is_symbol(self, text: str) -> bool:
        return self.kind is Kind.SYMBOL and self.text == text


_PART = r'(?:[^\W\d][\w$]*|"(?:[^"]|"")*")'
_TOKEN = re.compile(
    rf"""
      (?P<blank>\s+)
    | (?P<comment>--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)
    | (?P<escape>[Ee]'(?:[^'\\]|\\.|'')*')
    | (?P<name>{_PART}(?:\.{_PART})*)
    | (?P<string>'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
    | (?P<number>[0-9][0-9.]*(?:[eE][+-]?[0-9]+)?)
    | (?P<open_comment>/\*.*)
    | (?P<open_name>".*)
    | (?P<open_string>(?:[Ee])?'.*)
    | (?P<open_dollar>\$(?:[^\W\d]\w*)?\$.*)
    | (?P<symbol>[-+*~!@\#^&|?/%<>=,()\[\].:;])
    | (?P<error>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN = {
    "open_comment": "a comment that does not end",
    "open_name": "a quoted name that does not end",
    "open_string": "a string that does not end",
    "open_dollar": "a dollar-quoted string that does not end",
}
_PIECE = re.compile(r'"((?:[^"]|"")*)"|([^."]+)')
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*(?:\.[a-z_][a-z0-9_$]*)*\Z")
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|''", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_FOLD = {ord(upper): upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")


def fold(text: str) -> str:
    """Lower case as the server folds names: ASCII letters only."""
    return text.translate(_FOLD)


def scan(text: str) -> list[Token]:
    """All tokens, comments included, blanks left out. Never raises: what is no token has the kind ERROR."""
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        group = match.lastgroup or "error"
        if group == "tag":
            group = "dollar"
        if group == "blank":
            continue
        found.append(_token(group, match.group(), match.start()))
    return found


def tokens(text: str) -> list[Token]:
    """All tokens that mean something, comments left out. Raises LanguageError with the place of what is none."""
    found = scan(text)
    for token in found:
        if token.kind is Kind.ERROR:
            raise LanguageError(text, token.start, f"There is {token.value}.", incomplete=is_open(token))
    return [token for token in found if token.kind is not Kind.COMMENT]


def is_open(token: Token) -> bool:
    """An error that more text could mend: a quote or comment that does not end yet."""
    return token.kind is Kind.ERROR and token.value in _OPEN.values()


def quote_name(name: str) -> str:
    """A name as it must be written to mean itself: quoted unless it is plain and lower case."""
    return name if _PLAIN.match(name) else '"' + name.replace('"', '""') + '"'


def _token(group: str, text: str, start: int) -> Token:
    if _FORBIDDEN.search(text) and group != "comment":
        return Token(Kind.ERROR, text, start, "a character that the server cannot store")
    match group:
        case "comment":
            return Token(Kind.COMMENT, text, start, text)
        case "name":
            return Token(Kind.NAME, text, start, _unquote_name(text), '"' in text)
        case "string":
            return Token(Kind.STRING, text, start, text[1:-1].replace("''", "'"))
        case "escape":
            return _escape_string(text, start)
        case "dollar":
            width = text.index("$", 1) + 1
            return Token(Kind.STRING, text, start, text[width:-width])
        case "number":
            return Token(Kind.NUMBER, text, start, text)
        case "symbol":
            return Token(Kind.SYMBOL, text, start, text)
        case _:
            return Token(Kind.ERROR, text, start, _OPEN.get(group, f"a character that begins no word: {text}"))


def _unquote_name(text: str) -> str:
    if '"' not in text:
        return text
    pieces = [quoted.replace('""', '"') if plain == "" else plain for quoted, plain in _PIECE.findall(text)]
    return ".".join(pieces)


def _escape_string(text: str, start: int) -> Token:
    try:
        value = _ESCAPE.sub(_unescape, text[2:-1])
    except (OverflowError, ValueError):
        return Token(Kind.ERROR, text, start, "an escape for a character that does not exist")
    if _FORBIDDEN.search(value):
        return Token(Kind.ERROR, text, start, "an escape for a character that the server cannot store")
    return Token(Kind.STRING, text, start, value)


def _unescape(found: re.Match[str]) -> str:
    if found.group() == "''":
        return "'"
    octal, short, four, eight, letter = found.groups()
    if octal:
        return chr(int(octal, 8))
    if short or four or eight:
        return chr(int(short or four or eight, 16))
    return _LETTERS.get(letter, letter)
