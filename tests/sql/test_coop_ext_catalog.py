"""The catalogs of pgq_coop and pgq_ext against api/*.tsv; deliberate differences are in each differences.toml."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

API = Path(__file__).parent / "api"
MODULES = ["pgq_coop", "pgq_ext"]
Facts = dict[tuple[str, str], str]  # (object, what about it) -> how it is
Difference = tuple[str, str, str, str]  # object, fact, expected, installed

FUNCTIONS = """
    select
        p.proname as name,
        pg_get_function_identity_arguments(p.oid) as identity_arguments,
        coalesce((
            select string_agg(
                concat_ws(' ', case m.mode when 'o' then 'OUT' else 'IN' end, m.name, format_type(m.type, null)),
                ', ' order by m.nr)
            from unnest(
                coalesce(p.proallargtypes, p.proargtypes::oid[]),
                p.proargnames,
                coalesce(p.proargmodes::text[], array_fill('i'::text, array[p.pronargs::int]))
            ) with ordinality as m (type, name, mode, nr)
        ), '') as argument_modes_names_types,
        pg_get_function_result(p.oid) as result,
        case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end as volatility,
        case when p.prosecdef then 'yes' else 'no' end as security_definer,
        case when p.proisstrict then 'yes' else 'no' end as strict,
        l.lanname as language,
        case when p.proretset then 'yes' else 'no' end as returns_set,
        coalesce((
            select string_agg(coalesce(r.rolname, 'PUBLIC'), ',' order by r.rolname)
            from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
            left join pg_roles r on r.oid = a.grantee
            where a.grantee <> p.proowner
        ), '') as execute_granted_to,
        coalesce(array_to_string(p.proconfig, '; '), '') as settings,
        p.proparallel::text as parallel
    from pg_proc p
    join pg_language l on l.oid = p.prolang
    where p.pronamespace = %s::regnamespace
"""
COLUMNS = """
    select
        format('%%s.%%s.%%s', c.relnamespace::regnamespace, c.relname, a.attname) as name,
        a.attnum::text as position,
        format_type(a.atttypid, a.atttypmod) as type,
        case when a.attnotnull then 'NOT NULL' else 'NULL' end as nullable,
        coalesce(pg_get_expr(d.adbin, d.adrelid), '') as default
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'v', 'm', 'p')
"""
CONSTRAINTS = """
    select
        format('%%s constraint %%s', k.conrelid::regclass, k.conname) as name,
        pg_get_constraintdef(k.oid) as definition
    from pg_constraint k
    where k.connamespace = %(schema)s::regnamespace and k.contype <> 'n'
    union all
    select format('%%s.%%s index %%s', schemaname, tablename, indexname), indexdef
    from pg_indexes
    where schemaname = %(schema)s::text
"""
GRANTS = """
    select
        format('%%s table', c.oid::regclass) as name,
        case when exists (
            select 1 from aclexplode(c.relacl) a where a.grantee <> c.relowner
        ) then c.relacl::text else '(owner only)' end as privileges
    from pg_class c
    where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'S', 'v')
"""
FUNCTION_FACTS = (
    *("identity_arguments", "argument_modes_names_types", "result", "volatility", "security_definer", "strict"),
    *("language", "returns_set", "execute_granted_to", "settings", "parallel"),
)


def _tsv(name: str) -> list[dict[str, str]]:
    lines = [line for line in (API / name).read_text("utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def _functions(schema: str, rows: list[dict[str, str]]) -> Facts:
    facts: Facts = {}
    for row in rows:
        arguments = [argument for argument in row["identity_arguments"].split(", ") if argument[:4] not in ("", "OUT ")]
        types = ", ".join(argument.partition(" ")[2] for argument in arguments)
        facts |= {(f"{schema}.{row['name']}({types})", fact): row[fact] for fact in FUNCTION_FACTS}
    return facts


def _named(rows: list[dict[str, str]]) -> Facts:
    return {(row["name"], fact): row[fact] or "" for row in rows for fact in row if fact != "name"}


def _installed(conn: psycopg.Connection[Any], schema: str) -> Facts:
    def rows(query: str, arguments: Any) -> list[dict[str, str]]:
        with conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(query.encode(), arguments).fetchall()

    return (
        _functions(schema, rows(FUNCTIONS, [schema]))
        | _named(rows(COLUMNS, [schema]))
        | _named(rows(CONSTRAINTS, {"schema": schema}))
        | _named(rows(GRANTS, [schema]))
    )


def _expected(schema: str) -> Facts:
    functions = [{**row, "settings": "", "parallel": "u"} for row in _tsv(f"{schema}.tsv")]
    facts = _functions(schema, functions)
    if not (API / f"{schema}.tables.tsv").exists():
        return facts
    position = dict[str, int]()
    for row in _tsv(f"{schema}.tables.tsv"):
        table = row["table"]
        position[table] = position.get(table, 0) + 1
        what = {fact: row[fact] or "" for fact in ("type", "nullable", "default")} | {"position": str(position[table])}
        facts |= {(f"{table}.{row['column']}", fact): value for fact, value in what.items()}
    for row in _tsv("pgq.constraints.tsv"):
        if row["table"].startswith(f"{schema}."):
            facts[f"{row['table']} {row['kind']} {row['name']}", "definition"] = row["definition"]
    for row in _tsv("pgq.grants.tsv"):
        if row["object"].startswith(f"{schema}."):
            facts[f"{row['object']} {row['kind']}", "privileges"] = row["privileges"]
    return facts


def _differences(installed: Facts, expected: Facts) -> set[Difference]:
    """(object, fact, expected, installed); for an object that only one side has, the fact is its existence."""
    ours, theirs = {key[0] for key in installed}, {key[0] for key in expected}
    found = {(name, "exists", "yes", "no") for name in theirs - ours}
    found |= {(name, "exists", "no", "yes") for name in ours - theirs}
    found |= {
        (name, fact, expected[name, fact], installed[name, fact])
        for name, fact in installed.keys() & expected.keys()
        if installed[name, fact] != expected[name, fact]
    }
    return found


def _differences_file(schema: str) -> dict[str, Any]:
    return tomllib.loads(files("skyconsole.sql").joinpath(schema, "differences.toml").read_text("utf-8"))


def _deliberate(schema: str) -> set[Difference]:
    return {
        (name, entry["fact"], entry["expected"], entry["installed"])
        for entry in _differences_file(schema)["catalog"]
        for name in entry["objects"]
    }


@pytest.fixture
def connection_to() -> Iterator[Callable[[Any, str], psycopg.Connection[Any]]]:
    """Connections to new databases with a module: (server, module)."""
    made: list[tuple[Any, str, psycopg.Connection[Any]]] = []

    def connect(server: Any, module: str) -> psycopg.Connection[Any]:
        name = server.create_database(server.template_of(module))
        made.append((server, name, psycopg.connect(server.dsn(name), autocommit=True)))
        return made[-1][2]

    yield connect
    for server, name, conn in made:
        conn.close()
        server.drop_database(name)


@pytest.mark.parametrize("module", MODULES)
def test_the_installed_catalog_differs_from_the_reference_as_written_down_and_not_otherwise(
    each_server: Any, connection_to: Any, module: str
) -> None:
    found = _differences(_installed(connection_to(each_server, module), module), _expected(module))
    assert sorted(found - _deliberate(module)) == [], "not in differences.toml"
    assert sorted(_deliberate(module) - found) == [], "in differences.toml, but there is no such difference"


def test_nothing_of_the_files_is_left_out() -> None:
    assert len({name for name, _ in _expected("pgq_coop")}) == 8
    names = {name for name, _ in _expected("pgq_ext")}
    assert len([name for name in names if name.endswith(")")]) == 14
    assert len([name for name in names if " " in name and not name.endswith(")")]) == 12


@pytest.mark.parametrize("module", MODULES)
def test_every_deliberate_difference_has_a_reason_and_its_tests_are_there(module: str) -> None:
    for kind, entries in _differences_file(module).items():
        for entry in entries:
            assert len(entry["reason"].strip()) > 20, (kind, entry)
            assert kind == "catalog" or entry["tests"], entry
            assert all((API.parent / name).is_file() for name in entry.get("tests", [])), entry


def test_a_changed_object_is_noticed(server: Any, connection_to: Any) -> None:
    conn = connection_to(server, "pgq_ext")
    conn.execute("alter function pgq_ext.set_last_tick(text, bigint) stable")
    conn.execute("grant execute on function pgq_ext.get_last_tick(text) to public")
    conn.execute("grant select on pgq_ext.completed_tick to public")
    conn.execute("alter table pgq_ext.partial_batch add column more text")
    conn.execute("alter table pgq_ext.completed_event drop constraint completed_event_pkey")
    found = _differences(_installed(conn, "pgq_ext"), _expected("pgq_ext")) - _deliberate("pgq_ext")
    assert {difference[:2] for difference in found} == {
        ("pgq_ext.set_last_tick(text, bigint)", "volatility"),
        ("pgq_ext.get_last_tick(text)", "execute_granted_to"),
        ("pgq_ext.completed_tick table", "privileges"),
        ("pgq_ext.partial_batch.more", "exists"),
        ("pgq_ext.completed_event constraint completed_event_pkey", "exists"),
        ("pgq_ext.completed_event index completed_event_pkey", "exists"),
    }


@pytest.mark.parametrize("module", MODULES)
def test_every_function_and_table_is_commented(server: Any, connection_to: Any, module: str) -> None:
    query = """
        select p.oid::regprocedure::text
        from pg_proc p
        where p.pronamespace = %(schema)s::regnamespace and obj_description(p.oid, 'pg_proc') is null
        union all
        select c.oid::regclass::text
        from pg_class c
        where c.relnamespace = %(schema)s::regnamespace
            and c.relkind = 'r'
            and obj_description(c.oid, 'pg_class') is null
    """
    assert connection_to(server, module).execute(query, {"schema": module}).fetchall() == []


@pytest.mark.parametrize("module", MODULES)
def test_everybody_may_ask_for_the_version_and_only_the_role_for_more(
    server: Any, connection_to: Any, module: str
) -> None:
    conn = connection_to(server, module)
    if module == "pgq_coop":
        conn.execute("select pgq.create_queue('q')")
    role, version, call = {
        "pgq_coop": ("pgq_reader", "3.4", "select pgq_coop.next_batch('q', 'c', 's')"),
        "pgq_ext": ("pgq_writer", "3.1", "select pgq_ext.set_last_tick('c', 'rights', 5)"),
    }[module]
    somebody = f"somebody_{module}"
    conn.execute(f"create role {somebody}")
    try:
        conn.execute(f"set role {somebody}")
        assert conn.execute(f"select {module}.version()").fetchone() == (version,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(call)
        conn.execute(f"set role {role}")
        assert conn.execute(call).rowcount == 1
    finally:
        conn.execute("reset role")
        conn.execute(f"drop role {somebody}")
