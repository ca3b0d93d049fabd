"""The events of a batch: between two snapshots, whole, in order of their ids (spec/pgq.md 1.3, 1.4, 4.4)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("last", "cur", "expected"),
    [
        ("968:971:968,969", "968:1225:968,969", (971, 1225, [])),
        ("968:1225:968,969", "969:1229:969", (1225, 1229, [968])),
        ("900:1000:900", "1010:1010:", (900, 1010, [])),
        ("899:1000:899", "1010:1010:", (1000, 1010, [899])),
        ("700:1000:700,800,900", "1010:1010:", (700, 1010, [])),
        ("699:1000:699,800,900", "1010:1010:", (800, 1010, [699])),
        ("100:1000:100,300,950", "300:1010:300", (950, 1010, [100])),
        ("10:10:", "10:10:", (10, 10, [])),
    ],
)
def test_old_transactions_are_absorbed_into_the_range_or_listed(
    conn: psycopg.Connection[Any], last: str, cur: str, expected: tuple[int, int, list[int]]
) -> None:
    assert conn.execute("select * from pgq.batch_txid_range(%s, %s)", [last, cur]).fetchone() == expected


def _snapshot(low: int, size: int, running: set[int]) -> str:
    xip = sorted({low + n for n in running if n < size})
    return f"{xip[0] if xip else low + size}:{low + size}:{','.join(map(str, xip))}"


def _visible(txid: int, snapshot: str) -> bool:
    xmin, xmax, xip = snapshot.split(":")
    return txid < int(xmin) or (txid < int(xmax) and str(txid) not in xip.split(","))


@pytest.fixture(scope="module")
def ranges(server: Any) -> Any:
    """A connection that outlives the examples."""
    name = server.create_database(server.template_of("pgq"))
    with psycopg.connect(server.dsn(name), autocommit=True) as conn:
        yield conn
    server.drop_database(name)


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(1, 600),
    more=st.integers(0, 600),
    running=st.sets(st.integers(0, 600), max_size=12),
    still=st.sets(st.integers(0, 1200), max_size=12),
)
def test_range_and_list_hold_just_the_transactions_between_two_snapshots(
    ranges: psycopg.Connection[Any], size: int, more: int, running: set[int], still: set[int]
) -> None:
    """A snapshot and a later one: what ran then and runs no more, and what came since."""
    low = 1000
    last = _snapshot(low, size, running)
    cur = _snapshot(low, size + more, {n for n in still if n in running or n >= size})
    row = ranges.execute("select * from pgq.batch_txid_range(%s, %s)", [last, cur]).fetchone()
    assert row is not None
    first, end, listed = row
    wanted = {txid for txid in range(low - 5, low + 1300) if _visible(txid, cur) and not _visible(txid, last)}
    ranged = {txid for txid in wanted if first <= txid <= end}
    assert ranged | set(listed) == wanted
    assert not ranged & set(listed)
    assert all(txid < first for txid in listed)


def test_the_query_of_a_batch_can_be_a_sub_select_with_ten_columns(queue: Any) -> None:
    queue.insert("a")
    queue.insert("b")
    queue.tick()
    query = queue.conn.execute("select pgq.batch_event_sql(%s)", [queue.next_batch()]).fetchone()[0]
    cursor = queue.conn.execute(f"select * from ({query}) e where ev_data <> 'a'".encode())
    assert [column.name for column in cursor.description] == [
        *("ev_id", "ev_time", "ev_txid", "ev_retry", "ev_type", "ev_data"),
        *("ev_extra1", "ev_extra2", "ev_extra3", "ev_extra4"),
    ]
    assert [row[5] for row in cursor] == ["b"]


def test_events_are_sorted_by_id_and_not_by_commit(queue: Any) -> None:
    first = queue.sessions.open(autocommit=False)
    queue.insert("lower id, later commit", first)
    queue.insert("higher id")
    first.commit()
    assert queue.tick_and_drain() == ["lower id, later commit", "higher id"]


def test_a_finished_batch_has_no_events_any_more(queue: Any) -> None:
    queue.tick()
    batch = queue.next_batch()
    assert queue.events(batch) == []
    queue.finish(batch)
    for function in ("get_batch_events", "batch_event_sql"):
        with pytest.raises(psycopg.errors.RaiseException, match="batch not found"):
            queue.conn.execute(f"select * from pgq.{function}(%s)", [batch])
    with pytest.raises(psycopg.errors.RaiseException, match=f"Cannot find data for batch {batch}"):
        queue.conn.execute("select * from pgq.batch_event_tables(%s)", [batch])


def test_a_cursor_goes_on_after_the_first_rows_and_reads_what_its_condition_lets_through(queue: Any) -> None:
    for number in range(20):
        queue.insert(str(number))
    queue.tick()
    batch = queue.next_batch()
    with queue.conn.transaction():
        query = "select ev_data from pgq.get_batch_cursor(%s, 'cur', 3, %s)"
        assert queue.conn.execute(query, [batch, "ev_id % 2 = 0 or ev_data = '0'"]).fetchall() == [
            ("0",),
            ("1",),
            ("3",),
        ]
        assert [row[5] for row in queue.conn.execute("fetch 2 from cur")] == ["5", "7"]
        assert len(queue.conn.execute("fetch all from cur").fetchall()) == 6
        queue.conn.execute("close cur")


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ("'cur', 1, ''", "42601"),
        ("'cur', 1, 'ev_owner = 1'", "42703"),
        ("'cur', 1, 'true -- all of them'", None),
        ("'cur', -5", None),
        ("'cur', 0", None),
        ("null, 1", None),
        ("'cur', null", None),
        ("null, 1, 'true'", None),
    ],
)
def test_a_cursor_takes_its_arguments_as_the_reference_does(queue: Any, arguments: str, sqlstate: str | None) -> None:
    queue.insert("e")
    queue.tick()
    query = f"select count(*) from pgq.get_batch_cursor({queue.next_batch()}, {arguments})".encode()
    if sqlstate is None:
        assert queue.conn.execute(query).fetchone() == (1 if "true --" in arguments else 0,)
    else:
        with pytest.raises(psycopg.Error) as refusal:
            queue.conn.execute(query)
        assert refusal.value.sqlstate == sqlstate


def test_a_second_cursor_of_the_same_name_is_refused(queue: Any) -> None:
    queue.tick()
    batch = queue.next_batch()
    conn = queue.sessions.open(autocommit=False)
    query = "select * from pgq.get_batch_cursor(%s, 'cur', 1)"
    conn.execute(query, [batch])
    with pytest.raises(psycopg.errors.DuplicateCursor):
        conn.execute(query, [batch])


def test_a_cursor_does_not_depend_on_the_search_path_it_is_fetched_under(queue: Any) -> None:
    for number in range(4):
        queue.insert(str(number))
    queue.tick()
    batch = queue.next_batch()
    with queue.conn.transaction():
        queue.conn.execute("select * from pgq.get_batch_cursor(%s, 'cur', 1)", [batch])
        queue.conn.execute("set local search_path = ''")
        assert len(queue.conn.execute("fetch all from cur").fetchall()) == 3


def test_every_arm_of_a_batch_query_is_an_index_scan(queue: Any) -> None:
    """On tables that nobody ever analyzed, with a long list of old transactions."""
    queue.tick()
    old = ",".join(str(1000 + 200 * n) for n in range(150))
    queue.conn.execute("update pgq.tick set tick_snapshot = %s::txid_snapshot where tick_id = 1", [f"1000:50000:{old}"])
    queue.conn.execute("update pgq.tick set tick_snapshot = '51000:51000:' where tick_id = 2")
    queue.conn.execute("update pgq.queue set queue_switch_step1 = 2000, queue_switch_step2 = 2000")
    for number in range(3):
        queue.conn.execute(
            f"insert into pgq.event_1_{number} (ev_id, ev_time, ev_txid, ev_data)"
            " select n, now(), n, repeat('x', 100) from generate_series(1, 60000) n"
        )
    batch = queue.next_batch()
    query = queue.conn.execute("select pgq.batch_event_sql(%s)", [batch]).fetchone()[0]
    plan = "\n".join(row[0] for row in queue.conn.execute(f"explain {query}".encode()))
    assert plan.count("_txid_idx") >= 6
    assert "Seq Scan" not in plan
    assert len(queue.events(batch)) == 3 * (150 + 1001 - 1)
