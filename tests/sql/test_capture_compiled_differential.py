"""Random tables and statements give the same events with compiled triggers as with the generic ones, error for error.

A case is one statement that fires a capture trigger of a random set-up, in three databases: with the generic trigger,
compiled by row, compiled by statement where that is possible. Options, as environment variables:
  SKYCONSOLE_DIFFERENTIAL_CASES  how many cases (150; all of it: 10000 and -m torture)
  SKYCONSOLE_DIFFERENTIAL_SEED   the seed; without it a new one, printed
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from .capture_cases import Contender, Difference, differences, quoted

CASES = int(os.environ.get("SKYCONSOLE_DIFFERENTIAL_CASES", "150"))
ALL_CASES = max(CASES, 10_000)
# A session remembers the plans of all tables it has seen, and each of the many changes here has to look at them.
SETUPS_OF_A_SESSION = 15

Compile = Callable[[psycopg.Connection[Any], str, str], None]


def _compiler(form: str, made: Counter[str]) -> Compile:
    def compile_trigger(conn: psycopg.Connection[Any], table: str, trigger: str) -> None:
        try:
            row = conn.execute(
                "select pgq.compile_capture(%s::regclass, %s, %s)", [f"s.{quoted(table)}", trigger, form]
            ).fetchone()
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.InternalError_):
            # Not fit for the form; arguments that the trigger refuses.
            made["left generic"] += 1
        else:
            assert row is not None
            made[row[0]] += 1

    return compile_trigger


def _run(server: Any, cases: int) -> Counter[str]:
    seed = int(os.environ.get("SKYCONSOLE_DIFFERENTIAL_SEED", secrets.randbelow(10**6)))
    print(f"SKYCONSOLE_DIFFERENTIAL_SEED={seed}")
    made: Counter[str] = Counter()
    compilers: dict[str, Compile | None] = {"generic": None}
    compilers |= {form: _compiler(form, made) for form in ("row", "statement")}
    with ExitStack() as stack:
        contenders = []
        for form, compile_trigger in compilers.items():
            name = server.create_database(server.template_of("pgq"))
            stack.callback(server.drop_database, name)
            contenders.append(Contender(form, psycopg.connect(server.dsn(name), autocommit=True), compile_trigger))
        for contender in contenders:
            contender.conn.execute("select pgq.create_queue('q')")
        found: list[Difference] = []
        for number, (done, different) in enumerate(differences(contenders, seed, cases), start=1):
            made["cases"] += done
            found += different
            if number % SETUPS_OF_A_SESSION == 0:
                for contender in contenders:
                    dsn = contender.conn.info.dsn
                    contender.conn.close()
                    contender.conn = psycopg.connect(dsn, autocommit=True)
        for contender in contenders:
            contender.conn.close()
    print(dict(made))
    assert not found, f"{len(found)} of {made['cases']} cases with seed {seed}, the first:\n{found[0]}"
    return made


def test_random_statements_make_the_same_events_with_compiled_triggers(server: Any) -> None:
    made = _run(server, CASES)
    assert made["cases"] >= CASES


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_ten_thousand_of_them_do(server: Any) -> None:
    made = _run(server, ALL_CASES)
    assert made["row"] > ALL_CASES / 100
    assert made["statement"] > ALL_CASES / 100
