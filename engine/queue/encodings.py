"""What the capture triggers write into events, read back: url-encoded rows, partial SQL, JSON. Source: spec/pgq.md 9.

All functions are pure. What cannot be read is an EncodingError with the position where it stops making sense.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Protocol

from .partial_sql import parse_logtriga_sql, parse_sqltriga_sql, parse_statement
from .urlencoding import EncodingError, db_urldecode, db_urlencode, python_codec

__all__ = [
    "EncodingError",
    "RowChange",
    "RowEvent",
    "RowForm",
    "RowOperation",
    "db_urldecode",
    "db_urlencode",
    "decode",
    "parse_logtriga_sql",
    "parse_sqltriga_sql",
    "python_codec",
]

Row = dict[str, str | None]


class RowOperation(Enum):
    """What happened to a row; TRUNCATE to a whole table. The value is the letter that events carry."""

    INSERT = "I"
    UPDATE = "U"
    DELETE = "D"
    TRUNCATE = "R"


class RowForm(Enum):
    """How an event holds its row: by which trigger it was written."""

    URL = "logutriga"
    SQL = "sqltriga"
    JSON = "jsontriga"


class RowEvent(Protocol):
    """The fields of an event that make a row change."""

    @property
    def ev_type(self) -> str | None: ...
    @property
    def ev_data(self) -> str | None: ...
    @property
    def ev_extra1(self) -> str | None: ...
    @property
    def ev_extra2(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class RowChange:
    """A change of one row, or the truncation of a table."""

    op: RowOperation
    schema: str
    table: str
    keys: tuple[str, ...]
    """The columns of the key, as far as the event names them: an INSERT in partial SQL does not."""
    values: Row
    """Column -> value in PostgreSQL's output form, None for NULL; the new row, of a DELETE the old one.

    Partial SQL holds only the changed columns and the key of an UPDATE, only the key of a DELETE.
    """
    old: Row | None
    """The row before an UPDATE, where the event holds it (argument `backup`); in partial SQL at least the key."""
    form: RowForm


_JSON_OPERATIONS = {operation.name: operation for operation in RowOperation}
_LETTERS = {operation.value: operation for operation in RowOperation}
_ROW_LETTERS = frozenset("IUD")


@dataclass(frozen=True, slots=True)
class _Type:
    """What an event's type alone says."""

    op: RowOperation
    form: RowForm
    keys: tuple[str, ...]
    table: tuple[str, str] | None
    """Schema and table, where the type names them."""


def decode(event: RowEvent, encoding: str = "utf-8") -> RowChange | None:
    """The row change that an event of a capture trigger holds; None: it is an event of another kind.

    `encoding` is Python's name of the server's encoding (`python_codec`), in which url-encoded bytes are.
    Raises EncodingError when the event says it holds a row and its data cannot be read.
    """
    kind = _type_of(event.ev_type) if event.ev_type else None
    if kind is None or event.ev_data is None or (event.ev_extra1 is None and kind.table is None):
        return None
    schema, table = kind.table or _table_of(event.ev_extra1 or "")
    if kind.op is RowOperation.TRUNCATE:
        return RowChange(kind.op, schema, table, kind.keys, {}, None, kind.form)
    backup = event.ev_extra2 if kind.op is RowOperation.UPDATE else None
    match kind.form:
        case RowForm.SQL:
            return _from_sql(kind.op, schema, table, event.ev_data, backup, encoding)
        case RowForm.URL:
            values = db_urldecode(event.ev_data, encoding)
            keys = tuple(key if key in values else key.strip() for key in kind.keys)
        case RowForm.JSON:
            values, keys = _row_of_json(event.ev_data), kind.keys
    old = _backup(backup, kind.form, encoding) if backup is not None else None
    # Whoever wrote an expression of his own into ev_extra2 did not write a row of these columns.
    old = old if old is not None and old.keys() == values.keys() else None
    return RowChange(kind.op, schema, table, keys, values, old, kind.form)


def _from_sql(op: RowOperation, schema: str, table: str, data: str, backup: str | None, encoding: str) -> RowChange:
    found, given = parse_statement(op.value, data)
    old = _backup(backup, RowForm.SQL, encoding) if backup is not None else None
    if old is None or not given.keys() <= old.keys():
        old = found if op is RowOperation.UPDATE and found else None
    return RowChange(op, schema, table, tuple(found), {**found, **given}, old, RowForm.SQL)


def _backup(text: str, form: RowForm, encoding: str) -> Row | None:
    """The old row of ev_extra2; None: it holds something else, which a trigger's argument may put there."""
    try:
        return _row_of_json(text) if form is RowForm.JSON else db_urldecode(text, encoding)
    except EncodingError:
        return None


@lru_cache(maxsize=1024)
def _type_of(text: str) -> _Type | None:
    if len(text) == 1:
        op = _LETTERS.get(text)
        return _Type(op, RowForm.SQL, (), None) if op else None
    if text[1] == ":" and text[0] in _ROW_LETTERS:
        return _Type(_LETTERS[text[0]], RowForm.URL, tuple(text[2:].split(",")) if text[2:] else (), None)
    return _type_of_json(text) if text.startswith('{"') else None


def _type_of_json(text: str) -> _Type | None:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return None
    op = header.get("op")
    table, keys = header.get("table"), header.get("pkey")
    if not (isinstance(op, str) and op in _JSON_OPERATIONS and _are_names(table) and _are_names(keys)):
        return None
    if len(table) != 2:
        return None
    return _Type(_JSON_OPERATIONS[op], RowForm.JSON, tuple(keys), (table[0], table[1]))


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


@lru_cache(maxsize=1024)
def _table_of(text: str) -> tuple[str, str]:
    schema, dot, table = text.partition(".")
    return (schema, table) if dot else ("public", text)


def _row_of_json(text: str) -> Row:
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise EncodingError(f"The JSON row stops making sense: {error.msg}.", error.pos) from error
    except RecursionError as error:
        raise EncodingError("The JSON row is nested too deeply.", 0) from error
    if not isinstance(found, Mapping):
        raise EncodingError("The JSON row is no object.", 0)
    return {name: _text_of_json(name, value) for name, value in found.items()}


def _text_of_json(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "t" if value else "f"
    raise EncodingError(f"The JSON row holds no plain value for {name}.", 0)
