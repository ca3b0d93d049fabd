"""Rows on their way through the capture triggers and back: what is decoded is what was written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from skyconsole.engine.postgres.modules import install
from skyconsole.engine.queue.encodings import RowForm, RowOperation, decode, python_codec

SEED = 20261122
CASES = 40

COLUMNS = {
    "id": "integer",
    "a b": "text",
    'q"x': "text",
    "n": "numeric",
    "yes": "boolean",
    "raw": "bytea",
    "Ünï": "text",
}
PIECES = ["", "a", "'", '"', "\\", "&", "=", "%", "+", " ", "\n", "\t", "é", "õ", "%41", "E'", "null", "\x7f", "\x01"]


@dataclass(frozen=True)
class Stored:
    """The fields of an event that `decode` reads."""

    ev_type: str | None
    ev_data: str | None
    ev_extra1: str | None
    ev_extra2: str | None


async def _install(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await install(conn, "pgq")


def _captured(dsn: str, trigger: str) -> psycopg.Connection[Any]:
    conn = psycopg.connect(dsn, autocommit=True, client_encoding="utf8")
    conn.execute("select pgq.create_queue('q')")
    columns = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in COLUMNS.items())
    conn.execute(sql.SQL("create table captured ({}, primary key (id))").format(columns))
    conn.execute(
        sql.SQL(
            "create trigger t after insert or update or delete on captured "
            "for each row execute function pgq.{}('q', 'backup')"
        ).format(sql.Identifier(trigger))
    )
    return conn


def _row(rng: random.Random) -> dict[str, Any]:
    def text() -> str | None:
        return None if rng.random() < 0.2 else "".join(rng.choices(PIECES, k=rng.randrange(6)))

    return {
        "id": rng.randrange(1000), "a b": text(), 'q"x': text(), "n": rng.choice([None, 0, -1.5]),
        "yes": rng.choice([None, True, False]), "raw": rng.choice([None, b"", bytes(range(256))]), "Ünï": text(),
    }  # fmt: skip


def _shown(conn: psycopg.Connection[Any]) -> dict[str, str | None]:
    """The row as its output functions show it."""
    with conn.cursor() as cursor:
        cursor.adapters.register_loader("int4", psycopg.types.string.TextLoader)
        for kind in ("numeric", "bool", "bytea"):
            cursor.adapters.register_loader(kind, psycopg.types.string.TextLoader)
        row = cursor.execute("select * from captured").fetchone()
        assert row is not None
        assert cursor.description is not None
        return {column.name: value for column, value in zip(cursor.description, row, strict=True)}


@pytest.fixture(params=["UTF8", "LATIN1"])
def captured_database(request: pytest.FixtureRequest, server: Any) -> Iterator[str]:
    """The DSN of a database with our pgq, in this encoding."""
    name = f"captured_{request.param.lower()}"
    server.execute(
        sql.SQL("create database {} template template0 encoding {} locale 'C'").format(
            sql.Identifier(name), sql.Literal(request.param)
        )
    )
    yield server.dsn(name)
    server.drop_database(name)


@pytest.mark.parametrize("form", RowForm)
def test_rows_come_back_as_they_were(captured_database: str, form: RowForm) -> None:
    asyncio.run(_install(captured_database))
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    with _captured(captured_database, form.value) as conn:
        codec = python_codec(conn.info.parameter_status("server_encoding") or "")
        for _ in range(CASES):
            _check(conn, form, codec, rng)


def _check(conn: psycopg.Connection[Any], form: RowForm, codec: str, rng: random.Random) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    places = sql.SQL(", ").join([sql.Placeholder()] * len(COLUMNS))
    first = _row(rng)
    second = {**_row(rng), "id": first["id"]}
    conn.execute(sql.SQL("insert into captured ({}) values ({})").format(names, places), list(first.values()))
    before = _shown(conn)
    conn.execute(
        sql.SQL("update captured set ({}) = row({})").format(names, places),
        list(second.values()),
    )
    after = _shown(conn)
    conn.execute("delete from captured")
    inserted, updated, deleted = (_decoded(conn, event, codec) for event in _events(conn))
    assert (inserted.op, inserted.values, inserted.old) == (RowOperation.INSERT, before, None)
    assert (updated.op, updated.old) == (RowOperation.UPDATE, before)
    assert (deleted.op, deleted.keys) == (RowOperation.DELETE, ("id",))
    if form is RowForm.SQL:
        assert {**before, **updated.values} == after
        assert deleted.values == {"id": after["id"]}
    else:
        assert (updated.values, deleted.values) == (after, after)
        assert inserted.keys == updated.keys == ("id",)
    assert {(change.schema, change.table, change.form) for change in (inserted, updated, deleted)} == {
        ("public", "captured", form)
    }


def _events(conn: psycopg.Connection[Any]) -> list[Stored]:
    rows = conn.execute("select ev_type, ev_data, ev_extra1, ev_extra2 from pgq.event_1 order by ev_id").fetchall()
    conn.execute("truncate pgq.event_1 cascade")
    for number in range(3):
        conn.execute(sql.SQL("truncate {}").format(sql.Identifier("pgq", f"event_1_{number}")))
    return [Stored(*row) for row in rows]


def _decoded(conn: psycopg.Connection[Any], event: Stored, codec: str) -> Any:
    change = decode(event, codec)
    assert change is not None, event
    return change
