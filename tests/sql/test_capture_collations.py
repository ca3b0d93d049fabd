"""A column gets another collation, under which other values are equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest


@pytest.mark.parametrize("form", ["generic", "row", "statement"])
def test_a_change_that_a_new_collation_does_not_see_is_left_out(
    each_pgq_database: str, drive_of: Callable[[str], Any], form: str
) -> None:
    conn = drive_of(each_pgq_database).conn
    try:
        conn.execute("create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server is built without ICU")
    conn.execute("create table t (id integer primary key, a text, b text)")
    conn.execute("create trigger tg after insert or update on t for each row execute function pgq.sqltriga('q')")
    if form != "generic":
        conn.execute("select pgq.compile_capture('t', 'tg', %s)", [form])
    conn.execute("insert into t values (1, 'a', 'b')")
    conn.execute("update t set a = 'A'")
    conn.execute("alter table t alter a type text collate loose")
    conn.execute("update t set a = 'a', b = 'c'")
    assert conn.execute("select ev_data from pgq.event_template order by ev_id offset 1").fetchall() == [
        ("a='A' where id='1'",),
        ("b='c' where id='1'",),
    ]
