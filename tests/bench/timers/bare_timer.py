"""A LISTEN loop of a few lines, the floor for a consumer: DSN QUEUE; tells when it had each event in its hands.

At an event of type `stop` it prints one JSON object, data of the event to nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import json
import sys
import time

import psycopg


def main() -> None:
    """Read until told to stop."""
    dsn, queue = sys.argv[1:3]
    seen: dict[str, int] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        run = connection.execute
        row = run("select queue_id from pgq.queue where queue_name = %s", (queue,)).fetchone()
        assert row is not None
        run(f"listen pgq_tick_{row[0]}")
        while True:
            found = run("select pgq.next_batch(%s, 'bench')", (queue,)).fetchone()
            if found is None or found[0] is None:
                for _ in connection.notifies(timeout=1.0, stop_after=1):
                    pass
                continue
            events = run("select ev_type, ev_data from pgq.get_batch_events(%s)", found).fetchall()
            now = time.monotonic_ns()
            seen.update({data: now for _, data in events})
            run("select pgq.finish_batch(%s)", found)
            if any(kind == "stop" for kind, _ in events):
                print(json.dumps(seen), flush=True)
                return


if __name__ == "__main__":
    main()
