"""The title line: where one is, whether one may write, how fresh the facts are, the server, the time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ...engine.monitor.model import Phase
from ...engine.monitor.picture import Feed, Picture
from ..format import age, clock_time, period, server_version, short_duration
from ..glyphs import Glyphs
from ..lines import Line, Span, cells, line, spread
from ..shown import named

_LEFT_AT_LEAST = 40
"""Cells that the crumbs keep before the right part loses its lesser pieces."""


def title_line(
    crumbs: Sequence[str],
    picture: Picture | None,
    *,
    now: datetime,
    started: datetime,
    read_only: bool,
    room: int,
    glyphs: Glyphs,
) -> Line:
    """The whole line; crumbs are names as they are in the database."""
    left = crumb_spans(crumbs, glyphs)
    fresh = freshness(picture, now=now, started=started, glyphs=glyphs)
    server = picture.snapshot.server if picture is not None else None
    pieces: list[tuple[int, Line]] = []
    if read_only:
        pieces.append((0, line(Span("RO", "strong", "app.toggle_read_only"))))
    pieces.append((1, fresh))
    if server is not None and server.version_num:
        pieces.append((3, line(Span(f"pg {server_version(server.version_num)}"))))
    pieces.append((2, line(Span(clock_time(now)))))
    wanted = min(cells(left), _LEFT_AT_LEAST)
    while len(pieces) > 1 and sum(cells(p) + 2 for _, p in pieces) + wanted > room:
        pieces.remove(max(pieces, key=lambda piece: piece[0]))
    right: list[Span] = []
    for _, spans in pieces:
        right += [Span("  "), *spans] if right else list(spans)
    tail = (*right, Span(" "))
    middle = len(crumbs) - 2
    while middle > 0 and cells(left) + cells(tail) + 1 > room:
        left = crumb_spans(crumbs, glyphs, hidden=len(crumbs) - 1 - middle)
        middle -= 1
    return spread(left, tail, room, glyphs.more)


def crumb_spans(crumbs: Sequence[str], glyphs: Glyphs, hidden: int = 0) -> Line:
    """`sky › prod-main › queues`; a click on a crumb goes back to it. `hidden` ones after the first give way."""
    spans = [Span(" "), Span("sky", "strong", "app.show_mode('overview')")]
    for index, crumb in enumerate(crumbs):
        if 0 < index <= hidden:
            spans += [Span(f" {glyphs.crumb} {glyphs.more}", "muted")] if index == 1 else []
            continue
        spans.append(Span(f" {glyphs.crumb} ", "muted"))
        back = len(crumbs) - 1 - index
        last = back == 0
        spans.append(
            Span(named(crumb), "strong" if index == 0 or last else "text", "" if last else f"app.leave_screens({back})")
        )
    return tuple(spans)


def freshness(picture: Picture | None, *, now: datetime, started: datetime, glyphs: Glyphs) -> Line:
    """`● live 2s`, `◌ 14s old, retry 3 in 4s`, `◌ paused, 14s old`, `◌ slow 3.4s`."""
    if picture is None or picture.snapshot.phase is Phase.CONNECTING:
        return line(
            Span(f"{glyphs.stale} ", "warn"), Span(f"connecting {short_duration((now - started).total_seconds())}")
        )
    feed, phase = picture.feed, picture.snapshot.phase
    if phase in {Phase.STALE, Phase.LOST}:
        sign = Span(f"{glyphs.stale} ", "crit" if phase is Phase.LOST else "warn")
        return line(sign, Span(f"{_age(picture, now)} old{_retry(feed, now)}", "strong"))
    if feed.paused:
        return line(Span(f"{glyphs.stale} ", "warn"), Span(f"paused, {_age(picture, now)} old", "strong", "app.pause"))
    if feed.busy_since is not None:
        late = (now - feed.busy_since).total_seconds()
        return line(Span(f"{glyphs.stale} ", "warn"), Span(f"slow {short_duration(late)}", "strong"))
    return line(Span(f"{glyphs.live} ", "ok"), Span(f"live {period(feed.interval)}", "text", "app.pause"))


def _age(picture: Picture, now: datetime) -> str:
    since = picture.feed.good_at or picture.snapshot.taken
    return age((now - since).total_seconds())


def _retry(feed: Feed, now: datetime) -> str:
    if feed.retry_at is None:
        return f", retry {feed.attempt}" if feed.attempt else ""
    wait = max(0, round((feed.retry_at - now).total_seconds()))
    return f", retry {feed.attempt} in {wait}s"
