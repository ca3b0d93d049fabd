"""An event's data as a person reads it: a row change as `column = value`, an object of JSON alike, else as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from ...engine.monitor.asides import PAYLOAD_CHARACTERS, EventRow
from ...engine.queue.encodings import EncodingError, RowChange, decode
from .. import format as fmt
from ..lines import Line, Span, line
from ..shown import shown

_NULL = "NULL"
_WIDEST_NAME = 24
_LONGEST_WORD = 500


@lru_cache(maxsize=16)
def payload_lines(event: EventRow, room: int) -> tuple[Line, ...]:
    """The data and what else the event holds, as lines of at most `room` cells. What does not decode is shown raw."""
    if event.cut:
        size = fmt.size(event.data_bytes)
        told = f"{size} in the database; the first {PAYLOAD_CHARACTERS:,} characters:"
        return (*_raw("data", event.ev_data, room, told), *_extras(event, room))
    try:
        change = decode(event)
    except (EncodingError, ValueError, RecursionError) as error:
        said = error.message if isinstance(error, EncodingError) else str(error)
        return (*_raw("data", event.ev_data, room, f"does not decode: {said}"), *_extras(event, room))
    if change is not None:
        return tuple(_change(change, event, room))
    values = _object(event.ev_data)
    if values is not None:
        return (
            (),
            line(Span("data", "label"), Span("  JSON", "muted")),
            *_values(values, {}, (), room),
            *_extras(event, room),
        )
    return (*_raw("data", event.ev_data, room), *_extras(event, room))


def _change(change: RowChange, event: EventRow, room: int) -> list[Line]:
    words = f"{change.op.name.lower()} of {change.schema}.{change.table}"
    lines: list[Line] = [
        (),
        *(line(Span(part, "strong")) for part in fmt.wrap(shown(words), room)),
        *_values(change.values, change.old or {}, change.keys, room),
    ]
    named = {"ev_extra1", "ev_extra2"} if change.old is not None else {"ev_extra1"}
    return [*lines, *_extras(event, room, without=named)]


def _values(
    values: Mapping[str, str | None], old: Mapping[str, str | None], keys: tuple[str, ...], room: int
) -> list[Line]:
    """`column = value`, the key's columns lit; what was there before an update stands behind it."""
    widest = min(_WIDEST_NAME, max((fmt.width(shown(name)) for name in values), default=0), max(room // 3, 4))
    lines: list[Line] = []
    for name, value in values.items():
        role = "key" if name in keys else "label"
        label = shown(name)
        text, value_role = (_NULL, "muted") if value is None else (shown(value), "text")
        if name in old and old[name] != value:
            text += f"  (was {_NULL if old[name] is None else shown(old[name] or '')})"
        lead = f"{label:<{widest}} = " if fmt.width(label) <= widest else f"{label} = "
        if fmt.width(lead) + 8 > room:
            lines += [line(Span(part, role)) for part in fmt.wrap(label, room)]
            lead = "  = "
        for number, part in enumerate(fmt.wrap(text, max(8, room - fmt.width(lead))) or [""]):
            lines.append(line(Span(" " * fmt.width(lead) if number else lead, role), Span(part, value_role)))
    return lines


def _object(data: str | None) -> dict[str, str | None] | None:
    """The members of a JSON object, each as text; None: the data is no such object."""
    if not data or not data.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(data, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {name: _text(value) for name, value in found.items()}


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _raw(label: str, text: str | None, room: int, told: str = "") -> list[Line]:
    if text is None:
        return []
    lines: list[Line] = [(), line(Span(label, "label"))]
    lines += [line(Span(part, "warn")) for part in fmt.wrap(shown(told), room) if part]
    return [*lines, *(line(Span(part)) for part in _broken(shown(text), room))]


def _broken(text: str, room: int) -> list[str]:
    """The text in lines; what has no blanks for long is cut by length, which takes no time."""
    if text.isascii() and max(map(len, text.split(" "))) > _LONGEST_WORD:
        return [text[at : at + room] for at in range(0, len(text), room)]
    return fmt.wrap(text, room)


def _extras(event: EventRow, room: int, without: set[str] | None = None) -> list[Line]:
    lines: list[Line] = []
    for name in ("ev_extra1", "ev_extra2", "ev_extra3", "ev_extra4"):
        if name not in (without or ()):
            text = getattr(event, name)
            cut = f"the first {PAYLOAD_CHARACTERS:,} characters:" if len(text or "") == PAYLOAD_CHARACTERS else ""
            lines += _raw(name.removeprefix("ev_"), text, room, cut)
    return lines
