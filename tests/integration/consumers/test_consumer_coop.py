"""Cooperative consumers: each batch to one member, takeover, zombies, handing back."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from skyconsole.engine.errors import UsageError
from skyconsole.engine.queue import CoopConsumer, Event, Step

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


_AS_SPECIFIED = """
    drop function pgq_coop.hand_back(text, text, text, bigint);
    drop function pgq_coop.finish_batch_of(text, text, text, bigint);
    drop function pgq_coop.touch(text, text, text);
    create or replace function pgq_coop.finish_batch(i_batch_id bigint) returns integer language plpgsql as $$
    begin
        update pgq.subscription
        set sub_active = now(), sub_last_tick = null, sub_next_tick = null, sub_batch = null
        where sub_batch = i_batch_id;
        return found::integer;
    end;
    $$;
"""


@pytest.fixture
def bare_group(group: Any) -> Any:
    """A group whose pgq_coop has no more than spec/pgq-coop.md describes, as the original."""
    group.conn.execute(_AS_SPECIFIED)
    return group


def test_without_our_additions_each_batch_goes_to_one_member(bare_group: Any, running: Any, until: Any) -> None:
    group = bare_group
    expected = group.fill(batches=8, size=5)
    with running(Member(group.dsn, _settings(group, "a"))), running(Member(group.dsn, _settings(group, "b"))):
        until(lambda: len(group.done()) >= len(expected), "all batches are through")
    assert group.done() == expected


def test_without_our_additions_idle_members_write_nothing(bare_group: Any, until: Any, running: Any) -> None:
    group = bare_group
    group.fill(1, 1)
    idle = threading.Semaphore(0)

    class Watch:
        def on_step(self, step: Step, batch_id: int) -> None:
            if step is Step.IDLE:
                idle.release()

    settings = _settings(group, "a", subconsumer_timeout="1 hour")
    rows = "select array_agg((xmin, xmax, ctid)::text order by ctid) from pgq.subscription"
    with running(Member(group.dsn, settings, observer=Watch())):
        assert idle.acquire(timeout=20)
        before = group.one(rows)
        # A lock leaves its trace in a row as well.
        assert all(idle.acquire(timeout=20) for _ in range(3))
        assert group.one(rows) == before
    assert len(group.done()) == 1


async def test_without_our_additions_a_stopped_members_events_come_to_the_group_again(bare_group: Any) -> None:
    group = bare_group
    expected = group.fill(1, 3)
    sleeper = Sleeper(group.dsn, _settings(group, "sleeper", stop_timeout=0.2))
    stop = asyncio.Event()
    task = asyncio.create_task(sleeper.run_async(stop))
    assert await asyncio.to_thread(sleeper.entered.wait, 20)
    stop.set()
    await asyncio.wait_for(task, 10)
    group.move_retries()
    await asyncio.to_thread(Member(group.dsn, _settings(group, "heir", loop_delay=0)).run)
    assert group.done() == expected


def test_without_our_additions_a_zombies_work_is_rolled_back_too(bare_group: Any, running: Any, until: Any) -> None:
    group = bare_group
    expected = group.fill(1, 2)
    zombie = StubbornSleeper(group.dsn, _settings(group, "zombie", exception_sleep=0.01))
    heir = StubbornSleeper(group.dsn, _settings(group, "heir", loop_delay=0, subconsumer_timeout="0 seconds"))
    with running(zombie):
        assert zombie.entered.wait(20)
        with running(heir):
            assert heir.entered.wait(20)
            # The zombie's finish finds the batch by its id, under the heir's name.
            zombie.released.set()
            until(lambda: _prefixed(group)[-1][0] == "group.zombie", "the zombie asks again")
            assert group.done() == []
            heir.released.set()
            until(lambda: group.done() == expected, "the heir is through")
