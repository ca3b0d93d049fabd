"""Rows as url-encoded text: `name=value&null&empty=`, as the triggers write it. Source: spec/pgq.md 9.2."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from ..errors import SkyError


class EncodingError(SkyError):
    """An event's data are not in the form that its type says. `position` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message[:-1]} (at character {position}).")
        self.position = position


_CODECS = {
    "UTF8": "utf-8",
    # The server knows nothing of the bytes, so they are what our own sessions write.
    "SQL_ASCII": "utf-8",
    "LATIN1": "iso8859-1",
    "LATIN2": "iso8859-2",
    "LATIN3": "iso8859-3",
    "LATIN4": "iso8859-4",
    "LATIN5": "iso8859-9",
    "LATIN6": "iso8859-10",
    "LATIN7": "iso8859-13",
    "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15",
    "LATIN10": "iso8859-16",
    "ISO_8859_5": "iso8859-5",
    "ISO_8859_6": "iso8859-6",
    "ISO_8859_7": "iso8859-7",
    "ISO_8859_8": "iso8859-8",
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
    "WIN866": "cp866",
    "WIN874": "cp874",
    **{f"WIN{page}": f"cp{page}" for page in range(1250, 1259)},
    "EUC_CN": "gb2312",
    "EUC_JP": "euc_jp",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_KR": "euc_kr",
}

_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_PIECE = re.compile("%[0-9A-Fa-f]{2}|.", re.DOTALL)
_NEEDS_NO_ESCAPE = re.compile(r"[0-9A-Za-z_.\-]*")
_ESCAPES = tuple(
    "+" if byte == 0x20 else chr(byte) if byte < 0x80 and _NEEDS_NO_ESCAPE.fullmatch(chr(byte)) else f"%{byte:02x}"
    for byte in range(256)
)


def python_codec(server_encoding: str) -> str:
    """Python's name of a PostgreSQL server encoding, for `db_urldecode`. Raises SkyError for one that it lacks."""
    codec = _CODECS.get(server_encoding.upper())
    if codec is None:
        raise SkyError(f"Text of a database in {server_encoding} can not be decoded.", "Use a database in UTF8.")
    return codec


def db_urldecode(text: str, encoding: str = "utf-8") -> dict[str, str | None]:
    """The row that a url-encoded text holds: column -> value, None for NULL. Of a name given twice the last counts.

    `encoding` is that of the database, in which the escaped bytes are. Raises EncodingError.
    """
    row: dict[str, str | None] = {}
    if "%" not in text:
        for element in text.replace("+", " ").split("&"):
            name, equals, value = element.partition("=")
            if equals:
                row[name] = value
            elif name:
                row[name] = None
        return row
    if broken := _BROKEN_ESCAPE.search(text):
        raise EncodingError("A % is not followed by two hex digits.", broken.start())
    start = 0
    for element in text.replace("+", " ").split("&"):
        name, equals, value = element.partition("=")
        if "%" in name:
            name = _unescape(name, encoding, start)
        if equals:
            row[name] = _unescape(value, encoding, start + element.index("=") + 1) if "%" in value else value
        elif name:
            row[name] = None
        start += len(element) + 1
    return row


def _unescape(piece: str, encoding: str, start: int) -> str:
    try:
        return unquote_to_bytes(piece.encode(encoding)).decode(encoding)
    except UnicodeDecodeError as error:
        position = start + _source_of_byte(piece, encoding, error.start)
        raise EncodingError(f"The bytes are no text in {encoding}.", position) from error
    except UnicodeEncodeError as error:
        raise EncodingError(f"A character does not exist in {encoding}.", start + error.start) from error


def _source_of_byte(piece: str, encoding: str, offset: int) -> int:
    """The character of an escaped text from which its decoded byte number `offset` comes."""
    position = seen = 0
    for found in _PIECE.finditer(piece):
        seen += 1 if len(found.group()) == 3 else len(found.group().encode(encoding))
        position = found.start()
        if seen > offset:
            break
    return position


def db_urlencode(row: Mapping[str, str | None], encoding: str = "utf-8") -> str:
    """The text that the triggers write for this row, byte for byte. Raises EncodingError.

    Its position is that of the character in its name or value that does not exist in `encoding`.
    """
    return "&".join(
        _escape(name, encoding) if value is None else f"{_escape(name, encoding)}={_escape(value, encoding)}"
        for name, value in row.items()
    )


def _escape(text: str, encoding: str) -> str:
    if _NEEDS_NO_ESCAPE.fullmatch(text):
        return text
    try:
        return "".join([_ESCAPES[byte] for byte in codecs.encode(text, encoding)])
    except UnicodeEncodeError as error:
        raise EncodingError(f"A character does not exist in {encoding}.", error.start) from error
