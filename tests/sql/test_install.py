"""Installing the SQL without a superuser's rights, and again over live data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.modules import InstallReport, install

ROLES = ["pgq_admin", "pgq_reader", "pgq_writer"]


def _install(dsn: str, *, again: bool = False) -> InstallReport:
    async def run() -> InstallReport:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            return await install(conn, "pgq", again=again)

    return asyncio.run(run())


def _state(dsn: str) -> dict[str, Any]:
    """Every row of every table and sequence of the schema, and everybody's rights."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        relations = (
            "select oid::regclass::text from pg_class where relnamespace = 'pgq'::regnamespace and relkind = any(%s)"
        )
        tables = [row[0] for row in conn.execute(relations, [["r", "S"]])]
        state: dict[str, Any] = {table: conn.execute(f"select * from {table}".encode()).fetchall() for table in tables}
        query = """
            select oid::regprocedure::text, proacl::text, prosrc from pg_proc where pronamespace = 'pgq'::regnamespace
            union all
            select oid::regclass::text, relacl::text, '' from pg_class where relnamespace = 'pgq'::regnamespace
            union all
            select 'pgq', nspacl::text, '' from pg_namespace where nspname = 'pgq'
            order by 1
        """
        state["rights"] = conn.execute(query).fetchall()
    return state


def _use(dsn: str) -> list[str]:
    """A queue through all its functions, each by the role it is for."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("set role pgq_admin")
        assert conn.execute("select pgq.create_queue('q')").fetchone() == (1,)
        conn.execute("update pgq.queue set queue_ticker_max_lag = '0', queue_ticker_idle_period = '0',"
                     " queue_rotation_period = '0', queue_per_tx_limit = 10")  # fmt: skip
        conn.execute("set role pgq_reader")
        assert conn.execute("select pgq.register_consumer('q', 'c')").fetchone() == (1,)
        seen: list[str] = []
        for number in range(4):
            conn.execute("set role pgq_writer")
            conn.execute("select pgq.insert_event('q', 't', %s)", [f"e{number}"])
            conn.execute("set role pgq_admin")
            conn.execute("select pgq.ticker()")
            conn.execute("select pgq.maint_rotate_tables_step1('q')")
            conn.execute("select pgq.maint_rotate_tables_step2()")
            conn.execute("set role pgq_reader")
            ((batch,),) = conn.execute("select pgq.next_batch('q', 'c')").fetchall()
            events = conn.execute("select ev_id, ev_data from pgq.get_batch_events(%s)", [batch]).fetchall()
            seen += [data for _, data in events]
            if number == 0:
                conn.execute("select pgq.event_retry(%s, %s, 0)", [batch, events[0][0]])
                conn.execute("set role pgq_admin")
                conn.execute("select pgq.maint_retry_events()")
                conn.execute("set role pgq_reader")
            conn.execute("select pgq.finish_batch(%s)", [batch])
        conn.execute("set role pgq_admin")
        assert conn.execute("select pgq.drop_queue('q', true)").fetchone() == (1,)
    return seen


@pytest.fixture
def fresh_cluster(private_cluster: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    """A cluster that has never seen the roles, with a database owned by the account "installer"."""
    cluster = private_cluster(request.param)
    cluster.start({"fsync": "off"})
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("create role installer login createrole")
        conn.execute("create role plain login")
        conn.execute("create database ours owner installer")
        conn.execute("create database plain owner plain")
    return cluster


# The rules for creating roles changed with PostgreSQL 16.
two_majors = pytest.mark.parametrize(
    "fresh_cluster", [pytest.param(m, marks=pytest.mark.matrix, id=f"pg{m}") for m in (15, 18)], indirect=True
)


@two_majors
def test_an_account_that_may_create_roles_installs_it_and_everything_works(fresh_cluster: Any) -> None:
    dsn = fresh_cluster.dsn("ours", "installer")
    with pytest.raises(Exception, match=r"(?i)role"):
        _install(fresh_cluster.dsn("plain", "plain"))
    with psycopg.connect(fresh_cluster.dsn("plain"), autocommit=True) as conn:
        assert conn.execute("select to_regnamespace('pgq')").fetchone() == (None,), "nothing is left of a failed one"

    assert _install(dsn).action == "installed"
    with psycopg.connect(dsn, autocommit=True) as conn:
        query = "select rolname::text, rolcanlogin, rolsuper from pg_roles where rolname ~ '^pgq' order by 1"
        assert conn.execute(query).fetchall() == [(role, False, False) for role in ROLES]
        query = "select pg_has_role('pgq_admin', r, 'member') from unnest(array['pgq_reader', 'pgq_writer']) r"
        assert conn.execute(query).fetchall() == [(True,), (True,)]
        query = "select distinct nspowner::regrole::text from pg_namespace where nspname = 'pgq'"
        assert conn.execute(query).fetchall() == [("installer",)]
        query = (
            "select count(*) from pg_proc where pronamespace = 'pgq'::regnamespace and proowner <> 'installer'::regrole"
        )
        assert conn.execute(query).fetchone() == (0,)
    with psycopg.connect(fresh_cluster.dsn("ours"), autocommit=True) as conn:
        conn.execute("alter role installer nocreaterole")
    assert sorted(_use(fresh_cluster.dsn("ours"))) == ["e0", "e0", "e1", "e2", "e3"]
    assert _install(dsn, again=True).action in ("installed", "upgraded", "current")

    assert _install(fresh_cluster.dsn("plain", "plain")).action == "installed", "the roles are there now"
    assert sorted(_use(fresh_cluster.dsn("plain"))) == ["e0", "e0", "e1", "e2", "e3"]


def test_installing_again_changes_nothing_of_a_database_in_use(
    each_pgq_database: str, drive_of: Callable[..., Any]
) -> None:
    queue = drive_of(each_pgq_database, 'a"b')
    for number in range(3):
        queue.insert(f"e{number}")
        queue.tick()
        assert queue.drain() == [f"e{number}"]
        queue.rotate()
    queue.insert("last")
    queue.tick_and_drain()
    queue.tick()
    batch = queue.next_batch()
    queue.step1()
    queue.insert("retried")
    queue.conn.execute(
        "select pgq.event_retry_raw(%s, 'c', now(), 500, now(), 1, 't', 'r', null, null, null, null)", [queue.name]
    )
    queue.conn.execute("grant select on pgq.event_template to pg_monitor")
    before = _state(each_pgq_database)
    _install(each_pgq_database, again=True)
    assert _state(each_pgq_database) == before
    assert queue.finish(batch) == 1
    queue.step2()
    assert queue.conn.execute("select pgq.maint_retry_events()").fetchone() == (1,)
    assert sorted(queue.tick_and_drain()) == ["r", "retried"]


def test_a_writer_may_be_at_work_while_it_is_installed_again(pgq_database: str, drive_of: Callable[..., Any]) -> None:
    queue = drive_of(pgq_database)
    writer = queue.sessions.open(autocommit=False)
    queue.insert("before", writer)
    _install(pgq_database, again=True)
    queue.insert("after", writer)
    writer.commit()
    assert queue.tick_and_drain() == ["before", "after"]


def test_an_older_installation_is_made_current(conn: psycopg.Connection[Any]) -> None:
    conn.execute("alter table pgq.subscription alter column sub_last_tick set not null")
    conn.execute("alter table pgq.queue drop column queue_extra_maint")
    assert conn.execute("select pgq.upgrade_schema(), pgq.upgrade_schema()").fetchone() == (0, 0)
    query = """
        select attname::text, attnotnull, format_type(atttypid, null)
        from pg_attribute
        where attrelid in ('pgq.queue'::regclass, 'pgq.subscription'::regclass)
            and attname in ('sub_last_tick', 'queue_extra_maint')
        order by 1
    """
    assert conn.execute(query).fetchall() == [
        ("queue_extra_maint", False, "text[]"),
        ("sub_last_tick", False, "bigint"),
    ]


def test_the_version_is_one_that_tickers_accept(conn: psycopg.Connection[Any]) -> None:
    ((version,),) = conn.execute("select pgq.version()").fetchall()
    assert version == "3.5.0"
    assert int(version[0]) >= 3


@pytest.fixture
def trapped(pgq_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A session of pgq_admin whose search_path begins with operators that tell on whose behalf they run."""
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("create schema trap")
        conn.execute("grant usage on schema trap to public")
        for operand in ("text", "integer", "bigint", "boolean"):
            conn.execute(
                f"create function trap.equal({operand}, {operand}) returns boolean language plpgsql as"
                " $$ begin raise exception 'trapped as %', current_user; end $$"
            )
            conn.execute(f"create operator trap.= (function = trap.equal, leftarg = {operand}, rightarg = {operand})")
        conn.execute("set role pgq_admin")
        conn.execute("set search_path = trap, pg_catalog")
        yield conn


def test_a_callers_operators_are_not_run_with_the_owners_rights(trapped: psycopg.Connection[Any]) -> None:
    trapped.execute("select pgq.create_queue('q'), pgq.register_consumer('q', 'c')")
    trapped.execute("select pgq.set_queue_config('q', 'ticker_max_lag', '0')")
    trapped.execute("select pgq.insert_event('q', 't', 'd', null, null, null, null), pgq.ticker()")
    trapped.execute("select * from pgq.next_batch_custom('q', 'c', null, null, null)")
    trapped.execute("select * from pgq.get_consumer_info('q', 'c')")
    trapped.execute("select pgq.unregister_consumer('q', 'c'), pgq.drop_queue('q', false)")


def test_without_their_own_search_path_they_would_be(trapped: psycopg.Connection[Any]) -> None:
    trapped.execute("select pgq.create_queue('q'), pgq.register_consumer('q', 'c')")
    trapped.execute("reset role")
    ((owner,),) = trapped.execute("select current_user").fetchall()
    trapped.execute("alter function pgq.get_consumer_info(text, text) reset search_path")
    trapped.execute("set role pgq_admin")
    with pytest.raises(psycopg.errors.RaiseException, match=f"trapped as {owner}"):
        trapped.execute("select * from pgq.get_consumer_info('q', 'c')")
