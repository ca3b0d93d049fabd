"""A consumer's figures as a Prometheus text file, for node_exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

PERIOD = 15.0
"""Seconds between two writings."""

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def render(status: Mapping[str, object]) -> str:
    """The text of the file, from the consumer's status."""
    labels = ",".join(
        f'{label}="{str(status[key] or "").translate(_ESCAPES)}"'
        for label, key in (
            ("queue", "queue_name"),
            ("consumer", "consumer_name"),
            ("subconsumer", "subconsumer_name"),
            ("job", "job_name"),
        )
    )
    return "".join(
        f"# HELP skyconsole_consumer_{name} {help}\n# TYPE skyconsole_consumer_{name} {kind}\n"
        f"skyconsole_consumer_{name}{{{labels}}} {value}\n"
        for name, kind, help, value in _figures(status)
    )


def _figures(status: Mapping[str, object]) -> Iterator[tuple[str, str, str, object]]:
    last = status["last_batch"]
    assert isinstance(last, Mapping)
    yield "batches_total", "counter", "Batches finished.", status["batches"]
    yield "events_total", "counter", "Events of finished batches.", status["events"]
    yield "retry_events_total", "counter", "Events handed to the retry queue.", status["retries"]
    yield "dead_events_total", "counter", "Events set aside as dead letters.", status["dead"]
    yield "batch_events", "gauge", "Events of the last batch.", last.get("count", 0)
    yield "batch_seconds", "gauge", "How long the last batch took.", last.get("duration", 0)
    yield "failing", "gauge", "Whether the consumer fails.", int(status["state"] == "failing")
