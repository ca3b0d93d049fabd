"""A tick that was made again under the same id is told from the one that was applied (sql/queue/remote.sql)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.sql import queries

SQL = queries("queue/remote.sql")


@pytest.fixture
def target(server: Any) -> Iterator[psycopg.Connection[Any]]:
    """The database where the work is done."""
    name = server.create_database(server.template_of("pgq_ext"))
    with psycopg.connect(server.dsn(name), autocommit=True) as conn:
        yield conn
    server.drop_database(name)


def _digest(conn: psycopg.Connection[Any], queue: str, tick: int) -> str | None:
    row = conn.execute(SQL["tick_digest"], [queue, tick]).fetchone()
    return None if row is None else str(row[0])


def _ticks(conn: psycopg.Connection[Any], count: int) -> list[int]:
    conn.execute("select pgq.create_queue('q')")
    conn.execute("update pgq.queue set queue_ticker_max_lag = '0', queue_ticker_idle_period = '0'")
    ticks = []
    for _ in range(count):
        conn.execute("select pgq.insert_event('q', 't', 'd')")
        (tick,) = conn.execute("select pgq.ticker('q')").fetchone() or (None,)
        assert tick is not None
        ticks.append(tick)
    return ticks


def _all_digests_differ(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        ticks = _ticks(conn, 5)
        digests = [_digest(conn, "q", tick) for tick in ticks]
        assert len(set(digests)) == 5
        assert all(digest is not None and re.fullmatch("[0-9a-f]{32}", digest) for digest in digests)
        assert _digest(conn, "q", 999) is None
        assert _digest(conn, "nope", ticks[0]) is None


def test_every_tick_has_a_digest_of_its_own(each_pgq_database: str) -> None:
    _all_digests_differ(each_pgq_database)


@pytest.mark.peer
def test_the_ticks_of_the_original_have_them_too(original_database: str) -> None:
    _all_digests_differ(original_database)


def test_the_digest_of_a_tick_is_the_same_whoever_asks(conn: psycopg.Connection[Any]) -> None:
    (tick,) = _ticks(conn, 1)
    digest = _digest(conn, "q", tick)
    for setting in (
        "timezone to 'Asia/Kolkata'",
        "datestyle to 'German'",
        "search_path to pg_temp",
        "extra_float_digits to 0",
        "lc_numeric to 'C'",
        "bytea_output to 'escape'",
    ):
        conn.execute(f"set {setting}")
        assert _digest(conn, "q", tick) == digest, setting


@pytest.mark.parametrize(
    "change",
    [
        "tick_time = tick_time + interval '1 microsecond'",
        "tick_snapshot = txid_current_snapshot()",
    ],
)
def test_a_tick_made_again_looks_different(conn: psycopg.Connection[Any], change: str) -> None:
    (tick,) = _ticks(conn, 1)
    conn.execute("select txid_current()")
    before = _digest(conn, "q", tick)
    conn.execute(f"update pgq.tick set {change} where tick_id = {tick}")
    assert _digest(conn, "q", tick) != before


def test_a_tick_is_recorded_with_its_digest_and_forgotten_with_it(target: psycopg.Connection[Any]) -> None:
    assert target.execute(SQL["keeps_digests"]).fetchone() == (True,)
    last = SQL["get_last_tick_digest"]
    assert target.execute(last, ["c", ""]).fetchall() == [(None, None)]
    for tick, digest in [(5, "five"), (5, "again"), (3, "three")]:
        assert target.execute(SQL["set_last_tick_digest"], ["c", "", tick, digest]).fetchone() == (1,)
        assert target.execute(last, ["c", ""]).fetchone() == (tick, digest)
        assert target.execute(SQL["get_last_tick"], ["c", ""]).fetchone() == (tick,)
    assert target.execute(last, ["c", "s"]).fetchone() == (None, None)
    target.execute(SQL["set_last_tick_digest"], ["c", "", None, "none"])
    assert target.execute(last, ["c", ""]).fetchone() == (None, None)
    assert target.execute("select count(*) from pgq_ext.completed_tick_digest").fetchone() == (0,)


def test_the_digests_before_the_last_tick_stay_and_those_after_it_go(target: psycopg.Connection[Any]) -> None:
    kept = SQL["get_tick_digests"]
    for tick in (3, 5, 8, 9):
        target.execute(SQL["set_last_tick_digest"], ["c", "", tick, f"d{tick}"])
        target.execute(SQL["set_last_tick_digest"], ["c", "other", tick, "other"])
    assert target.execute(kept, ["c", ""]).fetchall() == [(9, "d9"), (8, "d8"), (5, "d5"), (3, "d3")]
    target.execute(SQL["set_last_tick_digest"], ["c", "", 5, "again"])
    assert target.execute(kept, ["c", ""]).fetchall() == [(5, "again"), (3, "d3")]
    target.execute(SQL["set_last_tick"], ["c", "", 7])
    assert target.execute(kept, ["c", ""]).fetchall() == [(5, "again"), (3, "d3")]
    target.execute(SQL["set_last_tick"], ["c", "", None])
    assert target.execute(kept, ["c", ""]).fetchall() == []
    assert len(target.execute(kept, ["c", "other"]).fetchall()) == 4


def test_a_thousand_digests_or_so_are_kept(target: psycopg.Connection[Any]) -> None:
    query = "select pgq_ext.set_last_tick_digest('c', '', n, 'd') from generate_series(1, 1600) n"
    target.execute(query)
    found = target.execute(SQL["get_tick_digests"], ["c", ""]).fetchall()
    assert [tick for tick, _ in found] == list(range(1600, 600, -1))


def test_the_newest_tick_that_both_sides_share_is_found(conn: psycopg.Connection[Any]) -> None:
    ticks = _ticks(conn, 4)
    digests = [_digest(conn, "q", tick) for tick in ticks]
    shared = SQL["last_shared_tick"]
    assert conn.execute(shared, [ticks, digests, "q"]).fetchone() == (ticks[3],)
    conn.execute("update pgq.tick set tick_time = now() where tick_id = %s", [ticks[3]])
    conn.execute("delete from pgq.tick where tick_id = %s", [ticks[2]])
    assert conn.execute(shared, [ticks, digests, "q"]).fetchone() == (ticks[1],)
    assert conn.execute(shared, [ticks[2:], digests[2:], "q"]).fetchone() == (None,)
    assert conn.execute(shared, [[], [], "q"]).fetchone() == (None,)
    assert conn.execute(shared, [ticks, digests, "other"]).fetchone() == (None,)


@pytest.mark.parametrize("tick", [5, 6])
def test_a_client_that_knows_no_digests_leaves_none_behind(target: psycopg.Connection[Any], tick: int) -> None:
    target.execute(SQL["set_last_tick_digest"], ["c", "", 5, "five"])
    target.execute("select pgq_ext.set_last_tick('c', %s)", [tick])
    assert target.execute(SQL["get_last_tick_digest"], ["c", ""]).fetchone() == (tick, None)


def test_nor_does_one_that_writes_the_table_itself(target: psycopg.Connection[Any]) -> None:
    target.execute(SQL["set_last_tick_digest"], ["c", "", 5, "five"])
    target.execute("update pgq_ext.completed_tick set last_tick_id = 6")
    assert target.execute(SQL["get_last_tick_digest"], ["c", ""]).fetchone() == (6, None)


def test_the_statements_of_a_remote_consumer_work(target: psycopg.Connection[Any]) -> None:
    batch = ["c", "", 4]
    assert target.execute(SQL["is_batch_done"], batch).fetchone() == (False,)
    assert target.execute(SQL["set_batch_done"], batch).fetchone() == (True,)
    assert target.execute(SQL["set_batch_done"], batch).fetchone() == (False,)
    assert target.execute(SQL["is_batch_done"], batch).fetchone() == (True,)
    assert target.execute(SQL["set_last_tick"], ["c", "", 9]).fetchone() == (1,)
    assert target.execute(SQL["get_last_tick"], ["c", ""]).fetchone() == (9,)


def test_where_there_is_no_pgq_ext_no_digests_are_kept(conn: psycopg.Connection[Any]) -> None:
    assert conn.execute(SQL["keeps_digests"]).fetchone() == (False,)
