"""The screens as text and as plain values, for pipes, logs and scripts; never loads the full-screen part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..engine.errors import UsageError
from ..engine.monitor.model import Problem
from ..engine.monitor.picture import Picture
from . import format as fmt
from .columns import CHANGES, CONSUMERS, DAEMONS, GAP, OVERVIEW, QUEUES, Column, Kind, place
from .glyphs import ASCII, UNICODE, Glyphs
from .shown import named, shown
from .view import ViewState, World, arrange, with_picture

_LEAD = 2

SCREENS: dict[str, tuple[str, tuple[Column, ...], ViewState]] = {
    "overview": ("overview", OVERVIEW, ViewState("level", True)),
    "queues": ("queues", QUEUES, ViewState("level", True)),
    "consumers": ("consumers", CONSUMERS, ViewState("level", True)),
    "daemons": ("daemons", DAEMONS, ViewState("level", True)),
    "events": ("events", CHANGES, ViewState("time", True)),
}
"""Screen -> title, columns and order."""


def plain_screens(pictures: Sequence[Picture], width: int = 100, *, ascii_only: bool = False) -> str:
    """The main table of every screen: the overview of all databases, then each database."""
    glyphs = ASCII if ascii_only else UNICODE
    blocks = [_block("overview", [picture.overview for picture in pictures], width, glyphs)]
    for picture in pictures:
        blocks.append(_headline(picture))
        blocks += [
            plain_table(picture, screen, width, ascii_only=ascii_only) for screen in SCREENS if screen != "overview"
        ]
    return "\n\n".join(blocks)


def plain_table(picture: Picture, screen: str, width: int = 100, *, ascii_only: bool = False) -> str:
    """The table of one screen, with its title. Raises UsageError for an unknown screen."""
    return _block(screen, _rows(picture, screen), width, ASCII if ascii_only else UNICODE)


def plain_rows(picture: Picture) -> dict[str, Any]:
    """What the screens show of a database as values for JSON: durations in seconds, text as it is in the database."""
    snapshot, server = picture.snapshot, picture.snapshot.server
    return {
        "database": snapshot.source,
        "phase": snapshot.phase.value,
        "taken": snapshot.taken.isoformat(),
        "server_version": fmt.server_version(server.version_num) if server is not None else None,
        "pgq_version": server.pgq_version if server is not None else None,
        "level": picture.overview.level.name.lower(),
        "problems": [
            {"message": problem.message, "sqlstate": problem.sqlstate, "hint": problem.hint}
            for problem in snapshot.problems
        ],
        **{
            screen: _values(_rows(picture, screen), SCREENS[screen][1]) for screen in ("queues", "consumers", "daemons")
        },
    }


def _rows(picture: Picture, screen: str) -> Sequence[Any]:
    match screen:
        case "overview":
            return (picture.overview,)
        case "queues":
            return picture.queues
        case "consumers":
            return picture.consumers
        case "daemons":
            return picture.daemons
        case "events":
            return with_picture(World(), picture).changes
        case _:
            raise UsageError(f"There is no screen {screen!r}.", f"Screens: {', '.join(SCREENS)}.")


def _values(rows: Sequence[Any], columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [
        {
            column.id: list(column.trend(row))
            if column.kind is Kind.TREND
            else column.plain(row)
            if column.kind in {Kind.TEXT, Kind.LEVEL}
            else column.value(row)
            for column in columns
        }
        for row in rows
    ]


def _headline(picture: Picture) -> str:
    snapshot, totals = picture.snapshot, picture.totals
    server = snapshot.server
    pieces = [named(snapshot.source), snapshot.phase.value]
    if server is not None:
        pieces.append(f"PostgreSQL {fmt.server_version(server.version_num)}")
        pieces.append(f"pgq {server.pgq_version}" if server.pgq_version else "PgQ is not installed")
    pieces.append(f"{totals.crit} crit, {totals.warn} warn, {totals.ok} ok, {totals.off} off")
    lines = ["  ".join(pieces)]
    lines += [f"problem: {' — '.join(filter(None, _told(problem)))}" for problem in snapshot.problems]
    return "\n".join(lines)


def _told(problem: Problem) -> tuple[str, str]:
    return shown(problem.message), shown(problem.hint)


def _block(screen: str, rows: Sequence[Any], width: int, glyphs: Glyphs) -> str:
    title, columns, state = SCREENS[screen]
    view = arrange(rows, columns, state)
    if not view.rows:
        return f"{title.upper()}  none"
    whole = [_whole(column, view.rows) for column in columns if column.kind is not Kind.TREND]
    needed = sum(column.width + GAP for column in whole)
    placed = place(whole, max(width - _LEAD, needed), {})
    lines = [f"{title.upper()}  {len(view.rows)}"]
    gap = " " * GAP
    lines.append(" " * _LEAD + gap.join(fmt.fit(p.column.title, p.width, p.column.right, glyphs.more) for p in placed))
    for row in view.rows:
        cells = [fmt.fit(p.column.text(row), p.width, p.column.right, glyphs.more) for p in placed]
        lines.append(f"{glyphs.levels[row.level]} {gap.join(cells)}")
    return "\n".join(text.rstrip() for text in lines)


def _whole(column: Column, rows: Sequence[Any]) -> Column:
    """The column as wide as its widest text: names and notes are never cut, the line gets longer instead."""
    if column.kind not in {Kind.TEXT, Kind.LEVEL}:
        return replace(column, from_cells=0, priority=1)
    widest = max((fmt.width(column.text(row)) for row in rows), default=0)
    return replace(column, width=max(fmt.width(column.title), widest), grow=0, priority=0)
