"""Cooperative and remote consumers on the PyPI package `pgq`, run by the peers' Python.

Each event becomes a row of the table `done` in the database where the consumer works. An event of type `crash` ends the
process at once if --crash is given; one of type `wait` is worked on until the table `go` has a row.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pgq  # type: ignore[import-not-found]

NAME = os.environ.get("WORKER", "worker")


def work(connection: Any, batch_id: int, event: Any) -> None:
    """One event."""
    if event.ev_type == "crash" and CRASHES:
        os._exit(17)
    cursor = connection.cursor()
    cursor.execute(
        "insert into done (batch, event, text, worker) values (%s, %s, %s, %s)",
        [batch_id, event.ev_id, event.ev_data, NAME],
    )
    if event.ev_type == "wait":
        print("waiting", flush=True)
        cursor.execute("select count(*) from go")
        while not cursor.fetchone()[0]:
            time.sleep(0.01)
            cursor.execute("select count(*) from go")


class Coop(pgq.CoopConsumer):  # type: ignore[misc]
    """A worker in the queue's own database."""

    def process_batch(self, db: Any, batch_id: int, event_list: Any) -> None:
        """One batch, in the transaction that finishes it."""
        for event in event_list:
            work(db, batch_id, event)


class Remote(pgq.RemoteConsumer):  # type: ignore[misc]
    """Works in another database and marks batches there."""

    def process_remote_batch(self, db: Any, batch_id: int, event_list: Any, dst_db: Any) -> None:
        """One batch, in the other database's transaction."""
        for event in event_list:
            work(dst_db, batch_id, event)


class Serial(pgq.SerialConsumer):  # type: ignore[misc]
    """Works in another database and marks ticks there."""

    def process_remote_batch(self, db: Any, batch_id: int, event_list: Any, dst_db: Any) -> None:
        """One batch, in the other database's transaction."""
        for event in event_list:
            work(dst_db, batch_id, event)


CRASHES = "--crash" in sys.argv

if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[2:] if argument != "--crash"]
    if sys.argv[1] == "coop":
        Coop("printer", "db", arguments).start()
    else:
        kinds: dict[str, Any] = {"remote": Remote, "serial": Serial}
        kinds[sys.argv[1]]("printer", "db", "target_db", arguments).start()
