"""insert_event with static SQL for each queue: right in every state of a queue, while queues come and go, and kept."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from skyconsole.engine.postgres.modules import InstallReport, install

DUE = "select count(*) from pgq.maint_operations() where func_name = 'pgq.maint_insert_tree'"
GROUPS = """
    select coalesce(array_agg(substr(proname, 14)::int order by substr(proname, 14)::int), '{}')
    from pg_proc
    where pronamespace = 'pgq'::regnamespace and proname ~ '^insert_group_[0-9]+$'
"""
BROKEN = """
    create or replace function pgq.insert_event_checked(
        queue_name text, ev_id bigint, ev_time timestamptz, ev_owner integer, ev_retry integer,
        ev_type text, ev_data text, ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text)
    returns bigint
    language plpgsql
    as $$ begin raise exception 'not static'; end; $$
"""


def _value(conn: psycopg.Connection[Any], query: str, *args: Any) -> Any:
    row = conn.execute(query.encode(), args or None).fetchone()
    assert row is not None
    return row[0]


def _insert(conn: psycopg.Connection[Any], name: str, data: str = "d") -> int:
    return int(_value(conn, "select pgq.insert_event(%s, 't', %s)", name, data))


def _create(conn: psycopg.Connection[Any], *names: str) -> None:
    conn.execute("select pgq.create_queue(n) from unnest(%s::text[]) n", [list(names)])


def _install(dsn: str) -> InstallReport:
    async def run() -> InstallReport:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            return await install(conn, "pgq", again=True)

    return asyncio.run(run())


def _is_static(conn: psycopg.Connection[Any], name: str) -> bool:
    """Whether an insert into the queue gets by without the function that makes dynamic SQL."""
    with conn.transaction(force_rollback=True):
        conn.execute(BROKEN.encode())
        try:
            with conn.transaction():
                _insert(conn, name)
        except psycopg.errors.RaiseException as error:
            if error.diag.message_primary != "not static":
                raise
            return False
    return True


def test_every_event_lies_in_the_current_table_of_its_own_queue(each_pgq_database: str) -> None:
    names = [f"queue {n}" for n in range(35)]
    with psycopg.connect(each_pgq_database, autocommit=True) as conn:
        _create(conn, *names)
        for table in range(3):
            conn.execute("update pgq.queue set queue_cur_table = %s", [table])
            for name in names:
                assert _is_static(conn, name)
                _insert(conn, name, f"{name}, table {table}")
                raw = "select pgq.insert_event_raw(%s, null, null, null, 2, null, %s, 'a', 'b', 'c', 'd')"
                _value(conn, raw, name, f"{name}, table {table}, raw")
        where = "select tableoid::regclass::text, ev_data from pgq.event_template"
        expected = [
            (f"pgq.event_{_value(conn, 'select queue_id from pgq.queue where queue_name = %s', name)}_{table}", data)
            for name in names
            for table in range(3)
            for data in (f"{name}, table {table}", f"{name}, table {table}, raw")
        ]
        assert sorted(conn.execute(where).fetchall()) == sorted(expected)


def test_all_fields_arrive_and_the_id_is_the_one_returned(conn: psycopg.Connection[Any]) -> None:
    _create(conn, "q")
    fields = ["type", "data", "one", None, "", "four"]
    given = _value(conn, "select pgq.insert_event('q', %s, %s, %s, %s, %s, %s)", *fields)
    raw = _value(
        conn, "select pgq.insert_event_raw('q', null, '2001-02-03', 7, 8, %s, %s, %s, %s, %s, %s)", *reversed(fields)
    )
    own = _value(conn, "select pgq.insert_event_raw('q', 99, null, null, null, %s, %s, %s, %s, %s, %s)", *fields)
    assert (given, raw, own) == (1, 2, 99)
    assert _value(conn, "select last_value from pgq.event_1_id_seq") == 3, "one is taken for a given id too"
    query = """
        select ev_id, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4
        from pgq.event_1_0 order by ev_id
    """
    assert conn.execute(query).fetchall() == [
        (1, None, None, *fields),
        (2, 7, 8, *reversed(fields)),
        (99, None, None, *fields),
    ]
    times = "select ev_id, ev_time = '2001-02-03', abs(extract(epoch from now() - ev_time)) < 60 from pgq.event_1_0"
    assert sorted(conn.execute(times).fetchall()) == [(1, False, True), (2, True, False), (99, False, True)]


BY_HAND = [
    (
        "other tables",
        "create table public.mine_0 (like pgq.event_template including defaults);"
        "update pgq.queue set queue_data_pfx = 'public.mine'",
        "mine_0",
    ),
    (
        "another sequence",
        "create sequence public.mine; select setval('public.mine', 500);"
        "update pgq.queue set queue_event_seq = 'public.mine'",
        "pgq.event_1_0",
    ),
    (
        "a fourth table",
        "create table pgq.event_1_3 () inherits (pgq.event_1);"
        "update pgq.queue set queue_ntables = 4, queue_cur_table = 3",
        "pgq.event_1_3",
    ),
    ("a limit", "update pgq.queue set queue_per_tx_limit = 5", "pgq.event_1_0"),
    ("a limit that is none", "update pgq.queue set queue_per_tx_limit = -1", "pgq.event_1_0"),
    ("another name", "update pgq.queue set queue_name = 'new'", "pgq.event_1_0"),
]


@pytest.mark.parametrize(("change", "table"), [entry[1:] for entry in BY_HAND], ids=[entry[0] for entry in BY_HAND])
def test_a_queue_whose_row_was_changed_by_hand_gets_its_events_where_the_row_says(
    conn: psycopg.Connection[Any], change: str, table: str
) -> None:
    _create(conn, "q")
    assert _insert(conn, "q") == 1, "the session has the static SQL now"
    with conn.transaction():
        conn.execute(change.encode())
    name = _value(conn, "select queue_name from pgq.queue")
    given = _insert(conn, name, "after")
    row = conn.execute("select tableoid::regclass::text, ev_id from pgq.event_template where ev_data = 'after'")
    if table.startswith("mine"):
        row = conn.execute("select tableoid::regclass::text, ev_id from public.mine_0 where ev_data = 'after'")
    assert row.fetchall() == [(table, given)]
    assert given == (501 if "setval" in change else 2)


@pytest.mark.parametrize("impossible", [-1, 3, 48])
def test_an_impossible_table_number_does_not_lead_into_another_queue(
    conn: psycopg.Connection[Any], impossible: int
) -> None:
    _create(conn, *[f"q{n}" for n in range(20)])
    conn.execute("update pgq.queue set queue_cur_table = %s where queue_name = 'q5'", [impossible])
    with pytest.raises(psycopg.errors.UndefinedTable):
        _insert(conn, "q5")


@pytest.mark.parametrize("isolation", list(IsolationLevel))
def test_queues_created_together_or_alone_in_any_isolation_level_can_be_used_at_once(
    queue: Any, isolation: IsolationLevel
) -> None:
    conn = queue.sessions.open(isolation, autocommit=False)
    names = [f"queue {n}" for n in range(50)]
    for name in names:
        _create(conn, name)
        assert _insert(conn, name) == 1
    conn.commit()
    for name in names:
        assert _insert(queue.conn, name) == 2
        assert _insert(conn, name) == 3
    conn.commit()
    assert queue.conn.execute(DUE).fetchone() == (0,)
    assert all(_is_static(queue.conn, name) for name in names)


def test_who_creates_a_queue_does_not_wait_for_maintenance_of_the_tree_and_maintenance_adds_it(queue: Any) -> None:
    slow, quick = queue.sessions.open(autocommit=False), queue.sessions.open()
    _create(quick, *[f"queue {n}" for n in range(14)])
    quick.execute("set lock_timeout = '1s'")
    slow.execute("select pgq.maint_insert_tree()")
    _create(quick, "quick")
    assert _insert(quick, "quick") == 1
    assert not _is_static(quick, "quick")
    slow.rollback()
    assert quick.execute(DUE).fetchone() == (1,)
    assert _value(quick, "select pgq.maint_insert_tree()") == 0
    assert quick.execute(DUE).fetchone() == (0,)
    assert _is_static(quick, "quick")
    assert _insert(quick, "quick") > 1


def test_the_functions_of_queues_that_are_gone_are_removed_and_those_of_queues_to_come_are_not(queue: Any) -> None:
    conn, names = queue.conn, [f"queue {n}" for n in range(36)]
    _create(conn, *names)
    assert _value(conn, GROUPS) == [0, 1, 2]
    for name in names:
        conn.execute("select pgq.drop_queue(%s)", [name])
    early = queue.sessions.open(autocommit=False)
    assert conn.execute(DUE).fetchone() == (1,)
    conn.execute("select pgq.maint_insert_tree()")
    assert _value(conn, GROUPS) == [0, 2], "q is in the first, the last has ids to give"
    assert conn.execute(DUE).fetchone() == (0,)
    assert queue.insert("still") == 1
    with pytest.raises(psycopg.errors.InternalError, match="No such queue"):
        _insert(conn, names[20])
    early.rollback()
    _create(conn, *names)
    assert _value(conn, GROUPS) == [0, 2, 3, 4]
    assert all(_is_static(conn, name) for name in names)


def test_a_group_is_kept_while_a_queue_of_it_is_being_created(queue: Any) -> None:
    conn, creator = queue.conn, queue.sessions.open(autocommit=False)
    _create(conn, *[f"queue {n}" for n in range(15)])
    conn.execute("select pgq.drop_queue('queue 14')")
    assert _value(conn, GROUPS) == [0, 1]
    _create(creator, "in the second group")
    conn.execute("select setval('pgq.queue_queue_id_seq', 40)")
    conn.execute("select pgq.maint_insert_tree()")
    assert _value(conn, GROUPS) == [0, 1]
    creator.commit()
    conn.execute("select pgq.maint_insert_tree()")
    assert _value(conn, GROUPS) == [0, 1]
    assert _is_static(conn, "in the second group")


def test_queues_come_and_go_under_running_producers_without_an_error_of_theirs(queue: Any) -> None:
    """Producers of a queue that stays never fail; those of queues that go are told so."""
    seed = int(os.environ.get("SKYCONSOLE_SEED", random.randrange(2**32)))
    print(f"SKYCONSOLE_SEED={seed}")
    unexpected: list[BaseException] = []
    done = threading.Event()
    inserted = [0, 0]
    gone = (psycopg.errors.InternalError, psycopg.errors.UndefinedTable)

    def creator(number: int) -> None:
        pick = random.Random(seed + number)
        conn = queue.sessions.open()
        for turn in range(12):
            names = [f"{number} {turn} {n}" for n in range(pick.choice([1, 1, 2, 9]))]
            with conn.transaction():
                _create(conn, *names)
            for name in names:
                _insert(conn, name)
                if pick.random() < 0.8:
                    conn.execute("select pgq.drop_queue(%s)", [name])
            if turn % 4 == 3:
                conn.execute("select pgq.maint_insert_tree()")

    def steady(slot: int) -> None:
        conn = queue.sessions.open()
        while not done.is_set():
            queue.insert("steady", conn)
            inserted[slot] += 1

    def follower() -> None:
        conn, pick = queue.sessions.open(), random.Random(seed)
        while not done.is_set():
            names = [row[0] for row in conn.execute("select queue_name from pgq.queue where queue_name <> 'q'")]
            try:
                _insert(conn, pick.choice(names or ["none"]))
            except gone as error:
                if error.sqlstate != "42P01" and "No such queue" not in str(error):
                    raise

    def guarded(work: Callable[..., None], *arguments: int) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            unexpected.append(error)

    others = [threading.Thread(target=guarded, args=(steady, slot)) for slot in range(2)]
    others.append(threading.Thread(target=guarded, args=(follower,)))
    creators = [threading.Thread(target=guarded, args=(creator, number)) for number in range(3)]
    for thread in (*others, *creators):
        thread.start()
    for thread in creators:
        thread.join()
    done.set()
    for thread in others:
        thread.join()
    assert unexpected == []
    assert min(inserted) > 0
    assert len(queue.tick_and_drain()) == sum(inserted)
    queue.conn.execute("select pgq.maint_insert_tree()")
    assert queue.conn.execute(DUE).fetchone() == (0,)
    left = [row[0] for row in queue.conn.execute("select queue_name from pgq.queue")]
    assert all(_is_static(queue.conn, name) for name in left)


def test_a_producer_of_a_dropped_queue_is_told_that_there_is_none_although_its_session_knew_it(queue: Any) -> None:
    producer = queue.sessions.open()
    queue.insert("e", producer)
    queue.conn.execute("select pgq.drop_queue('q', true)")
    with pytest.raises(psycopg.errors.InternalError, match="No such queue"):
        queue.insert("e", producer)
    queue.conn.execute("select pgq.create_queue('q')")
    assert queue.insert("e", producer) == 1


def test_a_producer_that_waited_while_its_queue_was_dropped_is_told_that_its_table_does_not_exist(queue: Any) -> None:
    admin, producer = queue.sessions.open(autocommit=False), queue.sessions.open()
    queue.insert("the session has a plan", producer)
    admin.execute("select pgq.drop_queue('q', true)")
    waiting = queue.sessions.start(producer, "select pgq.insert_event('q', 't', 'd')")
    queue.sessions.wait_blocked(producer, queue.conn)
    admin.commit()
    with pytest.raises(psycopg.errors.UndefinedTable, match="event_1_0"):
        waiting.result(20)


def test_an_insert_event_of_somebody_else_is_not_replaced_by_the_next_queue(conn: psycopg.Connection[Any]) -> None:
    _create(conn, "q")
    conn.execute("""
        create or replace function pgq.insert_event(
            queue_name text, ev_type text, ev_data text,
            ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text)
        returns bigint language sql as $$ select 4711::bigint $$
    """)
    _create(conn, *[f"q{n}" for n in range(20)])
    assert _insert(conn, "q") == 4711
    assert conn.execute(DUE).fetchone() == (0,)


HOSTILE = """
    create schema hostile;
    grant usage on schema hostile to public;
    create function hostile.fail(integer, integer) returns boolean language plpgsql
        as 'begin raise exception ''taken in''; end';
    create function hostile.fail(text, text) returns boolean language plpgsql
        as 'begin raise exception ''taken in''; end';
    create function hostile.add(integer, integer) returns integer language plpgsql
        as 'begin raise exception ''taken in''; end';
    create function hostile.txid_current() returns bigint language plpgsql
        as 'begin raise exception ''taken in''; end';
    create function hostile.now() returns timestamptz language plpgsql
        as 'begin raise exception ''taken in''; end';
    create function hostile.nextval(regclass) returns bigint language plpgsql
        as 'begin raise exception ''taken in''; end';
    create operator hostile.< (leftarg = integer, rightarg = integer, function = hostile.fail);
    create operator hostile.>= (leftarg = integer, rightarg = integer, function = hostile.fail);
    create operator hostile.= (leftarg = integer, rightarg = integer, function = hostile.fail);
    create operator hostile.= (leftarg = text, rightarg = text, function = hostile.fail);
    create operator hostile.+ (leftarg = integer, rightarg = integer, function = hostile.add);
    create operator hostile.* (leftarg = integer, rightarg = integer, function = hostile.add);
    create table hostile.queue (queue_name text);
    create domain hostile.bigint as text;
    create domain hostile.integer as text;
    create domain hostile.timestamptz as text;
"""


@pytest.mark.parametrize("limit", [None, 100])
def test_operators_and_functions_of_others_are_not_found_whatever_the_callers_search_path(
    queue: Any, limit: int | None
) -> None:
    with queue.conn.transaction():
        queue.conn.execute(HOSTILE)
    queue.conn.execute("update pgq.queue set queue_per_tx_limit = %s", [limit])
    for role in ("pgq_writer", "pgq_admin"):
        conn = queue.sessions.open(role=role)
        conn.execute("set search_path = hostile, public, pg_catalog")
        assert queue.insert("safe", conn) > 0
    admin = "select pgq.insert_event_raw('q', null, null, null, null, 't', 'safe', null, null, null, null)"
    assert _value(conn, admin) > 0
    assert queue.tick_and_drain() == ["safe"] * 3


def test_an_admin_may_insert_raw_and_a_writer_may_not_call_the_functions_of_groups(queue: Any) -> None:
    call = "select pgq.insert_group_0(3, now(), null, null, 't', 'd', null, null, null, null)"
    admin, writer = queue.sessions.open(role="pgq_admin"), queue.sessions.open(role="pgq_writer")
    assert _value(admin, call) > 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute(call)


def test_version_1_0_is_upgraded_with_its_queues_events_and_running_producers(database: str) -> None:
    old = (Path(__file__).parent / "upgrade" / "pgq-1.0.0.sql").read_text("utf-8")
    with psycopg.connect(database, autocommit=True) as conn, psycopg.connect(database, autocommit=True) as producer:
        with conn.transaction():
            conn.execute(old.encode())
        _create(conn, *[f"queue {n}" for n in range(40)])
        conn.execute("select pgq.register_consumer('queue 33', 'c')")
        assert _insert(producer, "queue 33", "old") == 1
        assert _install(database).action == "upgraded"
        assert _insert(producer, "queue 33", "new") == 2
        assert conn.execute(DUE).fetchone() == (0,)
        assert all(_is_static(conn, f"queue {n}") for n in range(40))
        conn.execute("select pgq.force_tick('queue 33'), pgq.ticker('queue 33')")
        batch = _value(conn, "select pgq.next_batch('queue 33', 'c')")
        events = conn.execute("select ev_data from pgq.get_batch_events(%s)", [batch])
        assert events.fetchall() == [("old",), ("new",)]


def test_a_dump_with_queues_is_restored_and_goes_on(server: Any, queue: Any, pgq_database: str) -> None:
    bindir = server.cluster.binaries.bindir
    if not (bindir / "pg_dump").is_file() or not (bindir / "psql").is_file():
        pytest.skip("pg_dump and psql are not installed beside this server")
    _create(queue.conn, *[f"queue {n}" for n in range(20)])
    queue.insert("before")
    _insert(queue.conn, "queue 19", "before")
    dump = subprocess.run([bindir / "pg_dump", pgq_database], capture_output=True, check=True, text=True).stdout
    name = server.create_database()
    try:
        restored = subprocess.run(
            [bindir / "psql", "-qXv", "ON_ERROR_STOP=1", server.dsn(name)], input=dump, capture_output=True, text=True
        )
        assert restored.returncode == 0, restored.stderr
        with psycopg.connect(server.dsn(name), autocommit=True) as conn:
            assert conn.execute(DUE).fetchone() == (0,)
            assert _is_static(conn, "queue 19")
            assert _insert(conn, "queue 19") > 1
            _create(conn, *[f"more {n}" for n in range(20)])
            assert _insert(conn, "more 19") == 1
            assert _is_static(conn, "more 19")
    finally:
        server.drop_database(name)
