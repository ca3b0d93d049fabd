"""A consumer on the PyPI package `pgq`, run by the peers' Python: prints each event of each batch as one JSON line.

An event of type `again` is handed back once; one of type `crash` ends the process at once if --crash is given.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import pgq  # type: ignore[import-not-found]


class Printer(pgq.Consumer):  # type: ignore[misc]
    """Prints what it gets."""

    def process_event(self, db: Any, event: Any) -> None:
        """One event, on the connection that finishes the batch."""
        if event.ev_type == "crash" and CRASHES:
            os._exit(17)
        if event.ev_type == "again" and event.ev_retry is None:
            event.tag_retry(0)
        facts = {name: event[name] for name in ("ev_id", "ev_txid", "ev_retry", "ev_type", "ev_data", "ev_extra1")}
        print(json.dumps({"batch": self.batch_info["tick_id"], **facts}), flush=True)


class Filtered(Printer):
    """Asks the server for some events only."""

    consumer_filter = "ev_type = 'wanted'"


class Local(pgq.LocalConsumer):  # type: ignore[misc]
    """Keeps its position in a file."""

    def process_local_event(self, db: Any, batch_id: int, event: Any) -> None:
        """One event."""
        print(json.dumps({"ev_id": event.ev_id, "ev_data": event.ev_data}), flush=True)


class Counter(pgq.Consumer):  # type: ignore[misc]
    """Counts what it gets and how long that took; tells it when nothing is left."""

    events = 0
    total = 0
    began = 0.0

    def process_batch(self, db: Any, batch_id: int, event_list: Any) -> None:
        """One batch."""
        self.began = self.began or time.perf_counter()
        super().process_batch(db, batch_id, event_list)

    def process_event(self, db: Any, event: Any) -> None:
        """One event."""
        self.events += 1
        self.total += event.ev_id

    def start(self) -> None:
        """Work until nothing is left."""
        super().start()
        seconds = time.perf_counter() - self.began
        print(json.dumps({"events": self.events, "sum": self.total, "seconds": seconds}))


KINDS: dict[str, Any] = {"printer": Printer, "filtered": Filtered, "local": Local, "counter": Counter}
CRASHES = "--crash" in sys.argv

if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[2:] if argument != "--crash"]
    KINDS[sys.argv[1]]("printer", "db", arguments).start()
