"""Text from the database as it may stand on a screen: whole, and never able to move the cursor."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_CONTROL_PICTURES = 0x2400
_DELETE_PICTURE = "\u2421"
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


def shown(text: str, *, keep_lines: bool = False) -> str:
    """The text with control characters, direction marks and line separators made visible; nothing is left out.

    `keep_lines` keeps line feeds and turns tabs into blanks, for SQL and other text that has lines of its own.
    """
    if keep_lines:
        return "\n".join(_one_line(line.expandtabs(4)) for line in text.split("\n"))
    return _one_line(text)


def named(name: str) -> str:
    """A name, whole; in quotes where it would otherwise look like nothing or hide its blanks."""
    return _one_line(name) if name and name == name.strip() else f'"{_one_line(name)}"'


def typable(name: str) -> bool:
    """Whether a person can be asked to type the name."""
    return bool(name) and name == name.strip() and name == _one_line(name)


@lru_cache(maxsize=65536)
def _one_line(text: str) -> str:
    return text if text.isascii() and text.isprintable() else "".join(map(_picture, text))


def _picture(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == 0x7F:
        return _DELETE_PICTURE
    joins_emoji = char == "\u200d" or "\ufe00" <= char <= "\ufe0f"
    if joins_emoji or unicodedata.category(char) not in _UNSEEN:
        return char
    return f"⟨U+{code:04X}⟩"
