"""A producer on the PyPI package `pgq`, run by the peers' Python: KIND DSN QUEUE EVENTS, the events as JSON."""

from __future__ import annotations

import json
import sys

import pgq  # type: ignore[import-not-found]
import psycopg2  # type: ignore[import-untyped]
import psycopg2.extras  # type: ignore[import-untyped]


def main() -> None:
    """Insert the events one by one or in bulk, and print their ids as far as the package tells them."""
    kind, dsn, queue, events = sys.argv[1:5]
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor(cursor_factory=psycopg2.extras.DictCursor)
    rows = json.loads(events)
    if kind == "single":
        print(json.dumps([pgq.insert_event(cursor, queue, *row) for row in rows]))
    elif kind == "bulk":
        pgq.bulk_insert_events(cursor, rows, ["time", "type", "data", "extra1"], queue)
    connection.commit()
    connection.close()


if __name__ == "__main__":
    main()
