"""Queue and consumer names may be anything, through every function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

NAMES = [
    "[/x]",
    'a"b',
    "x.y",
    "Ünï",
    "🐘",
    "n" * 63,
    "n" * 200,
    "é" * 100,
    "",
    " ",
    "it's; drop table pgq.queue --",
    "%s %(x)s % {} $1 \\",
    "tab\tnew\nline\x01",
    "pgq.queue",
]
COMMANDS = [
    "select pgq.get_queue_info(%(name)s)",
    "select pgq.get_consumer_info(%(name)s)",
    "select pgq.get_consumer_info(%(name)s, %(name)s)",
    "select pgq.grant_perms(%(name)s)",
    "select pgq.tune_storage(%(name)s)",
    "select pgq.force_tick(%(name)s)",
    "select pgq.set_queue_config(%(name)s, 'ticker_max_count', '7')",
    "select pgq.set_queue_config(%(name)s, 'ticker_max_lag', '0')",
    "select pgq.current_event_table(%(name)s)",
    "select pgq.insert_event(%(name)s, 't', 'd', '1', '2', '3', '4')",
    "select pgq.insert_event_raw(%(name)s, null, null, null, null, 't', 'd', null, null, null, null)",
    "select batch_id from pgq.next_batch_info(%(name)s, %(name)s)",
    "select batch_id from pgq.next_batch_custom(%(name)s, %(name)s, null, 1, null)",
    "select pgq.event_retry_raw(%(name)s, %(name)s, now(), null, now(), 1, 't', 'd', null, null, null, null)",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_queue_and_a_consumer_of_any_name_work_through_every_function(
    pgq_database: str, drive_of: Callable[..., Any], name: str
) -> None:
    queue = drive_of(pgq_database, name, name)
    conn = queue.conn
    assert queue.insert("first") == 1
    queue.tick()
    for command in COMMANDS:
        rows = conn.execute(command, {"name": name}).fetchall()
        assert len(rows) == 1, command
        assert rows[0][0] is not None, command
    assert conn.execute("select queue_name from pgq.get_queue_info()").fetchall() == [(name,)]
    assert conn.execute("select queue_name, consumer_name from pgq.get_consumer_info()").fetchall() == [(name, name)]
    batch = queue.next_batch(name)
    assert conn.execute("select queue_name, consumer_name from pgq.get_batch_info(%s)", [batch]).fetchone() == (
        name,
        name,
    )
    assert queue.drain(name) == ["first"]
    assert conn.execute("select pgq.maint_retry_events()").fetchone() == (1,)
    assert queue.tick_and_drain(name) == ["d", "d", "d"]
    queue.tick_and_drain(name)
    operations = conn.execute("select * from pgq.maint_operations()").fetchall()
    assert operations == [("pgq.maint_rotate_tables_step1", name), ("pgq.maint_rotate_tables_step2", None)]
    assert queue.rotate()
    conn.execute("update pgq.queue set queue_external_ticker = true")
    assert conn.execute("select pgq.ticker(%s, 70, now(), 70)", [name]).fetchone() == (70,)
    assert queue.register(name, 70) == 0
    assert conn.execute("select pgq.unregister_consumer(%s, %s)", [name, name]).fetchone() == (1,)
    assert conn.execute("select pgq.drop_queue(%s)", [name]).fetchone() == (1,)
    query = "select count(*) from pg_class where relnamespace = 'pgq'::regnamespace and relname like 'event\\_1%'"
    assert conn.execute(query).fetchone() == (0,)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_messages_name_the_queue_as_it_is(pgq_database: str, drive_of: Callable[..., Any], name: str) -> None:
    queue = drive_of(pgq_database, name)
    queue.conn.execute("update pgq.queue set queue_per_tx_limit = 0")
    with pytest.raises(psycopg.errors.InternalError) as refusal:
        queue.insert("e")
    assert refusal.value.diag.message_primary == f"Queue '{name}' allows max 0 events from one TX"
    with pytest.raises(psycopg.errors.RaiseException) as unknown:
        queue.next_batch(name + "x")
    assert unknown.value.diag.message_primary == f"Not subscriber to queue: {name}/{name}x"


def test_queues_whose_names_differ_in_case_or_blanks_only_are_different(
    pgq_database: str, drive_of: Callable[..., Any]
) -> None:
    names = ["q", "Q", "q ", " q", "Ｑ"]
    queues = [drive_of(pgq_database, name) for name in names]
    for queue in queues:
        queue.insert(queue.name)
    assert [queue.tick_and_drain() for queue in queues] == [[name] for name in names]


@pytest.mark.parametrize("name", ["cur", 'odd "name"', "Ünï", "a.b", "select", " "])
def test_a_cursor_has_exactly_the_name_that_was_asked_for(queue: Any, name: str) -> None:
    for number in range(5):
        queue.insert(str(number))
    queue.tick()
    batch = queue.next_batch()
    with queue.conn.transaction():
        query = "select ev_data from pgq.get_batch_cursor(%s, %s, 2)"
        assert queue.conn.execute(query, [batch, name]).fetchall() == [("0",), ("1",)]
        rows = queue.conn.execute(f'fetch 10 from "{name.replace(chr(34), chr(34) * 2)}"'.encode()).fetchall()
        assert [row[5] for row in rows] == ["2", "3", "4"]
        assert len(rows[0]) == 10
