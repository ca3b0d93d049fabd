"""Values written as SQL literals, so that a statement can be shown and copied as it will run."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

from ..errors import UsageError

_PLACEHOLDER = re.compile(r"%s|%%")


def literal(value: object) -> str:
    """One value as SQL that means the same under any setting of standard_conforming_strings.

    Strings with a backslash become E'…'. Raises UsageError for a type that no command passes.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            text = str(value)
            return text if _is_plain_number(text) else quote_string(text)
        case str():
            return quote_string(value)
        case bytes():
            return quote_string("\\x" + value.hex()) + "::bytea"
        case datetime():
            return quote_string(value.isoformat(sep=" ")) + "::timestamptz"
        case timedelta():
            return (
                quote_string(f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds")
                + "::interval"
            )
        case list() | tuple():
            return f"array[{', '.join(literal(one) for one in value)}]"
        case _:
            raise UsageError(f"A value of type {type(value).__name__} has no SQL literal.")


def quote_string(text: str) -> str:
    """A string constant of SQL (PostgreSQL manual 4.1.2.1)."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def fill(sql: str, params: tuple[object, ...]) -> str:
    """The statement with each `%s` replaced by its value's literal and `%%` by a percent sign.

    Raises UsageError when placeholders and values do not pair up.
    """
    values = iter(params)
    missing = object()

    def put(found: re.Match[str]) -> str:
        if found.group() == "%%":
            return "%"
        value = next(values, missing)
        if value is missing:
            raise UsageError("A statement has more placeholders than values.")
        return literal(value)

    filled = _PLACEHOLDER.sub(put, sql) if params else sql
    if next(values, missing) is not missing:
        raise UsageError("A statement has fewer placeholders than values.")
    return filled


def _is_plain_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).replace("e", "", 1).replace("+", "", 1).replace("-", "", 1).isdigit()
