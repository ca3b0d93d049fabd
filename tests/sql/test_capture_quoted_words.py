"""Double quotes in an argument's expression, as the original reads them."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

WORDS = [
    *['"Mixed"', '"back\\"', '"k"', '"nope"', 'k"x"', '"a b"', '"back\\" ', '"a\\b"', '1 + "Mixed"', 'k."Mixed"'],
    *['"Mixed', '"back\\', '""', '"\\"', "\"a\" || 'x'", '"back\\" || \'x"y\'', '"1"', '"Mixed" || "x"', '"" || k'],
]


def _answer(conn: psycopg.Connection, word: str) -> tuple[object, ...]:
    argument = sql.Literal(f"ev_extra4={word}")
    with conn.transaction(force_rollback=True):
        conn.execute(
            sql.SQL("create trigger tg before insert on t for each row execute function pgq.logutriga('q', {})").format(
                argument
            )
        )
        try:
            conn.execute("insert into t values ('m', 'n', 'b')")
        except psycopg.Error as error:
            return error.sqlstate, error.diag.message_primary
        row = conn.execute("select ev_extra4 from pgq.event_template order by ev_id desc limit 1").fetchone()
        assert row is not None
        return row


@pytest.mark.peer
def test_they_are_read_as_the_original_reads_them(original_database: str, pgq_database: str) -> None:
    with (
        psycopg.connect(original_database, autocommit=True) as original,
        psycopg.connect(pgq_database, autocommit=True) as ours,
    ):
        for conn in (original, ours):
            conn.execute("select pgq.create_queue('q')")
            conn.execute('create table t (k text primary key, "Mixed" text, "back\\" text)')
        for word in WORDS:
            assert _answer(ours, word) == _answer(original, word), word
