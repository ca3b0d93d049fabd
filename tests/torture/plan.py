"""What the torture does, as data that a seed decides: transactions, faults and the tempers of consumers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import assert_never

QUEUES = ("plain", 'a"b.[/x] Ünï 🐘')


class Isolation(StrEnum):
    """Isolation level of a producer's transaction, spelt as SQL wants it."""

    READ_COMMITTED = "read committed"
    REPEATABLE_READ = "repeatable read"
    SERIALIZABLE = "serializable"


class Ending(StrEnum):
    """How a producer means to end a transaction."""

    COMMIT = "commit"
    ROLLBACK = "rollback"
    COMMIT_PREPARED = "commit prepared"
    ROLLBACK_PREPARED = "rollback prepared"

    @property
    def keeps(self) -> bool:
        """Whether the transaction's events are meant to stay."""
        return self in (Ending.COMMIT, Ending.COMMIT_PREPARED)

    @property
    def prepares(self) -> bool:
        """Whether it goes through PREPARE TRANSACTION."""
        return self in (Ending.COMMIT_PREPARED, Ending.ROLLBACK_PREPARED)


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for `seconds`, inside the transaction."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """Read the queue's row: takes the snapshot of a transaction above READ COMMITTED, but no transaction id."""

    queue: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert `count` events one by one with pgq.insert_event."""

    queue: str
    count: int


@dataclass(frozen=True, slots=True)
class Bulk:
    """Ask for the current event table, wait `held` seconds, then COPY `count` events into it (spec/pgq.md 4.2)."""

    queue: str
    count: int
    held: float


@dataclass(frozen=True, slots=True)
class Subtransaction:
    """Steps between SAVEPOINT and RELEASE or ROLLBACK TO."""

    steps: tuple[Step, ...]
    keeps: bool


Step = Pause | Look | Insert | Bulk | Subtransaction


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction of a producer; `prepared_for` is how many seconds it stays prepared."""

    isolation: Isolation
    steps: tuple[Step, ...]
    ending: Ending
    prepared_for: float
    rest: float


class ProducerTemper(StrEnum):
    """What sort of transactions a producer makes."""

    QUICK = "quick"
    PATIENT = "patient"
    LONG = "long"
    PREPARING = "preparing"


class ConsumerTemper(StrEnum):
    """How a consumer goes about its batches."""

    FAST = "fast"
    SLOW = "slow"
    CURSOR = "cursor"
    RETRYING = "retrying"
    RESTARTING = "restarting"
    REPEATABLE = "repeatable"
    COLLECTING = "collecting"
    LATE = "late"


class Fault(StrEnum):
    """What is killed: a backend by pg_terminate_backend, one by SIGKILL (a crash for all), the server, the ticker."""

    BACKEND = "backend"
    CRASH = "crash"
    SERVER = "server"
    TICKER = "ticker"


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault that strikes `at` seconds after the start of the load; `pick` chooses the victim."""

    at: float
    fault: Fault
    pick: int


def transactions(seed: int, producer: int, temper: ProducerTemper) -> Iterator[Transaction]:
    """The endless sequence of transactions of one producer."""
    rng = Random(f"{seed}/producer/{producer}")
    while True:
        match temper:
            case ProducerTemper.QUICK:
                yield _quick(rng)
            case ProducerTemper.PATIENT:
                yield _patient(rng)
            case ProducerTemper.LONG:
                yield _long(rng)
            case ProducerTemper.PREPARING:
                yield _preparing(rng)
            case _:
                assert_never(temper)


def faults(seed: int, seconds: float) -> tuple[PlannedFault, ...]:
    """The faults of a run of `seconds`: a server kill in its middle and a ticker kill for certain, others by chance."""
    rng = Random(f"{seed}/faults")
    planned = [PlannedFault(seconds * rng.uniform(0.35, 0.65), Fault.SERVER, 0)]
    planned.append(PlannedFault(seconds * rng.uniform(0.15, 0.85), Fault.TICKER, 0))
    at = rng.uniform(0.5, 2.0)
    while at < seconds:
        fault = rng.choices((Fault.BACKEND, Fault.TICKER, Fault.CRASH, Fault.SERVER), (12, 2, 1, 1))[0]
        planned.append(PlannedFault(at, fault, rng.randrange(1 << 30)))
        at += rng.expovariate(1 / 1.5)
    return tuple(sorted(planned, key=lambda fault: fault.at))


def ring_sizes(seed: int) -> tuple[int, ...]:
    """How many event tables each queue has: the usual three for one, any size that rotates for the others."""
    rng = Random(f"{seed}/rings")
    return (3, *(rng.choice((2, 2, 3, 4)) for _ in QUEUES[1:]))


def retries_wanted(seed: int, consumer: str, key: str) -> int:
    """How often this consumer hands this event back before it accepts it: mostly never, at most twice."""
    return Random(f"{seed}/retry/{consumer}/{key}").choices((0, 1, 2), (90, 8, 2))[0]


def _isolation(rng: Random) -> Isolation:
    return rng.choices(tuple(Isolation), (4, 3, 2))[0]


def _ending(rng: Random) -> Ending:
    return rng.choices((Ending.COMMIT, Ending.ROLLBACK), (5, 1))[0]


def _write(rng: Random, held: float = 0.0) -> Step:
    queue = rng.choice(QUEUES)
    if rng.random() < 0.15:
        return Bulk(queue, rng.randint(1, 8), held)
    return Insert(queue, rng.randint(1, 3))


def _writes(rng: Random) -> tuple[Step, ...]:
    """A few writes, some of them inside subtransactions, one level of nesting at most."""
    steps: list[Step] = []
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.25:
            inner: list[Step] = [_write(rng)]
            if rng.random() < 0.3:
                inner.append(Subtransaction((_write(rng),), keeps=rng.random() < 0.5))
            steps.append(Subtransaction(tuple(inner), keeps=rng.random() < 0.5))
        else:
            steps.append(_write(rng))
        if rng.random() < 0.3:
            steps.append(Pause(rng.uniform(0.0, 0.1)))
    return tuple(steps)


def _quick(rng: Random) -> Transaction:
    return Transaction(_isolation(rng), _writes(rng), _ending(rng), 0.0, rng.uniform(0.0, 0.25))


def _patient(rng: Random) -> Transaction:
    """Learns the current table, stays without a transaction id across one rotation or several, and only then writes."""
    wait = rng.uniform(0.5, 8.0)
    if rng.random() < 0.4:
        first: tuple[Step, ...] = (Bulk(rng.choice(QUEUES), rng.randint(1, 5), wait),)
    else:
        first = (Look(rng.choice(QUEUES)), Pause(wait))
    return Transaction(_isolation(rng), first + _writes(rng), _ending(rng), 0.0, 0.0)


def _long(rng: Random) -> Transaction:
    """Mostly short, at times one that holds its transaction id, and so rotation, for some seconds."""
    if rng.random() < 0.8:
        return Transaction(_isolation(rng), _writes(rng), _ending(rng), 0.0, rng.uniform(0.1, 0.5))
    steps = (_write(rng), Pause(rng.uniform(0.5, 3.0)), *_writes(rng))
    return Transaction(_isolation(rng), steps, _ending(rng), 0.0, rng.uniform(1.0, 3.0))


def _preparing(rng: Random) -> Transaction:
    ending = rng.choices((Ending.COMMIT_PREPARED, Ending.ROLLBACK_PREPARED), (3, 1))[0]
    steps = _writes(rng)
    if rng.random() < 0.3:
        steps = (Look(rng.choice(QUEUES)), Pause(rng.uniform(0.5, 4.0)), *steps)
    held = rng.uniform(1.0, 3.0) if rng.random() < 0.2 else rng.uniform(0.0, 0.3)
    return Transaction(_isolation(rng), steps, ending, held, rng.uniform(0.1, 1.0))
