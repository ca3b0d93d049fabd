"""Each case recorded from the reference's triggers gives the same events here (api/pgq.trigger_vectors.jsonl)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

Vector = dict[str, Any]
Step = dict[str, Any]

# The session that the cases were recorded in.
SESSION = """
    set timezone = 'UTC';
    set datestyle = 'ISO, YMD';
    set intervalstyle = postgres;
    set extra_float_digits = 1;
    set bytea_output = hex;
"""
FRESH = """
    reset all;
    drop schema public cascade;
    drop schema if exists "S.x" cascade;
    create schema public;
"""
NEW_EVENTS = """
    select ev_id, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4
    from pgq.event_template
    where ev_id > %s
    order by ev_id
"""


def _vectors() -> list[Vector]:
    lines = (Path(__file__).parent / "api" / "pgq.trigger_vectors.jsonl").read_text("utf-8").splitlines()
    return [vector for vector in map(json.loads, lines) if "about" not in vector]


VECTORS = _vectors()


def _answers(conn: psycopg.Connection[Any], vector: Vector) -> Iterator[tuple[Step, Step]]:
    """What each step is expected to give and what it gives."""
    conn.execute(FRESH + SESSION)
    for statement in [*vector["setup"], vector["trigger"], *vector["settings"]]:
        conn.execute(statement.encode())
    row = conn.execute("select last_value from pgq.event_1_id_seq").fetchone()
    assert row is not None
    seen = row[0]
    for step in vector["steps"]:
        answer: Step = {}
        try:
            answer["status"] = conn.execute(step["sql"].encode()).statusmessage
        except psycopg.Error as error:
            answer["error"] = [error.sqlstate, error.diag.message_primary]
        events = conn.execute(NEW_EVENTS, [seen]).fetchall()
        seen = max([seen, *[event[0] for event in events]])
        answer["events"] = [list(event[1:]) for event in events]
        yield {key: item for key, item in step.items() if key != "sql"}, answer


def _differences(dsn: str, vectors: list[Vector]) -> list[str]:
    found: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('q')")
        # No event has the number that a sequence which was never used shows.
        conn.execute("select pgq.insert_event('q', null, null)")
        for vector in vectors:
            for expected, answer in _answers(conn, vector):
                if answer != expected:
                    found.append(f"{vector['id']}\n  expected {expected}\n  but was  {answer}")
    return found


def test_all_cases_are_there() -> None:
    assert len(VECTORS) == 188
    assert sum(len(vector["steps"]) for vector in VECTORS) > 350


def _possible(dsn: str, vectors: list[Vector]) -> list[Vector]:
    """Without those that need a type which this server was built without."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        try:
            conn.execute("select xmlcomment('x')")
        except psycopg.errors.FeatureNotSupported:
            return [vector for vector in vectors if not any(" xml" in statement for statement in vector["setup"])]
    return vectors


def test_our_triggers_give_the_events_of_the_reference(pgq_database: str) -> None:
    assert _differences(pgq_database, _possible(pgq_database, VECTORS)) == []


def test_a_part_of_them_is_tried_on_each_version(each_pgq_database: str) -> None:
    with psycopg.connect(each_pgq_database) as conn:
        part = VECTORS[conn.info.server_version // 10000 % 5 :: 5]
    assert _differences(each_pgq_database, _possible(each_pgq_database, part)) == []


@pytest.mark.peer
def test_the_reference_gives_them_too(original_database: str) -> None:
    assert _differences(original_database, VECTORS) == []


def test_a_wrong_expectation_is_noticed(pgq_database: str) -> None:
    steps = [
        {"sql": "insert into vt values (1)", "status": "INSERT 0 1", "events": []},
        {"sql": "insert into vt values (2)", "status": "INSERT 0 1", "events": [["I:id", "id=3", *[None] * 4]]},
        {"sql": "insert into vt values (3)", "error": ["XX000", "no"], "events": []},
    ]
    trigger = "create trigger tg after insert on vt for each row execute function pgq.logutriga('q')"
    setup = ["create table vt (id int primary key)"]
    wrong = {"id": "x", "setup": setup, "trigger": trigger, "settings": [], "steps": steps}
    assert len(_differences(pgq_database, [wrong])) == 3
