"""A queue with its consumer, what was put into it, and what must have come of it in the end."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from .plan import Kind

DRAIN_SECONDS = 20.0

_DEEDS = "create table if not exists deed (consumer text, key text, retry int, worker text)"

# Nothing is open, nobody is behind the newest tick, nothing waits to be retried.
_DRAINED = """
select not exists (
    select
    from pgq.subscription as s
    where s.sub_queue = q.queue_id
        and (
            s.sub_batch is not null
            or s.sub_last_tick < (select max(t.tick_id) from pgq.tick as t where t.tick_queue = q.queue_id)
        )
) and not exists (
    select from pgq.retry_queue as r where r.ev_queue = q.queue_id
)
from pgq.queue as q
where q.queue_name = %s
"""


@dataclass(frozen=True, slots=True)
class Site:
    """The databases, and what the one with the queue can do."""

    dsn: str
    remote_dsn: str
    dead_letters: bool


@dataclass
class Place:
    """One queue on a site, for one consumer; `ledger` is what was committed to it, kept here and nowhere else."""

    site: Site
    kind: Kind
    name: str
    folder: Path
    ledger: dict[str, int] = field(default_factory=dict)
    """Key and number of every event that was committed."""
    undone: set[str] = field(default_factory=set)
    """Keys of the events that were rolled back."""

    def __post_init__(self) -> None:
        self.reconnect()
        self.consumer = f"{self.name} worker"
        self.file = self.folder / f"{self.name}.deeds"
        self.tracking = self.folder / f"{self.name}.tick"
        self.connection.execute(_DEEDS)
        self.remote.execute(_DEEDS)
        self.one("select pgq.create_queue(%s)", self.name)
        self.one("select pgq.set_queue_config(%s, 'ticker_max_lag', '0')", self.name)
        if self.kind is Kind.COOP:
            self.one("select pgq_coop.register_subconsumer(%s, %s, 'first')", self.name, self.consumer)
        else:
            self.one("select pgq.register_consumer(%s, %s)", self.name, self.consumer)

    def reconnect(self) -> None:
        """Connect, for the first time or again."""
        self.connection = psycopg.connect(self.site.dsn, autocommit=True)
        self.remote = psycopg.connect(self.site.remote_dsn, autocommit=True)

    def close(self) -> None:
        """Leave no connections."""
        self.connection.close()
        self.remote.close()

    def one(self, query: str, *parameters: object) -> Any:
        """The first column of the first row."""
        row = self.connection.execute(query, parameters).fetchone()
        return row[0] if row else None

    def produce(self, rng: random.Random, batches: int, events: int) -> None:
        """So many batches."""
        for _ in range(batches):
            self.insert(rng, events)
            self.one("select pgq.ticker(%s)", self.name)

    def insert(self, rng: random.Random, events: int) -> None:
        """So many events in several transactions, and others that are rolled back."""
        while events:
            size = rng.randint(1, min(events, 4))
            stays = rng.random() < 0.8
            with self.connection.transaction(force_rollback=not stays):
                for _ in range(size):
                    self._insert(stays)
            events -= size if stays else 0

    def _insert(self, stays: bool) -> None:
        number = len(self.ledger)
        key = f"{self.name} {number}" if stays else f"{self.name} undone {len(self.undone)}"
        self.connection.execute(
            "select pgq.insert_event(%s, 'work', %s, %s, null, null, null)", (self.name, key, str(number))
        )
        if stays:
            self.ledger[key] = number
        else:
            self.undone.add(key)

    def upkeep(self) -> None:
        """What ticker and maintenance do."""
        while self.one("select pgq.maint_retry_events()"):
            continue
        self.one("select pgq.ticker(%s)", self.name)

    def is_drained(self) -> bool:
        """Whether nothing is left to be done."""
        self.upkeep()
        return bool(self.one(_DRAINED, self.name))

    def job(self, **more: object) -> dict[str, Any]:
        """What a worker is told."""
        return {
            "dsn": self.site.dsn,
            "remote_dsn": self.site.remote_dsn,
            "queue": self.name,
            "consumer": self.consumer,
            "kind": self.kind.value,
            "worker": "first",
            "retries": self.kind.retries,
            "dead_letters": self.kind.retries and self.site.dead_letters,
            "dawdle": 0.0,
            "loop_delay": 0.05,
            "how": "SIGKILL",
            "file": str(self.file),
            "tracking": str(self.tracking) if self.kind is Kind.LOCAL else None,
            "member": "first" if self.kind is Kind.COOP else None,
            **more,
        }

    def findings(self) -> list[str]:
        """What is not as it must be; empty if all is well."""
        wanted = Counter(key for key, number in self.ledger.items() if not self._is_unfit(number))
        deeds = self._deeds()
        found = [f"{key}: never done" for key in wanted if not deeds[key]]
        found += [f"{key}: done, but never committed" for key in deeds if key in self.undone]
        found += [
            f"{key}: done, but nobody made it" for key in deeds if key not in self.ledger and key not in self.undone
        ]
        found += [f"{key}: done, but set aside" for key in deeds if key in self.ledger and key not in wanted]
        if self.kind.is_exact:
            found += [f"{key}: done {times} times" for key, times in deeds.items() if times > 1]
        letters = self._letters()
        unfit = {key for key, number in self.ledger.items() if self._is_unfit(number)}
        found += [f"{key}: no dead letter" for key in unfit if not letters[key]]
        found += [f"{key}: {times} dead letters" for key, times in letters.items() if times > 1 or key not in unfit]
        return found

    def done(self) -> int:
        """How many deeds were done."""
        return self._deeds().total()

    def again(self) -> int:
        """How many deeds were done more often than once."""
        return sum(times - 1 for times in self._deeds().values())

    def _is_unfit(self, number: int) -> bool:
        return self.kind.retries and self.site.dead_letters and number % 8 == 5

    def _deeds(self) -> Counter[str]:
        if self.kind is Kind.LOCAL:
            return Counter(self.file.read_text("utf-8").splitlines()) if self.file.exists() else Counter()
        where = self.remote if self.kind.is_remote else self.connection
        query = "select key, count(*) from deed where consumer = %s group by key"
        return Counter(dict(where.execute(query, (self.consumer,)).fetchall()))

    def _letters(self) -> Counter[str]:
        if not self.site.dead_letters:
            return Counter()
        query = "select ev_data from pgq.get_dead_letters(%s, null, 10000)"
        return Counter(key for (key,) in self.connection.execute(query, (self.name,)))


def until(condition: Any, what: str, seconds: float = DRAIN_SECONDS) -> None:
    """Wait for it; fails with the words when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
