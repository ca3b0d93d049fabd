"""The judge of the torture: what the ledger says must come, against what the consumers say came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A transaction snapshot as a tick stores it (spec/pgq.md 1.2)."""

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """From PostgreSQL's text form `xmin:xmax:xip,xip`."""
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(int(xid) for xid in running.split(",") if xid))

    def sees(self, xid: int) -> bool:
        """Whether a transaction that committed is visible in this snapshot."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)


@dataclass(frozen=True, slots=True)
class Event:
    """An event a producer inserted: where, by which transaction, and whether it stayed."""

    key: str
    queue: str
    xid: int
    committed: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """A consumer on a queue, the snapshot of the tick it started from and, if it left, of the last one it finished."""

    consumer: str
    queue: str
    tick: int
    snapshot: Snapshot
    until: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as one consumer got it in a batch it finished; `retry` is its ev_retry (0 for NULL)."""

    consumer: str
    queue: str
    key: str
    batch: int
    retry: int


@dataclass(frozen=True, slots=True)
class HandedBack:
    """One event that a consumer put into the retry queue in a batch it finished."""

    consumer: str
    queue: str
    key: str


class Fate(StrEnum):
    """What can be wrong with an event."""

    LOST = "lost"
    DUPLICATE = "duplicate"
    ROLLED_BACK = "rolled back, yet delivered"
    UNKNOWN = "unknown to the ledger, yet delivered"
    TOO_EARLY = "older than the registration, yet delivered"
    TOO_LATE = "newer than the departure, yet delivered"
    RETRY_LOST = "handed back, not delivered again"
    RETRY_NUMBER = "wrong numbers in ev_retry"


@dataclass(frozen=True, slots=True)
class Finding:
    """One event that did not reach one consumer as it should have."""

    fate: Fate
    consumer: str
    queue: str
    key: str
    detail: str

    def __str__(self) -> str:
        return f"{self.fate}: {self.key} of queue {self.queue!r} at consumer {self.consumer!r}: {self.detail}"


def verify(
    events: Iterable[Event],
    registrations: Collection[Registration],
    deliveries: Iterable[Delivery],
    handed_back: Iterable[HandedBack],
) -> tuple[Finding, ...]:
    """Everything but "each committed event since registration once, and again as often as it was handed back"."""
    by_queue: dict[str, dict[str, Event]] = defaultdict(dict)
    for event in events:
        by_queue[event.queue][event.key] = event
    delivered: dict[tuple[str, str], dict[str, list[Delivery]]] = defaultdict(lambda: defaultdict(list))
    for delivery in deliveries:
        delivered[delivery.consumer, delivery.queue][delivery.key].append(delivery)
    returned: dict[tuple[str, str, str], int] = defaultdict(int)
    for back in handed_back:
        returned[back.consumer, back.queue, back.key] += 1

    findings: list[Finding] = []
    for registration in registrations:
        place = registration.consumer, registration.queue
        got = delivered.pop(place, {})
        known = by_queue[registration.queue]
        for key in sorted(known.keys() | got.keys()):
            findings.extend(_judge(registration, key, known.get(key), got.get(key, []), returned[(*place, key)]))
    for (consumer, queue), strange in delivered.items():
        findings.extend(
            Finding(Fate.UNKNOWN, consumer, queue, key, "the consumer is not registered") for key in strange
        )
    return tuple(findings)


def _judge(
    registration: Registration, key: str, event: Event | None, got: list[Delivery], returned: int
) -> Iterator[Finding]:
    def finding(fate: Fate, detail: str) -> Finding:
        return Finding(fate, registration.consumer, registration.queue, key, detail)

    batches = f"batches {[delivery.batch for delivery in got]}"
    if event is None:
        yield finding(Fate.UNKNOWN, batches)
        return
    story = f"transaction {event.xid} {event.note}".rstrip()
    if not event.committed:
        if got:
            yield finding(Fate.ROLLED_BACK, f"{story}; {batches}")
        return
    if registration.snapshot.sees(event.xid):
        if got:
            yield finding(Fate.TOO_EARLY, f"{story}; registered at tick {registration.tick}; {batches}")
        return
    if registration.until is not None and not registration.until.sees(event.xid):
        if got:
            yield finding(Fate.TOO_LATE, f"{story}; {batches}")
        return
    numbers = sorted(delivery.retry for delivery in got)
    if 0 not in numbers:
        yield finding(Fate.LOST, f"{story}; registered at tick {registration.tick}; {batches}")
    elif len(got) > returned + 1:
        yield finding(Fate.DUPLICATE, f"{story}; handed back {returned} times; {batches}, ev_retry {numbers}")
    elif len(got) < returned + 1:
        yield finding(Fate.RETRY_LOST, f"{story}; handed back {returned} times; {batches}, ev_retry {numbers}")
    elif numbers != list(range(returned + 1)):
        yield finding(Fate.RETRY_NUMBER, f"{story}; handed back {returned} times; {batches}, ev_retry {numbers}")
