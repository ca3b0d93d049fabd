"""What stands in place of rows when there are none, and the strip of a lost connection: never silence, never a lie."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.geometry import Size

from ...engine.monitor.model import Phase, Problem
from ...engine.monitor.picture import Picture
from ..format import short_duration, wrap
from ..glyphs import Glyphs
from ..lines import Line, Span, cells, line, spread, wrapped
from ..shown import named, shown


def connecting(
    source: str, picture: Picture | None, *, now: datetime, started: datetime, ready: int
) -> tuple[Line, ...]:
    """Below the skeleton while the first reading is awaited."""
    wait = short_duration((now - started).total_seconds())
    lines = [line(Span("connecting to ", "muted"), Span(named(source), "strong"), Span(f" ({wait})", "muted"))]
    problem = first_problem(picture)
    if problem is not None:
        lines += [line(Span(shown(problem.message), "warn"))]
    if ready:
        word = "database is" if ready == 1 else "databases are"
        lines += [
            line(
                Span(f"{ready} other {word} ready: ", "muted"),
                Span("1", "key", "app.show_mode('overview')"),
                Span(" Overview", "muted"),
            )
        ]
    return tuple(lines)


def no_pgq(source: str, can_write: bool) -> tuple[Line, ...]:
    lines = [line(Span("PgQ is not installed in ", "muted"), Span(named(source), "strong"), Span(".", "muted")), ()]
    if can_write:
        lines.append(line(Span("i", "key", "app.install_pgq"), Span("  install it (shows the SQL first)", "text")))
    lines.append(line(Span("1", "key", "app.show_mode('overview')"), Span("  go to another database", "text")))
    return tuple(lines)


def no_rows(what: str, meaning: str, hints: Sequence[tuple[str, str, str]]) -> tuple[Line, ...]:
    """`hints` are (key, words, action)."""
    lines = [line(Span(f"no {what}", "strong")), line(Span(meaning, "muted")), ()]
    lines += [line(Span(key, "key", action), Span(f"  {words}", "text")) for key, words, action in hints]
    return tuple(lines)


def all_filtered(total: int, filter_text: str) -> tuple[Line, ...]:
    return (
        line(Span(f"0 of {total} match ", "muted"), Span(shown(filter_text), "strong")),
        line(Span("esc", "key", "screen.clear_filter"), Span("  clears the filter", "text")),
    )


def first_problem(picture: Picture | None) -> Problem | None:
    return picture.snapshot.problems[0] if picture is not None and picture.snapshot.problems else None


def alarm(picture: Picture | None, room: int, glyphs: Glyphs) -> Line:
    """The strip over the table while the connection is lost or readings fail; empty when all is well."""
    if picture is None or picture.snapshot.phase not in {Phase.LOST, Phase.STALE}:
        return ()
    problem = first_problem(picture)
    if problem is None:
        return ()
    word = "connection lost" if picture.snapshot.phase is Phase.LOST else "reading failed"
    sign = glyphs.levels[max(glyphs.levels)]
    left = line(Span(f" {sign} ", "crit"), Span(f"{word}: ", "strong"), Span(shown(problem.message.split("\n")[0])))
    return spread(
        left, line(Span("D", "key", "screen.problem"), Span(" details ", "text", "screen.problem")), room, glyphs.more
    )


def problem_lines(problem: Problem, source: str, room: int) -> tuple[Line, ...]:
    """All that is known of a failure, for the dialog."""
    lines: list[Line] = [line(Span("database  ", "muted"), Span(named(source)))]
    lines += [line(Span(text, "crit")) for text in wrap(shown(problem.message), room)]
    if problem.sqlstate:
        lines.append(line(Span("SQLSTATE  ", "muted"), Span(problem.sqlstate)))
    if problem.part is not None:
        lines.append(line(Span("part      ", "muted"), Span(problem.part.value)))
    lines += [line(Span(text)) for text in wrap(shown(problem.hint), room) if text]
    return tuple(lines)


def message_line(message: Sequence[Line], y: int, size: Size, skeleton: int) -> Line:
    """Line `y` of a table that has no rows: the message as a block in the upper middle of the free room.

    `skeleton` lines below the heading are taken.
    """
    block = wrapped(message, max(10, size.width - 4))
    above = 1 + skeleton
    index = y - above - max(1, (size.height - above - len(block)) // 3)
    if not 0 <= index < len(block):
        return ()
    indent = max(2, (size.width - max(map(cells, block))) // 2)
    return (Span(" " * indent), *block[index])
