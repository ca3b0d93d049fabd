"""A consumer of ours: DSN QUEUE; tells when each event reached its handler.

At an event of type `stop` it prints one JSON object, data of the event to nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from skyconsole.engine.queue import Consumer, ConsumerSettings, Event


class Timer(Consumer):
    """Remembers when what came."""

    seen: dict[str, int]

    def process_event(self, db: Any, event: Event) -> None:
        """One event."""
        if event.ev_type == "stop":
            print(json.dumps(self.seen), flush=True)
            os._exit(0)
        self.seen[event.ev_data or ""] = time.monotonic_ns()


if __name__ == "__main__":
    timer = Timer(sys.argv[1], ConsumerSettings(sys.argv[2], "bench"))
    timer.seen = {}
    timer.run()
