"""When a tick is made (spec/pgq.md 4.5, 5), and tickers that meet each other."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest


def _settle(conn: psycopg.Connection[Any], *, new: int, lag: float, previous: float | None) -> None:
    """Put the queue where so many events are new, its newest tick is so old, and the one before so much older."""
    conn.execute(
        "update pgq.queue set queue_ticker_max_count = 500, queue_ticker_max_lag = '3 s',"
        " queue_ticker_idle_period = '60 s'"
    )
    conn.execute("delete from pgq.tick")
    conn.execute("select setval('pgq.event_1_id_seq', 1000)")
    query = """
        insert into pgq.tick (tick_queue, tick_id, tick_time, tick_event_seq)
        values (1, %s, now() - %s * interval '1 second', %s)
    """
    if previous is not None:
        conn.execute(query, [1, lag + previous, 1000 - new])
    conn.execute(query, [2, lag, 1000 - new])
    conn.execute("select setval('pgq.event_1_tick_seq', 2)")


@pytest.mark.parametrize(
    ("new", "lag", "previous", "due"),
    [
        (1, 2.9, 1, False),
        (1, 3, 1, True),
        (499, 0, 1, False),
        (500, 0, 1, True),
        (501, 0, None, True),
        (1, 0, None, False),
        (0, 0, None, True),
        (0, 1.4, 0.1, False),
        (0, 1.5, 0.1, True),
        (0, 1.5, 0.75, True),
        (0, 1.5, 0.76, False),
        (0, 59.9, 40, False),
        (0, 60, 40, True),
        (0, 60, 400, True),
        (-5, 1, 10, False),
    ],
)
def test_a_tick_is_made_when_events_or_time_demand_it(
    queue: Any, new: int, lag: float, previous: float | None, due: bool
) -> None:
    with queue.conn.transaction():  # now() stands still, so that the limits are met exactly
        _settle(queue.conn, new=new, lag=lag, previous=previous)
        assert queue.tick() == (3 if due else None)


@pytest.mark.peer
@pytest.mark.parametrize(("new", "lag", "previous"), [(1, 2.9, 1), (500, 0, 1), (0, 1.5, 0.76), (0, 60, 400)])
def test_the_original_decides_the_same(
    original_database: str, pgq_database: str, drive_of: Any, new: int, lag: float, previous: float
) -> None:
    made = []
    for dsn in (original_database, pgq_database):
        queue = drive_of(dsn)
        with queue.conn.transaction():
            _settle(queue.conn, new=new, lag=lag, previous=previous)
            made.append(queue.tick())
    assert made[0] == made[1]


def test_the_first_two_ticks_need_no_events_and_the_third_waits(queue: Any) -> None:
    queue.conn.execute("update pgq.queue set queue_ticker_max_lag = '3 s', queue_ticker_idle_period = '60 s'")
    assert queue.ticks() == [1]
    assert [queue.tick(), queue.tick()] == [2, None]


def test_a_call_without_a_tick_takes_no_transaction_id(queue: Any) -> None:
    queue.conn.execute("update pgq.queue set queue_ticker_max_lag = '3 s', queue_ticker_idle_period = '60 s'")
    queue.tick()
    with queue.conn.transaction():
        assert queue.tick() is None
        assert queue.conn.execute("select pgq.ticker()").fetchone() == (0,)
        assert queue.conn.execute("select txid_current_if_assigned()").fetchone() == (None,)


def test_polling_for_a_batch_takes_no_transaction_id(queue: Any) -> None:
    with queue.conn.transaction():
        assert queue.next_batch() is None
        assert queue.conn.execute("select txid_current_if_assigned()").fetchone() == (None,)
    queue.tick()
    queue.next_batch()
    with queue.conn.transaction():
        assert queue.next_batch() is not None
        assert queue.conn.execute("select txid_current_if_assigned()").fetchone() == (None,)


def test_while_another_ticker_is_at_work_no_tick_is_made_and_nobody_waits(queue: Any) -> None:
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    tick = queue.tick(first)
    assert tick is not None
    queue.insert("e")
    assert queue.tick(second) is None
    first.commit()
    assert queue.tick(second) == tick + 1
    assert queue.drain() == ["e"]


def test_a_ticker_that_rolls_back_leaves_the_tick_to_the_next(queue: Any) -> None:
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert queue.tick(first) is not None
    first.rollback()
    assert queue.tick(second) is not None


@pytest.mark.parametrize("isolation", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
def test_a_ticker_whose_snapshot_is_older_than_a_tick_stores_none_behind_it(
    queue: Any, isolation: psycopg.IsolationLevel
) -> None:
    late = queue.sessions.open(isolation, autocommit=False)
    late.execute("select count(*) from pgq.tick")
    for number in range(3):
        queue.insert(str(number))
    assert queue.tick() is not None
    assert queue.tick(late) is None
    late.commit()
    queue.insert("x")
    assert queue.tick(late) is not None, "with a snapshot of its own it ticks"
    late.commit()
    assert queue.drain() == ["0", "1", "2", "x"]


def test_tickers_of_different_queues_do_not_meet(queue: Any) -> None:
    queue.conn.execute("select pgq.create_queue('other')")
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert queue.tick(first) is not None
    assert second.execute("select pgq.ticker('other')").fetchone() == (2,)


def test_many_tickers_at_once_store_their_snapshots_in_the_order_of_their_ids(queue: Any) -> None:
    producers = [queue.sessions.open() for _ in range(2)]
    tickers = [queue.sessions.open() for _ in range(4)]

    def produce(conn: psycopg.Connection[Any]) -> None:
        for number in range(150):
            queue.insert(f"{conn.info.backend_pid}/{number}", conn)

    def tick(conn: psycopg.Connection[Any]) -> None:
        for _ in range(60):
            queue.tick(conn)

    jobs = [queue.sessions.pool.submit(produce, conn) for conn in producers]
    jobs += [queue.sessions.pool.submit(tick, conn) for conn in tickers]
    for job in jobs:
        job.result(60)
    seen = queue.drain() + queue.tick_and_drain()
    assert sorted(seen) == sorted(f"{conn.info.backend_pid}/{n}" for conn in producers for n in range(150))
    query = """
        select count(*)
        from pgq.tick a
        join pgq.tick b on b.tick_id > a.tick_id
        where txid_snapshot_xmax(b.tick_snapshot) < txid_snapshot_xmax(a.tick_snapshot)
            or txid_snapshot_xmin(b.tick_snapshot) < txid_snapshot_xmin(a.tick_snapshot)
    """
    assert queue.conn.execute(query).fetchone() == (0,)


def test_a_tick_of_the_future_is_refused_and_a_dubious_one_told(queue: Any) -> None:
    notices: list[str] = []
    queue.conn.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    queue.conn.execute("update pgq.tick set tick_snapshot = '90000000:90000005:'")
    with pytest.raises(
        psycopg.errors.RaiseException,
        match=r"^Invalid PgQ state: old xmin=90000000, old xmax=90000005, cur txid=\d+",
    ):
        queue.tick()
    queue.conn.execute("update pgq.tick set tick_snapshot = '5:90000005:'")
    assert queue.tick() is not None
    assert len(notices) == 1
    assert notices[0].startswith("Dubious PgQ state: old xmax=90000005, cur txid=")


def test_an_event_sequence_behind_the_tick_is_told(queue: Any) -> None:
    notices: list[str] = []
    queue.conn.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    queue.conn.execute("update pgq.tick set tick_event_seq = 50")
    assert queue.tick() is not None
    assert notices == ["Negative new_events?  old=50 cur=1"]


def test_all_queues_are_ticked_in_order_of_name_and_one_that_fails_aborts_all(queue: Any) -> None:
    queue.conn.execute("select pgq.create_queue(n) from unnest(array['zz', 'aa', 'paused', 'external']) n")
    queue.conn.execute("update pgq.queue set queue_ticker_paused = true where queue_name = 'paused'")
    queue.conn.execute("update pgq.queue set queue_external_ticker = true where queue_name = 'external'")
    assert queue.conn.execute("select pgq.ticker()").fetchone() == (3,)
    queue.conn.execute(
        "update pgq.tick set tick_snapshot = '90000000:90000000:' from pgq.queue"
        " where queue_id = tick_queue and queue_name = 'zz'"
    )
    before = queue.conn.execute("select count(*) from pgq.tick").fetchone()
    with pytest.raises(psycopg.errors.RaiseException, match="Invalid PgQ state"):
        queue.conn.execute("select pgq.ticker()")
    assert queue.conn.execute("select count(*) from pgq.tick").fetchone() == before


def test_events_of_the_transaction_that_ticks_are_delivered(queue: Any) -> None:
    with queue.conn.transaction():
        queue.insert("same")
        assert queue.tick() is not None
    assert queue.drain() + queue.tick_and_drain() == ["same"]


def test_a_prepared_tick_holds_further_ticks_back_and_loses_nothing(queue: Any) -> None:
    ticker = queue.sessions.open(autocommit=False)
    queue.insert("before", ticker)
    assert queue.tick(ticker) is not None
    ticker.execute("prepare transaction 'prepared tick'")
    ticker.rollback()
    queue.insert("after")
    assert queue.tick() is None
    queue.conn.execute("commit prepared 'prepared tick'")
    assert sorted(queue.drain() + queue.tick_and_drain()) == ["after", "before"]


@pytest.mark.parametrize(
    ("lag", "count", "interval", "end"),
    [
        (None, None, None, 2),
        (None, 5, None, 2),
        (None, 10, None, 2),
        (None, 25, None, 4),
        (None, 94, None, 11),
        (None, 95, None, 20),
        (None, 96, None, 20),
        (None, 190, None, 20),
        (None, 191, None, None),
        (None, 0, None, 2),
        (None, -5, None, 2),
        (None, None, "1 min", 2),
        (None, None, "5 min", 6),
        (None, None, "9 min", 10),
        (None, None, "10 min", 20),
        (None, None, "19 min", 20),
        (None, None, "20 min", None),
        (None, 1000, "5 min", 6),
        (None, 50, "1 hour", 6),
        (None, 50, "2 min", 3),
        ("10 min", None, None, 2),
        ("1 min", 100, None, None),
        ("1 min", 25, None, 4),
    ],
)
def test_the_end_of_a_batch_is_chosen_by_lag_count_and_interval(
    queue: Any, lag: str | None, count: int | None, interval: str | None, end: int | None
) -> None:
    with queue.conn.transaction():
        queue.conn.execute("delete from pgq.tick")
        queue.conn.execute(
            "insert into pgq.tick (tick_queue, tick_id, tick_time, tick_event_seq)"
            " select 1, n, now() - (20 - n) * interval '1 minute', 10 * n from generate_series(1, 20) n"
        )
        row = queue.conn.execute(
            "select cur_tick_id, batch_id is null from pgq.next_batch_custom('q', 'c', %s, %s, %s)",
            [lag, count, interval],
        ).fetchone()
    assert row == (end, end is None)


@pytest.mark.parametrize(("last", "end"), [(9, 10), (10, None)])
def test_a_batch_that_is_not_old_enough_waits(queue: Any, last: int, end: int | None) -> None:
    with queue.conn.transaction():
        queue.conn.execute(
            "insert into pgq.tick (tick_queue, tick_id, tick_time, tick_event_seq)"
            " select 1, n, now() - (20 - n) * interval '1 minute', 10 * n from generate_series(2, 20) n"
        )
        queue.register("c", last)
        query = "select cur_tick_id from pgq.next_batch_custom('q', 'c', '10 min', null, null)"
        assert queue.conn.execute(query).fetchone() == (end,)
