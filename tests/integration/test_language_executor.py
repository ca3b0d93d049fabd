"""Commands on a real database: what they change, what undoes them, what is said when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import psycopg
import pytest
import pytest_asyncio
from psycopg import AsyncConnection, sql
from skyconsole.engine.errors import UnreachableError
from skyconsole.engine.language.commands import (
    EVERY,
    AlterQueue,
    CreateQueue,
    DropQueue,
    RegisterConsumer,
    ShowConsumer,
    ShowQueue,
    UnregisterConsumer,
)
from skyconsole.engine.language.executor import Executor
from skyconsole.engine.language.journal import Journal
from skyconsole.engine.language.model import Command, Context, Outcome
from skyconsole.engine.language.parse import parse

NOW = Context()
ODD = ["[/x]", 'a"b', "x.y", "Ünï", "📦", "n" * 63, "a\nb", "it's", "b\\c", "%s", "*", " "]


class Run(Protocol):
    async def __call__(self, command: Command | str, context: Context = NOW) -> Outcome: ...


def executor_of(dsn: str, **options: float) -> Executor:
    async def connect() -> AsyncConnection:
        return await AsyncConnection.connect(dsn)

    return Executor(connect, user="tester", **options)  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def executor(pgq_database: str) -> AsyncIterator[Executor]:
    made = executor_of(pgq_database, lock_timeout=0.3)
    yield made
    await made.close()


@pytest.fixture
def run(executor: Executor) -> Run:
    async def run(command: Command | str, context: Context = NOW) -> Outcome:
        if isinstance(command, str):
            (command,) = parse(command)
        return await executor.run(command, context)

    return run


def queues(conn: psycopg.Connection) -> list[str]:
    return [name for (name,) in conn.execute("select queue_name from pgq.queue order by queue_id")]


@pytest.mark.parametrize("name", ODD)
async def test_a_queue_of_any_name_goes_through_all_commands(run: Run, conn: psycopg.Connection, name: str) -> None:
    assert (await run(CreateQueue(name))).word == "CREATE"
    assert queues(conn) == [name]
    assert (await run(AlterQueue.of(name, paused=True))).word == "ALTER"
    assert (await run(RegisterConsumer(name, name))).word == "REGISTER"
    shown = await run(ShowQueue(name))
    assert [row[0] for row in shown.rows] == [name]
    assert [row[:2] for row in (await run(ShowConsumer(name, name))).rows] == [(name, name)]
    assert (await run(UnregisterConsumer(name, name))).word == "UNREGISTER"
    assert (await run(DropQueue(name))).word == "DROP"
    assert queues(conn) == []


async def test_the_columns_are_those_of_the_original(run: Run) -> None:
    assert (await run("show queue")).columns == (
        "queue_name", "tables", "max_count", "max_lag", "idle_period", "paused", "ticker_lag", "ev_per_sec", "ev_new",
    )  # fmt: skip
    assert (await run("show consumer")).columns == (
        "queue_name", "consumer_name", "lag", "last_seen", "last_tick", "current_batch", "next_tick", "pending_events",
    )  # fmt: skip


async def test_a_queue_that_exists_is_not_created_again(run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders")
    again = await run("create queue orders")
    assert (again.ok, again.error) == (False, "Queue already exists.")


async def test_all_settings_are_changed_in_one_transaction_and_come_back(run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders")
    read = "select row_to_json(q) from pgq.queue as q"
    before = conn.execute(read).fetchone()
    done = await run(
        "alter queue orders set idle_period = '7 s', max_count = 9, max_lag = '8 s', paused = 1,"
        " rotation_period = '3 h', external_ticker = 1, disable_insert = 1, per_tx_limit = 5"
    )
    assert done.ok, done.error
    changed = conn.execute(
        "select queue_ticker_idle_period = '7 s', queue_ticker_max_count, queue_ticker_max_lag = '8 s',"
        " queue_ticker_paused, queue_rotation_period = '3 h', queue_external_ticker, queue_disable_insert,"
        " queue_per_tx_limit from pgq.queue"
    ).fetchone()
    assert changed == (True, 9, True, True, True, True, True, 5)
    assert done.plan.inverse is not None
    assert (await run(done.plan.inverse)).ok
    assert conn.execute(read).fetchone() == before


async def test_nothing_of_a_failed_change_stays(run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders")
    failed = await run("alter queue orders set max_count = 9, max_lag = 'soon'")
    assert (failed.ok, failed.sqlstate) == (False, "22007")
    assert "Nothing was changed." in failed.hint
    assert conn.execute("select queue_ticker_max_count from pgq.queue").fetchone() == (500,)


async def test_every_queue_is_changed_by_a_star(run: Run, conn: psycopg.Connection) -> None:
    for name in ("a", "b"):
        await run(CreateQueue(name))
    done = await run(AlterQueue.of(EVERY, max_count=7, per_tx_limit=3))
    rows = conn.execute("select queue_ticker_max_count, queue_per_tx_limit from pgq.queue").fetchall()
    assert rows == [(7, 3), (7, 3)]
    assert done.plan.inverse == AlterQueue.of(EVERY, max_count=500, per_tx_limit=None)


async def test_unregistering_is_undone_at_the_same_tick(run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders; ".rstrip())
    await run("register consumer mailer on orders")
    conn.execute("select pgq.insert_event('orders', 't', 'd')")
    conn.execute("select pgq.force_tick('orders')")
    conn.execute("select pgq.ticker('orders')")
    done = await run("unregister consumer mailer from orders")
    assert done.plan.inverse == RegisterConsumer("mailer", "orders", at=1)
    assert (await run(done.plan.inverse)).ok
    assert [row[4] for row in (await run(ShowConsumer("mailer", "orders"))).rows] == [1]


async def test_a_new_registration_is_undone_and_a_move_goes_back(run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders")
    first = await run("register consumer mailer on orders")
    assert first.plan.inverse == UnregisterConsumer("mailer", "orders")
    conn.execute("select pgq.force_tick('orders')")
    tick = conn.execute("select pgq.ticker('orders')").fetchone()
    assert tick is not None
    moved = await run(RegisterConsumer("mailer", "orders", at=int(tick[0])))
    assert moved.plan.inverse == RegisterConsumer("mailer", "orders", at=1)


async def test_a_copy_stands_where_the_other_ends(run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders")
    await run("register consumer first on orders")
    conn.execute("select pgq.insert_event('orders', 't', 'd')")
    conn.execute("select pgq.force_tick('orders')")
    conn.execute("select pgq.ticker('orders')")
    conn.execute("select pgq.next_batch('orders', 'first')")
    assert (await run("register consumer second on orders copy first")).ok
    rows = (await run("show consumer on orders")).rows
    assert {row[1]: (row[4], row[6]) for row in rows} == {"first": (1, 2), "second": (2, None)}
    lacking = await run("register consumer third on orders copy nobody")
    assert lacking.error == 'There is no consumer "nobody" on queue "orders" to copy.'


async def test_a_consumer_is_registered_once(run: Run) -> None:
    await run("create queue orders")
    await run("register consumer mailer on orders")
    assert (await run("register consumer mailer on orders")).error == "Consumer already registered."
    assert (await run("register consumer mailer on nowhere")).error == 'Queue "nowhere" not found.'


async def test_the_default_queue_is_meant_where_none_is_named(run: Run) -> None:
    await run("create queue orders")
    there = Context(default_queue="orders")
    assert (await run("register consumer mailer", there)).ok
    assert [row[0] for row in (await run("show queue", there)).rows] == ["orders"]
    lacking = await run("register consumer mailer")
    assert (lacking.ok, lacking.error) == (False, "No queue specified.")


async def test_a_queue_with_consumers_is_dropped_by_force_only(run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders")
    await run("register consumer mailer on orders")
    refused = await run("drop queue orders")
    assert (refused.error, queues(conn)) == ('Queue "orders" still has consumers.', ["orders"])
    assert (await run("drop queue orders force")).ok
    assert queues(conn) == []


async def test_a_created_queue_is_undone_only_while_nothing_was_in_it(run: Run, conn: psycopg.Connection) -> None:
    created = await run("create queue orders")
    assert created.plan.inverse == DropQueue("orders", if_empty=True)
    conn.execute("select pgq.insert_event('orders', 't', 'd')")
    assert (await run(created.plan.inverse)).error == 'Queue "orders" is not empty: events were inserted into it.'
    other = await run("create queue other")
    assert other.plan.inverse is not None
    undone = await run(other.plan.inverse)
    assert (undone.ok, undone.plan.inverse, queues(conn)) == (True, CreateQueue("other"), ["orders"])


async def test_every_consumer_is_taken_off_by_a_star(run: Run) -> None:
    await run("create queue orders")
    for name in ("a", "b"):
        await run(RegisterConsumer(name, "orders"))
    assert (await run(UnregisterConsumer(EVERY, "orders"))).ok
    assert (await run("show consumer on orders")).rows == ()


async def test_a_dry_run_tells_rows_and_locks_and_changes_nothing(
    executor: Executor, run: Run, conn: psycopg.Connection
) -> None:
    await run("create queue orders")
    await run("register consumer mailer on orders")
    dry = await executor.dry_run(DropQueue("orders", force=True), NOW)
    assert (dry.ok, dry.dry_run, queues(conn)) == (True, True, ["orders"])
    number = conn.execute("select queue_id from pgq.queue").fetchone()
    assert number is not None
    assert f"AccessExclusiveLock on pgq.event_{number[0]}_0" in dry.locks
    assert "delete 1 row from pgq.subscription" in dry.changes
    created = await executor.dry_run(CreateQueue("other"), NOW)
    assert "insert 1 row into pgq.queue" in created.changes
    assert not any("delete" in line for line in created.changes)
    assert queues(conn) == ["orders"]


async def test_a_lock_is_waited_for_no_longer_than_the_timeout(run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders")
    with conn.transaction():
        conn.execute("select from pgq.queue for update")
        held = await run("alter queue orders set max_count = 1")
    assert (held.ok, held.sqlstate) == (False, "55P03")
    assert held.seconds < 10


async def test_read_only_mode_refuses_and_the_server_would_too(run: Run, conn: psycopg.Connection) -> None:
    refused = await run("create queue orders", Context(read_only=True))
    assert (refused.ok, queues(conn)) == (False, [])
    assert (await run("show queue", Context(read_only=True))).ok
    settings = conn.execute(
        "select application_name from pg_stat_activity where application_name = 'skyconsole:tester:action'"
    ).fetchall()
    assert len(settings) == 1


async def test_what_looks_cannot_write(executor: Executor, run: Run) -> None:
    assert (await run("show queue")).ok
    connection = await executor.open()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        async with connection.transaction():
            await connection.execute("insert into pgq.consumer (co_name) values ('x')")
    assert (await run("create queue orders")).ok


async def test_a_session_that_was_ended_is_replaced(executor: Executor, run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders")
    conn.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where application_name = 'skyconsole:tester:action'"
    )
    assert (await run("show queue")).ok


async def test_a_session_ended_in_the_middle_is_told(executor: Executor, run: Run, conn: psycopg.Connection) -> None:
    await run("create queue orders")
    executor._timeouts = ("20s", "20s")  # long enough to be ended while it waits
    with conn.transaction():
        conn.execute("select from pgq.queue for update")
        waiting = asyncio.create_task(run("alter queue orders set max_count = 1"))
        await _until(lambda: _waits(conn))
        conn.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where wait_event_type = 'Lock'")
    outcome = await waiting
    assert (outcome.ok, outcome.sqlstate) == (False, "57P01")
    assert "Nothing was changed." in outcome.hint
    assert (await run("show queue")).ok


def _waits(conn: psycopg.Connection) -> bool:
    found = conn.execute("select from pg_stat_activity where wait_event_type = 'Lock' and application_name like 'sky%'")
    return found.fetchone() is not None


async def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


async def test_an_unprivileged_role_is_told_what_it_lacks(pgq_database: str, conn: psycopg.Connection) -> None:
    conn.execute("create role language_guest login")
    try:
        executor = executor_of(f"{pgq_database} user=language_guest")
        try:
            refused = await executor.run(CreateQueue("orders"), NOW)
            assert (refused.ok, refused.sqlstate) == (False, "42501")
            assert "pgq_admin" in refused.hint
            assert (await executor.run(ShowQueue(), NOW)).ok
        finally:
            await executor.close()
    finally:
        conn.execute(sql.SQL("drop role language_guest"))


async def test_a_database_without_pgq_is_told(database: str) -> None:
    executor = executor_of(database)
    try:
        for command in (ShowQueue(), CreateQueue("orders")):
            refused = await executor.run(command, NOW)
            assert (refused.ok, "skyconsole install pgq" in refused.hint) == (False, True)
    finally:
        await executor.close()


async def test_a_server_that_is_not_there_is_told() -> None:
    async def connect() -> AsyncConnection:
        raise UnreachableError("No server is running.", "Start it.")

    refused = await Executor(connect).run(ShowQueue(), NOW)
    assert (refused.ok, refused.error, refused.hint) == (False, "No server is running.", "Start it.")


async def test_undo_and_redo_walk_through_real_changes(run: Run, conn: psycopg.Connection) -> None:
    journal = Journal(target="here")
    for text in ("create queue orders", "alter queue orders set max_count = 9"):
        journal.record(await run(text))
    for expected in (500, None):
        command = journal.undo()
        assert command is not None
        journal.record(await run(command))
        row = conn.execute("select queue_ticker_max_count from pgq.queue").fetchone()
        assert (row and row[0]) == expected
    assert journal.undo() is None
    for expected in (500, 9):
        command = journal.redo()
        assert command is not None
        journal.record(await run(command))
        assert conn.execute("select queue_ticker_max_count from pgq.queue").fetchone() == (expected,)
    assert journal.redo() is None


async def test_the_log_is_a_script_that_does_the_same_again(run: Run, conn: psycopg.Connection) -> None:
    journal = Journal(target="here\nand there")
    for command in (CreateQueue('a"b\nc'), CreateQueue('a"b\nc'), RegisterConsumer("x", 'a"b\nc')):
        journal.record(await run(command))
    await run(DropQueue('a"b\nc', force=True))
    for again in parse(journal.script()):
        assert (await run(again)).ok
    assert queues(conn) == ['a"b\nc']


async def walk_through(dsn: str) -> None:
    """Each kind of command once, dry and in earnest."""
    executor = executor_of(dsn)
    try:
        for text in (
            "create queue orders",
            "register consumer mailer on orders",
            "alter queue orders set max_lag = '7 s', disable_insert = 1",
            "show queue orders",
            "show consumer",
            "unregister consumer mailer from orders",
            "drop queue orders if empty",
        ):
            (command,) = parse(text)
            for perform in (executor.dry_run, executor.run):
                outcome = await perform(command, NOW)
                assert outcome.ok, (text, outcome.error)
    finally:
        await executor.close()


async def test_the_commands_work_on_every_server_version(each_pgq_database: str) -> None:
    await walk_through(each_pgq_database)


@pytest.mark.peer
async def test_the_commands_work_on_the_original_extension(original_database: str) -> None:
    await walk_through(original_database)
