"""A transaction with an older snapshot never makes compiled capture believe in a key that was replaced meanwhile."""

from __future__ import annotations

import psycopg
import pytest

KEYS_SENT = "select ev_type from pgq.event_template order by ev_id desc limit 1"


@pytest.fixture
def compiled(pgq_database: str) -> str:
    """The DSN of a database with a table of key `id` whose trigger is compiled."""
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('q')")
        conn.execute("create table t (id int primary key, k int not null, v text)")
        conn.execute("insert into t values (1, 10, 'a')")
        conn.execute(
            "create trigger capture after insert or update or delete on t "
            "for each row execute function pgq.logutriga('q')"
        )
        conn.execute("select pgq.compile_capture('t', 'capture')")
    return pgq_database


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_key_that_was_replaced_is_never_sent(compiled: str, level: str) -> None:
    with psycopg.connect(compiled, autocommit=True) as ours, psycopg.connect(compiled, autocommit=True) as other:
        ours.execute("update t set v = 'b'")
        assert ours.execute(KEYS_SENT).fetchone() == ("U:id",)
        ours.execute(f"begin isolation level {level}")
        ours.execute("select 1 from pgq.queue")
        other.execute("alter table t drop constraint t_pkey, add primary key (k)")
        with pytest.raises(psycopg.errors.SerializationFailure):
            ours.execute("update t set v = 'c'")
        ours.execute("rollback")
        ours.execute("update t set v = 'd'")
        assert ours.execute(KEYS_SENT).fetchone() == ("U:k",)


def test_a_key_that_is_added_is_sent_afterwards(compiled: str) -> None:
    with psycopg.connect(compiled, autocommit=True) as ours, psycopg.connect(compiled, autocommit=True) as other:
        other.execute("alter table t drop constraint t_pkey")
        other.execute("select pgq.compile_capture('t', 'capture')")
        ours.execute("insert into t values (2, 20, 'a')")
        assert ours.execute(KEYS_SENT).fetchone() == ("I:",)
        ours.execute("begin isolation level repeatable read")
        ours.execute("select 1 from pgq.queue")
        other.execute("alter table t add primary key (k)")
        with ours.transaction(force_rollback=True):
            ours.execute("insert into t values (3, 30, 'a')")
        ours.execute("commit")
        ours.execute("insert into t values (4, 40, 'a')")
        assert ours.execute(KEYS_SENT).fetchone() == ("I:k",)
