"""Producers: what they insert is there, whole and in order, in whose transaction it belongs to; on the original too."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from skyconsole.engine.errors import UsageError
from skyconsole.engine.queue.producer import AsyncProducer, MissingAdditionError, Producer, Row

QUEUE = '[/q] "ü".x'
STORED = """
    select ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4
    from pgq.event_template
    order by ev_id
"""
ODD = "Ünï 🦫 [/x] 'a' \"b\" \\ {c,d} NULL\t\n"


def _rows(count: int) -> Iterator[Row]:
    """Rows of all lengths, with NULLs, empty and odd texts at changing places."""
    for number in range(count):
        row = [f"{number}", ODD, None, "", "NULL", f"{number} {ODD}"]
        yield row[: 2 + number % 5]


def _whole(row: Row) -> tuple[str | None, ...]:
    return (*row, *[None] * (6 - len(row)))


@pytest.fixture
def dsn(pgq_database: str) -> str:
    """A database of ours with the queue."""
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue(%s)", [QUEUE])
    return pgq_database


@pytest.fixture
def original(original_database: str) -> str:
    """A database of the original extension with the queue."""
    with psycopg.connect(original_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue(%s)", [QUEUE])
    return original_database


def _stored(dsn: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return conn.execute(STORED).fetchall()


def test_single_events_have_the_ids_that_are_returned(dsn: str) -> None:
    with Producer(dsn, QUEUE) as producer:
        assert producer.insert("t", "d") == 1
        assert producer.insert(None, None) == 2
        assert producer.insert("t", ODD, "1", None, "", "4") == 3
    assert _stored(dsn) == [_whole(row) for row in (("t", "d"), (None, None), ("t", ODD, "1", None, "", "4"))]


def test_many_events_arrive_whole_and_in_order_whatever_the_number_of_chunks(dsn: str) -> None:
    with Producer(dsn, QUEUE) as producer:
        assert producer.insert_many(_rows(12_001)) == 12_001
        assert producer.insert_many([]) == 0
        assert producer.insert_many([("long", "x" * 3_000_000)] * 3) == 3
    stored = _stored(dsn)
    assert stored[:12_001] == [_whole(row) for row in _rows(12_001)]
    assert [len(row[1]) for row in stored[12_001:]] == [3_000_000] * 3


def test_memory_stays_flat_for_an_iterator_of_any_length(dsn: str) -> None:
    with Producer(dsn, QUEUE) as producer:
        producer.insert_many([("t", "warm")])
        tracemalloc.start()
        try:
            assert producer.insert_many(("t", f"{number:100}") for number in range(60_000)) == 60_000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    print(f"peak of 60,000 events of 100 bytes: {peak / 1e6:.1f} MB")
    assert peak < 12_000_000, "a list of all of them takes more than 20 MB"


def test_an_iterator_that_fails_leaves_nothing_behind(dsn: str) -> None:
    def rows() -> Iterator[Row]:
        yield from _rows(7_000)
        raise LookupError("the source broke")

    with Producer(dsn, QUEUE) as producer:
        with pytest.raises(LookupError):
            producer.insert_many(rows())
        assert _stored(dsn) == []
        assert producer.insert_many(_rows(3)) == 3
    assert len(_stored(dsn)) == 3


def test_events_on_the_callers_connection_belong_to_his_transaction(dsn: str) -> None:
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        producer = Producer(conn, QUEUE)
        producer.insert("t", "undone")
        producer.insert_many(_rows(10))
        conn.rollback()
        producer.insert("t", "kept")
        with pytest.raises(psycopg.errors.InternalError, match="No such queue"):
            Producer(conn, "nope").insert_many(_rows(10))
        producer.insert_many([("t", "kept too")])
        assert _stored(dsn) == []
        conn.commit()
        producer.close()
        assert not conn.closed, "it is the caller's"
    assert [row[1] for row in _stored(dsn)] == ["kept", "kept too"]


def test_in_autocommit_mode_every_call_is_a_transaction(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        Producer(conn, QUEUE).insert("t", "d")
        Producer(conn, QUEUE).insert_many(_rows(6_000))
        assert len(_stored(dsn)) == 6_001
    with psycopg.connect(dsn) as conn:
        assert conn.execute("select count(distinct ev_txid) from pgq.event_template").fetchone() == (2,)


def test_a_connection_of_its_own_is_opened_again_when_it_was_lost(dsn: str) -> None:
    with Producer(dsn, QUEUE) as producer, psycopg.connect(dsn, autocommit=True) as admin:
        producer.insert("t", "before")
        query = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name ~ 'producer'"
        assert admin.execute(query).fetchall() == [(True,)]
        with pytest.raises(psycopg.OperationalError):
            producer.insert("t", "lost")
        assert producer.insert("t", "after") == 2
        assert producer.insert_many([("t", "many")]) == 1
    assert [row[1] for row in _stored(dsn)] == ["before", "after", "many"]


def test_delays_and_keys(dsn: str) -> None:
    with Producer(dsn, QUEUE) as producer, psycopg.connect(dsn, autocommit=True) as conn:
        first = producer.insert_once("key", "t", "once", "1")
        assert producer.insert_once("key", "t", "twice") == first
        assert producer.insert_at(datetime(2001, 2, 3, tzinfo=UTC), "t", "delayed", None, "2") == 1
        conn.execute("select pgq.maint_retry_events()")
    assert _stored(dsn) == [_whole(("t", "once", "1")), _whole(("t", "delayed", None, "2"))]


@pytest.mark.parametrize("row", [(), ("t",), tuple("abcdefg")])
def test_events_of_too_few_or_too_many_fields_are_refused(dsn: str, row: tuple[str, ...]) -> None:
    with Producer(dsn, QUEUE) as producer:
        with pytest.raises(UsageError, match=f"not {len(row)} fields"):
            producer.insert_many([("t", "d"), row])
        with pytest.raises(UsageError, match="not 7 fields"):
            producer.insert("t", "d", "1", "2", "3", "4", "5")
    assert _stored(dsn) == []


def test_the_character_nul_is_refused_whole(dsn: str) -> None:
    with Producer(dsn, QUEUE) as producer:
        with pytest.raises(UsageError, match="NUL"):
            producer.insert_many([("t", "fine"), ("t", "a\0b")])
        with pytest.raises(psycopg.DataError):
            producer.insert("t", "a\0b")
    assert _stored(dsn) == []


def test_a_writer_may_use_all_of_it(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("set role pgq_writer")
        producer = Producer(conn, QUEUE)
        producer.insert("t", "d")
        producer.insert_many(_rows(2))
        producer.insert_once("k", "t", "d")
        producer.insert_at(datetime.now(UTC), "t", "d")
    assert len(_stored(dsn)) == 4


def test_on_asyncio_it_is_the_same(dsn: str) -> None:
    async def later() -> AsyncIterator[Row]:
        for row in _rows(6_000):
            yield row

    async def run() -> None:
        async with AsyncProducer(dsn, QUEUE) as producer:
            assert await producer.insert("t", "d", "1") == 1
            assert await producer.insert_many(_rows(5_001)) == 5_001
            assert await producer.insert_many(later()) == 6_000
            first = await producer.insert_once("key", "t", "once")
            assert await producer.insert_once("key", "t", "twice") == first
            assert await producer.insert_at(datetime.now(UTC), "t", "d") == 1
            with pytest.raises(UsageError):
                await producer.insert_many([("t",)])
        async with await psycopg.AsyncConnection.connect(dsn) as conn:
            mine = AsyncProducer(conn, QUEUE)
            await mine.insert_many(_rows(2))
            await conn.rollback()
            await mine.insert("t", "last")
            await mine.close()

    asyncio.run(run())
    wanted = [("t", "d", "1"), *_rows(5_001), *_rows(6_000), ("t", "once"), ("t", "last")]
    assert _stored(dsn) == [_whole(row) for row in wanted]


def _statements(dsn: str, role: str | None, change: str) -> list[tuple[Any, ...]]:
    """What is stored after many events of a role, and of how many commands the transaction was made."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        if change:
            conn.execute(change.encode())
        if role is not None:
            conn.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        assert Producer(conn, QUEUE).insert_many(_rows(5_500)) == 5_500
        conn.execute("reset role")
        return conn.execute("select max(cmax::text::bigint) from pgq.event_template").fetchall()


@pytest.mark.peer
@pytest.mark.parametrize(
    ("role", "change", "copied"),
    [
        (None, "", True),
        ("pgq_admin", "", True),
        ("pgq_writer", "", False),
        (None, "update pgq.queue set queue_per_tx_limit = 6000", False),
    ],
)
def test_on_the_original_events_are_copied_where_that_is_allowed_and_right(
    original: str, role: str | None, change: str, copied: bool
) -> None:
    ((commands,),) = _statements(original, role, change)
    assert (commands < 10) is copied
    assert _stored(original) == [_whole(row) for row in _rows(5_500)]


@pytest.mark.peer
def test_on_the_original_limits_and_refusals_hold_and_additions_are_missed(original: str) -> None:
    with Producer(original, QUEUE) as producer, psycopg.connect(original, autocommit=True) as conn:
        assert producer.insert("t", "d") == 1
        with pytest.raises(MissingAdditionError, match="has no function insert_event_at"):
            producer.insert_at(datetime.now(UTC), "t", "d")
        with pytest.raises(MissingAdditionError, match="has no function insert_event_once"):
            producer.insert_once("key", "t", "d")
        conn.execute("update pgq.queue set queue_per_tx_limit = 5")
        with pytest.raises(psycopg.errors.InternalError, match="allows max 5 events"):
            producer.insert_many(_rows(6))
        conn.execute("update pgq.queue set queue_per_tx_limit = null, queue_disable_insert = true")
        with pytest.raises(psycopg.errors.InternalError, match="Insert into queue disallowed"):
            producer.insert_many(_rows(6))
    assert len(_stored(original)) == 1


@pytest.mark.peer
def test_on_the_original_it_is_the_same_on_asyncio(original: str) -> None:
    async def run(role: str) -> None:
        async with await psycopg.AsyncConnection.connect(original, autocommit=True) as conn:
            await conn.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
            assert await AsyncProducer(conn, QUEUE).insert_many(_rows(300)) == 300

    asyncio.run(run("pgq_admin"))
    asyncio.run(run("pgq_writer"))
    assert _stored(original) == [_whole(row) for row in [*_rows(300), *_rows(300)]]


def test_an_event_after_a_silence_wakes_the_ticker(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as listener, Producer(dsn, QUEUE) as producer:
        listener.execute("listen pgq_ticker")
        producer.insert("first", "1")
        producer.insert("at once", "2")
        producer.insert_many([("at once", "3")])
        heard = list(listener.notifies(timeout=5, stop_after=1))
        assert [notify.channel for notify in heard] == ["pgq_ticker"]


def test_many_events_after_a_silence_wake_the_ticker(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as listener, Producer(dsn, QUEUE) as producer:
        listener.execute("listen pgq_ticker")
        producer.insert_many([("first", "1")])
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1


def test_in_the_callers_transaction_nobody_is_woken_so_that_it_can_be_prepared(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        producer = Producer(conn, QUEUE)
        conn.tpc_begin(conn.xid(1, "sky producer", "wake"))
        producer.insert("a", "1")
        producer.insert_many([("b", "2")])
        conn.tpc_prepare()
        conn.tpc_rollback()
