"""Random tables and statements give the same events here and on the original extension, error for error.

A case is one statement that fires a capture trigger of a random set-up. Options, as environment variables:
  SKYCONSOLE_DIFFERENTIAL_CASES  how many cases (300; all of it: 10000 and -m torture)
  SKYCONSOLE_DIFFERENTIAL_SEED   the seed; without it a new one, printed

Not drawn, because they differ deliberately (sql/pgq/differences.toml): more than one statement in an expression.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from skyconsole.engine.postgres.modules import install

from .capture_cases import Contender, Difference, differences

CASES = int(os.environ.get("SKYCONSOLE_DIFFERENTIAL_CASES", "300"))
ALL_CASES = max(CASES, 10_000)


@pytest.fixture
def beside_original(original_database: str) -> Iterator[str]:
    """The DSN of a database with our pgq on the server of the original one."""
    name = f"beside_{secrets.token_hex(4)}"
    with psycopg.connect(original_database, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        dsn = psycopg.conninfo.make_conninfo(original_database, dbname=name)
        asyncio.run(_install(dsn))
        yield dsn
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


async def _install(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await install(conn, "pgq")


def _seed() -> int:
    seed = int(os.environ.get("SKYCONSOLE_DIFFERENTIAL_SEED", secrets.randbelow(10**6)))
    print(f"SKYCONSOLE_DIFFERENTIAL_SEED={seed}")
    return seed


def _shown(difference: Difference) -> str:
    return "\n  ".join(
        [
            f"{difference.contender} in set-up {difference.seed}: {difference.statement}",
            *difference.ddl,
            str(difference.settings),
            f"expected {difference.expected}",
            f"but was  {difference.actual}",
        ]
    )


def _run(original: str, ours: str, cases: int, seed: int) -> None:
    with (
        psycopg.connect(original, autocommit=True) as theirs_conn,
        psycopg.connect(ours, autocommit=True) as ours_conn,
    ):
        contenders = [Contender("original", theirs_conn), Contender("generic", ours_conn)]
        for contender in contenders:
            contender.conn.execute("select pgq.create_queue('q')")
        done = 0
        found: list[Difference] = []
        for number, different in differences(contenders, seed, cases):
            done += number
            found += different
        assert contenders[0].last_event > cases / 5, "too few events to say much"
        assert not found, f"{len(found)} of {done} cases with seed {seed}, the first:\n{_shown(found[0])}"


@pytest.mark.peer
def test_random_statements_make_the_same_events_as_on_the_original(
    original_database: str, beside_original: str
) -> None:
    _run(original_database, beside_original, CASES, _seed())


@pytest.mark.peer
@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_ten_thousand_of_them_do(original_database: str, beside_original: str) -> None:
    _run(original_database, beside_original, ALL_CASES, _seed())


@pytest.mark.peer
def test_another_trigger_is_noticed(original_database: str, beside_original: str) -> None:
    """The comparison itself: ours with url-encoding that leaves blanks alone is another one within 300 cases."""
    with psycopg.connect(beside_original, autocommit=True) as conn:
        conn.execute(
            "create or replace function pgq.url_encode(i_text text) returns text language sql immutable strict"
            " as $$ select i_text $$"
        )
    with pytest.raises(AssertionError, match="cases with seed 1"):
        _run(original_database, beside_original, 300, 1)
