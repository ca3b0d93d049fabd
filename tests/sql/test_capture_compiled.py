"""Compiled capture makes the events of the generic triggers, and notices what changes under it (spec/pgq.md 8, 9)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

FORMS = ["row", "statement"]
KINDS = ["logutriga", "sqltriga", "jsontriga"]
Conn = psycopg.Connection[Any]
Events = list[tuple[Any, ...]]

TABLE = """
create table t (id integer primary key, a integer, b text, c numeric, d timestamptz, e boolean);
insert into t select i, i, 'text ' || i, i / 4.0, '2026-01-02 03:04:05+00', i % 2 = 0 from generate_series(1, 5) i;
"""


@dataclass(slots=True)
class Twins:
    """Two tables with the same contents, one with the generic trigger, the other with a compiled one."""

    conn: Conn
    form: str

    names = ("generic", "compiled")  # of the schemas, and of the queues

    def make(self, ddl: str, arguments: str = "", *, kind: str = "logutriga", timing: str = "after") -> None:
        """The table `t` in both schemas, each with a trigger `tg` that writes to a queue of its own."""
        for schema in self.names:
            self.conn.execute(f"drop schema if exists {schema} cascade".encode())
            self.conn.execute(f"create schema {schema}".encode())
            self.conn.execute("select pgq.create_queue(%s)", [schema])
            self.conn.execute(f"set search_path = {schema}".encode())
            self.conn.execute(ddl.encode())
            self.conn.execute(
                f"create trigger tg {timing} insert or update or delete on t for each row"
                f" execute function pgq.{kind}('{schema}'{arguments})".encode()
            )
        # The events of the test before are still there.
        for schema in self.names:
            self.conn.execute(
                f"truncate {self.prefix(schema)}_0, {self.prefix(schema)}_1, {self.prefix(schema)}_2".encode()
            )
        assert self.compile() == self.form

    def compile(self, form: str | None = None) -> str:
        row = self.conn.execute(
            "select pgq.compile_capture(%s::regclass, 'tg', %s)", [f"{self.names[1]}.t", form or self.form]
        ).fetchone()
        assert row is not None
        return str(row[0])

    def change(self, ddl: str, conn: Conn | None = None) -> None:
        """Change both tables; SCHEMA stands for the name of the schema and its queue."""
        for schema in self.names:
            (conn or self.conn).execute(f"set search_path = {schema}".encode())
            (conn or self.conn).execute(ddl.replace("SCHEMA", schema).encode())

    def both(self, statement: str, conn: Conn | None = None) -> None:
        """Run a statement on both tables; the same error on both is fine."""
        said = []
        for schema in self.names:
            (conn or self.conn).execute(f"set search_path = {schema}".encode())
            try:
                said.append((conn or self.conn).execute(statement.encode()).statusmessage)
            except psycopg.Error as error:
                said.append(f"{error.sqlstate} {(error.diag.message_primary or '').replace(schema, 'SCHEMA')}")
        assert said[0] == said[1], statement

    def prefix(self, queue: str) -> str:
        """The name of the parent of a queue's event tables."""
        row = self.conn.execute("select queue_data_pfx from pgq.queue where queue_name = %s", [queue]).fetchone()
        assert row is not None
        return str(row[0])

    def events(self, queue: str) -> Events:
        found = self.conn.execute(
            f"select ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4"
            f" from {self.prefix(queue)} order by ev_id".encode()
        )
        return [tuple(field and field.replace(queue, "SCHEMA") for field in row) for row in found]

    def same(self, least: int = 1) -> Events:
        """The events of both, which are equal."""
        generic, compiled = map(self.events, self.names)
        assert compiled == generic
        assert len(generic) >= least
        return compiled

    def state(self) -> str:
        """Form and state of the compiled trigger."""
        row = self.conn.execute(
            "select form, state from pgq.get_capture_info(%s::regclass)", [f"{self.names[1]}.t"]
        ).fetchone()
        assert row is not None
        return f"{row[0]} {row[1]}"


@pytest.fixture(scope="module")
def dsn(server: Any) -> Iterator[str]:
    """One database for the tests here; to make a queue for each would take most of the time."""
    name = server.create_database(server.template_of("pgq"))
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture(params=FORMS)
def twins(dsn: str, request: pytest.FixtureRequest) -> Iterator[Twins]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set client_min_messages = error")
        yield Twins(connection, request.param)


@pytest.fixture(params=FORMS)
def each_twins(each_pgq_database: str, request: pytest.FixtureRequest) -> Iterator[Twins]:
    with psycopg.connect(each_pgq_database, autocommit=True) as connection:
        yield Twins(connection, request.param)


WORK = [
    "insert into t (id, a, b) values (10, 1, 'õ & ü'), (11, null, ''), (12, 3, null)",
    "update t set a = a + 1",
    "update t set b = 'x y:z+' where id > 3",
    "update t set a = a",
    "update t set id = id + 100 where id = 2",
    "update t set id = -id",
    "delete from t where id in (1, 11)",
    "update t set b = b where false",
    "insert into t (id, a) values (3, 7), (50, 8) on conflict (id) do update set a = excluded.a",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arguments", ["", ", 'backup'", ", 'ignore=a'", ", 'ignore=a', 'backup', 'pkey=id,b'"])
def test_a_compiled_trigger_makes_the_events_of_the_generic_one(twins: Twins, kind: str, arguments: str) -> None:
    twins.make(TABLE, arguments, kind=kind)
    for statement in WORK:
        twins.both(statement)
    twins.same(least=5)
    assert twins.state() == f"{twins.form} current"


@pytest.mark.thorough
def test_it_does_on_every_version(each_twins: Twins) -> None:
    each_twins.make(TABLE)
    for statement in WORK:
        each_twins.both(statement)
    each_twins.change("alter table t add column more text default 'm'")
    each_twins.both("update t set a = 0")
    assert "more=m" in each_twins.same(least=5)[-1][1]


# What is done to the table after the trigger was compiled, and after a session has its plans; each with what follows.
CHANGES = {
    "column added": "alter table t add column more integer default 5",
    "column dropped": "alter table t drop column b",
    "column renamed": "alter table t rename column b to other",
    "column renamed to another's former name": "alter table t rename b to x; alter table t rename a to b",
    "column dropped and added": "alter table t drop column b; alter table t add column b text default 'new'",
    "type changed without a rewrite": "alter table t alter column b type varchar",
    "type changed with a rewrite": "alter table t alter column a type bigint",
    "type changed to one that is encoded otherwise": "alter table t alter column c type text using 'a/b=' || c",
    "type changed to boolean": "alter table t alter column a type boolean using a > 2",
    "key dropped": "alter table t drop constraint t_pkey",
    "key of another column": "alter table t drop constraint t_pkey; alter table t add primary key (a)",
    "key of two columns": "alter table t drop constraint t_pkey; alter table t add primary key (id, a)",
    "table renamed": "alter table t rename to t2; create view t as select * from t2",
    "generated column": "alter table t add column g integer generated always as (a * 2) stored",
    "not null": "alter table t alter column a set not null",
    "collation": 'alter table t alter column b type text collate "C"',
    "table rewritten": "alter table t set unlogged",
    "trigger again with other arguments": "drop trigger tg on t;"
    " create trigger tg after insert or update or delete on t for each row"
    " execute function pgq.sqltriga('SCHEMA', 'backup')",
}
AFTER = [
    "update t set a = 1 where id = 4",
    "insert into t (id, a) values (20, 20)",
    "update t set c = 3",
    "delete from t where id = 5",
]


def _follow(twins: Twins, conn: Conn | None = None) -> None:
    for statement in AFTER:
        twins.both(statement, conn)


def _needs_compiling(twins: Twins, change: str) -> bool:
    """By statement, a changed key is refused until the triggers are made again: the condition is the old one."""
    return twins.form == "statement" and change.startswith(("key of", "key dropped"))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.thorough
def test_a_changed_table_is_captured_as_it_is_now(twins: Twins, change: str) -> None:
    twins.make(TABLE)
    twins.both("update t set a = a + 1")
    with psycopg.connect(twins.conn.info.dsn, autocommit=True) as other:
        # This session has the plans of the former table.
        twins.both("update t set a = a + 1", other)
        twins.change(CHANGES[change])
        if _needs_compiling(twins, change):
            twins.conn.execute("select pgq.maint_refresh_captures()")
        _follow(twins, other)
        _follow(twins)
        twins.same(least=9)
        twins.conn.execute("select pgq.maint_refresh_captures()")
        if change != "table renamed":
            assert "stale" not in twins.state()
        _follow(twins, other)
        _follow(twins)
        twins.same(least=9)


@pytest.mark.parametrize("change", [name for name in CHANGES if not name.startswith(("table re", "key"))])
@pytest.mark.thorough
def test_a_change_in_the_same_transaction_is_noticed_and_its_rollback_too(twins: Twins, change: str) -> None:
    twins.make(TABLE)
    twins.both("update t set a = a + 1")
    with twins.conn.transaction(force_rollback=True):
        twins.change(CHANGES[change])
        twins.both("update t set c = 7")
        twins.same(least=5)
    twins.both("update t set a = a + 1")
    twins.same(least=5)
    assert twins.state() == f"{twins.form} current"


def test_rotation_and_the_queue_s_settings_are_followed_by_sessions_that_have_plans(twins: Twins) -> None:
    twins.make(TABLE)
    generic, compiled = twins.names
    with psycopg.connect(twins.conn.info.dsn, autocommit=True) as other:
        twins.both("update t set a = 1", other)
        table = "update pgq.queue set queue_cur_table = 2 where queue_name in (%s, %s)"
        twins.conn.execute(table, [generic, compiled])
        twins.both("update t set a = 2", other)
        written = twins.conn.execute(f"select count(*) from {twins.prefix(compiled)}_2".encode()).fetchone()
        assert written == (5,)
        for setting in (
            "queue_disable_insert = true",
            "queue_disable_insert = false, queue_per_tx_limit = 3",
            "queue_per_tx_limit = null, queue_ntables = 2, queue_cur_table = 1",
            "queue_ticker_max_count = 7",
        ):
            statement = f"update pgq.queue set {setting} where queue_name in (%s, %s)"
            twins.conn.execute(statement.encode(), [generic, compiled])
            twins.both("update t set a = 3 where id = 1", other)
            twins.both("update t set a = 4", other)
    twins.same(least=17)
    for queue in twins.names:
        twins.conn.execute("update pgq.queue set queue_ntables = 3, queue_cur_table = 0 where queue_name = %s", [queue])


def test_a_dropped_queue_and_one_of_the_same_name_after_it(twins: Twins) -> None:
    twins.make(TABLE)
    with psycopg.connect(twins.conn.info.dsn, autocommit=True) as other:
        twins.both("update t set a = 1", other)
        for queue in twins.names:
            twins.conn.execute("select pgq.drop_queue(%s)", [queue])
        twins.both("update t set a = 2", other)
        for queue in twins.names:
            twins.conn.execute("select pgq.create_queue(%s)", [queue])
        twins.both("update t set a = 3", other)
        assert len(twins.same()) == 5
        assert twins.state().endswith(" stale")
        twins.conn.execute("select pgq.maint_refresh_captures()")
        assert twins.state() == f"{twins.form} current"
        twins.both("update t set a = 4", other)
        assert len(twins.same()) == 10


def test_sessions_in_the_roles_local_and_replica(twins: Twins) -> None:
    twins.make(TABLE)
    twins.both("update t set a = 1")
    for role in ("local", "origin", "replica", "origin"):
        twins.conn.execute(f"set session_replication_role = {role}".encode())
        twins.both("update t set a = a + 1")
    assert len(twins.same()) == 15
    for schema in twins.names:
        twins.conn.execute(f"alter table {schema}.t enable always trigger tg".encode())
    twins.compile()
    twins.conn.execute("set session_replication_role = replica")
    twins.both("update t set a = a + 1")
    assert len(twins.same()) == 20


def test_a_transaction_that_does_not_see_the_change_of_the_table_is_told_to_try_again(twins: Twins) -> None:
    twins.make(TABLE)
    with psycopg.connect(twins.conn.info.dsn, autocommit=True) as other:
        other.execute(f"set search_path = {twins.names[1]}".encode())
        other.execute("update t set a = a + 1")
        other.execute("begin isolation level repeatable read")
        other.execute("select 1 from pg_class limit 1")
        twins.change("alter table t add column more integer")
        with pytest.raises(psycopg.errors.SerializationFailure, match="changed by a transaction"):
            other.execute("insert into t (id, more) values (99, 1)")


HOSTILE = """
drop schema if exists hostile cascade;
create schema hostile;
create table hostile.ran (who text);
grant usage on schema hostile to public;
grant insert on hostile.ran to public;
create type hostile.mood as enum ('ok', 'so so');
create function hostile.text_of(hostile.mood) returns text language plpgsql as
    'begin insert into hostile.ran values (current_user); return ''cast''; end';
create cast (hostile.mood as text) with function hostile.text_of(hostile.mood) as implicit;
create function hostile.json_of(hostile.mood) returns json language plpgsql as
    'begin insert into hostile.ran values (current_user); return ''1''; end';
create cast (hostile.mood as json) with function hostile.json_of(hostile.mood) as implicit;
create function hostile.same(hostile.mood, hostile.mood) returns boolean language plpgsql as
    'begin insert into hostile.ran values (current_user); return true; end';
create operator hostile.= (leftarg = hostile.mood, rightarg = hostile.mood, function = hostile.same);
create function hostile.same(integer, integer) returns boolean language plpgsql as
    'begin insert into hostile.ran values (current_user); return true; end';
create operator hostile.= (leftarg = integer, rightarg = integer, function = hostile.same);
create function hostile.concat(variadic text[]) returns text language plpgsql as
    'begin insert into hostile.ran values (current_user); return null; end';
create function hostile.joined(text, text) returns text language plpgsql as
    'begin insert into hostile.ran values (current_user); return null; end';
create operator hostile.|| (leftarg = text, rightarg = text, function = hostile.joined);
"""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_user_runs_with_the_rights_of_the_owner(twins: Twins, kind: str) -> None:
    conn = twins.conn
    conn.execute(HOSTILE)
    twins.make(TABLE + "alter table t add column m hostile.mood default 'so so';", ", 'ignore=a'", kind=kind)
    conn.execute("drop role if exists some_writer; create role some_writer; grant pgq_writer to some_writer")
    for schema in twins.names:
        conn.execute(f"grant usage on schema {schema} to some_writer; grant all on {schema}.t to some_writer".encode())
    with psycopg.connect(conn.info.dsn, autocommit=True) as other:
        other.execute("set role some_writer")
        for schema in twins.names:
            other.execute(f"set search_path = hostile, {schema}, pg_catalog".encode())
            other.execute(f"insert into {schema}.t (id, b) values (70, 'x'), (71, 'y')".encode())
            other.execute(f"update {schema}.t set m = 'ok', b = 'z' where pg_catalog.int4eq(id, 70)".encode())
            other.execute(f"delete from {schema}.t where pg_catalog.int4eq(id, 71)".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute("select pgq.compile_capture('compiled.t', 'tg')")
        name = conn.execute(
            "select proname from pg_proc where pronamespace = 'pgq'::regnamespace and proname ~ 'triga_(row|st)'"
        ).fetchone()
        assert name is not None
        other.execute("create temp table mine (id int primary key)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute(
                f"create trigger x after insert on mine for each row execute function pgq.{name[0]}('q')".encode()
            )
    assert conn.execute("select * from hostile.ran").fetchall() == []
    twins.same(least=4)
    conn.execute("drop owned by some_writer; drop role some_writer")


def test_the_statement_form_is_refused_where_the_order_of_events_could_be_another(conn: Conn) -> None:
    conn.execute("select pgq.create_queue('q')")
    conn.execute("create function touch() returns trigger language plpgsql as 'begin return null; end'")
    conn.execute("create table p (id int primary key, part int) partition by list (id)")
    conn.execute("create table p1 partition of p for values in (1)")
    refused = {
        "partition": ("create table x partition of p for values in (2)", "ordinary tables"),
        "inherits": ("create table x (primary key (id)) inherits (base)", "inheritance"),
        "other trigger": (
            "create table x (id int primary key);"
            " create trigger other after update on x for each row execute function touch()",
            'trigger "other"',
        ),
        "foreign key": (
            "create table x (id int primary key); create table y (id int references x on delete cascade)",
            "foreign key",
        ),
        "before": ("create table x (id int primary key)", "not an AFTER"),
        "when": ("create table x (id int primary key)", "WHEN"),
        "columns": ("create table x (id int primary key, a int)", "some columns"),
        "no key": ("create table x (id int)", "no key"),
    }
    for what, (ddl, reason) in refused.items():
        conn.execute("drop table if exists y, x; drop table if exists base; create table base (id int primary key)")
        conn.execute(ddl.encode())
        timing = "before update" if what == "before" else "after update of a" if what == "columns" else "after update"
        when = "when (old.id > 1)" if what == "when" else ""
        conn.execute(
            f"create trigger tg {timing} on x for each row {when} execute function pgq.logutriga('q')".encode()
        )
        with pytest.raises(psycopg.errors.FeatureNotSupported, match=reason):
            conn.execute("select pgq.compile_capture('x', 'tg', 'statement')")


def test_what_cannot_be_compiled_stays_generic_with_the_reason(conn: Conn) -> None:
    conn.execute("select pgq.create_queue('q')")
    conn.execute("create table p (id int primary key) partition by list (id)")
    conn.execute("create table t (id int primary key, a int)")
    conn.execute("create trigger tg after insert on p for each row execute function pgq.logutriga('q')")
    cases = {
        "after insert on t for each row execute function pgq.logutriga('q', 'when=a > 1')": "expressions",
        "after insert on t for each row execute function pgq.logutriga('q', 'deny')": "refuses",
        "after insert on t for each row execute function pgq.logutriga('nosuch')": "no such queue",
        "after update on t for each row execute function pgq.logutriga('q', 'pkey=')": "no key",
        "after truncate on t for each statement execute function pgq.logutriga('q')": "nothing to gain",
    }
    notices: list[str] = []
    conn.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    for definition, reason in cases.items():
        conn.execute(f"create or replace trigger tg {definition}".encode())
        assert conn.execute("select pgq.compile_capture('t', 'tg')").fetchone() == ("generic",)
        assert reason in notices.pop()
        conn.execute("drop trigger tg on t")
    assert conn.execute("select pgq.compile_capture('p', 'tg')").fetchone() == ("generic",)


def test_by_statement_a_table_cannot_become_a_partition_and_children_stop_it(conn: Conn) -> None:
    conn.execute("select pgq.create_queue('q')")
    conn.execute("create table p (id int primary key, a int) partition by list (id)")
    conn.execute("create table t (id int primary key, a int)")
    conn.execute("create trigger tg after insert or update on t for each row execute function pgq.logutriga('q')")
    conn.execute("select pgq.compile_capture('t', 'tg', 'statement')")
    conn.execute("insert into t values (1, 1)")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match='trigger "tg" prevents'):
        conn.execute("alter table p attach partition t for values in (1)")
    conn.execute("create table child () inherits (t)")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="inheritance children"):
        conn.execute("update t set a = 2")
    assert conn.execute("select pgq.compile_capture('t', 'tg')").fetchone() == ("row",)
    conn.execute("drop table child")
    conn.execute("update t set a = 2")
    conn.execute("alter table p attach partition t for values in (1)")
    conn.execute("update p set a = 3")
    conn.execute("alter table p detach partition t")
    conn.execute("update t set a = 4")
    found = conn.execute("select ev_data from pgq.event_template where ev_type = 'U:id' order by ev_id").fetchall()
    assert [row[0] for row in found] == ["id=1&a=2", "id=1&a=3", "id=1&a=4"]


def test_a_dropped_or_disabled_trigger_captures_nothing_and_leaves_nothing_behind(twins: Twins) -> None:
    twins.make(TABLE)
    twins.both("update t set a = 1")
    twins.change("alter table t disable trigger tg")
    twins.both("update t set a = 2")
    assert twins.state() == f"{twins.form} disabled"
    twins.change("alter table t enable trigger tg")
    twins.both("update t set a = 3")
    twins.change("drop trigger tg on t")
    twins.both("update t set a = 4")
    assert len(twins.same()) == 10
    twins.conn.execute("select pgq.maint_refresh_captures()")
    left = "select count(*) from pg_trigger where tgrelid = %s::regclass and not tgisinternal"
    assert twins.conn.execute(left, [f"{twins.names[1]}.t"]).fetchone() == (0,)
    kept = "select count(*) from pg_proc where obj_description(oid, 'pg_proc') like %s"
    assert twins.conn.execute(kept, [f"%{twins.names[1]}.t"]).fetchone() == (0,)


def test_uncompiling_gives_the_trigger_back_as_it_was(twins: Twins) -> None:
    twins.make(TABLE, ", 'ignore=b, it''s', 'backup'", kind="sqltriga")
    definition = "select pg_get_triggerdef(oid) from pg_trigger where tgrelid = %s::regclass and not tgisinternal"
    generic, compiled = twins.names
    assert twins.conn.execute("select pgq.uncompile_capture(%s::regclass, 'tg')", [f"{compiled}.t"]).fetchone() == (1,)
    assert twins.conn.execute("select pgq.uncompile_capture(%s::regclass, 'tg')", [f"{compiled}.t"]).fetchone() == (0,)
    [one] = twins.conn.execute(definition, [f"{generic}.t"]).fetchall()
    [two] = twins.conn.execute(definition, [f"{compiled}.t"]).fetchall()
    assert two[0].replace(compiled, generic) == one[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_of_values_that_are_encoded_at_once_and_of_others(twins: Twins, kind: str) -> None:
    twins.make(
        "create table t (id text primary key, v text, w varchar, z timestamptz, d date, c char(3), n numeric, j jsonb)",
        kind=kind,
    )
    twins.both("insert into t (id, v, w) select i, chr(i), ' +:' || chr(i) from generate_series(1, 255) i")
    for setting in (
        "datestyle = 'SQL, DMY'",
        "datestyle = 'German'",
        "datestyle = 'Postgres'",
        "timezone = '<a&b=%>-5'",
    ):
        twins.conn.execute(f"set {setting}".encode())
        twins.both("update t set z = '2026-07-01 12:00+00', d = 'infinity', c = 'a', n = 'NaN' where v ~ '^[a-z+ ]'")
    twins.same(least=255)


def test_a_dump_with_compiled_triggers_is_restored_and_captures(server: Any, dsn: str, twins: Twins) -> None:
    bindir = server.cluster.binaries.bindir
    if not (bindir / "pg_dump").is_file() or not (bindir / "psql").is_file():
        pytest.skip("pg_dump and psql are not installed beside this server")
    twins.make(TABLE)
    dump = subprocess.run([bindir / "pg_dump", dsn], capture_output=True, check=True, text=True).stdout
    name = server.create_database()
    try:
        command = [bindir / "psql", "-qXv", "ON_ERROR_STOP=1", server.dsn(name)]
        restored = subprocess.run(command, input=dump, capture_output=True, text=True)
        assert restored.returncode == 0, restored.stderr
        with psycopg.connect(server.dsn(name), autocommit=True) as conn:
            conn.execute("set client_min_messages = error")
            restored_twins = Twins(conn, twins.form)
            restored_twins.both("update t set a = 9")
            assert len(restored_twins.same()) == 5
            conn.execute("select pgq.maint_refresh_captures()")
            assert restored_twins.state() == f"{twins.form} current"
            restored_twins.both("update t set a = 8")
            assert len(restored_twins.same()) == 10
    finally:
        server.drop_database(name)


TYPES = """
create type mood as enum ('sad', 'so so');
create type pair as (x integer, y text);
create domain small as integer check (value < 10);
create table t (id integer primary key, m mood, p pair, s small, l pair[]);
insert into t select i, 'sad', '(1,"a b")', i, '{"(1,c)"}' from generate_series(1, 3) i;
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.thorough
def test_types_that_change_under_the_table(twins: Twins, kind: str) -> None:
    twins.make(TYPES, kind=kind)
    with psycopg.connect(twins.conn.info.dsn, autocommit=True) as other:
        twins.both("update t set s = s + 1", other)
        for change in (
            "alter type mood add value 'new & good'",
            "alter type pair add attribute z numeric",
            "alter domain small drop constraint small_check",
            "alter type pair rename attribute x to first",
            "alter type mood rename value 'so so' to 'so'",
            "alter type pair rename to couple",
        ):
            twins.change(change)
            twins.both("update t set s = s + 1, p = p", other)
        twins.both("update t set m = 'new & good', p = row(1, 'x', 1.0), s = 50", other)
        twins.both("update t set m = 'so', p = row(1, 'x', 1.00)", other)
        twins.both("alter type couple add attribute j json", other)
        twins.both("update t set p = row(1, 'x', 1.0, '{}') where id = 1", other)
        twins.both("update t set p = row(1, 'x', 1.0, '{ }') where id = 1", other)
    twins.same(least=20)


def test_prepared_and_pipelined_sessions_notice_it_too(twins: Twins) -> None:
    twins.make(TABLE)
    with psycopg.connect(twins.conn.info.dsn, autocommit=True) as other:
        # The driver would deallocate ours after DDL.
        other.prepare_threshold = None
        for schema in twins.names:
            other.execute(f"prepare {schema} as update {schema}.t set a = a + 1".encode())
        for change in ("alter table t add column more text default 'm'", "alter table t rename b to other"):
            for schema in twins.names:
                for _ in range(7):
                    other.execute(f"execute {schema}".encode())
            twins.change(change)
            for schema in twins.names:
                other.execute(f"execute {schema}".encode())
            with other.pipeline():
                for schema in twins.names:
                    other.execute(f"update {schema}.t set a = a + 1".encode())
                    other.execute(f"alter table {schema}.t add column {change.split()[3]}_2 integer".encode())
                    other.execute(f"update {schema}.t set a = a + 1".encode())
    assert "other=" in twins.same(least=80)[-1][1]


def test_events_of_a_statement_keep_the_order_of_its_rows(twins: Twins) -> None:
    twins.make("create table t (id integer primary key, a integer)", ", 'backup'", kind="sqltriga")
    twins.conn.execute("set work_mem = '64kB'")
    twins.both("insert into t select i, i from generate_series(1, 3000) i order by i * 7919 % 3001")
    twins.both("update t set a = a + 1 where id % 3 <> 0")
    twins.both("delete from t using generate_series(1, 3000) i where i = id and a % 5 = 0")
    twins.same(least=5000)
