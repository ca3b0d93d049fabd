"""A consumer of ours that drains a queue: DSN QUEUE KIND SETTINGS, the settings as JSON.

Counts what it gets and how long that took, from its first batch on; tells it when nothing is left, with the memory it
had at its first batch, at most, and at its last batch.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from skyconsole.engine.queue import ColumnConsumer, Consumer, ConsumerSettings, Event


def memory(field: str) -> int:
    """Bytes: VmRSS, what this process has now, or VmHWM, the most it had."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"the kernel tells no {field}")


class Tally:
    """What was counted."""

    events = 0
    total = 0
    began = 0.0
    first = 0
    last = 0
    """Memory at the first and at the latest batch."""

    def begin(self) -> None:
        """At a batch."""
        self.last = memory("VmRSS")
        if not self.began:
            self.first = self.last
            self.began = time.perf_counter()


class ByEvent(Consumer):
    """Gets event by event, as the PyPI consumer does."""

    tally: Tally

    def process_batch(self, db: Any, batch: Any, events: Any) -> Any:
        """One batch."""
        self.tally.begin()
        return super().process_batch(db, batch, events)

    def process_event(self, db: Any, event: Event) -> None:
        """One event."""
        self.tally.events += 1
        self.tally.total += event.ev_id


class ByBatch(Consumer):
    """Iterates over the batch itself."""

    tally: Tally

    def process_batch(self, db: Any, batch: Any, events: Any) -> None:
        """One batch."""
        tally = self.tally
        tally.begin()
        for event in events:
            tally.events += 1
            tally.total += event.ev_id


class ByColumns(ColumnConsumer):
    """Gets lists, one for each column."""

    tally: Tally

    def process_batch(self, db: Any, batch: Any, events: Any) -> Any:
        """One batch."""
        self.tally.begin()
        return super().process_batch(db, batch, events)

    def process_columns(self, db: Any, batch: Any, columns: Any) -> None:
        """A piece of it."""
        self.tally.events += len(columns)
        self.tally.total += sum(columns["ev_id"])


KINDS: dict[str, Any] = {"event": ByEvent, "batch": ByBatch, "columns": ByColumns}


def main() -> None:
    """Drain and tell."""
    dsn, name, kind, settings = sys.argv[1:5]
    given = json.loads(settings)
    if "columns" in given:
        given["columns"] = tuple(given["columns"])
    tally = Tally()
    consumer = KINDS[kind](dsn, ConsumerSettings(name, "bench", loop_delay=0.0, **given))
    consumer.tally = tally
    consumer.run()
    seconds = time.perf_counter() - tally.began
    facts = {"events": tally.events, "sum": tally.total, "seconds": seconds}
    print(json.dumps({**facts, "first": tally.first, "most": memory("VmHWM"), "last": tally.last}))


if __name__ == "__main__":
    main()
