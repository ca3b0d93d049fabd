"""SQL modules go into a database whole or not at all, and never over what others put there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo
from skyconsole.engine.postgres.connect import connect
from skyconsole.engine.postgres.modules import Catalog, InstallError, find_modules, inspect, install, version_key

Write = Callable[..., Catalog]

FIRST = """create schema if not exists toy;
create table if not exists toy.kept (n integer);
"""
SECOND = """create or replace function toy.answer() returns integer language sql as 'select 42';
insert into toy.kept values (1);
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Write:
    """Writes the module toy of some version, with two files, and returns the catalog that holds it."""

    def write(
        version: str = "1.2.0", second: str = SECOND, requires: tuple[str, ...] = (), name: str = "toy"
    ) -> Catalog:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        lines = [f'name = "{name}"', f'version = "{version}"', 'files = ["first.sql", "second.sql"]']
        lines.append(f"requires = {json.dumps(requires)}")
        (folder / "module.toml").write_text("\n".join(lines), "utf-8")
        (folder / "first.sql").write_text(FIRST.replace("toy", name), "utf-8")
        (folder / "second.sql").write_text(second.replace("toy", name), "utf-8")
        return find_modules(tmp_path)

    return write


@pytest_asyncio.fixture
async def empty(database: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with await connect(database, application_name="test") as conn:
        yield conn


@pytest.fixture
def role(database: str) -> Iterator[str]:
    """A role without any rights of its own."""
    name = f"installer_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
        yield name
        conn.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(name)))
        conn.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


async def _kept(conn: AsyncConnection[Any], schema: str = "toy") -> int:
    """How often the second file has run here."""
    cursor = await conn.execute(sql.SQL("select count(*) from {}.kept").format(sql.Identifier(schema)))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def _schemas(conn: AsyncConnection[Any]) -> set[str]:
    cursor = await conn.execute("select nspname from pg_catalog.pg_namespace where nspname like 'toy%'")
    return {name for (name,) in await cursor.fetchall()}


async def test_a_module_is_installed_once_and_then_found_current(empty: AsyncConnection[Any], catalog: Write) -> None:
    known = catalog()
    assert (await inspect(empty, "toy", catalog=known)).kind == "absent"
    report = await install(empty, "toy", catalog=known)
    assert (report.action, report.version) == ("installed", "1.2.0")
    state = await inspect(empty, "toy", catalog=known)
    assert (state.kind, state.version) == ("ours", "1.2.0")

    report = await install(empty, "toy", catalog=known)
    assert (report.action, await _kept(empty)) == ("current", 1)
    assert (await install(empty, "toy", catalog=known, again=True)).action == "current"
    assert await _kept(empty) == 2


async def test_an_older_one_is_upgraded_and_keeps_its_data(empty: AsyncConnection[Any], catalog: Write) -> None:
    await install(empty, "toy", catalog=catalog("1.9.0"))
    report = await install(empty, "toy", catalog=catalog("1.10.0"))
    assert (report.action, report.version) == ("upgraded", "1.10.0")
    assert "from 1.9.0" in report.detail
    assert await _kept(empty) == 2


async def test_a_newer_one_is_never_taken_back(empty: AsyncConnection[Any], catalog: Write) -> None:
    await install(empty, "toy", catalog=catalog("1.10.0"))
    with pytest.raises(InstallError, match=r"has toy 1\.10\.0, newer than our 1\.9\.0"):
        await install(empty, "toy", catalog=catalog("1.9.0"))
    assert await _kept(empty) == 1


async def test_a_file_that_fails_is_named_with_its_line_and_leaves_nothing(
    empty: AsyncConnection[Any], catalog: Write
) -> None:
    known = catalog(second="select 1;\n\nselect nothing_there;\n")
    with pytest.raises(InstallError, match=r'toy/second\.sql, line 3 failed: column "nothing_there" does not exist'):
        await install(empty, "toy", catalog=known)
    assert await _schemas(empty) == set()
    assert (await install(empty, "toy", catalog=catalog())).action == "installed"


async def test_a_failed_upgrade_leaves_the_older_one_at_work(empty: AsyncConnection[Any], catalog: Write) -> None:
    await install(empty, "toy", catalog=catalog("1.0"))
    with pytest.raises(InstallError):
        await install(empty, "toy", catalog=catalog("2.0", second="drop table toy.kept; select 1/0;"))
    assert (await inspect(empty, "toy", catalog=catalog("2.0"))).version == "1.0"
    assert await _kept(empty) == 1


async def test_a_dry_run_tells_and_changes_nothing(empty: AsyncConnection[Any], catalog: Write) -> None:
    known = catalog()
    assert (await install(empty, "toy", catalog=known, dry_run=True)).action == "installed"
    assert await _schemas(empty) == set()


async def test_two_installers_at_once_install_once(database: str, catalog: Write) -> None:
    known = catalog()

    async def one() -> str:
        async with await connect(database, application_name="test") as conn:
            # A session that reads an old snapshot would not see what the first has done.
            await conn.execute("set default_transaction_isolation to 'repeatable read'")
            return (await install(conn, "toy", catalog=known)).action

    assert sorted(await asyncio.gather(*(one() for _ in range(5)))) == ["current"] * 4 + ["installed"]


async def test_what_a_module_requires_is_installed_before_it(empty: AsyncConnection[Any], catalog: Write) -> None:
    catalog(name="toybase")
    report = await install(empty, "toy", catalog=catalog(requires=("toybase",)))
    assert [(one.name, one.action) for one in report.required] == [("toybase", "installed")]
    assert await _schemas(empty) == {"toy", "toybase"}


async def test_modules_that_require_each_other_are_told(empty: AsyncConnection[Any], catalog: Write) -> None:
    catalog(name="toybase", requires=("toy",))
    with pytest.raises(InstallError, match="toy -> toybase -> toy require each other"):
        await install(empty, "toy", catalog=catalog(requires=("toybase",)))


async def test_a_schema_that_others_filled_is_left_alone(empty: AsyncConnection[Any], catalog: Write) -> None:
    await empty.execute("create schema toy")
    await empty.execute("create table toy.theirs ()")
    report = await install(empty, "toy", catalog=catalog())
    assert report.action == "foreign"
    assert "left alone" in report.detail
    cursor = await empty.execute("select relname from pg_class where relnamespace = 'toy'::regnamespace")
    assert await cursor.fetchall() == [("theirs",)]


async def test_an_empty_schema_prepared_for_us_is_used(empty: AsyncConnection[Any], catalog: Write) -> None:
    await empty.execute("create schema toy")
    assert (await install(empty, "toy", catalog=catalog())).action == "installed"


async def _let_create(empty: AsyncConnection[Any], role: str) -> None:
    name = sql.Identifier(empty.info.dbname)
    await empty.execute(sql.SQL("grant create on database {} to {}").format(name, sql.Identifier(role)))


async def test_an_empty_schema_of_somebody_else_is_not_filled(
    database: str, role: str, empty: AsyncConnection[Any], catalog: Write
) -> None:
    await _let_create(empty, role)
    await empty.execute(sql.SQL("create schema toy authorization {}").format(sql.Identifier(role)))
    with pytest.raises(InstallError, match=rf"The schema toy .* belongs to {role}"):
        await install(empty, "toy", catalog=catalog())


async def test_code_that_somebody_put_in_the_place_of_our_marker_is_never_called(
    database: str, role: str, empty: AsyncConnection[Any], catalog: Write
) -> None:
    await _let_create(empty, role)
    async with await connect(make_conninfo(database, user=role), application_name="test") as conn:
        await conn.execute("create schema toy")
        await conn.execute("create table toy.called (by_whom text)")
        await conn.execute(
            "create function toy.skyconsole_version() returns text language sql as"
            " $$ insert into toy.called values (current_user); select '0.1'::text $$"
        )
    assert (await inspect(empty, "toy", catalog=catalog())).kind == "foreign"
    assert (await install(empty, "toy", catalog=catalog())).action == "foreign"
    cursor = await empty.execute("select count(*) from toy.called")
    assert await cursor.fetchone() == (0,)


async def test_an_upgrade_by_another_role_leaves_everything_with_its_owner(
    database: str, role: str, empty: AsyncConnection[Any], catalog: Write
) -> None:
    await _let_create(empty, role)
    async with await connect(make_conninfo(database, user=role), application_name="test") as conn:
        await install(conn, "toy", catalog=catalog("1.0"))
    new = SECOND + "create function toy.new_one() returns integer language sql as 'select 1';"
    assert (await install(empty, "toy", catalog=catalog("2.0", second=new))).action == "upgraded"
    cursor = await empty.execute(
        "select distinct pg_get_userbyid(proowner) from pg_proc where pronamespace = 'toy'::regnamespace"
    )
    assert await cursor.fetchall() == [(role,)]
    cursor = await empty.execute("select current_user::text = session_user::text")
    assert await cursor.fetchone() == (True,)


async def test_an_ordinary_owner_of_the_database_may_install(
    database: str, role: str, empty: AsyncConnection[Any], catalog: Write
) -> None:
    name = sql.Identifier(empty.info.dbname)
    await empty.execute(sql.SQL("grant create on database {} to {}").format(name, sql.Identifier(role)))
    async with await connect(make_conninfo(database, user=role), application_name="test") as conn:
        assert (await install(conn, "toy", catalog=catalog())).action == "installed"


async def test_a_role_without_the_right_is_told_which_one_it_needs(database: str, role: str, catalog: Write) -> None:
    async with await connect(make_conninfo(database, user=role), application_name="test") as conn:
        with pytest.raises(
            InstallError, match=rf"The role {role} may not install toy .*It needs CREATE on the database"
        ):
            await install(conn, "toy", catalog=catalog())


async def test_a_read_only_session_is_told(empty: AsyncConnection[Any], catalog: Write) -> None:
    await empty.execute("set default_transaction_read_only to on")
    with pytest.raises(InstallError, match="read-only"):
        await install(empty, "toy", catalog=catalog())


async def test_a_connection_that_breaks_off_is_told(database: str, catalog: Write) -> None:
    known = catalog(second="select pg_terminate_backend(pg_backend_pid());")
    async with await connect(database, application_name="test") as conn:
        with pytest.raises(InstallError, match="terminating connection"):
            await install(conn, "toy", catalog=known)


async def test_the_sessions_own_settings_stay_as_they_were(empty: AsyncConnection[Any], catalog: Write) -> None:
    await empty.execute("set search_path to public")
    await install(empty, "toy", catalog=catalog())
    cursor = await empty.execute("select current_setting('search_path'), current_setting('lock_timeout')")
    assert await cursor.fetchone() == ("public", "0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "not TOML"),
        ('name = "other"\nversion = "1"\nfiles = ["a.sql"]', 'must have name = "toy"'),
        ('name = "toy"\nfiles = ["a.sql"]', "must give version"),
        ('name = "toy"\nversion = "one"\nfiles = ["a.sql"]', "not a version"),
        ('name = "toy"\nversion = "1"\nfiles = []', "lists no files"),
        ('name = "toy"\nversion = "1"\nfiles = "a.sql"', "list of texts"),
        ('name = "toy"\nversion = "1"\nfiles = ["a.sql"]', "not there: a.sql"),
        ('name = "toy"\nversion = "1"\nfiles = ["a.sql"]\ncolour = "red"', "unknown keys: colour"),
    ],
)
def test_a_module_description_is_read_strictly(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "module.toml").write_text(text, "utf-8")
    with pytest.raises(InstallError, match=said):
        find_modules(tmp_path)


def test_versions_are_compared_as_numbers() -> None:
    assert version_key("1.10") > version_key("1.9.9")
    assert version_key("1.0.0") == version_key("1")


async def test_pgq_installs_upgrades_in_place_and_is_found_current_on_each_version(each_pgq_database: str) -> None:
    async with await connect(each_pgq_database, application_name="test") as conn:
        assert (await install(conn, "pgq")).action == "current"
        await conn.execute("select pgq.create_queue('kept [/x]')")
        assert (await install(conn, "pgq", again=True)).action == "current"
        cursor = await conn.execute("select queue_name from pgq.get_queue_info()")
        assert await cursor.fetchall() == [("kept [/x]",)]


@pytest.mark.peer
async def test_the_original_extension_is_used_as_it_is(original_database: str) -> None:
    query = "select md5(string_agg(prosrc, '' order by oid)) from pg_proc where pronamespace = 'pgq'::regnamespace"
    async with await connect(original_database, application_name="test") as conn:
        before = await (await conn.execute(query)).fetchone()
        report = await install(conn, "pgq")
        assert report.action == "extension"
        assert report.version is not None
        assert await (await conn.execute(query)).fetchone() == before


def test_the_command_installs_and_tells_what_it_found(database: str) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "skyconsole", "install", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, cwd="/")

    dry = run("pgq", "--dsn", database, "--dry-run")
    assert dry.stdout.startswith("pgq: installed")
    assert "nothing was changed" in dry.stderr
    assert json.loads(run("pgq", "--dsn", database, "--json").stdout)["action"] == "installed"
    assert run("pgq", "--dsn", database).stdout.startswith("pgq: current")

    assert run("no_such_module", "--dsn", database).returncode == 2
    missing = run("pgq", "--dsn", make_conninfo(database, dbname="no such"))
    assert (missing.returncode, missing.stdout) == (3, "")
    assert 'database "no such" does not exist' in missing.stderr
