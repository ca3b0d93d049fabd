"""The Prometheus text file, for a collector of text files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ...engine.postgres.sql import queries
from .record import ConsumerMetrics, DatabaseRecord, QueueMetrics, State

_SQL = queries("ticker/metrics.sql")

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


async def read(connection: AsyncConnection[TupleRow], record: DatabaseRecord) -> None:
    """Read the queues, consumers and retry backlog of a database into its record. Raises psycopg.Error."""
    cursor = await connection.execute(_SQL["queues"])
    record.queue_metrics = tuple(QueueMetrics(*row) for row in await cursor.fetchall())
    cursor = await connection.execute(_SQL["consumers"])
    record.consumer_metrics = tuple(ConsumerMetrics(*row) for row in await cursor.fetchall())
    cursor = await connection.execute(_SQL["retry_backlog"])
    record.retry_backlog = dict(await cursor.fetchall())


def render(records: Iterable[DatabaseRecord]) -> str:
    """The text of the file: every metric with its help and type. Times in seconds."""
    known = sorted(records, key=lambda r: r.name)
    lines: list[str] = []
    for name, kind, help, samples in _families(known):
        lines += [f"# HELP {name} {help}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples if value is not None]
    return "\n".join(lines) + "\n"


Samples = list[tuple[dict[str, str], float | None]]


def _families(known: list[DatabaseRecord]) -> Iterator[tuple[str, str, str, Samples]]:
    yield (
        "skyconsole_ticker_state", "gauge", "1 for the state that the database is in.",
        [({"database": r.name, "state": s.value}, float(r.state is s)) for r in known for s in State],
    )  # fmt: skip
    yield (
        "skyconsole_ticker_ticks_total", "counter", "Ticks made.",
        [({"database": r.name}, r.ticks) for r in known],
    )  # fmt: skip
    yield (
        "skyconsole_ticker_last_tick_timestamp_seconds", "gauge", "When the last tick was made.",
        [({"database": r.name}, r.last_tick.timestamp() if r.last_tick else None) for r in known],
    )  # fmt: skip
    yield (
        "skyconsole_ticker_look_seconds", "gauge", "How long the last look at the queues took.",
        [({"database": r.name}, r.look_seconds) for r in known],
    )  # fmt: skip
    yield (
        "skyconsole_ticker_tick_seconds", "gauge", "How long the last tick statement took.",
        [({"database": r.name}, r.tick_seconds) for r in known],
    )  # fmt: skip
    yield (
        "skyconsole_operation_failures", "gauge", "Failures of an operation in a row.",
        [({"database": r.name, "operation": k}, f.count) for r in known for k, f in r.failures.items()],
    )  # fmt: skip
    queues = [({"database": r.name, "queue": q.queue}, q) for r in known for q in r.queue_metrics]
    yield "pgq_tick_age_seconds", "gauge", "Age of the newest tick.", [(k, q.tick_age) for k, q in queues]
    yield "pgq_new_events", "gauge", "Events since the newest tick.", [(k, q.new_events) for k, q in queues]
    yield "pgq_rotation_age_seconds", "gauge", "Time since the last rotation.", [(k, q.rotation_age) for k, q in queues]
    consumers = [
        ({"database": r.name, "queue": c.queue, "consumer": c.consumer}, c) for r in known for c in r.consumer_metrics
    ]
    yield "pgq_consumer_lag_seconds", "gauge", "Age of the last finished tick.", [(k, c.lag) for k, c in consumers]
    yield (
        "pgq_consumer_pending_events",
        "gauge",
        "Events ticked and not finished.",
        [(k, c.pending) for k, c in consumers],
    )
    yield (
        "pgq_retry_events", "gauge", "Events in the retry queue.",
        [({"database": r.name, "queue": q}, n) for r in known for q, n in r.retry_backlog.items()],
    )  # fmt: skip


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()) + "}"


def _number(value: float) -> str:
    return repr(round(value, 6)) if isinstance(value, float) else str(value)


def write(path: Path, content: str) -> None:
    """Replace the file whole, so that a reader never sees half of it. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(content, "utf-8")
        fresh.chmod(0o644)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
