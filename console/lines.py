"""Lines of coloured text as plain data: what every small widget draws, and what `--plain` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .format import fit, width, wrap


class Span(NamedTuple):
    """A piece of a line."""

    text: str
    role: str = "text"
    action: str = ""
    """The action that a click on it runs, as Textual writes it; empty: none."""


Line = tuple[Span, ...]


def line(*spans: Span | str) -> Line:
    """A line of spans; a bare string is plain text."""
    return tuple(span if isinstance(span, Span) else Span(span) for span in spans if span)


def plain(spans: Iterable[Span]) -> str:
    return "".join(span.text for span in spans)


def cells(spans: Iterable[Span]) -> int:
    return sum(width(span.text) for span in spans)


def cut(spans: Sequence[Span], room: int, more: str = "…") -> Line:
    """At most `room` cells of the line; the sign `more` where it goes on."""
    if cells(spans) <= room:
        return tuple(spans)
    kept: list[Span] = []
    for span in spans:
        taken = width(span.text)
        if taken >= room:
            if room > 0:
                kept.append(span._replace(text=fit(span.text + " ", room, more=more)))
            break
        kept.append(span)
        room -= taken
    return tuple(kept)


def spread(left: Sequence[Span], right: Sequence[Span], room: int, more: str = "…") -> Line:
    """Left and right part at the ends of a line of `room` cells; the left part gives way."""
    gap = room - cells(left) - cells(right)
    if not right:
        left = cut(left, room, more)
    if gap >= 1 or not right:
        return (*left, Span(" " * max(gap, 0)), *right)
    shortened = cut(left, max(0, room - cells(right) - 1), more)
    pad = room - cells(shortened) - cells(right)
    return (*shortened, Span(" " * max(pad, 0)), *cut(right, room, more))


def wrapped(lines: Iterable[Line], room: int) -> tuple[Line, ...]:
    """The lines, those that are too long broken between words; a broken line keeps the role of its last span."""
    made: list[Line] = []
    for spans in lines:
        if cells(spans) <= room:
            made.append(spans)
        else:
            role = spans[-1].role
            made += [(Span(part, role),) for part in wrap(plain(spans), room)]
    return tuple(made)
