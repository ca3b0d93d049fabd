"""The console, its source and its commands work on the original extension as they do on our SQL."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from skyconsole.console.app import SkyConsole
from skyconsole.engine.language.commands import (
    EVERY,
    AlterQueue,
    CreateQueue,
    DropQueue,
    RegisterConsumer,
    UnregisterConsumer,
)
from skyconsole.engine.language.executor import Executor
from skyconsole.engine.language.model import Command, Context, Outcome
from skyconsole.engine.language.parse import parse
from skyconsole.engine.monitor.model import Part, Phase
from skyconsole.engine.monitor.postgres_source import PostgresSource
from skyconsole.engine.postgres.connect import connect
from textual.pilot import Pilot

ODD_NAMES = ["[/x]", 'a"b', "x.y", "Ünï", "🐘", "q" * 63, "", "tab\tnewline\n", "it's", "%s", "\\"]
ALL = frozenset(Part)

pytestmark = pytest.mark.peer


class Place:
    """A database with PgQ, and the console's ways to look at it and to act on it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.source = PostgresSource(dsn, "original")
        self.executor = Executor(lambda: connect(dsn, application_name="interop"))

    async def run(self, command: Command) -> Outcome:
        outcome = await self.executor.run(command, Context())
        assert outcome.ok, outcome.error
        return outcome

    def value(self, statement: str, *parameters: object) -> Any:
        row = self.connection.execute(statement, parameters).fetchone()
        return None if row is None else row[0]

    def names(self) -> list[str]:
        return [row[0] for row in self.connection.execute("select queue_name from pgq.queue order by 1")]

    def consumers(self) -> list[tuple[str, str, int]]:
        query = "select queue_name, consumer_name, last_tick from pgq.get_consumer_info()"
        return self.connection.execute(query).fetchall()


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Place]:
    place = Place(dsn)
    try:
        yield place
    finally:
        await place.source.close()
        await place.executor.close()
        place.connection.close()


@pytest.fixture
async def original(original_database: str) -> AsyncIterator[Place]:
    async with opened(original_database) as place:
        yield place


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_queues_of_any_name_are_created_altered_consumed_and_dropped(original: Place, name: str) -> None:
    await original.run(CreateQueue(name))
    await original.run(AlterQueue.of(name, max_count=7, max_lag="5 seconds", idle_period="3 minutes"))
    await original.run(RegisterConsumer(f"{name}!", name))
    assert original.names() == [name]
    assert original.consumers() == [(name, f"{name}!", 1)]

    snapshot = await original.source.read(ALL)

    assert snapshot.phase is Phase.LIVE
    assert snapshot.problems == ()
    assert snapshot.server is not None
    assert snapshot.server.pgq_origin == "extension"
    [queue] = snapshot.queues
    assert (queue.name, queue.max_count, queue.max_lag, queue.idle_period) == (name, 7, 5.0, 180.0)
    [consumer] = snapshot.consumers
    assert (consumer.queue, consumer.name, consumer.last_tick_id) == (name, f"{name}!", 1)

    refused = await original.executor.run(DropQueue(name), Context())
    assert not refused.ok
    assert original.names() == [name]
    await original.run(UnregisterConsumer(f"{name}!", name))
    await original.run(DropQueue(name))
    assert original.names() == []


async def test_a_queue_is_dropped_with_its_consumers_by_force(original: Place) -> None:
    await original.run(CreateQueue("q"))
    await original.run(RegisterConsumer("a", "q"))
    await original.run(RegisterConsumer("b", "q"))
    await original.run(DropQueue("q", force=True))
    assert original.names() == []
    assert original.consumers() == []


async def test_a_dry_run_tells_what_would_change_and_changes_nothing(original: Place) -> None:
    await original.run(CreateQueue("q"))
    outcome = await original.executor.dry_run(DropQueue("q"), Context())
    assert outcome.ok, outcome.error
    assert any("pgq.queue" in change for change in outcome.changes)
    assert any("pgq.event_" in lock for lock in outcome.locks)
    assert original.names() == ["q"]


async def test_what_was_done_can_be_undone(original: Place) -> None:
    created = await original.run(CreateQueue("q"))
    altered = await original.run(AlterQueue.of("q", max_count=9, paused=True))
    assert altered.plan.inverse is not None
    await original.run(altered.plan.inverse)
    settings = "select (queue_ticker_max_count, queue_ticker_paused)::text from pgq.queue"
    assert original.value(settings) == "(500,f)"
    registered = await original.run(RegisterConsumer("c", "q"))
    assert registered.plan.inverse is not None
    gone = await original.run(registered.plan.inverse)
    assert original.consumers() == []
    assert gone.plan.inverse is not None
    await original.run(gone.plan.inverse)
    assert original.consumers() == [("q", "c", 1)]
    await original.run(UnregisterConsumer("c", "q"))
    assert created.plan.inverse is not None
    await original.run(created.plan.inverse)
    assert original.names() == []


async def test_the_outcomes_are_the_same_on_our_sql(original: Place, pgq_database: str) -> None:
    script = """
    create queue one; create queue two; create queue one;
    alter queue one set max_count = 10, rotation_period = '1 hour'; alter queue * set paused = 1;
    alter queue nowhere set paused = 1;
    register consumer c on one; register consumer c on one; register consumer d on one at 1;
    register consumer e on one at 99; register consumer f on one copy d; register consumer c on nowhere;
    show queue *; show consumer * on one;
    unregister consumer f from one; unregister consumer stranger from one; unregister consumer * from two;
    drop queue one; drop queue one force; drop queue two; drop queue two;
    """
    told = []
    async with opened(pgq_database) as ours:
        for place in (original, ours):
            outcomes = [await place.executor.run(command, Context()) for command in parse(script)]
            told.append([(one.ok, one.word, one.error, one.columns, len(one.rows)) for one in outcomes])
            assert place.names() == []
    assert told[0] == told[1]
    assert {one[0] for one in told[0]} == {True, False}


async def test_events_are_peeked_at_and_not_consumed(original: Place) -> None:
    await original.run(CreateQueue("q"))
    await original.run(RegisterConsumer("c", "q"))
    for number in range(5):
        original.value("select pgq.insert_event('q', 'type', %s)", str(number))
    original.value("select pgq.force_tick('q')")
    original.value("select pgq.ticker('q')")
    batch = original.value("select pgq.next_batch('q', 'c')")
    expected = original.connection.execute("select * from pgq.get_batch_events(%s)", (batch,)).fetchall()

    peeked = await original.source.peek_batch(batch, 3)
    newest = await original.source.peek_queue("q", 2)

    assert [(e.ev_id, e.ev_time, e.ev_txid, e.ev_data) for e in peeked] == [
        (row[0], row[1], row[2], row[5]) for row in expected[:3]
    ]
    assert [event.ev_data for event in newest] == ["4", "3"]
    assert original.value("select pgq.next_batch('q', 'c')") == batch
    assert original.value("select pgq.finish_batch(%s)", batch) == 1


async def test_every_consumer_of_a_queue_is_unregistered_at_once(original: Place) -> None:
    await original.run(CreateQueue("q"))
    for name in ("a", "b", "c"):
        await original.run(RegisterConsumer(name, "q"))
    await original.run(UnregisterConsumer(EVERY, "q"))
    assert original.consumers() == []


async def _until(pilot: Pilot[object], holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, f"{what}; screen {pilot.app.screen}"
        await pilot.pause(0.02)


async def test_the_console_shows_and_changes_the_original_by_its_keys(original: Place) -> None:
    await original.run(CreateQueue("a[/x]"))
    await original.run(RegisterConsumer("mailer", "a[/x]"))
    app = SkyConsole([PostgresSource(original.dsn, "original")], interval=0.2)
    async with app.run_test(size=(100, 40)) as pilot:
        await _until(pilot, lambda: app.picture is not None and app.picture.queues, "no queue is shown")
        assert app.picture is not None
        assert [row.facts.name for row in app.picture.queues] == ["a[/x]"]
        assert [row.facts.name for row in app.picture.consumers] == ["mailer"]
        paused = "select queue_ticker_paused from pgq.queue"
        await pilot.press("2")
        await _until(pilot, lambda: app.selected_row() is not None, "no row is selected")
        await pilot.press("t")
        await _until(pilot, lambda: original.value(paused), "the ticker is not paused")
        await pilot.press("u")
        await _until(pilot, lambda: not original.value(paused), "the pause is not undone")
        app.run_command(CreateQueue("second"))
        await _until(pilot, lambda: original.names() == ["a[/x]", "second"], "the queue is not created")
        for key in ("1", "3", "7", "8", "2"):
            await pilot.press(key)
            await pilot.pause()
        await _until(pilot, lambda: app.picture is not None and len(app.picture.queues) == 2, "the queue is not shown")


async def test_the_console_says_that_the_extension_is_gone_and_comes_back_by_itself(original: Place) -> None:
    await original.run(CreateQueue("q"))
    app = SkyConsole([PostgresSource(original.dsn, "original")], interval=0.2)
    async with app.run_test(size=(100, 40)) as pilot:
        await _until(pilot, lambda: app.picture is not None and app.picture.queues, "no queue is shown")
        original.connection.execute("drop extension pgq cascade; drop schema if exists pgq cascade")
        await _until(
            pilot, lambda: app.picture is not None and app.picture.snapshot.phase is Phase.NO_PGQ, "it is not missed"
        )
        original.connection.execute("create extension pgq")
        original.value("select pgq.create_queue('again')")
        await _until(
            pilot,
            lambda: app.picture is not None and [row.facts.name for row in app.picture.queues] == ["again"],
            "it does not come back",
        )
