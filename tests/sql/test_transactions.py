"""Events live and die with their transactions: savepoints, prepared transactions, the limit per transaction."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel


def test_events_of_savepoints_that_were_rolled_back_are_not_delivered(queue: Any) -> None:
    conn = queue.sessions.open(autocommit=False)
    queue.insert("a", conn)
    conn.execute("savepoint one")
    queue.insert("no", conn)
    conn.execute("savepoint two")
    queue.insert("no", conn)
    conn.execute("rollback to one")
    queue.insert("b", conn)
    conn.execute("savepoint three")
    queue.insert("c", conn)
    conn.execute("release three")
    conn.commit()
    assert queue.tick_and_drain() == ["a", "b", "c"]
    assert queue.conn.execute("select count(distinct ev_txid) from pgq.event_1").fetchone() == (1,)


def test_events_carry_the_id_of_the_outermost_transaction(queue: Any) -> None:
    conn = queue.sessions.open(autocommit=False)
    (outer,) = conn.execute("select txid_current()").fetchone()
    conn.execute("savepoint one")
    queue.insert("a", conn)
    conn.commit()
    assert queue.conn.execute("select ev_txid from pgq.event_1").fetchall() == [(outer,)]


def test_a_transaction_that_ends_between_two_ticks_is_in_the_later_batch_and_nothing_waits_for_it(queue: Any) -> None:
    early = queue.sessions.open(autocommit=False)
    queue.insert("early", early)
    queue.insert("quick")
    assert queue.tick_and_drain() == ["quick"]
    assert queue.tick_and_drain() == []
    early.commit()
    assert queue.tick_and_drain() == ["early"]


def test_commit_order_does_not_matter_for_many_overlapping_transactions(queue: Any) -> None:
    """Each event exactly once, with long transactions far below the others' ids, which end in any order."""
    queue.conn.execute("select pgq.register_consumer('q', 'late')")
    open_ones, seen, expected = [], [], []
    for number in range(30):
        conn = queue.sessions.open(autocommit=False)
        queue.insert(f"long {number}", conn)
        expected.append(f"long {number}")
        open_ones.append(conn)
        for part in range(number * 5 % 13):
            queue.insert(f"{number}.{part}")
            expected.append(f"{number}.{part}")
        if number % 3 == 2:
            open_ones.pop(number * 7 % len(open_ones)).commit()
        seen += queue.tick_and_drain()
        queue.rotate()
    for conn in open_ones:
        conn.commit()
        seen += queue.tick_and_drain()
    assert sorted(seen) == sorted(expected)
    assert sorted(queue.drain("late")) == sorted(expected)


def test_a_prepared_event_is_delivered_when_its_transaction_is_committed(queue: Any) -> None:
    conn = queue.sessions.open(autocommit=False)
    queue.insert("prepared", conn)
    conn.execute("prepare transaction 'an event'")
    conn.rollback()
    assert queue.tick_and_drain() == []
    queue.conn.execute("commit prepared 'an event'")
    assert queue.tick_and_drain() == ["prepared"]


def test_consuming_in_a_prepared_transaction_is_possible(queue: Any) -> None:
    queue.insert("e")
    queue.tick()
    conn = queue.sessions.open(autocommit=False)
    batch = queue.next_batch(conn=conn)
    assert queue.events(batch, conn) == ["e"]
    queue.finish(batch, conn)
    queue.insert("answer", conn)
    conn.execute("prepare transaction 'a batch'")
    conn.rollback()
    queue.conn.execute("commit prepared 'a batch'")
    assert queue.tick_and_drain() == ["answer"]


def _limit(queue: Any, limit: int) -> None:
    queue.conn.execute("update pgq.queue set queue_per_tx_limit = %s", [limit])


@pytest.mark.parametrize("role", [None, "pgq_writer"])
def test_a_transaction_may_insert_as_many_events_as_the_limit_says(queue: Any, role: str | None) -> None:
    _limit(queue, 3)
    conn = queue.sessions.open(autocommit=False, role=role)
    for _ in range(2):
        for _ in range(3):
            queue.insert("e", conn)
        conn.commit()
    for _ in range(3):
        queue.insert("e", conn)
    with pytest.raises(psycopg.errors.InternalError, match="allows max 3 events from one TX") as refusal:
        queue.insert("e", conn)
    assert refusal.value.sqlstate == "XX000"
    conn.rollback()
    assert queue.tick_and_drain() == ["e"] * 6


def test_the_limit_counts_each_queue_on_its_own(queue: Any) -> None:
    queue.conn.execute("select pgq.create_queue('other')")
    _limit(queue, 2)
    with queue.conn.transaction():
        for name in ("q", "other", "q", "other"):
            queue.conn.execute("select pgq.insert_event(%s, 't', 'd')", [name])
        with pytest.raises(psycopg.errors.InternalError), queue.conn.transaction():
            queue.conn.execute("select pgq.insert_event('other', 't', 'd')")


def test_what_a_savepoint_undoes_does_not_count(queue: Any) -> None:
    _limit(queue, 2)
    with queue.conn.transaction():
        queue.insert("a")
        with queue.conn.transaction(force_rollback=True):
            queue.insert("no")
        queue.insert("b")
    assert queue.tick_and_drain() == ["a", "b"]


def test_events_of_inner_transactions_count(queue: Any) -> None:
    _limit(queue, 2)
    with queue.conn.transaction():
        for _ in range(2):
            with queue.conn.transaction():
                queue.insert("e")
        with pytest.raises(psycopg.errors.InternalError, match="allows max 2 events"), queue.conn.transaction():
            queue.insert("e")


def test_the_count_begins_anew_with_the_next_table(queue: Any) -> None:
    _limit(queue, 1)
    queue.tick_and_drain()
    writer = queue.sessions.open(autocommit=False)
    queue.insert("a", writer)
    assert queue.step1()
    queue.insert("b", writer)
    with pytest.raises(psycopg.errors.InternalError, match="allows max 1 events"):
        queue.insert("c", writer)


def test_a_setting_left_by_the_session_is_not_taken_for_the_count(queue: Any) -> None:
    _limit(queue, 1)
    for nonsense in ("", "x", "1:2", "9999999:0:77", ":::", "a:b:c"):
        queue.conn.execute("select set_config('pgq.events_in_tx_1', %s, false)", [nonsense])
        assert queue.insert("e") > 0


@pytest.mark.parametrize("isolation", list(IsolationLevel))
def test_the_limit_holds_in_every_isolation_level(queue: Any, isolation: IsolationLevel) -> None:
    _limit(queue, 1)
    conn = queue.sessions.open(isolation, autocommit=False)
    queue.insert("e", conn)
    with pytest.raises(psycopg.errors.InternalError, match="allows max 1 events"):
        queue.insert("e", conn)


def test_a_bulk_load_gets_ids_and_transaction_ids_from_the_table(queue: Any) -> None:
    with queue.conn.transaction():
        (table,) = queue.conn.execute("select pgq.current_event_table('q')").fetchone()
        with queue.conn.cursor().copy(f"copy {table} (ev_time, ev_type, ev_data) from stdin") as copy:
            for number in range(1000):
                copy.write_row(("2026-01-01", "t", str(number)))
    assert queue.tick_and_drain() == [str(number) for number in range(1000)]
