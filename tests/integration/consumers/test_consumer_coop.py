"""Cooperative consumers: each batch to one member, takeover, zombies, handing back."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from skyconsole.engine.errors import UsageError
from skyconsole.engine.queue import CoopConsumer, Event

INSERT = "insert into done values (%s, %s)"


class Member(CoopConsumer):
    """Writes down what it gets."""

    def process_event(self, db: psycopg.Connection, event: Event) -> None:
        db.execute(INSERT, (event.ev_id, self.settings.subconsumer_name))


def _settings(place: Any, name: str, **more: Any) -> Any:
    return place.settings(consumer_name="group", subconsumer_name=name, **{"loop_delay": 0.02, **more})


@pytest.fixture
def group(place: Any) -> Any:
    """A queue with a group of one member that has no batch."""
    Member(place.dsn, _settings(place, "first")).register()
    return place


def _prefixed(place: Any) -> list[tuple[str, int | None]]:
    query = "select consumer_name, current_batch from pgq.get_consumer_info(%s) where consumer_name like 'group%%'"
    return list(place.conn.execute(query, (place.queue,)))


def test_each_batch_goes_to_one_member(group: Any, running: Any, until: Any) -> None:
    expected = group.fill(batches=12, size=5)
    with (
        running(Member(group.dsn, _settings(group, "a"))),
        running(Member(group.dsn, _settings(group, "b"))),
        running(Member(group.dsn, _settings(group, "c.d"))),
    ):
        until(lambda: len(group.done()) >= len(expected), "all batches are through")
    assert group.done() == expected


def test_members_register_and_unregister_themselves(group: Any) -> None:
    member = Member(group.dsn, _settings(group, "x"))
    assert (member.register(), member.register()) == (True, False)
    assert (member.unregister(), member.unregister()) == (1, 0)
    with pytest.raises(UsageError, match="subconsumer_name"):
        Member(group.dsn, group.settings())


class Sleeper(CoopConsumer):
    """Writes, and then never ends."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.entered = threading.Event()

    async def process_event(self, db: psycopg.AsyncConnection, event: Event) -> None:
        await db.execute(INSERT, (event.ev_id, "sleeper"))
        self.entered.set()
        await asyncio.sleep(600)


class StubbornSleeper(CoopConsumer):
    """The same, and no thread of ours can end it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.entered = threading.Event()
        self.released = threading.Event()

    def process_event(self, db: psycopg.Connection, event: Event) -> None:
        db.execute(INSERT, (event.ev_id, "sleeper"))
        self.entered.set()
        self.released.wait(60)


async def test_a_member_stopped_in_mid_batch_hands_it_back_and_another_takes_it_at_once(group: Any) -> None:
    for kind in (Sleeper, StubbornSleeper):
        group.conn.execute("truncate done")
        expected = group.fill(1, 3)
        sleeper = kind(group.dsn, _settings(group, "sleeper", stop_timeout=0.2))
        stop = asyncio.Event()
        task = asyncio.create_task(sleeper.run_async(stop))
        assert await asyncio.to_thread(sleeper.entered.wait, 20)
        stop.set()
        await asyncio.wait_for(task, 10)
        # Another member, without any timeout to take batches over.
        await asyncio.to_thread(Member(group.dsn, _settings(group, "heir", loop_delay=0)).run)
        assert group.done() == expected
        if isinstance(sleeper, StubbornSleeper):
            sleeper.released.set()
        assert all(batch is None for _, batch in _prefixed(group))
        assert group.one("select count(*) from done where data = 'sleeper'") == 0


def test_a_zombies_work_is_rolled_back_and_its_finish_refused(group: Any, running: Any, until: Any) -> None:
    expected = group.fill(1, 2)
    zombie = StubbornSleeper(group.dsn, _settings(group, "zombie", exception_sleep=0.01))
    with running(zombie):
        assert zombie.entered.wait(20)
        Member(group.dsn, _settings(group, "heir", loop_delay=0, subconsumer_timeout="0 seconds")).run()
        assert group.done() == expected
        zombie.released.set()
        more = group.fill(1, 2)
        until(lambda: len(group.done()) == 4, "the zombie is a member again")
    assert group.done() == expected + more
    assert group.one("select count(*) from done where data = 'heir'") == 2


def test_a_slow_member_says_that_it_is_alive(group: Any, running: Any) -> None:
    group.fill(1, 40)
    ages: list[float] = []
    query = (
        "select extract(epoch from clock_timestamp() - s.sub_active) from pgq.subscription s "
        "join pgq.consumer c on c.co_id = s.sub_consumer where c.co_name = 'group.slow'"
    )

    class Slow(CoopConsumer):
        def process_event(self, db: Any, event: Event) -> None:
            db.execute("select pg_sleep(0.02)")
            ages.append(float(group.one(query)))

    Slow(group.dsn, _settings(group, "slow", loop_delay=0, subconsumer_timeout="0.2 seconds")).run()
    assert len(ages) == 40
    # Untouched, the age would grow all the time.
    assert any(later < earlier for earlier, later in pairwise(ages))
