"""The installed catalog against api/pgq*.tsv; every deliberate difference is in sql/pgq/differences.toml."""

from __future__ import annotations

import csv
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

API = Path(__file__).parent / "api"
Facts = dict[tuple[str, str], str]  # (object, what about it) -> how it is

# One row a fact. Per-queue objects are looked at on the queue with id 1 and written with the patterns of the files.
FUNCTIONS = """
    select
        p.proname as name,
        pg_get_function_identity_arguments(p.oid) as identity_arguments,
        coalesce((
            select string_agg(
                concat_ws(' ', case m.mode when 'o' then 'OUT' when 'b' then 'INOUT' else 'IN' end, m.name,
                    format_type(m.type, null)),
                ', ' order by m.nr)
            from unnest(
                coalesce(p.proallargtypes, p.proargtypes::oid[]),
                p.proargnames,
                coalesce(p.proargmodes::text[], array_fill('i'::text, array[p.pronargs::int]))
            ) with ordinality as m (type, name, mode, nr)
        ), '') as arguments,
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
    where p.pronamespace = 'pgq'::regnamespace
"""
COLUMNS = """
    select
        format('pgq.%s', c.relname) as table,
        a.attname as column,
        a.attnum as position,
        format_type(a.atttypid, a.atttypmod) as type,
        case when a.attnotnull then 'NOT NULL' else 'NULL' end as nullable,
        coalesce(pg_get_expr(d.adbin, d.adrelid), '') as default
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = 'pgq'::regnamespace and c.relkind in ('r', 'v', 'm', 'p')
"""
CONSTRAINTS = """
    select format('pgq.%s', c.relname) as table, 'constraint' as kind, k.conname as name,
        pg_get_constraintdef(k.oid) as definition
    from pg_constraint k
    join pg_class c on c.oid = k.conrelid
    where k.connamespace = 'pgq'::regnamespace and k.contype <> 'n'
    union all
    select format('pgq.%s', tablename), 'index', indexname, indexdef
    from pg_indexes
    where schemaname = 'pgq'
"""
GRANTS = """
    select
        format('pgq.%s', c.relname) as object,
        case c.relkind when 'S' then 'sequence' else 'table' end as kind,
        coalesce((
            select string_agg(g.line, '; ' order by g.line)
            from (
                select coalesce(r.rolname, 'PUBLIC') || '=' || string_agg(
                    a.privilege_type || case when a.is_grantable then '*' else '' end, ',' order by a.privilege_type
                ) as line
                from aclexplode(c.relacl) a
                left join pg_roles r on r.oid = a.grantee
                where a.grantee <> c.relowner
                group by r.rolname
            ) g
        ), '(owner only)') as privileges
    from pg_class c
    where c.relnamespace = 'pgq'::regnamespace and c.relkind in ('r', 'S')
"""


def _tsv(name: str) -> list[dict[str, str]]:
    lines = [line for line in (API / name).read_text("utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def _pattern(text: str) -> str:
    """Queue 1's objects as the files write them; its data tables differ in their number only."""
    text = re.sub(r"\bevent_1_([012])\b", "event_<queue_id>_<n>", text)
    text = re.sub(r"\bevent_1_([012])_txid_idx\b", "event_<queue_id>_<n>_txid_idx", text)
    return re.sub(r"\bevent_1(_id_seq|_tick_seq)?\b", r"event_<queue_id>\1", text)


def _rows(conn: psycopg.Connection[Any], query: str) -> list[dict[str, str]]:
    with conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return [{key: _pattern(str(item)) for key, item in row.items()} for row in cursor.execute(query)]


def _signature(row: dict[str, str]) -> str:
    """pgq.NAME(TYPES), the types of what goes in."""
    arguments = [argument for argument in row["identity_arguments"].split(", ") if argument[:4] not in ("", "OUT ")]
    return f"pgq.{row['name']}({', '.join(argument.partition(' ')[2] for argument in arguments)})"


def _functions(rows: list[dict[str, str]]) -> Facts:
    return {
        (_signature(row), fact): row[fact]
        for row in rows
        for fact in (
            *("identity_arguments", "arguments", "result", "volatility", "security_definer", "strict", "language"),
            *("returns_set", "execute_granted_to", "settings", "parallel"),
        )
    }


def _expected_functions() -> Facts:
    rows = [
        {
            **row,
            "arguments": row["argument_modes_names_types"],
            "settings": "",
            "parallel": "u",
        }
        for row in _tsv("pgq.tsv")
    ]
    return _functions(rows)


def _columns(rows: list[dict[str, str]]) -> Facts:
    facts: Facts = {}
    for row in rows:
        name = f"{row['table']}.{row['column']}"
        facts |= {(name, fact): row[fact] or "" for fact in ("position", "type", "nullable", "default")}
    return facts


def _expected_columns() -> Facts:
    rows, position = [], dict[str, int]()
    for row in _tsv("pgq.tables.tsv"):
        position[row["table"]] = position.get(row["table"], 0) + 1
        rows.append({**row, "position": str(position[row["table"]])})
    return _columns(rows)


def _named(rows: list[dict[str, str]], *, by: tuple[str, ...], fact: str) -> Facts:
    return {(" ".join(row[key] for key in by), fact): row[fact] for row in rows if row[by[0]].startswith("pgq.")}


def _installed(conn: psycopg.Connection[Any]) -> Facts:
    return (
        _functions(_rows(conn, FUNCTIONS))
        | _columns(_rows(conn, COLUMNS))
        | _named(_rows(conn, CONSTRAINTS), by=("table", "kind", "name"), fact="definition")
        | _named(_rows(conn, GRANTS), by=("object", "kind"), fact="privileges")
    )


def _expected() -> Facts:
    return (
        _expected_functions()
        | _expected_columns()
        | _named(_tsv("pgq.constraints.tsv"), by=("table", "kind", "name"), fact="definition")
        | _named(_tsv("pgq.grants.tsv"), by=("object", "kind"), fact="privileges")
    )


def _differences(installed: Facts, expected: Facts) -> set[tuple[str, str, str, str]]:
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


def _deliberate() -> set[tuple[str, str, str, str]]:
    return {
        (name, entry["fact"], entry["expected"], entry["installed"])
        for entry in _differences_file()["catalog"]
        for name in entry["objects"]
    }


def _differences_file() -> dict[str, Any]:
    return tomllib.loads(files("skyconsole.sql").joinpath("pgq", "differences.toml").read_text("utf-8"))


def test_the_installed_catalog_differs_from_the_reference_as_written_down_and_not_otherwise(
    each_pgq_database: str,
) -> None:
    with psycopg.connect(each_pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('q')")
        found = _differences(_installed(conn), _expected())
    assert sorted(found - _deliberate()) == [], "not in differences.toml"
    assert sorted(_deliberate() - found) == [], "in differences.toml, but there is no such difference"


@pytest.mark.peer
def test_the_files_describe_the_original_extension(original_database: str) -> None:
    with psycopg.connect(original_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('q')")
        assert sorted(_differences(_installed(conn), _expected())) == []


def test_every_deliberate_difference_has_a_reason() -> None:
    for kind, entries in _differences_file().items():
        for entry in entries:
            assert len(entry["reason"].strip()) > 20, (kind, entry)


def test_every_difference_in_behaviour_names_tests_that_are_there() -> None:
    for entry in _differences_file()["behaviour"]:
        assert entry["tests"], entry["subject"]
        assert all((API.parent / name).is_file() for name in entry["tests"]), entry


def test_a_changed_function_is_noticed(conn: psycopg.Connection[Any]) -> None:
    conn.execute("select pgq.create_queue('q')")
    conn.execute("alter function pgq.finish_batch(bigint) stable")
    conn.execute("grant select on pgq.retry_queue to public")
    conn.execute("alter table pgq.event_1_1 add column more text")
    found = _differences(_installed(conn), _expected()) - _deliberate()
    assert {difference[:2] for difference in found} == {
        ("pgq.finish_batch(bigint)", "volatility"),
        ("pgq.retry_queue table", "privileges"),
        ("pgq.event_<queue_id>_<n>.more", "exists"),
    }


def test_every_function_and_table_is_commented(conn: psycopg.Connection[Any]) -> None:
    query = """
        select p.oid::regprocedure::text
        from pg_proc p
        where p.pronamespace = 'pgq'::regnamespace and obj_description(p.oid, 'pg_proc') is null
        union all
        select c.oid::regclass::text
        from pg_class c
        where c.relnamespace = 'pgq'::regnamespace and c.relkind = 'r' and obj_description(c.oid, 'pg_class') is null
    """
    assert [row[0] for row in conn.execute(query) if row[0] != "pgq.skyconsole_version()"] == []


def test_event_tables_are_stored_and_linked_as_the_reference_does(each_pgq_database: str) -> None:
    with psycopg.connect(each_pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('q')")
        query = """
            select c.oid::regclass::text, p.inhparent::regclass::text, c.reloptions, t.reloptions
            from pg_class c
            left join pg_inherits p on p.inhrelid = c.oid
            left join pg_class t on t.oid = c.reltoastrelid
            where c.relnamespace = 'pgq'::regnamespace and c.relname ~ '^event_1' and c.relkind = 'r'
            order by 1
        """
        storage = ["fillfactor=100", "autovacuum_enabled=off"]
        assert conn.execute(query).fetchall() == [
            ("pgq.event_1", "pgq.event_template", None, None),
            *[(f"pgq.event_1_{n}", "pgq.event_1", storage, ["autovacuum_enabled=off"]) for n in range(3)],
        ]
        query = """
            select sequencename::text, data_type::text, start_value, increment_by, cache_size, cycle
            from pg_sequences where schemaname = 'pgq' and sequencename like 'event%%' order by 1
        """
        assert conn.execute(query, []).fetchall() == [
            ("event_1_id_seq", "bigint", 1, 1, 1, False),
            ("event_1_tick_seq", "bigint", 1, 1, 1, False),
        ]
