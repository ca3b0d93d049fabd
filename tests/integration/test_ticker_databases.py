"""Databases come, go, are renamed, have odd names, and may be hundreds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql
from skyconsole.daemons.ticker import Ticker, TickerConfig
from skyconsole.daemons.ticker.config import database_list
from skyconsole.daemons.ticker.record import State
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install

ODD = ('quoted "name"', "two words", "comma, inside", "Ünï köde", "it's", "back\\slash", "a=b", "[/x] %s")


@pytest.fixture
def own_server(private_cluster: Callable[..., Cluster]) -> Cluster:
    """A server whose databases are this test's alone."""
    cluster = private_cluster()
    cluster.start({"fsync": "off", "max_connections": "100", "full_page_writes": "off"})
    return cluster


def _execute(cluster: Cluster, text: str, **names: str) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL(text).format(**{k: sql.Identifier(v) for k, v in names.items()}))  # type: ignore[arg-type]


def _template(cluster: Cluster) -> str:
    _execute(cluster, "create database pgq_template")
    dsn = cluster.dsn("pgq_template")

    async def fill() -> None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            await install(conn, "pgq")
            await conn.execute("select pgq.create_queue('q')")

    asyncio.run(fill())
    _execute(cluster, "alter database pgq_template is_template true")
    return "pgq_template"


def _config(cluster: Cluster, **settings: Any) -> TickerConfig:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts = {k: str(v) for k, v in conninfo_to_dict(cluster.dsn()).items() if k != "dbname"}
    chosen = {"check_period": 0.3, "syslog": False, **settings}
    return TickerConfig(base_connstr=make_conninfo("", **parts), **chosen)


def _states(ticker: Ticker) -> dict[str, State]:
    return {r.name: r.state for r in ticker.records}


def test_databases_with_odd_names_are_found_and_ticked(own_server: Cluster, until: Any) -> None:
    template = _template(own_server)
    for name in ODD:
        _execute(own_server, "create database {name} template {template}", name=name, template=template)

    async def scenario() -> None:
        ticker, stop = Ticker(_config(own_server)), asyncio.Event()
        task = asyncio.create_task(ticker.run(stop))
        await until(lambda: all(_states(ticker).get(n) is State.TICKING for n in ODD), "all odd names tick")
        assert "pgq_template" not in _states(ticker)
        assert "template1" not in _states(ticker)
        stop.set()
        await task
        written = ", ".join('"' + name.replace('"', '""') + '"' for name in ODD)
        listed = Ticker(_config(own_server, database_list=database_list(written + ", !it's")))
        stop = asyncio.Event()
        task = asyncio.create_task(listed.run(stop))
        rest = set(ODD) - {"it's"}
        await until(lambda: set(_states(listed).values()) == {State.TICKING}, "the listed ones tick")
        assert set(_states(listed)) == rest
        stop.set()
        await task

    asyncio.run(scenario())


def test_databases_created_dropped_and_renamed_while_running_are_followed(own_server: Cluster, until: Any) -> None:
    template = _template(own_server)

    async def scenario() -> None:
        ticker, stop = Ticker(_config(own_server)), asyncio.Event()
        task = asyncio.create_task(ticker.run(stop))
        await until(lambda: "postgres" in _states(ticker), "the list is read")
        await asyncio.to_thread(_execute, own_server, "create database {n} template {t}", n="fresh one", t=template)
        await until(lambda: _states(ticker).get("fresh one") is State.TICKING, "the new database is ticked")

        ticker.answer({"command": "release", "database": "fresh one", "seconds": 30})
        await asyncio.to_thread(_execute, own_server, "alter database {n} rename to {m}", n="fresh one", m="renamed")
        await until(lambda: _states(ticker).get("renamed") is State.TICKING, "the renamed one is ticked")
        assert "fresh one" not in _states(ticker)

        await asyncio.to_thread(_execute, own_server, "drop database {n} with (force)", n="renamed")
        await until(lambda: "renamed" not in _states(ticker), "the dropped one is forgotten")

        ticker.reconfigure(_config(own_server, database_list=database_list("postgres")))
        await asyncio.to_thread(_execute, own_server, "create database later")
        await until(lambda: set(_states(ticker)) == {"postgres"}, "a list given later counts")
        stop.set()
        await task

    asyncio.run(scenario())


def test_pgq_installed_in_a_known_database_is_noticed(own_server: Cluster, until: Any) -> None:
    async def scenario() -> None:
        ticker, stop = Ticker(_config(own_server)), asyncio.Event()
        task = asyncio.create_task(ticker.run(stop))
        await until(lambda: _states(ticker).get("postgres") is State.NO_PGQ, "no pgq yet")
        async with await psycopg.AsyncConnection.connect(own_server.dsn(), autocommit=True) as conn:
            await install(conn, "pgq")
        await until(lambda: _states(ticker).get("postgres") is State.TICKING, "ticked once it is there")
        stop.set()
        await task

    asyncio.run(scenario())


def _connections(cluster: Cluster) -> int:
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        row = conn.execute(
            "select count(*) from pg_stat_activity where application_name = 'skyconsole-ticker'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_more_databases_than_connections_take_turns(own_server: Cluster, until: Any) -> None:
    template = _template(own_server)
    names = [f"db{n}" for n in range(12)]
    for name in names:
        _execute(own_server, "create database {name} template {template}", name=name, template=template)

    async def scenario() -> None:
        ticker = Ticker(_config(own_server, max_connections=3, worker_connections=2, ticker_period=0.2))
        stop, most = asyncio.Event(), 0
        task = asyncio.create_task(ticker.run(stop))

        async def all_ticked_twice() -> bool:
            nonlocal most
            most = max(most, await asyncio.to_thread(_connections, own_server))
            ticks = {r.name: r.ticks for r in ticker.records}
            return all(ticks.get(name, 0) >= 2 for name in names)

        await until(all_ticked_twice, "every database is ticked in its turn", 30)
        # Three tickers, two workers, the discovery; and a few that the server has not yet seen go.
        assert most <= 9
        stop.set()
        await task

    asyncio.run(scenario())


@pytest.mark.thorough
def test_two_hundred_databases_of_which_five_have_pgq(own_server: Cluster, until: Any) -> None:
    _many(own_server, until, 200)


def _many(cluster: Cluster, until: Any, count: int) -> None:
    template = _template(cluster)
    _execute(cluster, "alter database template0 allow_connections false")
    for number in range(count):
        chosen = template if number % (count // 5) == 0 else "template0"
        _execute(cluster, "create database {name} template {template}", name=f"db{number}", template=chosen)

    async def scenario() -> None:
        ticker, stop = Ticker(_config(cluster, check_period=2.0)), asyncio.Event()
        task = asyncio.create_task(ticker.run(stop))

        def sorted_out() -> bool:
            states = list(_states(ticker).values())
            return states.count(State.TICKING) == 5 and states.count(State.NO_PGQ) == count - 5 + 1

        await until(sorted_out, "five tick, the rest have no pgq", 60)
        assert await asyncio.to_thread(_connections, cluster) <= 5 + 4 + 10
        stop.set()
        await task

    asyncio.run(scenario())
