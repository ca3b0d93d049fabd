"""Stopping: a signal, a call, an event; what is in work is finished or comes again."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest
from skyconsole.engine.queue import Consumer, Event

INSERT = "insert into done values (%s, %s)"

SCRIPT = """
import asyncio, sys, time
from skyconsole.engine.queue import Consumer, ConsumerSettings

dsn, queue, name, way, wait = sys.argv[1:]

class Slow(Consumer):
    def process_event(self, db, event):
        db.execute("insert into done values (%s, '')", (event.ev_id,))
        print("in", flush=True)
        if way == "sleep":
            time.sleep(float(wait))
        else:
            db.execute("select pg_sleep(%s)", (float(wait),))

class AsyncSlow(Consumer):
    async def process_event(self, db, event):
        await db.execute("insert into done values (%s, '')", (event.ev_id,))
        print("in", flush=True)
        if way == "async sleep":
            await asyncio.sleep(float(wait))
        else:
            await db.execute("select pg_sleep(%s)", (float(wait),))

kind = AsyncSlow if way.startswith("async") else Slow
kind(dsn, ConsumerSettings(queue, name, stop_timeout=1.0)).run()
print("ended", flush=True)
"""

WAYS = ["sleep", "statement", "async sleep", "async statement"]


class Process:
    """A consumer as a process of its own, in the middle of an event."""

    def __init__(self, place: Any, way: str, seconds: float) -> None:
        name = place.settings().consumer_name
        command = [sys.executable, "-c", SCRIPT, place.dsn, place.queue, name, way, str(seconds)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "in\n"

    def stopped(self, *signals: signal.Signals) -> tuple[int, str, float]:
        """Exit code, what it said, and the seconds it took."""
        began = time.monotonic()
        for number in signals:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        assert "Traceback" not in err, err
        return self.process.returncode, out, time.monotonic() - began


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_that_cannot_end_in_time_is_given_up_and_comes_again(place: Any, way: str) -> None:
    expected = place.fill(1, 1)
    code, out, seconds = Process(place, way, 60).stopped(signal.SIGTERM)
    assert (code, out) == (0, "ended\n")
    assert seconds < 5
    assert place.done() == []

    class Writer(Consumer):
        def process_event(self, db: psycopg.Connection, event: Event) -> None:
            db.execute(INSERT, (event.ev_id, ""))

    Writer(place.dsn, place.settings()).run()
    assert place.done() == expected


@pytest.mark.parametrize("way", ["sleep", "async statement"])
def test_a_batch_that_ends_in_time_is_finished(place: Any, way: str) -> None:
    expected = place.fill(1, 1)
    code, out, _ = Process(place, way, 0.3).stopped(signal.SIGINT)
    assert (code, out) == (0, "ended\n")
    assert place.done() == expected
    assert place.one("select pending_events from pgq.get_consumer_info(%s)", place.queue) == 0


async def test_a_consumer_in_an_event_loop_ends_when_it_is_cancelled(place: Any) -> None:
    entered = asyncio.Event()

    class Endless(Consumer):
        async def process_event(self, db: psycopg.AsyncConnection, event: Event) -> None:
            await db.execute(INSERT, (event.ev_id, ""))
            entered.set()
            await asyncio.sleep(600)

    place.fill(1, 1)
    task = asyncio.create_task(Endless(place.dsn, place.settings()).run_async(asyncio.Event()))
    await asyncio.wait_for(entered.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert place.done() == []


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_stop_before_the_run_and_between_batches_ends_it(place: Any, until: Any, is_async: bool) -> None:
    class Sync(Consumer):
        def process_event(self, db: Any, event: Event) -> None:
            db.execute(INSERT, (event.ev_id, ""))

    class Async(Consumer):
        async def process_event(self, db: Any, event: Event) -> None:
            await db.execute(INSERT, (event.ev_id, ""))

    expected = place.fill(2, 2)
    consumer = (Async if is_async else Sync)(place.dsn, place.settings(loop_delay=60))
    stop = asyncio.Event()
    task = asyncio.create_task(consumer.run_async(stop))
    await asyncio.to_thread(until, lambda: place.done() == expected, "the batches are through")
    stop.set()
    await asyncio.wait_for(task, 10)
    consumer.stop()
    await asyncio.wait_for(consumer.run_async(asyncio.Event()), 10)
