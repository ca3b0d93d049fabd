"""Databases made ready for all kinds of consumers."""

from __future__ import annotations

import asyncio

import psycopg
from skyconsole.engine.postgres.modules import install

from .place import Site


def prepared(dsn: str, remote_dsn: str) -> Site:
    """What consumers need beside PgQ is installed, and PgQ itself where it is missing."""
    asyncio.run(_install(dsn, remote_dsn))
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select to_regprocedure('pgq.event_dead(bigint,bigint,text)') is not null").fetchone()
    return Site(dsn, remote_dsn, dead_letters=bool(row and row[0]))


async def _install(dsn: str, remote_dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        row = await (await connection.execute("select to_regnamespace('pgq') is null")).fetchone()
        if row is not None and row[0]:
            await install(connection, "pgq")
        await install(connection, "pgq_coop")
    async with await psycopg.AsyncConnection.connect(remote_dsn, autocommit=True) as connection:
        await install(connection, "pgq_ext")
