"""What could be typed at a place in the text. Pure: it asks nobody but the names it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .names import NO_NAMES, Names
from .nodes import Keyword, Path, Slot, SlotKind, Symbol, Terminal, rest_syntax
from .parse import START, expected, follow
from .tokens import Kind, Token, fold, quote_name, scan


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something that may stand at the cursor."""

    text: str
    """What is put between `start` and the cursor, the blank behind a word included."""
    start: int
    """Characters from the beginning of the text."""
    kind: str
    """'keyword', 'symbol', or a SlotKind's value."""
    meta: str
    """A few words on what it is."""
    label: str
    """How it is listed: the name as it is, without quotes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the cursor stands in the grammar."""

    paths: tuple[Path, ...]
    """The ways that the words before the current one leave open; none when they are not in the language."""
    part: str
    """The current word up to the cursor, without quotes."""
    start: int
    """Where the current word begins; the cursor when there is none."""
    wrong: Token | None = None
    """The first word that is not in the language."""
    quote: str = ""
    """The quotation mark the current word begins with."""


def place(text: str, cursor: int) -> Place:
    """Where the cursor stands in its statement."""
    found = scan(text[:cursor])
    if found and found[-1].end == cursor and _is_comment(found[-1]):
        return Place((), "", cursor)
    found = [token for token in found if token.kind is not Kind.COMMENT]
    for index in range(len(found) - 1, -1, -1):
        if found[index].is_symbol(";"):
            found = found[index + 1 :]
            break
    part, start, quote = "", cursor, ""
    if found and found[-1].end == cursor and _is_open_word(found[-1]):
        last = found.pop()
        start = last.start
        quote = last.text[0] if last.text[0] in "\"'" else ""
        part = last.text[1:].replace(quote * 2, quote) if quote and last.kind is Kind.ERROR else last.value
        part = last.text if not quote else part
    paths: tuple[Path, ...] = START
    for token in found:
        further = follow(paths, token)
        if not further:
            return Place((), part, start, token, quote)
        paths = further
    return Place(paths, part, start, quote=quote)


def _is_comment(token: Token) -> bool:
    """What is typed at its end still belongs to the comment."""
    if token.kind is Kind.COMMENT:
        return token.text.startswith("--")
    return token.kind is Kind.ERROR and token.text.startswith("/*")


def _is_open_word(token: Token) -> bool:
    """The cursor at its end still belongs to it."""
    if token.kind is Kind.ERROR:
        return token.text[0] in "\"'"
    return token.kind in (Kind.NAME, Kind.NUMBER)


def complete(text: str, cursor: int, names: Names = NO_NAMES, most: int = 200) -> list[Suggestion]:
    """What could stand at the cursor, the best first: keywords in the grammar's order, then names.

    Names come in the order: equal, beginning with what is typed, holding it, holding its letters in order.
    """
    at = place(text, cursor)
    found: dict[str, Suggestion] = {}
    gap = "" if at.start == 0 or not _glued(text[: at.start]) else " "
    for path in at.paths:
        for terminal in path.next():
            for one in _offers(terminal, path, at, names, most):
                shown = Suggestion(gap + one.text if one.kind != "symbol" else one.text, *_rest(one))
                found.setdefault(one.text, shown)
    if any(path.may_end for path in at.paths) and at.paths is not START and not at.part:
        found.setdefault(";", Suggestion(";", at.start, "symbol", "ends the statement", ";"))
    return list(found.values())[:most]


def hint(text: str, cursor: int) -> str:
    """The grammar of the position, as one line: `<consumer> [on <queue> | at <tick>]…`. Empty where nothing fits."""
    at = place(text, cursor)
    paths = [path for path in at.paths if _still_fits(path, at)]
    if not at.part and at.paths == START:
        return " · ".join(expected(at.paths)).removesuffix(" · ;")
    if len({path.rule.name for path in paths}) > 1:
        return _next_words(paths, at.part)
    forms = dict.fromkeys(rest_syntax(path.rest) for path in paths[:6])
    return " · ".join(form or ";" for form in forms)


def _next_words(paths: Sequence[Path], part: str) -> str:
    """Where several statements are open: the words that may come, and what follows the one that is being typed."""
    words = {one.word for path in paths for one in path.next() if isinstance(one, Keyword)}
    typed = [word for word in words if part and word.startswith(fold(part))]
    if len(typed) != 1:
        return " · ".join(expected(paths))
    further = follow(paths, Token(Kind.NAME, typed[0], 0, typed[0]))
    return f"{typed[0]} {' | '.join(expected(further))}"


def about(text: str, cursor: int) -> str:
    """What the statement at the cursor does; empty until it is clear which one it is."""
    at = place(text, cursor)
    rules = {path.rule.name: path.rule for path in at.paths if _still_fits(path, at)}
    return next(iter(rules.values())).help if len(rules) == 1 else ""


def _still_fits(path: Path, at: Place) -> bool:
    if not at.part:
        return True
    word = fold(at.part)
    return any(isinstance(one, Slot) or (isinstance(one, Keyword) and one.word.startswith(word)) for one in path.next())


def _glued(before: str) -> bool:
    """A word put here would touch the word or sign before it, which needs a blank."""
    return not before[-1].isspace() and before[-1] not in "=(;"


def _rest(one: Suggestion) -> tuple[int, str, str, str]:
    return one.start, one.kind, one.meta, one.label


def _offers(terminal: Terminal, path: Path, at: Place, names: Names, most: int) -> Iterator[Suggestion]:
    match terminal:
        case Keyword(word):
            if not at.quote and word.startswith(fold(at.part)):
                yield Suggestion(word + terminal.follow, at.start, "keyword", terminal.help, word)
        case Symbol(sign):
            if not at.part and not at.quote:
                yield Suggestion(f"{sign} ", at.start, "symbol", terminal.help, sign)
        case Slot(SlotKind.QUEUE):
            for name in names.queue_list.search(at.part, most):
                yield Suggestion(f"{_write(name, at)} ", at.start, "queue", _queue_meta(name, names), name)
        case Slot(SlotKind.CONSUMER):
            yield from _consumers(path, at, names, most)
        case Slot(SlotKind.SUBCONSUMER):
            for name in names.subconsumer_list.search(at.part, most):
                yield Suggestion(f"{_write(name, at)} ", at.start, "subconsumer", "", name)
        case Slot(SlotKind.TICK):
            for tick in names.ticks.get(_queue_of(path, names) or "", ())[:most]:
                if str(tick).startswith(at.part):
                    yield Suggestion(f"{tick} ", at.start, "tick", "", str(tick))
        case Slot(SlotKind.VALUE):
            yield from _values(path, at)
        case _:
            return


def _consumers(path: Path, at: Place, names: Names, most: int) -> Iterator[Suggestion]:
    """The consumers of the queue that is named before, or of the default queue; then those of all queues."""
    queue = _queue_of(path, names)
    own = names.consumers_of(queue).search(at.part, most) if queue is not None else []
    for name in own:
        yield Suggestion(f"{_write(name, at)} ", at.start, "consumer", f"on {queue}", name)
    if not own:
        for name in names.consumer_list.search(at.part, most):
            yield Suggestion(f"{_write(name, at)} ", at.start, "consumer", "", name)


def _values(path: Path, at: Place) -> Iterator[Suggestion]:
    """The two values of a switch; nothing for numbers and intervals."""
    slot = next((one for one in path.next() if isinstance(one, Slot)), None)
    if slot is not None and slot.label == "boolean":
        for value, meta in (("1", "yes"), ("0", "no")):
            if value.startswith(at.part) and not at.quote:
                yield Suggestion(value, at.start, "value", meta, value)


def _queue_of(path: Path, names: Names) -> str | None:
    """The queue this way names already, else the default queue."""
    for one in reversed(path.captures):
        if one.kind is SlotKind.QUEUE:
            value = one.token.value
            return value if one.token.quoted or names.has_queue(value) else fold(value)
    return names.default_queue


def _write(name: str, at: Place) -> str:
    """The name in the quotation marks that were begun, or in those it needs."""
    if at.quote:
        return at.quote + name.replace(at.quote, at.quote * 2) + at.quote
    return quote_name(name)


def _queue_meta(name: str, names: Names) -> str:
    number = len(names.consumers.get(name, ()))
    return f"{number} consumer" + ("" if number == 1 else "s")
