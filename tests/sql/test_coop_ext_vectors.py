"""pgq_coop and pgq_ext give the results that were recorded from the reference (api/pgq.core_vectors.jsonl)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.modules import InstallReport, install

Scenario = dict[str, Any]


def _scenario(name: str) -> Scenario:
    lines = (Path(__file__).parent / "api" / "pgq.core_vectors.jsonl").read_text("utf-8").splitlines()
    (scenario,) = [found for found in map(json.loads, lines) if found.get("scenario") == name]
    return dict(scenario)


COOP, EXT = _scenario("coop"), _scenario("ext")


def _differences(dsn: str, scenario: Scenario) -> list[str]:
    found: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as conn:
        notices: list[str] = []
        conn.add_notice_handler(lambda notice: notices.append(f"{notice.severity}:  {notice.message_primary}"))
        for number, step in enumerate(scenario["steps"]):
            notices.clear()
            outcome = _outcome(conn, step["sql"])
            if notices:
                outcome["notices"] = list(notices)
            expected = {key: item for key, item in step.items() if key != "sql"}
            if outcome != expected:
                found.append(f"step {number}: {step['sql']}\n  expected {expected}\n  but was  {outcome}")
    return found


def _outcome(conn: psycopg.Connection[Any], query: str) -> dict[str, Any]:
    try:
        cursor = conn.execute(query.encode())
    except psycopg.Error as error:
        return {"error": [error.sqlstate, error.diag.message_primary]}
    if cursor.description is None:
        return {"status": cursor.statusmessage}
    return {"rows": [list(row) for row in cursor]}


@contextmanager
def _database(server: Any, module: str) -> Iterator[str]:
    name = server.create_database(server.template_of(module))
    yield server.dsn(name)
    server.drop_database(name)


async def _install(dsn: str, module: str) -> InstallReport:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        return await install(conn, module)


@pytest.mark.parametrize("scenario", [COOP, EXT], ids=["coop", "ext"])
def test_our_sql_gives_the_results_of_the_reference(each_server: Any, scenario: Scenario) -> None:
    assert len(scenario["steps"]) > 35
    with _database(each_server, scenario["modules"][-1]) as dsn:
        assert _differences(dsn, scenario) == []


@pytest.mark.peer
def test_our_workers_give_them_on_the_original_queue_too(original_database: str) -> None:
    report = asyncio.run(_install(original_database, "pgq_coop"))
    assert (report.action, report.required[0].action) == ("installed", "extension")
    assert _differences(original_database, COOP) == []


def test_a_wrong_expectation_is_noticed(server: Any) -> None:
    steps = [
        {"sql": "select pgq_ext.set_batch_done('c', 1)", "rows": [[False]]},
        {"sql": "select pgq_ext.set_batch_done(null, 2)", "error": ["23502", "some other message"]},
        {"sql": "select pgq_ext.get_last_tick('c')", "error": ["P0001", "none"]},
    ]
    with _database(server, "pgq_ext") as dsn:
        assert len(_differences(dsn, {"steps": steps})) == 3
