"""Captures that are compiled at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

COMPILE = "select pgq.compile_capture(%s::regclass, 'tg')"


def test_two_tables_of_one_queue_are_compiled_one_after_the_other(
    pgq_database: str, sessions_of: Callable[[str], Any]
) -> None:
    sessions = sessions_of(pgq_database)
    first, second, watcher = sessions.open(autocommit=False), sessions.open(), sessions.open()
    watcher.execute("select pgq.create_queue('q')")
    for table in ("a", "b"):
        watcher.execute(f"create table {table} (id integer primary key)".encode())
        watcher.execute(
            f"create trigger tg after insert on {table} for each row execute function pgq.logutriga('q')".encode()
        )
        watcher.execute(COMPILE, [table])
    # Nothing is new, but all of it is written again.
    assert first.execute(COMPILE, ["a"]).fetchone() == ("row",)
    waiting = sessions.start(second, COMPILE, "b")
    sessions.wait_blocked(second, watcher)
    first.commit()
    assert waiting.result(timeout=20) == "row"
    watcher.execute("insert into a values (1)")
    watcher.execute("insert into b values (2)")
    assert watcher.execute("select ev_data from pgq.event_1 order by ev_id").fetchall() == [("id=1",), ("id=2",)]
