"""Memory of a consumer: a million small events, and one very large one. python tests/bench/memory.py [--help]

Prints how much the process grew: from its first batch to its greatest, and to its last batch, which is a small one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from rivals import OURS, rivals

_OWN = Path(__file__).parent / "timers" / "own_counter.py"
_FOUR = ["ev_id", "ev_type", "ev_data", "ev_extra1"]
WAYS: Mapping[str, tuple[str, dict[str, object]]] = {
    "by event": ("event", {}),
    "by event, no prefetch": ("event", {"prefetch": False}),
    "by event, lazy_fetch 5000": ("event", {"lazy_fetch": 5000}),
    "by batch, four columns": ("batch", {"columns": _FOUR}),
    "as columns, four columns": ("columns", {"columns": _FOUR}),
    "by event, whole batches": ("event", {"lazy_fetch": 0}),
}


def fill(connection: psycopg.Connection, queue: str, events: int, ticks: int, size: int) -> None:
    """A queue with so many events in so many batches, and one batch of a single small event before and after."""
    run = connection.execute
    run("select pgq.create_queue(%s)", (queue,))
    run("select pgq.set_queue_config(%s, 'ticker_max_count', '1')", (queue,))
    run("select pgq.register_consumer(%s, 'bench')", (queue,))
    for count, length in [(1, 1), *[(events // ticks, size)] * ticks, (1, 1)]:
        run(
            "select count(pgq.insert_event(%s, 't', repeat('x', %s))) from generate_series(1, %s)",
            (queue, length, count),
        )
        run("select pgq.ticker(%s)", (queue,))


def drain(dsn: str, queue: str, kind: str, settings: Mapping[str, object]) -> dict[str, Any]:
    """What a consumer of its own process tells at its end."""
    command = [sys.executable, str(_OWN), dsn, queue, kind, json.dumps(dict(settings))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=1_000_000, help="of 100 bytes")
    options.add_argument("--ticks", type=int, default=20, help="batches they lie in")
    options.add_argument("--one-batch", action="store_true", help="also all of them in one batch")
    options.add_argument("--megabytes", type=int, default=200, help="of the one large event")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    loads = {
        f"{given.events} events of 100 bytes, {given.ticks} batches": (given.events, given.ticks, 100),
        f"one event of {given.megabytes} MB": (1, 1, given.megabytes * 1_000_000),
    }
    if given.one_batch:
        loads[f"{given.events} events of 100 bytes, one batch"] = (given.events, 1, 100)
    facts: list[dict[str, object]] = []
    print(f"{'MB':70}{'first':>8}{'most':>8}{'last':>8}{'growth':>8}{'stays':>8}")
    with rivals() as dsns, psycopg.connect(dsns[OURS], autocommit=True) as connection:
        for load, (events, ticks, size) in loads.items():
            fill(connection, load, events, ticks, size)
            for way, (kind, settings) in WAYS.items():
                connection.execute("select pgq.register_consumer_at(%s, 'bench', 1)", (load,))
                told = drain(dsns[OURS], load, kind, settings)
                if told["events"] != events + 2:
                    raise SystemExit(f"{load}, {way}: {told['events']} events came")
                first, most, last = (told[key] / 1e6 for key in ("first", "most", "last"))
                print(
                    f"{f'{load}, {way}':70}{first:8.1f}{most:8.1f}{last:8.1f}{most - first:8.1f}{last - first:8.1f}",
                    flush=True,
                )
                facts.append({"load": load, "way": way, "first_mb": first, "most_mb": most, "last_mb": last})
    if given.json is not None:
        given.json.write_text(json.dumps({"rows": facts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
