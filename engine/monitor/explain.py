"""Why something is late: the chain of evidence that one picture holds, from the consumer to whoever blocks it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from .ages import brief
from .consumer_rows import letters_text
from .daemon_rows import ticker_state
from .model import ConsumerFacts, Part, SessionFacts
from .picture import ConsumerRow, Level, Picture, QueueRow
from .queue_rows import blocks_rotation

_LONGEST_CHAIN = 8
"""Blockers of blockers that are followed; locks that go round end here as well."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One line of an explanation."""

    text: str
    level: Level = Level.UNKNOWN
    """How bad the fact is; UNKNOWN for what is neither good nor bad."""
    advice: str = ""
    """What to do about it, if that is plain."""
    pid: int | None = None
    """The backend that the line is about."""


def explain(picture: Picture, row: QueueRow | ConsumerRow) -> tuple[Evidence, ...]:
    """The evidence for a queue or a consumer, from cause to forecast. Pure; never empty."""
    found = tuple(_queue(picture, row) if isinstance(row, QueueRow) else _consumer(picture, row))
    return found or (Evidence("nothing is wrong", Level.OK),)


def backend_of(picture: Picture, facts: ConsumerFacts) -> SessionFacts | None:
    """The backend that most likely works for a consumer: by its batch's number, else by its name.

    PgQ does not say which session holds a batch (spec/pgq.md 3), so this is a guess from what sessions run.
    """
    if facts.batch_id is not None:
        batch = re.compile(rf"\b{facts.batch_id}\b")
        for one in picture.sessions:
            if "pgq" in one.query and batch.search(one.query):
                return one
    for one in picture.sessions:
        if facts.name and one.application == facts.name:
            return one
    quoted = "'" + facts.name.replace("'", "''") + "'"
    for one in picture.sessions:
        if facts.name and "pgq" in one.query and quoted in one.query:
            return one
    return None


def _queue(picture: Picture, row: QueueRow) -> Iterator[Evidence]:
    yield from _ticker(picture, row)
    yield from _rotation(picture, row)
    if row.facts.disable_insert:
        yield Evidence("inserts are disabled: producers get an error", Level.OFF)
    if not row.consumers:
        yield Evidence("no consumers: its events are kept for nobody and dropped at rotation")
    yield from _letters(row.facts.dead_count)
    late = [one for one in picture.consumers if one.facts.queue == row.facts.name and one.behind >= Level.WARN]
    if not late:
        return
    worst = max(late, key=lambda one: (one.behind, one.lag or 0.0))
    if len(late) > 1:
        told = f"{len(late)} of {row.consumers} consumers are behind, {worst.facts.name} the most"
        yield Evidence(told, worst.behind)
    else:
        yield Evidence(f"{worst.facts.name} is behind", worst.behind)
    yield from _work(picture, worst)


def _consumer(picture: Picture, row: ConsumerRow) -> Iterator[Evidence]:
    facts = row.facts
    queue = next((one for one in picture.queues if one.facts.name == facts.queue), None)
    if facts.last_tick_id is None:
        yield Evidence("an idle subconsumer: it takes the next batch that its group has")
        return
    if facts.last_tick_time is None:
        yield Evidence(
            f"its last tick {facts.last_tick_id} is gone, so it can get no batch",
            Level.CRIT,
            "Register it again at a tick that exists.",
        )
        return
    if queue is not None:
        yield from _ticker(picture, queue)
    yield from _letters(facts.dead_count)
    if row.behind < Level.WARN:
        if queue is not None and facts.last_tick_id == queue.facts.last_tick_id:
            yield Evidence(f"it has finished tick {facts.last_tick_id}, the newest", Level.OK)
        else:
            yield Evidence("it keeps up", Level.OK)
    else:
        yield from _work(picture, row)
    if queue is not None and blocks_rotation(queue.facts, facts):
        overdue = _overdue(queue, picture.snapshot.server_time)
        if overdue > 0.0:
            yield Evidence(f"rotation of the queue waits for it since {brief(overdue)}: its tables grow", Level.WARN)


def _ticker(picture: Picture, row: QueueRow) -> Iterator[Evidence]:
    if row.facts.paused:
        yield Evidence("the ticker is paused here: no new batches", Level.OFF, "Resume it.")
    elif row.tick_age is None:
        yield Evidence("it was never ticked", Level.WARN, "Start a ticker on this database.")
    elif row.ticker >= Level.WARN:
        everywhere = ticker_state(picture.queues)[1] == "silent"
        yield Evidence(
            f"no tick for {brief(row.tick_age)}" + (", as on every queue here" if everywhere else ""),
            row.ticker,
            "Start the ticker." if everywhere else "See the ticker's log for this queue.",
        )


def _rotation(picture: Picture, row: QueueRow) -> Iterator[Evidence]:
    facts = row.facts
    overdue = _overdue(row, picture.snapshot.server_time)
    if overdue < 60.0 or facts.ntables < 2:
        return
    blockers = [
        one.facts.name
        for one in picture.consumers
        if one.facts.queue == facts.name and blocks_rotation(facts, one.facts)
    ]
    since = f"rotation is {brief(overdue)} overdue"
    if blockers:
        yield Evidence(f"{since}: {_listed(blockers)} has not moved past the last switch", Level.WARN)
        return
    old = [one for one in picture.sessions if one.transaction_start and one.transaction_start < facts.switch_time]
    if old:
        oldest = min(old, key=lambda one: one.transaction_start or facts.switch_time)
        yield Evidence(
            f"{since}: pid {oldest.pid} has a transaction open since before the last switch",
            Level.WARN,
            pid=oldest.pid,
        )
    else:
        yield Evidence(f"{since}: nothing that is seen holds it up", Level.WARN, "Is maintenance running?")


def _letters(number: int | None) -> Iterator[Evidence]:
    if number:
        verb = "waits" if number == 1 else "wait"
        yield Evidence(f"{letters_text(number)} {verb} for a decision", Level.WARN, "d shows them: replay or purge.")


def _work(picture: Picture, row: ConsumerRow) -> Iterator[Evidence]:
    """What a late consumer does, and who keeps it from doing it."""
    facts = row.facts
    if facts.batch_id is not None:
        yield Evidence(f"batch {facts.batch_id} open for {brief(row.seen)} by {facts.name}", row.behind)
    elif row.seen >= 60.0:
        yield Evidence(
            f"{facts.name} has no batch open and was not seen for {brief(row.seen)}",
            row.behind,
            "Is it running? If it is retired, unregister it.",
        )
    else:
        yield Evidence(f"{facts.name} works, and was seen {brief(row.seen)} ago")
    if Part.SESSIONS in picture.snapshot.times:
        backend = backend_of(picture, facts)
        if backend is not None:
            yield from _backend(picture, backend)
        elif facts.batch_id is not None and row.seen >= 60.0:
            yield Evidence("no backend of it is seen: it may have died, or works elsewhere")
    yield from _forecast(picture, row)


def _backend(picture: Picture, backend: SessionFacts) -> Iterator[Evidence]:
    now = picture.snapshot.server_time
    if not backend.blocked_by:
        if backend.state == "active":
            waits = f", waits on {backend.wait}" if backend.wait else ""
            yield Evidence(
                f"its backend pid {backend.pid} runs for {_age(now, backend.query_start)}{waits}: "
                f"{_one_line(backend.query)}",
                pid=backend.pid,
            )
        else:
            yield Evidence(
                f"its backend pid {backend.pid} is {backend.state or 'connected'} for {_age(now, backend.query_start)}",
                pid=backend.pid,
            )
        return
    yield Evidence(f"its backend pid {backend.pid} waits on {backend.wait or 'a lock'}", Level.CRIT, pid=backend.pid)
    by_pid = {one.pid: one for one in picture.sessions}
    seen = {backend.pid}
    at = backend
    for _ in range(_LONGEST_CHAIN):
        pid = next((one for one in at.blocked_by if one not in seen), None)
        if pid is None:
            return
        seen.add(pid)
        blocker = by_pid.get(pid)
        if blocker is None:
            yield Evidence(
                f"blocked by pid {pid}, which is not seen" if pid else "blocked by a prepared transaction",
                Level.CRIT,
                pid=pid or None,
            )
            return
        idle = f" ({blocker.state} for {_age(now, blocker.query_start)})" if blocker.state != "active" else ""
        yield Evidence(f"blocked by pid {pid}{idle}: {_one_line(blocker.query)}", Level.CRIT, pid=pid)
        at = blocker


def _forecast(picture: Picture, row: ConsumerRow) -> Iterator[Evidence]:
    queue = next((one for one in picture.queues if one.facts.name == row.facts.queue), None)
    incoming = None if queue is None else queue.ev_per_sec
    rate = row.ev_per_sec
    if row.catches_up is not None and rate is not None:
        yield Evidence(f"→ catches up in ~{brief(row.catches_up)} ({rate:.0f} ev/s)")
    elif row.pending is not None and rate is not None and incoming is not None:
        if rate:
            yield Evidence(f"→ falls behind: finishes {rate:.0f} ev/s, {incoming:.0f} ev/s come in", Level.WARN)
        else:
            yield Evidence(f"→ {row.pending:,} events wait for it, {incoming:.0f} ev/s come in", row.behind)


def _overdue(row: QueueRow, now: datetime) -> float:
    return (now - row.facts.switch_time - timedelta(seconds=row.facts.rotation_period)).total_seconds()


def _age(now: datetime, since: datetime | None) -> str:
    return "?" if since is None else brief((now - since).total_seconds())


def _one_line(query: str) -> str:
    return " ".join(query.split())[:200] or "(its query is not shown to us)"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
