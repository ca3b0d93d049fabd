"""What readers, writers, admins and strangers may do (spec/pgq.md 2.3)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

READER = [
    "select pgq.register_consumer('q', 'new')",
    "select pgq.register_consumer_at('q', 'c', null)",
    "select pgq.unregister_consumer('q', 'nobody')",
    "select pgq.next_batch('q', 'c')",
    "select * from pgq.next_batch_info('q', 'c')",
    "select * from pgq.next_batch_custom('q', 'c', null, null, null)",
    "select count(*) from pgq.get_batch_events((select sub_batch from pgq.subscription))",
    "select count(*) from pgq.get_batch_cursor((select sub_batch from pgq.subscription), 'cur', 1)",
    "select pgq.batch_event_sql((select sub_batch from pgq.subscription))",
    "select pgq.batch_event_tables((select sub_batch from pgq.subscription))",
    "select pgq.batch_retry((select sub_batch from pgq.subscription), 0)",
    "select pgq.event_retry((select sub_batch from pgq.subscription), 2, 0)",
    "select pgq.get_batch_info((select sub_batch from pgq.subscription))",
    "select pgq.finish_batch((select sub_batch from pgq.subscription))",
    "select pgq.force_tick('q')",
    "select count(*) from pgq.event_1",
    "select count(*) from pgq.event_template",
]
WRITER = [
    "select pgq.insert_event('q', 't', 'd')",
    "select pgq.insert_event('q', 't', 'd', null, null, null, null)",
    "select pgq.current_event_table('q')",
]
ADMIN = [
    "select pgq.create_queue('new')",
    "select pgq.set_queue_config('q', 'ticker_max_count', '7')",
    "select pgq.grant_perms('q')",
    "select pgq.ticker()",
    "select pgq.ticker('q')",
    "select pgq.insert_event_raw('q', null, null, null, null, 't', 'd', null, null, null, null)",
    "select pgq.event_retry_raw('q', 'c', now(), null, now(), 1, 't', 'd', null, null, null, null)",
    "select pgq.maint_retry_events()",
    "select * from pgq.maint_operations()",
    "select pgq.maint_rotate_tables_step1('q')",
    "select pgq.maint_rotate_tables_step2()",
    "select pgq.maint_tables_to_vacuum()",
    "select pgq.seq_setval('pgq.event_1_id_seq', 1)",
    "select pgq.upgrade_schema()",
    "select pgq.drop_queue('q', true)",
    "select pgq.drop_queue('q')",
    "insert into pgq.event_1_0 (ev_time) values (now())",
    "truncate pgq.event_1_1",
    "update pgq.queue set queue_per_tx_limit = 5",
    "select count(*) from pgq.retry_queue",
]
EVERYBODY = [
    "select * from pgq.get_queue_info()",
    "select * from pgq.get_queue_info('q')",
    "select * from pgq.get_consumer_info()",
    "select * from pgq.get_consumer_info('q')",
    "select * from pgq.get_consumer_info('q', 'c')",
    "select pgq.version(), pgq.quote_fqname('x'), pgq.seq_getval('pgq.event_1_id_seq')",
    "select 1 from pgq.queue, pgq.consumer, pgq.tick, pgq.subscription",
]
BEYOND_ADMIN = {
    "select pgq.tune_storage('q')": "must be owner of table event_1_0",
    "delete from pgq.event_1_0": "permission denied for table event_1_0",
    "drop table pgq.event_1_0": "must be owner of table event_1_0",
}


def _ready(queue: Any) -> psycopg.Connection[Any]:
    """A transaction over a queue with a batch open, to be undone after each statement."""
    queue.insert("a")
    queue.insert("b")
    queue.tick()
    queue.next_batch()
    conn: psycopg.Connection[Any] = queue.sessions.open(autocommit=False)
    return conn


def _as(conn: psycopg.Connection[Any], role: str, statement: str) -> str | None:
    """The refusal, or None."""
    try:
        conn.execute(f"set local role {role}".encode())
        conn.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        return error.diag.message_primary
    except psycopg.errors.RaiseException:
        return None  # allowed to call it; the queue still has its consumer
    finally:
        conn.rollback()
    return None


def _refused(queue: Any, role: str, statements: list[str]) -> set[str]:
    conn = _ready(queue)
    refused = set()
    for statement in statements:
        if _as(conn, role, statement) is not None:
            refused.add(statement)
    return refused


@pytest.fixture
def nobody(queue: Any) -> Any:
    queue.conn.execute("create role nobody_at_all")
    yield "nobody_at_all"
    queue.conn.execute("drop role nobody_at_all")


def test_a_reader_may_consume_and_nothing_else(queue: Any) -> None:
    statements = [*READER, *WRITER, *ADMIN, *EVERYBODY, *BEYOND_ADMIN]
    assert _refused(queue, "pgq_reader", statements) == {*WRITER, *ADMIN, *BEYOND_ADMIN}


def test_a_writer_may_produce_and_nothing_else(queue: Any) -> None:
    statements = [*READER, *WRITER, *ADMIN, *EVERYBODY, *BEYOND_ADMIN]
    assert _refused(queue, "pgq_writer", statements) == {*READER, *ADMIN, *BEYOND_ADMIN}


def test_an_admin_may_do_all_but_what_needs_the_owner(queue: Any) -> None:
    statements = [*READER, *WRITER, *ADMIN, *EVERYBODY, *BEYOND_ADMIN]
    assert _refused(queue, "pgq_admin", statements) == set(BEYOND_ADMIN)


def test_a_stranger_may_look_at_queues_and_consumers_only(queue: Any, nobody: str) -> None:
    statements = [*READER, *WRITER, *ADMIN, *EVERYBODY, *BEYOND_ADMIN]
    assert _refused(queue, nobody, statements) == {*READER, *WRITER, *ADMIN, *BEYOND_ADMIN}


@pytest.mark.parametrize("statement", BEYOND_ADMIN)
def test_the_refusals_of_an_admin_name_the_table(queue: Any, statement: str) -> None:
    assert _as(_ready(queue), "pgq_admin", statement) == BEYOND_ADMIN[statement]


def test_an_admin_rotates_and_moves_retry_events_and_they_arrive(queue: Any) -> None:
    admin = queue.sessions.open(role="pgq_admin")
    queue.insert("e")
    queue.tick(admin)
    batch = queue.next_batch()
    admin.execute("select pgq.batch_retry(%s, 0)", [batch])
    queue.finish(batch)
    queue.tick_and_drain()
    assert queue.step1(admin)
    assert admin.execute("select pgq.maint_retry_events()").fetchone() == (1,)
    assert queue.tick_and_drain() == ["e"]


def test_a_queue_belongs_to_the_owner_of_the_functions_whoever_creates_it(queue: Any) -> None:
    queue.sessions.open(role="pgq_admin").execute("select pgq.create_queue('theirs')")
    query = """
        select distinct c.relowner = (select proowner from pg_proc where oid = 'pgq.create_queue'::regproc)
        from pg_class c
        where c.relnamespace = 'pgq'::regnamespace and c.relname ~ '^event_2'
    """
    assert queue.conn.execute(query).fetchall() == [(True,)]


def test_rights_given_on_the_template_are_given_to_the_tables_of_new_queues(queue: Any) -> None:
    queue.conn.execute("create role auditor")
    try:
        queue.conn.execute("grant select on pgq.event_template to auditor with grant option")
        queue.conn.execute("select pgq.create_queue('audited')")
        query = "select has_table_privilege('auditor', t, 'select with grant option') from unnest(%s::text[]) t"
        tables = ["pgq.event_2", "pgq.event_2_0", "pgq.event_2_2", "pgq.event_1_0"]
        assert [row[0] for row in queue.conn.execute(query, [tables])] == [True, True, True, False]
        queue.conn.execute("select pgq.grant_perms('q')")
        assert [row[0] for row in queue.conn.execute(query, [tables])] == [True] * 4
    finally:
        queue.conn.execute("drop owned by auditor")
        queue.conn.execute("drop role auditor")
