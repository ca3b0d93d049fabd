"""PgQ's functions as typed calls do on a server what they say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from skyconsole.engine.queue import api
from skyconsole.engine.queue.model import BatchLimits

Connection = psycopg.AsyncConnection[Any]
ODD = ["[/x]", 'a"b', "x.y", "Ünï", "📦", "q" * 63, "", "%s"]


async def tick(conn: Connection, queue: str) -> int:
    """A tick now, whatever is due."""
    await api.force_tick(conn, queue)
    made = await api.ticker(conn, queue)
    assert made is not None
    return made


@pytest.mark.parametrize("name", ODD)
async def test_an_event_goes_all_the_way_from_producer_to_consumer(aconn: Connection, name: str) -> None:
    assert await api.create_queue(aconn, name)
    assert not await api.create_queue(aconn, name)
    assert await api.register_consumer(aconn, name, name)
    assert not await api.register_consumer(aconn, name, name)
    ev_id = await api.insert_event(aconn, name, "type", None, "one", None, "three")
    await tick(aconn, name)
    batch = await api.next_batch(aconn, name, name)
    assert batch is not None
    assert batch.prev_tick_id < batch.tick_id
    (event,) = await api.batch_events(aconn, batch.batch_id)
    assert (event.ev_id, event.ev_type, event.ev_data) == (ev_id, "type", None)
    assert (event.ev_extra1, event.ev_extra2, event.ev_extra3, event.ev_extra4) == ("one", None, "three", None)
    assert event.ev_retry is None
    assert await api.finish_batch(aconn, batch.batch_id)
    assert await api.unregister_consumer(aconn, name, name) == 1
    await api.drop_queue(aconn, name)
    assert await api.queue_id(aconn, name) is None


async def test_a_batch_that_is_gone_cannot_be_finished(aconn: Connection) -> None:
    assert not await api.finish_batch(aconn, 4711)


async def test_an_event_can_be_handed_back_once(aconn: Connection) -> None:
    await api.create_queue(aconn, "q")
    await api.register_consumer(aconn, "q", "c")
    await api.insert_event(aconn, "q", "t", "d")
    await tick(aconn, "q")
    batch = await api.next_batch(aconn, "q", "c")
    assert batch is not None
    (event,) = await api.batch_events(aconn, batch.batch_id)
    assert await api.event_retry(aconn, batch.batch_id, event.ev_id, 60)
    assert not await api.event_retry(aconn, batch.batch_id, event.ev_id, 60)


async def test_limits_hold_a_batch_back(aconn: Connection) -> None:
    await api.create_queue(aconn, "q")
    await api.register_consumer(aconn, "q", "c")
    await tick(aconn, "q")
    assert await api.next_batch(aconn, "q", "c", BatchLimits(min_lag=timedelta(hours=1))) is None
    assert await api.next_batch(aconn, "q", "c") is not None


async def test_a_consumer_can_be_put_back_to_a_tick(aconn: Connection) -> None:
    await api.create_queue(aconn, "q")
    await api.register_consumer(aconn, "q", "c")
    first = await tick(aconn, "q")
    await tick(aconn, "q")
    assert not await api.register_consumer(aconn, "q", "c", tick_id=first)
    batch = await api.next_batch(aconn, "q", "c")
    assert batch is not None
    assert batch.prev_tick_id == first


async def test_a_queue_with_consumers_is_dropped_only_by_force(aconn: Connection) -> None:
    await api.create_queue(aconn, "q")
    await api.register_consumer(aconn, "q", "c")
    with pytest.raises(psycopg.errors.RaiseException, match="consumers still attached"):
        await api.drop_queue(aconn, "q")
    await api.drop_queue(aconn, "q", force=True)
    assert await api.queue_id(aconn, "q") is None


async def test_settings_are_changed_by_name(aconn: Connection) -> None:
    await api.create_queue(aconn, "q")
    await api.set_queue_config(aconn, "q", "ticker_max_count", "7")
    row = await (await aconn.execute("select queue_ticker_max_count from pgq.queue")).fetchone()
    assert row == (7,)
    with pytest.raises(psycopg.errors.RaiseException, match="cannot change parameter"):
        await api.set_queue_config(aconn, "q", "colour", "red")
