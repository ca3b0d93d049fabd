"""What a maintenance driver is told to do (spec/pgq.md 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.modules import install


def _operations(conn: psycopg.Connection[Any]) -> list[tuple[str, str | None]]:
    return conn.execute("select * from pgq.maint_operations()").fetchall()


def test_rotations_come_first_by_name_then_the_second_step_once(queue: Any) -> None:
    for name in ("zz", "aa", "later"):
        queue.conn.execute("select pgq.create_queue(%s)", [name])
    queue.conn.execute("update pgq.queue set queue_rotation_period = '0' where queue_name in ('zz', 'aa')")
    assert _operations(queue.conn) == [
        ("pgq.maint_rotate_tables_step1", "aa"),
        ("pgq.maint_rotate_tables_step1", "q"),
        ("pgq.maint_rotate_tables_step1", "zz"),
        ("pgq.maint_rotate_tables_step2", None),
    ]


def test_a_half_done_rotation_asks_for_its_second_step(queue: Any) -> None:
    queue.catch_up()
    assert queue.step1()
    assert _operations(queue.conn) == [("pgq.maint_rotate_tables_step2", None)]
    queue.step2()
    queue.conn.execute("select pgq.set_queue_config('q', 'rotation_period', '1 day')")
    assert _operations(queue.conn) == []


def test_extra_maintenance_is_listed_by_queue_with_its_null_elements(queue: Any) -> None:
    queue.conn.execute("select pgq.set_queue_config('q', 'rotation_period', '1 day')")
    queue.conn.execute("select pgq.create_queue('a')")
    queue.conn.execute("update pgq.queue set queue_extra_maint = array['one', null, 'two'] where queue_name = 'q'")
    queue.conn.execute("update pgq.queue set queue_extra_maint = array['zero'] where queue_name = 'a'")
    assert _operations(queue.conn) == [("zero", "a"), ("one", "q"), (None, "q"), ("two", "q")]


def test_cascade_and_replication_are_looked_after_where_they_are_installed(queue: Any) -> None:
    queue.conn.execute("select pgq.set_queue_config('q', 'rotation_period', '1 day')")
    queue.conn.execute("""
        create schema pgq_node;
        create schema londiste;
        create table pgq_node.node_info (queue_name text, node_type text);
        create table londiste.seq_info (nr serial, queue_name text, local boolean);
        insert into pgq_node.node_info values ('root2', 'root'), ('branch', 'branch'), ('root1', 'root');
        insert into londiste.seq_info (queue_name, local)
        values ('root1', true), ('root1', true), ('root2', false), ('branch', true), ('alone', true);
    """)
    assert _operations(queue.conn) == []
    queue.conn.execute("create function pgq_node.maint_watermark(text) returns int language sql as 'select 0'")
    root = [("pgq_node.maint_watermark", "root1"), ("pgq_node.maint_watermark", "root2")]
    assert _operations(queue.conn) == root
    queue.conn.execute("""
        create function londiste.root_check_seqs(text) returns int language sql as 'select 0';
        create function londiste.root_check_seqs(text, int) returns int language sql as 'select 0';
        create function londiste.periodic_maintenance() returns int language sql as 'select 0';
    """)
    assert _operations(queue.conn) == [
        *root,
        ("londiste.root_check_seqs", "root1"),
        ("londiste.periodic_maintenance", None),
    ]


def test_a_driver_that_does_what_it_is_told_keeps_every_table_small_and_loses_nothing(queue: Any) -> None:
    seen: list[str] = []
    for number in range(12):
        queue.insert(str(number))
        seen += queue.tick_and_drain()
        for name, argument in _operations(queue.conn):
            arguments = "" if argument is None else "%s"
            queue.conn.execute(f"select {name}({arguments})", None if argument is None else [argument])
    assert seen == [str(number) for number in range(12)]
    assert queue.conn.execute("select count(*) from pgq.event_1").fetchone()[0] <= 6


def test_tables_are_to_be_vacuumed_by_hand_only_where_autovacuum_is_off(private_cluster: Callable[..., Any]) -> None:
    cluster = private_cluster()
    cluster.start({"fsync": "off", "autovacuum": "off"})

    async def run() -> None:
        async with await psycopg.AsyncConnection.connect(cluster.dsn(), autocommit=True) as conn:
            assert (await install(conn, "pgq")).action == "installed"

    asyncio.run(run())
    own = ["pgq.subscription", "pgq.consumer", "pgq.queue", "pgq.tick", "pgq.retry_queue"]
    added = ["pgq.delayed_event", "pgq.event_key", "pgq.dead_letter"]
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        assert [row[0] for row in conn.execute("select pgq.maint_tables_to_vacuum()")] == [*own, *added]
        conn.execute("create schema pgq_ext create table completed_event (n int) create table completed_tick (n int)")
        tables = [*own, "pgq_ext.completed_tick", "pgq_ext.completed_event", *added]
        assert [row[0] for row in conn.execute("select pgq.maint_tables_to_vacuum()")] == tables
        assert _operations(conn) == [("vacuum", table) for table in tables]


@pytest.mark.parametrize(("paused", "external"), [(True, False), (False, True), (False, False)])
def test_forcing_a_tick_moves_the_sequence_unless_ticks_come_from_elsewhere(
    queue: Any, paused: bool, external: bool
) -> None:
    queue.conn.execute("update pgq.queue set queue_ticker_paused = %s, queue_external_ticker = %s", [paused, external])
    assert queue.conn.execute("select pgq.force_tick('q'), pgq.force_tick('q')").fetchone() == (1, 1)
    expected = 1 if paused or external else 4002
    assert queue.conn.execute("select last_value from pgq.event_1_id_seq").fetchone() == (expected,)
