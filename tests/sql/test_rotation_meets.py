"""A rotation meets readers, subscribers, tickers and other maintainers (spec/pgq.md 1.5, 11)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel


def test_of_two_maintainers_one_switches(queue: Any) -> None:
    queue.catch_up()
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    first.execute("select pgq.maint_rotate_tables_step1('q')")
    waiting = queue.sessions.start(second, "select pgq.maint_rotate_tables_step1('q')")
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    assert waiting.result(20) == 0
    assert queue.table == 1


def test_a_reader_of_a_batch_holds_no_lock_on_the_next_table(queue: Any) -> None:
    """Consumers that always have a transaction open would otherwise keep tables from ever being emptied."""
    queue.insert("e")
    queue.tick()
    reader = queue.sessions.open(autocommit=False)
    batch = queue.next_batch(conn=reader)
    assert queue.events(batch, reader) == ["e"]
    reader.execute("select pgq.get_batch_cursor(%s, 'cur', 1)", [batch])
    query = """
        select relation::regclass::text
        from pg_locks
        where pid = %s and relation::regclass::text ~ '^pgq.event_1_.$'
        order by 1
    """
    held = [row[0] for row in queue.conn.execute(query, [reader.info.backend_pid])]
    assert held == ["pgq.event_1_0", "pgq.event_1_2"], "previous and current only"
    reader.commit()


def test_while_a_long_reader_is_at_work_the_others_tables_rotate(queue: Any) -> None:
    """A reader whose batch lies in the current table lets the next one be emptied."""
    queue.register("reader")
    queue.catch_up()
    queue.drain("reader")
    assert queue.rotate()
    queue.insert("e")
    for _ in range(2):
        queue.tick_and_drain()
    reader = queue.sessions.open(autocommit=False)
    batch = queue.next_batch("reader", reader)
    while not queue.events(batch, reader):
        queue.finish(batch, reader)
        batch = queue.next_batch("reader", reader)
    reader.execute("select pgq.finish_batch(%s)", [batch])
    reader.commit()
    queue.drain("reader")
    queue.catch_up()
    queue.drain("reader")
    queue.insert("f")
    queue.tick()
    batch = queue.next_batch("reader", reader)
    assert queue.events(batch, reader) == ["f"]
    queue.drain()
    assert queue.step1(), "the reader's open transaction kept the next table"


@pytest.mark.parametrize("isolation", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_reader_with_an_old_snapshot_finds_its_whole_batch_after_rotations(
    queue: Any, isolation: IsolationLevel
) -> None:
    """TRUNCATE empties a table for old snapshots too: nothing that an open batch needs may be truncated."""
    queue.register("other")
    for data in ("a", "b", "c"):
        queue.insert(data)
    queue.tick()
    reader = queue.sessions.open(isolation, autocommit=False)
    reader.execute("select 1 from pgq.queue")
    for _ in range(5):
        queue.insert("x")
        queue.tick_and_drain("other")
        queue.rotate()
    assert queue.events(queue.next_batch(conn=reader), reader) == ["a", "b", "c"]
    reader.commit()
    assert queue.drain() == ["a", "b", "c", *"xxxxx"]


def test_an_open_batch_stays_whole_while_everybody_else_goes_on(queue: Any) -> None:
    queue.register("other")
    queue.insert("kept")
    queue.tick()
    batch = queue.next_batch()
    for _ in range(6):
        queue.tick_and_drain("other")
        queue.rotate()
    assert queue.events(batch) == ["kept"]


def test_a_consumer_placed_on_an_old_tick_while_a_rotation_runs_is_refused(queue: Any) -> None:
    first = queue.ticks()[0]
    queue.catch_up()
    assert queue.rotate()
    queue.catch_up()
    maintainer, admin = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert first in queue.ticks()
    maintainer.execute("select pgq.maint_rotate_tables_step1('q')")
    waiting = queue.sessions.start(admin, "select pgq.register_consumer_at('q', 'new', %s)", first)
    queue.sessions.wait_blocked(admin, queue.conn)
    maintainer.commit()
    with pytest.raises(psycopg.errors.RaiseException, match="cannot reposition, tick not found"):
        waiting.result(20)
    assert queue.table == 2


def test_a_rotation_waits_for_a_consumer_that_is_just_being_placed_and_then_respects_it(queue: Any) -> None:
    first = queue.ticks()[0]
    queue.catch_up()
    assert queue.rotate()
    queue.catch_up()
    admin, maintainer = queue.sessions.open(autocommit=False), queue.sessions.open()
    admin.execute("select pgq.register_consumer_at('q', 'new', %s)", [first])
    waiting = queue.sessions.start(maintainer, "select pgq.maint_rotate_tables_step1('q')")
    queue.sessions.wait_blocked(maintainer, queue.conn)
    admin.commit()
    assert waiting.result(20) == 0
    assert queue.table == 1
    assert first in queue.ticks()


def test_a_rotation_waits_from_the_moment_a_consumer_begins_to_be_placed(queue: Any) -> None:
    first = queue.ticks()[0]
    queue.catch_up()
    assert queue.rotate()
    queue.catch_up()
    holder, admin, maintainer = queue.sessions.open(autocommit=False), queue.sessions.open(), queue.sessions.open()
    holder.execute("select 1 from pgq.consumer where co_name = 'c' for update")
    placing = queue.sessions.start(admin, "select pgq.register_consumer_at('q', 'c', %s)", first)
    queue.sessions.wait_blocked(admin, queue.conn)
    rotating = queue.sessions.start(maintainer, "select pgq.maint_rotate_tables_step1('q')")
    queue.sessions.wait_blocked(maintainer, queue.conn)
    holder.commit()
    assert placing.result(20) == 0
    assert rotating.result(20) == 0
    assert queue.table == 1
    assert first in queue.ticks()


def test_a_consumer_is_not_placed_on_a_tick_that_is_being_deleted(queue: Any) -> None:
    queue.tick()
    cleaner, admin = queue.sessions.open(autocommit=False), queue.sessions.open()
    cleaner.execute("delete from pgq.tick where tick_id = 2")
    waiting = queue.sessions.start(admin, "select pgq.register_consumer_at('q', 'new', 2)")
    queue.sessions.wait_blocked(admin, queue.conn)
    cleaner.commit()
    with pytest.raises(psycopg.errors.RaiseException, match="cannot reposition, tick not found: 2"):
        waiting.result(20)


def test_a_consumer_placed_in_a_transaction_older_than_the_rotation_fails_to_serialize(queue: Any) -> None:
    first = queue.ticks()[0]
    queue.catch_up()
    assert queue.rotate()
    queue.catch_up()
    admin = queue.sessions.open(IsolationLevel.REPEATABLE_READ, autocommit=False)
    admin.execute("select 1")
    assert queue.rotate()
    assert first not in queue.ticks()
    with pytest.raises(psycopg.errors.SerializationFailure):
        admin.execute("select pgq.register_consumer_at('q', 'new', %s)", [first])


def test_a_tick_that_is_not_committed_yet_makes_the_rotation_wait(queue: Any) -> None:
    queue.conn.execute("select pgq.unregister_consumer('q', 'c')")
    ticker, maintainer = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert queue.tick(ticker) is not None
    waiting = queue.sessions.start(maintainer, "select pgq.maint_rotate_tables_step1('q')")
    queue.sessions.wait_blocked(maintainer, queue.conn)
    ticker.commit()
    assert waiting.result(20) == 0
    assert queue.table == 1


def test_a_ticker_waits_for_a_rotation_and_sees_what_it_emptied_as_finished(queue: Any) -> None:
    queue.catch_up()
    maintainer, ticker = queue.sessions.open(autocommit=False), queue.sessions.open()
    maintainer.execute("select pgq.maint_rotate_tables_step1('q')")
    waiting = queue.sessions.start(ticker, "select pgq.ticker('q')")
    queue.sessions.wait_blocked(ticker, queue.conn)
    maintainer.commit()
    tick = waiting.result(20)
    query = """
        select txid_visible_in_snapshot(q.queue_switch_step1, t.tick_snapshot)
        from pgq.tick t join pgq.queue q on q.queue_id = t.tick_queue
        where t.tick_id = %s
    """
    assert queue.conn.execute(query, [tick]).fetchone() == (True,)


def test_dropping_a_queue_waits_for_its_rotation(queue: Any) -> None:
    queue.conn.execute("select pgq.unregister_consumer('q', 'c')")
    maintainer, admin = queue.sessions.open(autocommit=False), queue.sessions.open()
    maintainer.execute("select pgq.maint_rotate_tables_step1('q')")
    waiting = queue.sessions.start(admin, "select pgq.drop_queue('q')")
    queue.sessions.wait_blocked(admin, queue.conn)
    maintainer.commit()
    assert waiting.result(20) == 1
    assert queue.conn.execute("select pgq.maint_rotate_tables_step1('q')").fetchone() == (0,)
