"""The console on a real server: odd names, drill-down, kills, missing PgQ, refusals."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from skyconsole.console.app import SkyConsole
from skyconsole.engine.monitor.model import Part, Phase, Snapshot
from skyconsole.engine.monitor.postgres_source import PostgresSource
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install
from textual import events
from textual.pilot import Pilot

ODD_NAMES = ("[/x]", 'a"b', "x.y", "Ünï", "📦 parcels", "tab\there", "q" * 63, "[bold]b[/bold]", "it's")
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")


@asynccontextmanager
async def console_on(
    *sources: PostgresSource, size: tuple[int, int] = (100, 30), **settings: Any
) -> AsyncIterator[tuple[SkyConsole, Pilot[Any]]]:
    app = SkyConsole(sources, interval=0.3, **settings)
    async with app.run_test(size=size, notifications=True) as pilot:
        yield app, pilot


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str) -> None:
    """Wait until something is so; fails with what was awaited and the screen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come\n" + "\n".join(text_of(pilot.app)))
        await pilot.pause(0.02)


def text_of(app: Any) -> list[str]:
    return ["".join(segment.text for segment in strip).rstrip() for strip in app.screen._compositor.render_strips()]


def on_screen(app: SkyConsole, text: str) -> bool:
    return any(text in line for line in text_of(app))


def create_queues(dsn: str, *names: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for name in names:
            conn.execute("select pgq.create_queue(%s)", (name,))


async def test_every_odd_name_is_shown_whole_and_opened(pgq_database: str) -> None:
    create_queues(pgq_database, *ODD_NAMES)
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        for name in ODD_NAMES:
            conn.execute("select pgq.register_consumer(%s, %s)", (name, f"reader of {name}"[:60]))
    async with console_on(PostgresSource(pgq_database, "odd"), size=(180, 30)) as (app, pilot):
        await until(pilot, lambda: app.picture and len(app.picture.queues) == len(ODD_NAMES), "the queues")
        await until(pilot, lambda: app.table_screen and app.table_screen.table.rows, "the rows")
        screen = app.table_screen
        assert screen is not None
        for name in ODD_NAMES:
            shown = name.replace("\t", "␉")
            assert screen.table.put_cursor(name)
            await pilot.pause()
            assert on_screen(app, f" {shown} "), name
            await pilot.press("enter")
            await until(pilot, lambda: app.table_screen is not screen, "the queue's own screen")
            await until(pilot, lambda: app.table_screen and app.table_screen.table.rows, "its consumer")
            assert on_screen(app, f"› {shown}"), name
            row: Any = app.selected_row()
            assert row.facts.queue == name
            await pilot.press("escape")
            await until(pilot, lambda: app.table_screen is screen, "the queues again")


async def test_an_open_batch_is_peeked_at_and_not_consumed(pgq_database: str) -> None:
    create_queues(pgq_database, "orders")
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.register_consumer('orders', 'mailer')")
        for number in range(3):
            conn.execute("select pgq.insert_event('orders', 'new', %s)", (f"order {number}",))
        conn.execute("select pgq.ticker('orders')")
        conn.execute("select pgq.force_tick('orders')")
        conn.execute("select pgq.ticker('orders')")
        batch = conn.execute("select pgq.next_batch('orders', 'mailer')").fetchone()
        async with console_on(PostgresSource(pgq_database, "shop")) as (app, pilot):
            await until(pilot, lambda: app.table_screen and app.table_screen.table.rows, "the queue")
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(row := app.selected_row(), object) and hasattr(row, "lag"), "mailer")
            await pilot.press("enter")
            await until(pilot, lambda: on_screen(app, "order 2"), "the events")
            assert on_screen(app, f"batch {batch[0] if batch else ''}")
        left = conn.execute("select count(*) from pgq.get_batch_events(%s)", batch).fetchone()
        assert left == (3,)


async def test_a_killed_server_is_told_and_its_return_is_seen(private_cluster: Callable[..., Cluster]) -> None:
    cluster = private_cluster()
    cluster.start()
    dsn = cluster.dsn()
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("create database watched")
    dsn = cluster.dsn("watched")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await install(conn, "pgq")
        await conn.execute("select pgq.create_queue('orders')")
    async with console_on(PostgresSource(dsn, "watched")) as (app, pilot):
        await until(pilot, lambda: on_screen(app, "orders"), "the queue")
        cluster.kill()
        await until(pilot, lambda: app.picture and app.picture.snapshot.phase is Phase.LOST, "the loss")
        await until(pilot, lambda: on_screen(app, "connection lost"), "the strip")
        assert on_screen(app, "orders"), "the last facts stay"
        assert on_screen(app, "retry"), "and the title counts"
        await pilot.press("3", "2", "down", "up")
        await pilot.press("D")
        await until(pilot, lambda: on_screen(app, "what failed"), "the details")
        await pilot.press("escape")
        cluster.start()
        await pilot.press("r")
        await until(pilot, lambda: app.picture and app.picture.snapshot.phase is Phase.LIVE, "the return")
        await until(pilot, lambda: not on_screen(app, "connection lost"), "the end of the strip")


async def test_pgq_dropped_while_watched_is_told_and_can_be_installed_again(pgq_database: str) -> None:
    create_queues(pgq_database, "orders")
    async with console_on(PostgresSource(pgq_database, "shop")) as (app, pilot):
        await until(pilot, lambda: on_screen(app, "orders"), "the queue")
        with psycopg.connect(pgq_database, autocommit=True) as conn:
            conn.execute("drop schema pgq cascade")
        await until(pilot, lambda: on_screen(app, "PgQ is not installed in shop"), "the offer")
        await pilot.press("i")
        await until(pilot, lambda: on_screen(app, "install pgq"), "the SQL")
        assert on_screen(app, "create") or on_screen(app, "files in one transaction")
        await pilot.press("right", "enter")
        await until(pilot, lambda: app.picture and app.picture.snapshot.phase is Phase.LIVE, "PgQ")
        await until(pilot, lambda: on_screen(app, "no queues"), "the empty screen")


async def test_read_only_does_not_install(database: str) -> None:
    async with console_on(PostgresSource(database, "bare"), read_only=True) as (app, pilot):
        await until(pilot, lambda: on_screen(app, "PgQ is not installed in bare"), "the offer")
        await pilot.press("i")
        await until(pilot, lambda: on_screen(app, "press R"), "the refusal")
    with psycopg.connect(database) as conn:
        assert conn.execute("select to_regnamespace('pgq')").fetchone() == (None,)


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    source = PostgresSource(f"host={tmp_path} dbname=nowhere connect_timeout=2", "nowhere")
    async with console_on(source) as (app, pilot):
        await until(pilot, lambda: app.picture and app.picture.snapshot.problems, "the problem")
        await until(pilot, lambda: on_screen(app, "nowhere") and on_screen(app, "retry"), "the retry")
        await pilot.press("q")
        await until(pilot, lambda: app.current_mode == "overview", "the overview")


async def test_a_login_without_rights_sees_what_is_public(pgq_database: str) -> None:
    create_queues(pgq_database, "orders")
    role = f"guest_{os.getpid()}"
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        try:
            source = PostgresSource(psycopg.conninfo.make_conninfo(pgq_database, user=role), "guest")
            async with console_on(source, size=(140, 40)) as (app, pilot):
                await until(pilot, lambda: on_screen(app, "orders"), "the queue")
                await until(pilot, lambda: on_screen(app, "retry queue ?"), "the part that may not be read")
                await pilot.press("enter", "escape")
                await until(pilot, lambda: on_screen(app, "orders"), "the queue again")
        finally:
            conn.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def ask_for_a_password(rules: Path, role: str) -> None:
    rules.write_text(f"local all {role} scram-sha-256\n" + rules.read_text("utf-8"), "utf-8")


async def test_a_password_that_is_changed_is_told_and_the_right_one_lets_the_console_back_in(
    private_cluster: Callable[..., Cluster],
) -> None:
    cluster = private_cluster()
    cluster.start()
    dsn = cluster.dsn()
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await install(conn, "pgq")
        await conn.execute("select pgq.create_queue('orders')")
        await conn.execute("create role guarded login password 'hunter2'")
        row = await (await conn.execute("show hba_file")).fetchone()
        assert row is not None
        ask_for_a_password(Path(row[0]), "guarded")
        await conn.execute("select pg_reload_conf()")
        guarded = psycopg.conninfo.make_conninfo(dsn, user="guarded", password="hunter2")
        async with console_on(PostgresSource(guarded, "watched")) as (app, pilot):
            await until(pilot, lambda: on_screen(app, "orders"), "the queue")
            await conn.execute("alter role guarded password 'another'")
            await conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'guarded'")
            await until(pilot, lambda: app.picture and app.picture.snapshot.phase is Phase.LOST, "the refusal")
            await until(pilot, lambda: on_screen(app, "password"), "its reason")
            assert on_screen(app, "orders"), "the last facts stay"
            assert not on_screen(app, "hunter2")
            await conn.execute("alter role guarded password 'hunter2'")
            await pilot.press("r")
            await until(pilot, lambda: app.picture and app.picture.snapshot.phase is Phase.LIVE, "the return")


async def test_rights_that_are_revoked_while_watched_are_told_and_seen_again_when_granted(pgq_database: str) -> None:
    create_queues(pgq_database, "orders")
    role = f"watcher_{os.getpid()}"
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        try:
            source = PostgresSource(psycopg.conninfo.make_conninfo(pgq_database, user=role), "watched")
            async with console_on(source, size=(140, 40)) as (app, pilot):
                await until(pilot, lambda: on_screen(app, "orders"), "the queue")
                conn.execute("revoke usage on schema pgq from public")
                await until(pilot, lambda: app.picture and app.picture.snapshot.problems, "the refusal")
                await until(pilot, lambda: on_screen(app, "permission denied"), "its reason")
                conn.execute("grant usage on schema pgq to public")
                await until(
                    pilot, lambda: not on_screen(app, "permission denied") and on_screen(app, "orders"), "the return"
                )
        finally:
            conn.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


class SlowSource(PostgresSource):
    """Its readings take five seconds on the server, but for the first."""

    slow = False

    async def read(self, parts: frozenset[Part] = frozenset(Part)) -> Snapshot:
        if self.slow:
            async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as conn:
                await conn.execute("select pg_sleep(5)")
        self.slow = True
        return await super().read(parts)


async def test_keys_are_answered_while_the_database_takes_five_seconds(pgq_database: str) -> None:
    create_queues(pgq_database, *(f"queue {number}" for number in range(30)))
    async with console_on(SlowSource(pgq_database, "slow")) as (app, pilot):
        await until(pilot, lambda: app.table_screen and app.table_screen.table.rows, "the first reading")
        screen = app.table_screen
        assert screen is not None
        took = []
        for _ in range(12):
            before, painted = screen.table.cursor, asyncio.Event()
            began = time.perf_counter()
            app.post_message(events.Key("down", None))
            await until(pilot, lambda: screen.table.cursor != before, "the cursor")  # noqa: B023
            screen.table.call_after_refresh(painted.set)
            await painted.wait()
            took.append(time.perf_counter() - began)
        assert sorted(took)[len(took) // 2] < 0.15
        await until(pilot, lambda: on_screen(app, "slow "), "the title says that it is slow")
        began = time.perf_counter()
    assert time.perf_counter() - began < 3.0, "leaving does not wait for the query"


async def test_a_reading_is_paused_and_paced_by_keys(pgq_database: str) -> None:
    create_queues(pgq_database, "orders")
    async with console_on(PostgresSource(pgq_database, "shop")) as (app, pilot):
        await until(pilot, lambda: on_screen(app, "live 0.3s"), "the pace")
        await pilot.press("p")
        await until(pilot, lambda: on_screen(app, "paused"), "the pause")
        create_queues(pgq_database, "later")
        taken = app.picture.snapshot.taken if app.picture else None
        await pilot.press("r")
        await until(pilot, lambda: on_screen(app, "later"), "what r reads although it is paused")
        assert app.picture is not None
        assert app.picture.snapshot.taken != taken
        await pilot.press("p", "plus")
        await until(pilot, lambda: on_screen(app, "live 0.5s"), "the slower pace")
