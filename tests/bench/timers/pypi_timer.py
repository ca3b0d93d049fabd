"""A consumer on the PyPI package `pgq`, run by the peers' Python: tells when each event reached its handler.

At an event of type `stop` it prints one JSON object, data of the event to nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pgq  # type: ignore[import-not-found]


class Timer(pgq.Consumer):  # type: ignore[misc]
    """Remembers when what came."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: dict[str, int] = {}

    def process_event(self, db: Any, event: Any) -> None:
        """One event."""
        if event.ev_type == "stop":
            print(json.dumps(self.seen), flush=True)
            self.stop()
        else:
            self.seen[event.ev_data] = time.monotonic_ns()


if __name__ == "__main__":
    Timer("timer", "db", sys.argv[1:]).start()
