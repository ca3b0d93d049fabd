"""The pane right of the table: settings, the lag as a plot, consumers, and why it is late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from textual.containers import VerticalScroll

from ...engine.monitor.asides import EventRow
from ...engine.monitor.explain import Evidence
from ...engine.monitor.picture import ConsumerRow, DaemonRow, DatabaseRow, Level, Picture, QueueRow
from ...engine.monitor.thresholds import Thresholds
from .. import format as fmt
from ..aside_columns import CaptureRow, LetterRow, WaitingRow, doing, due_text
from ..columns import ListedChange, PeekedEvent
from ..glyphs import LEVEL_ROLES, LEVEL_WORDS, Glyphs
from ..lines import Line, Span, line
from ..shown import named, shown
from .lag_plot import lag_plot
from .line_widget import LineWidget
from .payload import payload_lines

_PLOT_HEIGHT = 5
_CONSUMERS_SHOWN = 12


class DetailPane(VerticalScroll):
    """Scrolls its lines, by keys when it has the focus (tab); it follows the cursor of the table."""

    DEFAULT_CSS = """
    DetailPane {
        width: 52; height: 1fr;
        border-left: vkey $panel;
        background: $background;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        padding: 0 0 0 1;
    }
    DetailPane LineWidget { height: auto; }
    .-ascii DetailPane { border-left: ascii $panel; }
    """

    def compose(self) -> Any:
        yield LineWidget(id="detail-lines")

    def show(self, lines: Sequence[Line], dimmed: bool = False) -> None:
        self.query_one("#detail-lines", LineWidget).draw(lines, dimmed=dimmed)


def detail_lines(
    row: Any,
    picture: Picture | None,
    *,
    why: Sequence[Evidence],
    now: datetime,
    thresholds: Thresholds,
    room: int,
    glyphs: Glyphs,
) -> tuple[Line, ...]:
    """What is known of a row of any screen, as lines of at most `room` cells; `why` are the reasons of a lag."""
    match row:
        case QueueRow() if picture is not None:
            return _queue(row, picture, why, thresholds, room, glyphs)
        case ConsumerRow() if picture is not None:
            return _consumer(row, picture, why, thresholds, room, glyphs)
        case DatabaseRow():
            return _database(row, room, glyphs)
        case DaemonRow():
            return _daemon(row, now, room, glyphs)
        case PeekedEvent():
            return _event(row, room)
        case LetterRow():
            return _letter(row, room, glyphs)
        case WaitingRow():
            return _waiting(row, room, glyphs)
        case CaptureRow():
            return _capture(row, room, glyphs)
        case ListedChange():
            return _change(row, room, glyphs)
        case _:
            return ()


def _title(name: str, level: Level, word: str, room: int, glyphs: Glyphs) -> list[Line]:
    state = Span(f"{glyphs.levels[level]} {word}", LEVEL_ROLES[level])
    text = named(name)
    if fmt.width(text) + fmt.width(state.text) + 2 <= room:
        return [line(Span(text, "strong"), Span("  "), state)]
    return [*(line(Span(part, "strong")) for part in fmt.wrap(text, room)), line(state)]


def _facts(pairs: Sequence[tuple[str, str]], room: int, glyphs: Glyphs) -> list[Line]:
    """`label value · label value`, as many on a line as fit."""
    lines: list[Line] = []
    spans: list[Span] = []
    taken = 0
    for label, value in pairs:
        need = fmt.width(label) + 1 + fmt.width(value)
        if spans and taken + 3 + need > room:
            lines.append(tuple(spans))
            spans, taken = [], 0
        if spans:
            spans.append(Span(f" {glyphs.dot} ", "muted"))
            taken += 3
        spans += [Span(f"{label} ", "muted"), Span(value)]
        taken += need
    if spans:
        lines.append(tuple(spans))
    return lines


def _plot(trend: tuple[float, ...], warn: float, crit: float, room: int, glyphs: Glyphs) -> list[Line]:
    plot = lag_plot(trend, warn=warn, crit=crit, room=room, height=_PLOT_HEIGHT, glyphs=glyphs)
    return [(), line(Span("lag", "label")), *plot] if plot else []


def _why(evidence: Sequence[Evidence], room: int, glyphs: Glyphs) -> list[Line]:
    if not evidence:
        return []
    made: list[Line] = [(), line(Span("why", "label"))]
    for number, one in enumerate(evidence, 1):
        lead = f" {number} "
        role = LEVEL_ROLES[one.level] if one.level >= Level.WARN else "muted"
        for index, part in enumerate(fmt.wrap(shown(one.text).replace("→", glyphs.leads_to), room - len(lead))):
            made.append(line(Span(" " * len(lead) if index else lead, role), Span(part)))
        if one.advice:
            for index, part in enumerate(fmt.wrap(shown(one.advice), room - 5)):
                made.append(
                    line(Span(f"   {glyphs.leads_to} " if not index else "     ", "muted"), Span(part, "muted"))
                )
    return made


def _queue(
    row: QueueRow, picture: Picture, why: Sequence[Evidence], thresholds: Thresholds, room: int, glyphs: Glyphs
) -> tuple[Line, ...]:
    facts, limits = row.facts, thresholds.for_queue(row.facts.name)
    word = f"worst lag {fmt.duration(row.worst_lag)}" if row.worst_lag is not None else LEVEL_WORDS[row.level]
    lines = _title(facts.name, row.level, word, room, glyphs)
    if row.note:
        lines += [line(Span(part, LEVEL_ROLES[row.level])) for part in fmt.wrap(shown(row.note), room)]
    since = (picture.snapshot.server_time - facts.switch_time).total_seconds()
    left = facts.rotation_period - since
    switch = (
        "now"
        if facts.rotating
        else f"in {fmt.short_duration(left)}"
        if left > 0
        else f"{fmt.short_duration(-left)} overdue"
    )
    lines += _facts(
        (("tables", str(facts.ntables)), ("rotation", fmt.period(facts.rotation_period)), ("next switch", switch)),
        room,
        glyphs,
    )
    ticker = "paused" if facts.paused else "external" if facts.external_ticker else f"{fmt.count(facts.max_count)} ev"
    lines += _facts(
        (("tick at", ticker), ("max lag", fmt.period(facts.max_lag)), ("idle", fmt.period(facts.idle_period)),
         ("retry queue", "?" if facts.retry_count is None else fmt.count(facts.retry_count)),
         ("inserts", "off" if facts.disable_insert else "on"), ("last tick", str(facts.last_tick_id or fmt.NOT_KNOWN))),
        room, glyphs,
    )  # fmt: skip
    if facts.dead_count:
        lines += _facts((("dead letters", fmt.count(facts.dead_count)),), room, glyphs)
    lines += _plot(row.trend, limits.lag_warn, limits.lag_crit, room, glyphs)
    consumers = [one for one in picture.consumers if one.facts.queue == facts.name]
    lines += _consumer_table(consumers, room, glyphs)
    lines += _why(why, room, glyphs)
    return tuple(lines)


def _consumer_table(consumers: Sequence[ConsumerRow], room: int, glyphs: Glyphs) -> list[Line]:
    if not consumers:
        return []
    worst_first = sorted(consumers, key=lambda one: (-one.level, -(one.lag or 0.0), one.facts.name))
    wide = room - 2 - 10 - 9 - 6
    lines: list[Line] = [
        (),
        line(Span("  " + fmt.fit("CONSUMER", wide) + "LAG".rjust(10) + "PENDING".rjust(9) + "SEEN".rjust(6), "label")),
    ]
    for one in worst_first[:_CONSUMERS_SHOWN]:
        role = LEVEL_ROLES[one.level]
        lag = role if one.level >= Level.WARN else "text"
        lines.append(
            line(
                Span(f"{glyphs.levels[one.level]} ", role),
                Span(fmt.fit(named(one.facts.name), wide, more=glyphs.more)),
                Span(fmt.duration(one.lag).rjust(10), lag),
                Span(fmt.count(one.pending).rjust(9)),
                Span(fmt.age(one.seen).rjust(6), "muted"),
            )
        )
    rest = len(worst_first) - _CONSUMERS_SHOWN
    if rest > 0:
        lines.append(line(Span(f"  and {rest} more", "muted")))
    return lines


def _consumer(
    row: ConsumerRow, picture: Picture, why: Sequence[Evidence], thresholds: Thresholds, room: int, glyphs: Glyphs
) -> tuple[Line, ...]:
    facts, limits = row.facts, thresholds.for_consumer(row.facts.queue, row.facts.name)
    word = f"lag {fmt.duration(row.lag)}" if row.lag is not None else LEVEL_WORDS[row.level]
    lines = _title(facts.name, row.level, word, room, glyphs)
    if row.note:
        lines += [line(Span(part, LEVEL_ROLES[row.level])) for part in fmt.wrap(shown(row.note), room)]
    lines += _facts(
        (("queue", named(facts.queue)), ("last tick", str(facts.last_tick_id or fmt.NOT_KNOWN)),
         ("batch", str(facts.batch_id or "none open")), ("seen", fmt.age(row.seen) + " ago"),
         ("pending", fmt.count(row.pending)), ("finishes", fmt.rate(row.ev_per_sec) + " ev/s"),
         ("catches up", f"in {fmt.short_duration(row.catches_up)}" if row.catches_up else fmt.NOT_KNOWN)),
        room, glyphs,
    )  # fmt: skip
    aside = [("retry queue", facts.retry_count), ("dead letters", facts.dead_count)]
    lines += _facts([(label, fmt.count(number)) for label, number in aside if number], room, glyphs)
    if facts.subconsumer:
        lines += [
            line(Span(part, "muted"))
            for part in fmt.wrap(f"a subconsumer: shares the batches of {named(facts.main or 'its group')}", room)
        ]
    lines += _members(row, picture, room, glyphs)
    lines += _plot(row.trend, limits.lag_warn, limits.lag_crit, room, glyphs)
    lines += _why(why, room, glyphs)
    return tuple(lines)


def _database(row: DatabaseRow, room: int, glyphs: Glyphs) -> tuple[Line, ...]:
    lines = _title(row.source, row.level, LEVEL_WORDS[row.level], room, glyphs)
    lines += [line(Span(part, LEVEL_ROLES[row.level])) for part in fmt.wrap(shown(row.note), room) if part]
    lines += _facts((("queues", str(row.queues)), ("consumers", str(row.consumers)), ("ticker", row.ticker or "none"),
                     ("ev/s", fmt.rate(row.ev_per_sec))), room, glyphs)  # fmt: skip
    limits = Thresholds().general
    return (*lines, *_plot(row.trend, limits.lag_warn, limits.lag_crit, room, glyphs))


def _daemon(row: DaemonRow, now: datetime, room: int, glyphs: Glyphs) -> tuple[Line, ...]:
    lines = _title(row.name, row.level, row.state, room, glyphs)
    pairs = [("pid", str(row.pid or fmt.NOT_KNOWN))]
    if row.since is not None:
        pairs.append(
            ("since", f"{fmt.clock_time(row.since)} ({fmt.short_duration((now - row.since).total_seconds())})")
        )
    lines += _facts(pairs, room, glyphs)
    return (*lines, *(line(Span(part)) for part in fmt.wrap(shown(row.note), room) if part))


def _members(row: ConsumerRow, picture: Picture, room: int, glyphs: Glyphs) -> list[Line]:
    """What the members of a group do, counted; nothing for a consumer that works alone."""
    facts = row.facts
    states = [
        doing(one) for one in picture.consumers if one.facts.queue == facts.queue and one.facts.main == facts.name
    ]
    if not states:
        return []
    counted = [(word, str(states.count(word))) for word in ("working", "idle", "stale") if word in states]
    return _facts((("members", str(len(states))), *counted), room, glyphs)


def _moment(label: str, moment: datetime) -> Line:
    return line(Span(f"{label}  ", "muted"), Span(moment.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")))


def _event(row: PeekedEvent, room: int) -> tuple[Line, ...]:
    return (line(Span(f"event {row.event.ev_id}", "strong")), *_event_facts(row.event, room))


def _event_facts(event: EventRow, room: int) -> tuple[Line, ...]:
    """Time, transaction, retries and type of an event, then what is in it."""
    txid = fmt.NOT_KNOWN if event.ev_txid is None else str(event.ev_txid)
    lines = [
        _moment("time", event.ev_time),
        line(Span("txid  ", "muted"), Span(txid), Span("   retry ", "muted"), Span(str(event.ev_retry or 0))),
    ]
    if event.ev_type is not None:
        lines += [(), line(Span("type", "label"))]
        lines += [line(Span(part)) for part in fmt.wrap(shown(event.ev_type), room)]
    return (*lines, *payload_lines(event, room))


def _letter(row: LetterRow, room: int, glyphs: Glyphs) -> tuple[Line, ...]:
    letter = row.letter
    lines = _title(f"dead letter {letter.dl_id}", row.level, f"{fmt.age(row.age)} old", room, glyphs)
    lines += [line(Span(part, LEVEL_ROLES[row.level])) for part in fmt.wrap(shown(letter.reason), room) if part]
    lines += _facts(
        (("queue", named(letter.queue)), ("consumer", named(letter.consumer)),
         ("batch", str(letter.batch_id or fmt.NOT_KNOWN)), ("event", str(letter.event.ev_id))),
        room, glyphs,
    )  # fmt: skip
    lines.append(_moment("given up", letter.time))
    return (*lines, *_event_facts(letter.event, room))


def _waiting(row: WaitingRow, room: int, glyphs: Glyphs) -> tuple[Line, ...]:
    waiting = row.waiting
    what = "delayed event" if waiting.delayed else f"event {waiting.event.ev_id}"
    lines = _title(what, row.level, due_text(row.left), room, glyphs)
    whose = "every consumer" if waiting.delayed else "nobody: its consumer is gone"
    pairs = (("queue", named(waiting.queue)), ("for", named(waiting.consumer) if waiting.consumer else whose))
    lines += _facts(pairs, room, glyphs)
    lines.append(_moment("due", waiting.due))
    return (*lines, *_event_facts(waiting.event, room))


_STATES = {
    "stale": "its table has changed since it was compiled: compile it again (c)",
    "disabled": "the trigger is disabled: changes of the table are not written",
}


def _capture(row: CaptureRow, room: int, glyphs: Glyphs) -> tuple[Line, ...]:
    capture = row.capture
    lines = _title(capture.relation, row.level, capture.state, room, glyphs)
    told = _STATES.get(capture.state, "")
    lines += [line(Span(part, LEVEL_ROLES[row.level])) for part in fmt.wrap(told, room) if part]
    lines += _facts(
        (("trigger", named(capture.trigger)), ("queue", named(capture.queue)), ("writes as", capture.kind),
         ("form", capture.form), ("fires", capture.events)),
        room, glyphs,
    )  # fmt: skip
    if capture.arguments:
        lines += [(), line(Span("arguments", "label"))]
        lines += [line(Span(part)) for one in capture.arguments for part in fmt.wrap(shown(one), room)]
    return tuple(lines)


def _change(row: ListedChange, room: int, glyphs: Glyphs) -> tuple[Line, ...]:
    change = row.change
    lines = _title(change.subject, change.level, LEVEL_WORDS[change.level], room, glyphs)
    lines += _facts((("database", named(change.source)), ("time", fmt.clock_time(change.time))), room, glyphs)
    return (*lines, (), *(line(Span(part)) for part in fmt.wrap(shown(change.text), room)))
