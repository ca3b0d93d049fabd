"""The script framework of the PyPI packages on a consumer's configuration file: what it reads, or what it consumes.

`values FILE SECTION KEY ...` prints the values as one JSON object; `consume FILE` prints each event's data until the
queue is empty.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pgq  # type: ignore[import-not-found]
import skytools  # type: ignore[import-not-found]


class Printer(pgq.Consumer):  # type: ignore[misc]
    """Prints what it gets."""

    def process_event(self, db: Any, event: Any) -> None:
        """One event."""
        print(json.dumps(event.ev_data), flush=True)


command, path, *rest = sys.argv[1:]
if command == "values":
    section, *keys = rest
    config = skytools.Config(section, path)
    print(json.dumps({key: config.get(key) for key in keys}))
else:
    Printer("simple_consumer3", "src_db", ["-q", "--set", "loop_delay=0", path]).start()
