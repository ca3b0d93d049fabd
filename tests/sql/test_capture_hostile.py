"""Nobody gets the rights of pgq's owner through the functions of compiled capture triggers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

Conn = psycopg.Connection[Any]

# Whatever of it runs says as whom.
HOSTILE = """
create schema evil authorization stranger;
set role stranger;
set search_path = evil;
create table proof (ran_as pg_catalog.name, what pg_catalog.text);
create function note(pg_catalog.text) returns boolean language plpgsql
    as 'begin insert into evil.proof values (current_user, $1); return true; end';
create function same(pg_catalog.text, pg_catalog.text) returns boolean language plpgsql
    as 'begin perform evil.note(''=''); return $1 operator(pg_catalog.=) $2; end';
create function other(pg_catalog.text, pg_catalog.text) returns boolean language plpgsql
    as 'begin perform evil.note(''<>''); return $1 operator(pg_catalog.<>) $2; end';
create function joined(pg_catalog.text, pg_catalog.text) returns pg_catalog.text language plpgsql
    as 'begin perform evil.note(''||''); return $1 operator(pg_catalog.||) $2; end';
create operator = (leftarg = pg_catalog.text, rightarg = pg_catalog.text, function = same);
create operator <> (leftarg = pg_catalog.text, rightarg = pg_catalog.text, function = other);
create operator ~ (leftarg = pg_catalog.text, rightarg = pg_catalog.text, function = same);
create operator || (leftarg = pg_catalog.text, rightarg = pg_catalog.text, function = joined);
create temporary table makes_the_schema ();
create domain pg_temp.text as pg_catalog.text check (evil.note(value));
create domain pg_temp.oid as pg_catalog.oid check (evil.note('oid'));
set search_path = evil, pg_catalog;
"""

TABLE = """
drop table if exists public.t;
create table public.t (id integer, k varchar, other_style integer, b pg_catalog.text, data pg_catalog.text, c numeric,
    tg_op pg_catalog.text,
    primary key (id, k));
grant all on public.t to stranger;
insert into public.t select i, 'k', i, 'text', 'data', i, 'op' from pg_catalog.generate_series(1, 4) i;
"""


@pytest.fixture
def hostile(pgq_database: str) -> Iterator[Conn]:
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("create role stranger")
        try:
            conn.execute("select pgq.create_queue('q')")
            yield conn
        finally:
            conn.execute("reset role")
            conn.execute("drop owned by stranger cascade")
            conn.execute("drop role stranger")


@pytest.mark.parametrize("form", ["row", "statement"])
def test_names_in_generated_code_are_not_looked_up_where_a_stranger_puts_his_own(hostile: Conn, form: str) -> None:
    hostile.execute(HOSTILE.encode())
    events = 0
    for kind in ("logutriga", "sqltriga", "jsontriga"):
        hostile.execute("reset role")
        hostile.execute(TABLE.encode())
        hostile.execute(
            "create trigger tg after insert or update or delete on public.t for each row"
            f" execute function pgq.{kind}('q', 'ignore=b', 'backup')".encode()
        )
        hostile.execute("select pgq.compile_capture('public.t', 'tg', %s)", [form])
        for state in ("current", "stale"):
            hostile.execute("set role stranger")
            hostile.execute("insert into public.t values (10, 'k', 1, 'b', 'd', 2, 'o')")
            hostile.execute("update public.t set c = c operator(pg_catalog.+) 1")
            hostile.execute(f"update public.t set b = '{state}'".encode())
            hostile.execute("delete from public.t where id operator(pg_catalog.=) 10")
            events += 1 + 5 + 1
            hostile.execute("reset role")
            assert hostile.execute("select count(*) from pgq.event_1").fetchone() == (events,)
            assert hostile.execute("select distinct * from evil.proof where ran_as <> 'stranger'").fetchall() == []
            hostile.execute("alter table public.t add column if not exists more integer")


def test_a_stranger_makes_no_triggers_of_functions_with_the_owners_rights(conn: Conn) -> None:
    found = conn.execute("""
        select p.proname
        from pg_proc p
        where p.pronamespace = 'pgq'::regnamespace
            and p.prosecdef
            and p.prorettype = 'trigger'::regtype
            and has_function_privilege('public', p.oid, 'execute')
    """).fetchall()
    assert found == []
