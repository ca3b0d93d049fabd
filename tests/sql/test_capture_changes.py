"""The generic capture triggers: tables that change, people without rights, other encodings, wide rows.

What they deliberately do in another way than the reference is in sql/pgq/differences.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from psycopg import sql

from .conftest import Drive, Sessions, value

Conn = psycopg.Connection[Any]
KINDS = ["logutriga", "sqltriga", "jsontriga"]
FIRST = "insert into t values (1, 'a')"


def _capture(conn: Conn, *arguments: str, kind: str = "logutriga", table: str = "t") -> None:
    literals = sql.SQL(", ").join(map(sql.Literal, ["q", *arguments]))
    conn.execute(
        sql.SQL("create trigger tg after insert or update or delete on {} for each row execute function {}({})").format(
            sql.Identifier(table), sql.Identifier("pgq", kind), literals
        )
    )


def _events(conn: Conn) -> list[tuple[str, str]]:
    return conn.execute("select ev_type, ev_data from pgq.event_template order by ev_id").fetchall()


@pytest.fixture
def table(queue: Drive) -> Conn:
    """A queue q, and a table t (id, a) with a trigger that has fired once."""
    queue.conn.execute("create table t (id integer primary key, a text)")
    _capture(queue.conn)
    queue.conn.execute(FIRST)
    return queue.conn


CHANGES = {
    "add a column": ("alter table t add b integer default 7", "U:id", "id=1&a=x&b=7"),
    "drop a column": ("alter table t add b integer; alter table t drop b", "U:id", "id=1&a=x"),
    "rename a column": ("alter table t rename a to b; alter table t add a text", "U:id", "id=1&b=a&a=x"),
    "another type": ("alter table t alter id type numeric(6,2)", "U:id", "id=1.00&a=x"),
    "a type that differs in blanks only": ("alter table t alter a type char(3)", "U:id", "id=1&a=x++"),
    "another key": ("alter table t drop constraint t_pkey, add primary key (id, a)", None, None),
    "another key of a column": ("alter table t add k int default 1, drop constraint t_pkey, add primary key (k)",
                                "U:k", "id=1&a=x&k=1"),
    "a key of an index": ("alter table t drop constraint t_pkey; create unique index u on t (a); alter table t"
                          " alter a set not null, alter id drop not null, add primary key using index u", None, None),
    "no key": ("alter table t drop constraint t_pkey", None, None),
    "another name": ("alter table t rename to s; alter table s rename to t", "U:id", "id=1&a=x"),
}  # fmt: skip


@pytest.mark.parametrize("transaction", ["one transaction", "transactions", "another session"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_table_is_captured_as_it_is_now(
    pgq_database: str, table: Conn, change: str, transaction: str
) -> None:
    statements, ev_type, ev_data = CHANGES[change]
    with psycopg.connect(pgq_database, autocommit=True) as other:
        if transaction == "one transaction":
            table.execute("begin")
        table.execute("update t set a = 'a'")
        (other if transaction == "another session" else table).execute(statements.encode())
        if ev_type is None:
            with pytest.raises(psycopg.errors.InternalError_, match=r"primary key update not allowed|without pkey"):
                table.execute("update t set a = 'x'")
            return
        table.execute("update t set a = 'x'")
        assert _events(table)[-1] == (ev_type, ev_data)


def test_what_a_savepoint_undid_is_forgotten_with_it(table: Conn) -> None:
    with table.transaction():
        table.execute("update t set a = 'b'")
        with table.transaction() as inner:
            table.execute("alter table t add b integer default 7")
            table.execute("update t set a = 'c'")
            raise psycopg.Rollback(inner)
        table.execute("update t set a = 'd'")
    assert [data for _, data in _events(table)] == ["id=1&a=a", "id=1&a=b", "id=1&a=d"]


def test_a_trigger_made_again_with_other_arguments_does_as_these_say(table: Conn) -> None:
    with table.transaction():
        table.execute("update t set a = 'b'")
        table.execute("drop trigger tg on t")
        _capture(table, "ignore=a", "pkey=a", kind="jsontriga")
        table.execute("insert into t values (2, 'x')")
    assert _events(table)[-1] == ('{"op":"INSERT","table":["public","t"],"pkey":["a"]}', '{"id":2}')


def test_two_triggers_of_one_table_do_not_take_each_others_part(table: Conn) -> None:
    table.execute(
        "create trigger more after insert or update on t for each row execute function pgq.logutriga('q', 'ignore=a')"
    )
    with table.transaction():
        table.execute("insert into t values (2, 'b')")
        table.execute("insert into t values (3, 'c')")
    assert [data for _, data in _events(table)] == ["id=1&a=a", "id=2", "id=2&a=b", "id=3", "id=3&a=c"]


def test_a_composite_type_may_get_a_member_that_has_no_equality(queue: Drive) -> None:
    conn = queue.conn
    conn.execute("create type c as (n numeric); create table t (id integer primary key, v c)")
    _capture(conn, kind="sqltriga")
    conn.execute("insert into t values (1, row(1.0)); update t set v = row(1.00)")
    conn.execute("alter type c add attribute j json")
    conn.execute("update t set v = row(1.00, '{}')")
    assert [data for _, data in _events(conn)][1:] == ["id='1' where id='1'", "v='(1.00,{})' where id='1'"]


def test_above_read_committed_a_table_changed_meanwhile_asks_for_another_try(
    pgq_database: str, table: Conn, sessions_of: Callable[[str], Sessions]
) -> None:
    late = sessions_of(pgq_database).open(psycopg.IsolationLevel.REPEATABLE_READ, autocommit=False)
    value(late, "select count(*) from pgq.queue")
    table.execute("alter table t add b integer")
    with pytest.raises(psycopg.errors.SerializationFailure, match="concurrent change of table t"):
        late.execute("insert into t values (2, 'b', 3)")
    late.rollback()
    late.execute("insert into t values (2, 'b', 3)")
    late.commit()
    assert _events(table)[-1] == ("I:id", "id=2&a=b&b=3")


def test_nobody_waits_for_another_who_fires_a_trigger_for_the_first_time(
    pgq_database: str, queue: Drive, sessions_of: Callable[[str], Sessions]
) -> None:
    queue.conn.execute("create table t (id integer primary key, a text)")
    _capture(queue.conn)
    first, second = (sessions_of(pgq_database).open(autocommit=False) for _ in range(2))
    second.execute("set lock_timeout = '5s'")
    first.execute(FIRST)
    second.execute("insert into t values (2, 'b')")
    second.commit()
    first.commit()
    assert len(_events(queue.conn)) == 2


@contextmanager
def _role(conn: Conn, rights: str) -> Iterator[str]:
    name = f"capture_{conn.info.backend_pid}"
    conn.execute(f"create role {name} {rights}".encode())
    try:
        yield name
    finally:
        conn.execute(f"reset role; drop owned by {name}; drop role {name}".encode())


@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_needs_no_other_rights_and_a_stranger_is_refused(queue: Drive, kind: str) -> None:
    conn = queue.conn
    conn.execute(
        "create schema hidden; create type hidden.mood as enum ('sad'); create type hidden.c as (a int, b text)"
    )
    conn.execute(
        "create domain hidden.d as int; create table t (id integer primary key, m hidden.mood, c hidden.c, d hidden.d)"
    )
    conn.execute("insert into t values (1, 'sad', row(1, 'x'), 7)")
    _capture(conn, "backup", kind=kind)
    with _role(conn, "in role pgq_writer") as name:
        conn.execute(f"grant all on t to {name}; set role {name}".encode())
        conn.execute("update t set c = row(2, 'y')")
        conn.execute("delete from t")
    assert len(_events(conn)) == 2
    with _role(conn, "") as name:
        conn.execute(f"grant all on t to {name}; set role {name}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="for function insert_event"):
            conn.execute("insert into t values (2)")


@pytest.mark.parametrize("kind", KINDS)
def test_operators_and_functions_in_the_search_path_are_not_used(queue: Drive, kind: str) -> None:
    conn = queue.conn
    conn.execute("create table t (id integer primary key, a text, n numeric, ts timestamptz, j jsonb, f float8)")
    _capture(conn, "backup", kind=kind)
    conn.execute("create schema trap")
    for left, right in [("integer", "integer"), ("text", "text"), ("bigint", "bigint"), ("boolean", "boolean"),
                        ("numeric", "numeric"), ("name", "name"), ("oid", "oid"), ("text[]", "text[]")]:  # fmt: skip
        for name, operator in [("equal", "="), ("unequal", "<>")]:
            conn.execute(
                f"create function trap.{name}(a {left}, b {right}) returns boolean language plpgsql"
                " as $$ begin raise 'trapped'; end $$".encode()
            )
            arguments = f"leftarg = {left}, rightarg = {right}, procedure = trap.{name}"
            conn.execute(f"create operator trap.{operator} ({arguments})".encode())
    for name in ("concat", "replace", "format", "current_setting", "url_encode", "substr"):
        conn.execute(
            f"create function trap.{name}(variadic text[]) returns text language plpgsql"
            " as $$ begin raise 'trapped'; end $$".encode()
        )
    conn.execute("create domain trap.text as integer")
    conn.execute("set search_path = trap, public, pg_catalog")
    conn.execute("insert into public.t values (1, 'a b', 1.0, now(), '{}', 1)")
    conn.execute("update public.t set a = 'õ', n = 1.00, f = 2")
    conn.execute("delete from public.t")
    conn.execute("reset search_path")
    assert len(_events(conn)) == 3


CODECS = {"UTF8": "utf-8", "LATIN1": "latin-1", "EUC_JP": "euc_jp", "SQL_ASCII": "utf-8"}
LETTERS = {"UTF8": "õ€日😀", "LATIN1": "õÿ\xa0ä", "EUC_JP": "日本語", "SQL_ASCII": "õ€"}
PLAIN = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-"


def _encoded(data: bytes) -> str:
    return "".join(chr(byte) if byte in PLAIN else "+" if byte == 0x20 else f"%{byte:02x}" for byte in data)


@pytest.mark.parametrize("encoding", CODECS)
def test_bytes_are_encoded_as_the_database_stores_them(server: Any, encoding: str) -> None:
    name = f"encoding_{encoding.lower()}"
    every = "".join(map(chr, range(1, 128)))
    letters = LETTERS[encoding]
    server.execute(
        sql.SQL("create database {} template template0 encoding {} locale 'C'").format(
            sql.Identifier(name), sql.Literal(encoding)
        )
    )
    try:
        with psycopg.connect(server.dsn(name), autocommit=True) as conn:
            conn.execute("create schema pgq")
            conn.execute(files("skyconsole.sql").joinpath("pgq", "encoding.sql").read_bytes())
            conn.execute("set client_encoding = 'UTF8'")
            for text in [
                "",
                "plain",
                "a b/c:1,5%+~",
                every,
                letters,
                f"x {letters}\n\\ {letters * 9}",
                every + letters,
            ]:
                assert value(conn, "select pgq.url_encode(%s)", text) == _encoded(text.encode(CODECS[encoding])), text
    finally:
        server.drop_database(name)


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 64, 65, 130])
def test_wide_tables_give_every_column(queue: Drive, columns: int) -> None:
    conn = queue.conn
    definitions = ", ".join(f"c{n} text" for n in range(2, columns + 1))
    conn.execute(f"create table t (c1 integer primary key{', ' * (columns > 1)}{definitions})".encode())
    _capture(conn)
    texts = ["1", *[(None, "", "x", '"', "(a, b)", "\\")[n % 6] for n in range(2, columns + 1)]]
    conn.execute(f"insert into t values ({', '.join(['%s'] * columns)})".encode(), texts)
    encoded = {None: "", "": "=", "x": "=x", '"': "=%22", "(a, b)": "=%28a%2c+b%29", "\\": "=%5c", "1": "=1"}
    expected = "&".join(f"c{n}{encoded[text]}" for n, text in enumerate(texts, 1))
    assert _events(conn) == [("I:c1", expected)]


def test_the_first_argument_that_is_wrong_is_told_whatever_fails_when_it_runs(queue: Drive) -> None:
    queue.conn.execute("create table t (id integer primary key, a text)")
    _capture(queue.conn, "ev_extra1=1/0", "ev_extra2=a is is", "ev_type=õ", "nonsense")
    with pytest.raises(psycopg.errors.SyntaxError, match='syntax error at or near "is"'):
        queue.conn.execute(FIRST)
