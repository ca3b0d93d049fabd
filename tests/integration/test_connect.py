"""A connection that fails says why; one that is lost can be had again."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from skyconsole.engine.errors import ExitCode, UnreachableError, UsageError
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.connect import Backoff, connect, connect_sync

MakeCluster = Callable[..., Cluster]


@pytest.fixture
def role(server: Any, database: str) -> Iterator[str]:
    """A role that may log in."""
    name = f"role_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
        yield name
        conn.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


async def _refused(dsn: str) -> UnreachableError:
    """The error of both kinds of connection, which is the same."""
    with pytest.raises(UnreachableError) as caught:
        await connect(dsn, application_name="test")
    with pytest.raises(UnreachableError) as sync:
        connect_sync(dsn, application_name="test")
    assert str(sync.value) == str(caught.value)
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    return caught.value


async def test_a_connection_carries_our_name_and_speaks_utf8(database: str) -> None:
    name = "skyconsole:Ünï:" + "x" * 80
    async with await connect(database, application_name=name) as conn:
        cursor = await conn.execute("select current_setting('application_name'), current_setting('client_encoding')")
        shown, encoding = await cursor.fetchone() or ("", "")
    # The server writes what is not ASCII in a way of its own.
    assert shown.startswith("skyconsole:")
    assert shown.endswith("xxx")
    assert encoding == "UTF8"
    with connect_sync(database, application_name="x", autocommit=False) as sync:
        assert not sync.autocommit


async def test_a_missing_database_is_named(server: Any) -> None:
    error = await _refused(server.dsn("no such [/db]"))
    assert error.sqlstate == "3D000"
    assert 'database "no such [/db]" does not exist' in error.message


async def test_a_missing_role_is_named(server: Any) -> None:
    error = await _refused(server.dsn(user="nobody here"))
    assert error.sqlstate == "28000"
    assert 'role "nobody here" does not exist' in error.message


async def test_a_role_without_a_connection_left_says_so(database: str, role: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(sql.SQL("alter role {} connection limit 0").format(sql.Identifier(role)))
    error = await _refused(make_conninfo(database, user=role))
    assert error.sqlstate == "53300"


async def test_a_database_that_is_closed_to_the_role_says_so(database: str, role: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(sql.SQL("revoke connect on database {} from public").format(sql.Identifier(conn.info.dbname)))
    error = await _refused(make_conninfo(database, user=role))
    assert error.sqlstate == "42501"
    assert "Grant CONNECT" in error.hint


async def test_no_server_says_where_it_looked(tmp_path: Path) -> None:
    error = await _refused(f"host={tmp_path} dbname=orders")
    assert error.message == "No server is running at orders@local."
    assert error.sqlstate is None
    assert (
        await _refused("host=127.0.0.1 port=1 dbname=orders")
    ).message == "No server is running at orders@127.0.0.1:1."


async def test_a_host_without_an_address_says_so() -> None:
    error = await _refused("host=no-such-host.invalid dbname=x")
    assert "has no address" in error.message


async def test_an_unknown_service_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "none"))
    error = await _refused("service=orders")
    assert "service" in error.message


async def test_a_service_of_the_systems_file_connects(
    server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status = server.cluster.status()
    text = f"[orders]\nhost={status.socket_dir}\nport={status.port}\nuser=postgres\ndbname=wrong\n"
    (tmp_path / "pg_service.conf").write_text(text, "utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "none"))
    monkeypatch.setattr("skyconsole.engine.postgres.services._SYSTEM_FOLDERS", (str(tmp_path),))
    async with await connect("service=orders dbname=postgres", application_name="test") as conn:
        assert conn.info.dbname == "postgres"


async def test_a_dsn_that_can_not_be_read_is_a_mistake_of_the_call() -> None:
    with pytest.raises(UsageError):
        await connect("host=h password=open s3cret", application_name="test")


async def test_a_wrong_and_a_missing_password_are_told_apart_and_never_shown(
    private_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    cluster = private_cluster()
    cluster.start()
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("create role ann login password 'right-s3cret'")
        (cluster.data_dir / "pg_hba.conf").write_text("local all ann scram-sha-256\nlocal all all trust\n", "utf-8")
        conn.execute("select pg_reload_conf()")
    dsn = cluster.dsn(user="ann")

    wrong = await _refused(make_conninfo(dsn, password="wrong-s3cret"))
    missing = await _refused(dsn)

    assert (wrong.sqlstate, missing.sqlstate) == ("28P01", "28P01")
    assert "refuses the password" in wrong.message
    assert "none was given" in missing.message
    assert "s3cret" not in "".join(traceback.format_exception(wrong))
    async with await connect(make_conninfo(dsn, password="right-s3cret"), application_name="test"):
        pass


async def test_a_host_that_lets_nobody_in_says_so(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    cluster.start()
    (cluster.data_dir / "pg_hba.conf").write_text("local all postgres trust\n", "utf-8")
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("create role ann login")
        conn.execute("select pg_reload_conf()")
    error = await _refused(cluster.dsn(user="ann"))
    assert error.sqlstate == "28000"
    assert "pg_hba.conf" in error.message


async def test_after_a_kill_and_a_restart_the_backoff_leads_back(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    cluster.start()
    dsn = cluster.dsn()
    conn = await connect(dsn, application_name="test")
    cluster.kill()
    with pytest.raises(psycopg.OperationalError):
        await conn.execute("select 1")
    await conn.close()
    assert (await _refused(dsn)).sqlstate is None

    restart = asyncio.create_task(asyncio.to_thread(cluster.start))
    backoff = Backoff(first=0.05, cap=0.2)
    async with asyncio.timeout(60):
        while True:
            try:
                again = await connect(dsn, application_name="test")
            except UnreachableError:
                await asyncio.sleep(backoff.next())
            else:
                break
    async with again:
        assert again.info.backend_pid
    assert await restart
