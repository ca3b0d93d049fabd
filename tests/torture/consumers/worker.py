"""A consumer in a process of its own that kills itself at the step its job names.

What it did with an event is a row of the table `deed` where its work is done, or a line of a file.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

from skyconsole.engine.queue import (
    Consumer,
    ConsumerSettings,
    CoopConsumer,
    Event,
    LocalConsumer,
    RemoteConsumer,
    RetryPolicy,
    SerialConsumer,
    Step,
)

_DEED = "insert into deed (consumer, key, retry, worker) values (%s, %s, %s, %s)"


class Killer:
    """Ends, or freezes, this process when it is at a step for the nth time."""

    def __init__(self, step: str, nth: int, how: str) -> None:
        self._step = step
        self._left = nth
        self._signal = signal.Signals[how]

    def on_step(self, step: Step, batch_id: int) -> None:
        """The consumer is at a step."""
        if step.name == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)


class Deeds:
    """What is done with an event, whichever the kind of consumer."""

    job: dict[str, Any]

    def verdict(self, event: Event) -> bool:
        """Whether the event is to be worked on now; some are handed back once, some are set aside."""
        if self.job["dawdle"]:
            time.sleep(self.job["dawdle"])
        number = int(event.ev_extra1 or 0)
        if self.job["retries"] and number % 4 == 3 and event.ev_retry is None:
            event.retry(0)
            return False
        if self.job["dead_letters"] and number % 8 == 5:
            event.dead("unfit")
            return False
        return True

    def row(self, event: Event) -> tuple[object, ...]:
        """The deed."""
        return (self.job["consumer"], event.ev_data, event.ev_retry, self.job["worker"])


class SyncHere:
    """Works where the queue is."""

    def process_event(self: Any, db: Any, event: Event) -> None:
        """One event."""
        if self.verdict(event):
            db.execute(_DEED, self.row(event))


class AsyncHere:
    """Works where the queue is."""

    async def process_event(self: Any, db: Any, event: Event) -> None:
        """One event."""
        if self.verdict(event):
            await db.execute(_DEED, self.row(event))


class SyncThere:
    """Works in the other database."""

    def process_remote_event(self: Any, db: Any, event: Event, dst: Any) -> None:
        """One event."""
        if self.verdict(event):
            dst.execute(_DEED, self.row(event))


class AsyncThere:
    """Works in the other database."""

    async def process_remote_event(self: Any, db: Any, event: Event, dst: Any) -> None:
        """One event."""
        if self.verdict(event):
            await dst.execute(_DEED, self.row(event))


class SyncFile:
    """Writes a line to a file."""

    def process_event(self: Any, db: Any, event: Event) -> None:
        """One event."""
        if self.verdict(event):
            with open(self.job["file"], "a", encoding="utf-8") as file:
                file.write(f"{event.ev_data}\n")


class AsyncFile(SyncFile):
    """Writes a line to a file."""

    async def process_event(self: Any, db: Any, event: Event) -> None:  # type: ignore[override]
        """One event."""
        SyncFile.process_event(self, db, event)


_KINDS = {
    "plain": (Consumer, SyncHere, AsyncHere),
    "coop": (CoopConsumer, SyncHere, AsyncHere),
    "local": (LocalConsumer, SyncFile, AsyncFile),
    "remote": (RemoteConsumer, SyncThere, AsyncThere),
    "serial": (SerialConsumer, SyncThere, AsyncThere),
}


def work(job: dict[str, Any]) -> None:
    """Consume until killed or told to stop."""
    logging.basicConfig(level=logging.INFO)
    consumer = _consumer(job)
    consumer.job = job
    consumer.run()


def _consumer(job: dict[str, Any]) -> Any:
    settings = ConsumerSettings(
        job["queue"],
        job["consumer"],
        lazy_fetch=job["lazy_fetch"],
        prefetch=job["prefetch"],
        autocommit=job.get("autocommit", False),
        loop_delay=job["loop_delay"],
        exception_sleep=0.05,
        retry=RetryPolicy(first=0.0),
        subconsumer_name=job.get("member"),
        subconsumer_timeout=job.get("member_timeout"),
        local_tracking_file=Path(job["tracking"]) if job.get("tracking") else None,
    )
    base, *forms = _KINDS[job["kind"]]
    made = type("Worker", (Deeds, forms[job["is_async"]], base), {"__module__": __name__})
    more = {"remote_dsn": job["remote_dsn"]} if issubclass(base, RemoteConsumer) else {}
    observer = Killer(job["step"], job["nth"], job["how"]) if job.get("step") else None
    return made(job["dsn"], settings, observer=observer, **more)
