"""Our pgq_ext over the tables of older releases: completed, with every mark kept (spec/pgq-ext.md 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.modules import InstallReport, install, module_named

TABLES = {
    "completed_tick": ["last_tick_id"],
    "completed_batch": ["last_batch_id"],
    "completed_event": ["batch_id", "event_id"],
    "partial_batch": ["cur_batch_id"],
}
LATER = {"completed_event": ["batch_id", "event_id"]}
SHAPES = """
    select format('%s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, null), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid))
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = 'pgq_ext'::regnamespace and c.relkind = 'r'
    union all
    select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    from pg_constraint
    where connamespace = 'pgq_ext'::regnamespace and contype = 'p'
    order by 1
"""


def _make_old_tables(conn: psycopg.Connection[Any], release: int) -> None:
    """The four tables without subconsumers (release 2), or with them but without defaults (3); a row in each."""
    conn.execute("create schema pgq_ext")
    names = ["consumer_id", "subconsumer_id"] if release == 3 else ["consumer_id"]
    for table, columns in TABLES.items():
        parts = [f"{name} text not null" for name in names] + [f"{column} bigint not null" for column in columns]
        key = ", ".join([*names, *LATER.get(table, [])])
        conn.execute(f"create table pgq_ext.{table} ({', '.join(parts)}, primary key ({key}))")
        values = ", ".join([*("'c'" if name == "consumer_id" else "''" for name in names), *("7" for _ in columns)])
        conn.execute(f"insert into pgq_ext.{table} values ({values})")


def _run_files(conn: psycopg.Connection[Any]) -> None:
    module = module_named("pgq_ext")
    with conn.transaction():
        for name in module.files:
            conn.execute(files("skyconsole.sql").joinpath("pgq_ext", name).read_bytes(), prepare=False)


async def _install(dsn: str) -> InstallReport:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        return await install(conn, "pgq_ext")


@pytest.fixture
def empty(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.mark.parametrize("release", [2, 3])
def test_older_tables_become_ours_and_keep_their_marks(
    server: Any, empty: psycopg.Connection[Any], release: int
) -> None:
    _make_old_tables(empty, release)
    _run_files(empty)
    name = server.create_database(server.template_of("pgq_ext"))
    with psycopg.connect(server.dsn(name), autocommit=True) as fresh:
        assert empty.execute(SHAPES).fetchall() == fresh.execute(SHAPES).fetchall()
    server.drop_database(name)
    query = """
        select pgq_ext.get_last_tick('c'), pgq_ext.is_batch_done('c', 7), pgq_ext.is_event_done('c', 7, 7),
            (select cur_batch_id from pgq_ext.partial_batch where consumer_id = 'c' and subconsumer_id = '')
    """
    assert empty.execute(query).fetchone() == (7, True, True, 7)
    assert empty.execute("select pgq_ext.set_last_tick('c', 's', 8), pgq_ext.get_last_tick('c')").fetchone() == (1, 7)


@pytest.mark.parametrize(("release", "changes"), [(2, 8), (3, 4)])
def test_the_upgrade_tells_how_many_changes_it_made_and_then_none(
    empty: psycopg.Connection[Any], release: int, changes: int
) -> None:
    _run_files(empty)
    for table in TABLES:
        empty.execute(f"drop table pgq_ext.{table}")
    empty.execute("alter schema pgq_ext rename to ours")
    _make_old_tables(empty, release)
    empty.execute("alter function ours.upgrade_schema() set schema pgq_ext")
    assert empty.execute("select pgq_ext.upgrade_schema()").fetchone() == (changes,)
    assert empty.execute("select pgq_ext.upgrade_schema()").fetchone() == (0,)


def test_the_files_run_again_over_live_data(empty: psycopg.Connection[Any]) -> None:
    _run_files(empty)
    empty.execute("select pgq_ext.set_last_tick_digest('c', '', 5, 'five')")
    _run_files(empty)
    assert empty.execute("select * from pgq_ext.get_last_tick_digest('c', '')").fetchone() == (5, "five")


def test_it_is_installed_without_pgq(database: str, empty: psycopg.Connection[Any]) -> None:
    report = asyncio.run(_install(database))
    assert (report.action, report.required) == ("installed", ())
    assert empty.execute("select to_regnamespace('pgq')").fetchone() == (None,)
    assert asyncio.run(_install(database)).action == "current"


def test_what_other_scripts_made_is_left_alone(database: str, empty: psycopg.Connection[Any]) -> None:
    _make_old_tables(empty, 2)
    assert asyncio.run(_install(database)).action == "foreign"
    assert empty.execute("select to_regproc('pgq_ext.set_last_tick')").fetchone() == (None,)


def test_the_role_of_writers_is_made_where_it_is_missing(private_cluster: Any) -> None:
    cluster = private_cluster()
    cluster.start({"fsync": "off"})
    with psycopg.connect(cluster.dsn("postgres"), autocommit=True) as conn:
        assert conn.execute("select 1 from pg_roles where rolname = 'pgq_writer'").fetchone() is None
        _run_files(conn)
        conn.execute("set role pgq_writer")
        assert conn.execute("select pgq_ext.set_last_tick('c', 5)").fetchone() == (1,)
