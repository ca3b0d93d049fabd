"""Each scenario that was recorded from the reference gives the same results here (api/pgq.core_vectors.jsonl)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

Scenario = dict[str, Any]


def _scenarios() -> list[Scenario]:
    lines = (Path(__file__).parent / "api" / "pgq.core_vectors.jsonl").read_text("utf-8").splitlines()
    return [scenario for scenario in map(json.loads, lines) if scenario.get("modules") == ["pgq"]]


SCENARIOS = _scenarios()
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=[s["scenario"] for s in SCENARIOS])


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


def test_all_scenarios_of_the_core_are_there() -> None:
    assert len(SCENARIOS) == 8
    assert sum(len(scenario["steps"]) for scenario in SCENARIOS) > 250


@each_scenario
def test_our_sql_gives_the_results_of_the_reference(each_pgq_database: str, scenario: Scenario) -> None:
    assert _differences(each_pgq_database, scenario) == []


@pytest.mark.peer
@each_scenario
def test_the_reference_gives_them_too(original_database: str, scenario: Scenario) -> None:
    assert _differences(original_database, scenario) == []


def test_a_wrong_expectation_is_noticed(pgq_database: str) -> None:
    steps = [
        {"sql": "select pgq.create_queue('q')", "rows": [[0]]},
        {"sql": "select pgq.finish_batch(5)", "rows": [[0]]},
        {"sql": "select pgq.ticker('nope')", "error": ["P0001", "No such queue"]},
    ]
    assert len(_differences(pgq_database, {"steps": steps})) == 3
