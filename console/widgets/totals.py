"""The line below the title: how much there is, how fast it runs, how many are late; the legend of the signs."""

from __future__ import annotations

from collections.abc import Iterable

from ...engine.monitor.picture import Level, Picture, Totals
from ..format import rate, short_duration
from ..glyphs import LEVEL_ROLES, Glyphs
from ..lines import Line, Span, cells, spread

_LATE_TICKER = 30.0


def sum_of(pictures: Iterable[Picture]) -> Totals:
    """The totals of all databases; the ticker that is silent longest stands for all."""
    everyone = [picture.totals for picture in pictures]
    ages = [totals.ticker_age for totals in everyone if totals.ticker_age is not None]
    return Totals(
        queues=sum(totals.queues for totals in everyone),
        consumers=sum(totals.consumers for totals in everyone),
        ev_per_sec=sum(totals.ev_per_sec for totals in everyone),
        ticker_age=max(ages, default=None),
        ok=sum(totals.ok for totals in everyone),
        warn=sum(totals.warn for totals in everyone),
        crit=sum(totals.crit for totals in everyone),
        off=sum(totals.off for totals in everyone),
    )


def totals_line(totals: Totals | None, *, remarks: tuple[str, ...], room: int, glyphs: Glyphs) -> Line:
    """Counts left, levels right. `remarks` are states of the view: '3 marked', 'sort held'."""
    if totals is None:
        return (Span(" "),)
    left: list[Span] = [Span(" ")]
    for number, word in ((totals.queues, "queue"), (totals.consumers, "consumer")):
        left += [Span(f"{number:,}".replace(",", " "), "text"), Span(f" {word}{'' if number == 1 else 's'}  ", "muted")]
    left += [Span(rate(totals.ev_per_sec), "text"), Span(" ev/s  ", "muted")]
    if totals.ticker_age is not None:
        late = totals.ticker_age >= _LATE_TICKER
        state = f"{'silent' if late else 'ok'} {short_duration(totals.ticker_age)}"
        left += [Span("ticker ", "muted"), Span(state, "crit" if late else "ok")]
    for remark in remarks:
        left += [Span("  "), Span(remark, "key")]
    levels = (
        (Level.CRIT, totals.crit, "crit"),
        (Level.WARN, totals.warn, "warn"),
        (Level.OK, totals.ok, "ok"),
        (Level.OFF, totals.off, "off"),
    )
    for words in (True, False):
        right: list[Span] = []
        for level, number, word in levels:
            role = LEVEL_ROLES[level] if number else "muted"
            text = f"{glyphs.levels[level]} {number} {word}" if words else f"{glyphs.levels[level]} {number}"
            right += [Span("  "), Span(text, role, f"screen.filter_level('{word}')")]
        right.append(Span(" "))
        if cells(left) + cells(right) <= room:
            break
    while len(left) > 5 and cells(left) + cells(right) > room:
        del left[3:5]  # the lesser count goes whole, rather than the last one cut
    return spread(left, right[1:], room, glyphs.more)
