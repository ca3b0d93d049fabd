"""Acting on queues and consumers through the real application, its keys and its dialogs, on a real database."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from skyconsole.console.app import SkyConsole
from skyconsole.console.screens.alter_queue import AlterQueueForm
from skyconsole.console.screens.create_queue import CreateQueueForm, MoveConsumerForm, RegisterConsumerForm
from skyconsole.console.screens.result import ResultScreen
from skyconsole.console.widgets.action_menu import ActionMenu
from skyconsole.console.widgets.command_log import LogEntry, State
from skyconsole.console.widgets.confirm import ConfirmDialog, FailureDialog, QuestionDialog
from skyconsole.console.widgets.copy_menu import CopyMenu
from skyconsole.console.widgets.export_form import ExportForm
from skyconsole.console.widgets.help_panel import HelpPanel
from skyconsole.engine.language.commands import AlterQueue, CreateQueue, RegisterConsumer, ShowConsumer, ShowQueue
from skyconsole.engine.language.journal import Journal
from skyconsole.engine.monitor.postgres_source import PostgresSource
from textual.command import CommandList
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

ODD_NAMES = ["[/x]", 'a"b', "x.y", "Ünï", "🦄", "n" * 63, " ", "a\nb", "[bold]", "%s", "\\", "'"]


class Console:
    """The application under test, with what the tests ask of it."""

    def __init__(self, app: SkyConsole, pilot: Pilot[object], conn: psycopg.Connection[Any]) -> None:
        self.app = app
        self.pilot = pilot
        self.conn = conn

    async def until(self, holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"{what}; log: {self.log}; screen: {self.app.screen}"
            await self.pilot.pause(0.02)
        await self.pilot.pause()

    async def dialog(self, kind: type[Any]) -> Any:
        await self.until(lambda: isinstance(self.app.screen, kind), f"no {kind.__name__} opened")
        return self.app.screen

    async def closed(self) -> None:
        await self.until(lambda: self.app.screen is self.app.base_screen, "the dialog stays open")

    async def cursor_on(self, *key: str) -> None:
        wanted = key[0] if len(key) == 1 else key
        screen = self.app.table_screen
        assert screen is not None
        await self.until(lambda: screen.table.put_cursor(wanted), f"{key} is not shown")

    async def logged(self, state: State = State.DONE, count: int = 1) -> LogEntry:
        await self.until(lambda: sum(one.state is state for one in self.log) >= count, f"nothing {state} in the log")
        return [one for one in self.log if one.state is state][-1]

    @property
    def rows(self) -> tuple[Any, ...]:
        screen = self.app.table_screen
        return () if screen is None else screen.table.rows

    @property
    def row(self) -> Any:
        return self.app.selected_row()

    @property
    def log(self) -> tuple[LogEntry, ...]:
        return self.app.log_entries

    def value(self, statement: str, *params: object) -> Any:
        row = self.conn.execute(statement, params).fetchone()  # type: ignore[arg-type]
        return None if row is None else row[0]

    def queues(self) -> list[str]:
        return [row[0] for row in self.conn.execute("select queue_name from pgq.queue order by 1").fetchall()]

    def paused(self, queue: str) -> bool:
        return bool(self.value("select queue_ticker_paused from pgq.queue where queue_name = %s", queue))

    def text_of(self, selector: str) -> str:
        return str(self.app.screen.query_one(selector, Static).content)


@asynccontextmanager
async def opened(dsn: str, *queues: str, size: tuple[int, int] = (100, 40)) -> AsyncIterator[Console]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for queue in queues:
            conn.execute("select pgq.create_queue(%s)", (queue,))
        app = SkyConsole([PostgresSource(dsn, "here")], interval=0.2)
        async with app.run_test(size=size, notifications=True) as pilot:
            console = Console(app, pilot, conn)
            await console.until(lambda: app.picture is not None, "no picture came")
            await console.until(lambda: len(console.rows) == len(queues), "not all queues are shown")
            yield console


async def test_a_queue_is_created_by_its_form_and_undone_and_done_again(pgq_database: str) -> None:
    async with opened(pgq_database) as console:
        await console.pilot.press("A")
        form = await console.dialog(CreateQueueForm)
        assert form.query_one("#form-run", Button).disabled
        await console.pilot.press(*"orders", "enter")
        entry = await console.logged()
        assert console.queues() == ["orders"]
        assert entry.text == "create queue orders;"
        assert "pgq.create_queue('orders')" in entry.sql
        await console.cursor_on("orders")
        await console.pilot.press("u")
        await console.logged(count=2)
        assert console.queues() == []
        await console.pilot.press("U")
        await console.logged(count=3)
        assert console.queues() == ["orders"]


async def test_pausing_the_ticker_runs_at_once_and_says_how_to_undo_it(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        await console.pilot.press("t")
        entry = await console.logged()
        assert console.paused("orders")
        assert entry.text == "alter queue orders set paused = 1;"
        assert entry.back == "u undoes it"
        assert any("u undoes it" in note.message for note in console.app._notifications)
        await console.until(lambda: console.row.facts.paused, "the pause is not shown")
        await console.pilot.press("t")
        await console.logged(count=2)
        assert not console.paused("orders")


async def test_after_a_drop_nothing_in_the_log_promises_an_undo(pgq_database: str) -> None:
    async with opened(pgq_database) as console:
        console.app.run_command(CreateQueue("orders"))
        assert (await console.logged()).back == "u undoes it"
        await console.cursor_on("orders")
        await console.pilot.press("X")
        await console.dialog(ConfirmDialog)
        await console.pilot.press(*"orders", "enter")
        await console.logged(count=2)
        assert [one.back for one in console.log] == ["", "no undo"]


async def test_a_dead_letter_is_replayed_and_purged_by_keys_and_the_screen_follows(pgq_database: str) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('orders')")
        conn.execute("select pgq.register_consumer('orders', 'mailer')")
        for number in range(4):
            conn.execute("select pgq.insert_event('orders', 'new', %s)", (f"event {number}",))
        conn.execute("select pgq.force_tick('orders')")
        conn.execute("select pgq.ticker('orders')")
        batch = conn.execute("select pgq.next_batch('orders', 'mailer')").fetchone()
        assert batch is not None
        conn.execute("select pgq.event_dead(%s, ev_id, 'why') from pgq.get_batch_events(%s)", (batch[0], batch[0]))
        conn.execute("select pgq.finish_batch(%s)", batch)
        app = SkyConsole([PostgresSource(pgq_database, "here")], interval=0.2)
        async with app.run_test(size=(100, 40), notifications=True) as pilot:
            console = Console(app, pilot, conn)
            await console.until(lambda: len(console.rows) == 1, "the queue is not shown")
            await pilot.press("d")
            await console.until(lambda: len(console.rows) == 4, "the letters are not shown")
            await pilot.press("P")
            await console.dialog(ConfirmDialog)
            await pilot.press("tab", "enter")
            await console.until(lambda: len(console.rows) == 3, "the replayed letter is still shown")
            await pilot.press("*", "X")
            await console.dialog(ConfirmDialog)
            await pilot.press("3", "enter")
            await console.until(lambda: not console.rows, "the purged letters are still shown")
            assert console.value("select count(*) from pgq.retry_queue") == 1
            assert console.value("select count(*) from pgq.dead_letter") == 0
            assert [one.text for one in console.log] == [
                "replay dead letter 1;",
                "purge dead letter 2, 3, 4;",
            ]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_are_created_paused_shown_and_dropped(pgq_database: str, name: str) -> None:
    typed = name if name.isprintable() and name.strip() else "destroy"
    async with opened(pgq_database) as console:
        console.app.run_command(CreateQueue(name))
        await console.logged()
        assert console.queues() == [name]
        await console.cursor_on(name)
        for key, dialog in (("a", ActionMenu), ("y", CopyMenu), ("question_mark", HelpPanel), ("E", ExportForm)):
            await console.pilot.press(key)
            await console.dialog(dialog)
            await console.pilot.press("escape")
            await console.closed()
        await console.pilot.press("t")
        await console.logged(count=2)
        assert console.paused(name)
        await console.pilot.press("X")
        dialog = await console.dialog(ConfirmDialog)
        dialog.query_one("#confirm-phrase", Input).value = typed
        await console.pilot.pause()
        await console.pilot.press("enter")
        await console.logged(count=3)
        assert console.queues() == []


async def test_a_queue_is_not_dropped_before_its_whole_name_is_typed(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        console.conn.execute("select pgq.register_consumer('orders', 'mailer')")
        await console.until(lambda: console.row.consumers == 1, "the consumer is not shown")
        await console.pilot.press("X")
        dialog = await console.dialog(ConfirmDialog)
        assert "mailer" in str(dialog.query_one("#confirm-effect .dialog-marked", Static).content)
        await console.pilot.press("enter", *"order", "enter")
        assert console.app.screen is dialog
        assert console.log == ()
        await console.pilot.press("s", "enter")
        await console.logged()
        assert console.queues() == []


async def test_a_dry_run_shows_changes_and_locks_and_changes_nothing(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        await console.pilot.press("X")
        await console.dialog(ConfirmDialog)
        await console.pilot.press("ctrl+d")
        await console.until(lambda: "rolled back" in console.text_of("#confirm-dry-run"), "no dry run")
        said = console.text_of("#confirm-dry-run")
        assert "delete 1 row from pgq.queue" in said
        assert "AccessExclusiveLock on pgq.event_" in said
        await console.pilot.press("escape")
        await console.closed()
        assert console.queues() == ["orders"]
        assert console.log == ()


async def test_unregistering_asks_with_the_focus_on_cancel_and_can_be_undone(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        console.conn.execute("select pgq.register_consumer('orders', 'mailer')")
        tick = console.value("select last_tick from pgq.get_consumer_info('orders', 'mailer')")
        await console.pilot.press("3")
        await console.cursor_on("orders", "mailer")
        await console.pilot.press("X")
        await console.dialog(ConfirmDialog)
        await console.pilot.press("enter")
        await console.closed()
        assert console.log == ()
        await console.pilot.press("X")
        await console.dialog(ConfirmDialog)
        await console.pilot.press("tab", "enter")
        await console.logged()
        assert console.value("select count(*) from pgq.get_consumer_info('orders')") == 0
        await console.pilot.press("u")
        await console.logged(count=2)
        assert console.value("select last_tick from pgq.get_consumer_info('orders', 'mailer')") == tick


async def test_the_dialog_runs_by_mouse(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        console.conn.execute("select pgq.register_consumer('orders', 'mailer')")
        await console.pilot.press("3")
        await console.cursor_on("orders", "mailer")
        await console.pilot.press("X")
        await console.dialog(ConfirmDialog)
        await console.pilot.click("#confirm-run")
        await console.logged()
        assert console.value("select count(*) from pgq.get_consumer_info('orders')") == 0


async def test_a_lock_that_is_held_ends_in_a_dialog_with_the_sqlstate(pgq_database: str) -> None:
    async with opened(pgq_database, "orders", "billing") as console:
        await console.cursor_on("orders")
        with psycopg.connect(pgq_database) as other:
            other.execute("select 1 from pgq.queue where queue_name = 'orders' for update")
            await console.pilot.press("t")
            await console.until(lambda: bool(console.log), "nothing runs")
            await console.cursor_on("billing")
            assert console.log[0].state is State.RUNNING, "the screen waited for the lock"
            await console.dialog(FailureDialog)
            assert "55P03" in console.text_of("#failure-facts")
            assert console.text_of("#failure-state") == "nothing was changed"
        assert console.log[0].state is State.FAILED
        await console.pilot.press("escape")
        await console.cursor_on("orders")
        await console.pilot.press("t")
        await console.logged()
        assert console.paused("orders")


async def test_leaving_asks_while_a_command_is_under_way(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        with psycopg.connect(pgq_database) as other:
            other.execute("select 1 from pgq.queue where queue_name = 'orders' for update")
            await console.pilot.press("t")
            await console.until(lambda: console.app.running_commands == 1, "nothing runs")
            console.app.leave()
            await console.dialog(QuestionDialog)
            await console.pilot.press("escape")
            await console.dialog(FailureDialog)
        assert console.app.running_commands == 0
        assert console.app.is_running


async def test_a_backend_that_is_terminated_fails_one_command_and_not_the_next(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        with psycopg.connect(pgq_database) as other:
            other.execute("select 1 from pgq.queue where queue_name = 'orders' for update")
            await console.pilot.press("t")
            ended = (
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where application_name like %s and wait_event_type = 'Lock'"
            )
            await console.until(lambda: console.value(ended, "skyconsole:%:action") == 1, "the action does not wait")
            await console.dialog(FailureDialog)
            assert console.text_of("#failure-state") == "nothing was changed"
        await console.pilot.press("escape")
        await console.pilot.press("t")
        await console.logged()
        assert console.paused("orders")


async def test_a_world_that_moved_while_the_dialog_was_open_is_noticed(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        console.conn.execute("select pgq.register_consumer('orders', 'mailer')")
        await console.until(lambda: console.row.consumers == 1, "the consumer is not shown")
        await console.pilot.press("X")
        await console.dialog(ConfirmDialog)
        console.conn.execute("select pgq.register_consumer('orders', 'newcomer')")
        await console.pilot.press(*"orders", "enter")
        await console.dialog(FailureDialog)
        assert "since it was shown" in console.text_of("#failure-error .dialog-marked")
        assert console.queues() == ["orders"]
        assert console.log[0].state is State.FAILED


async def test_pictures_keep_coming_while_a_dialog_is_open(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        await console.pilot.press("X")
        dialog = await console.dialog(ConfirmDialog)
        console.conn.execute("select pgq.create_queue('billing')")
        screen = console.app.table_screen
        assert screen is not None
        await console.until(lambda: len(screen.table.rows) == 2, "the table behind the dialog stands still")
        assert console.app.screen is dialog


async def test_read_only_refuses_and_says_how_to_leave(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        await console.pilot.press("R", "t")
        await console.until(lambda: any("press R" in note.message for note in console.app._notifications), "no word")
        console.app.run_command(CreateQueue("other"))
        await console.pilot.pause()
        assert console.log == ()
        assert console.queues() == ["orders"]
        assert not console.paused("orders")
        await console.pilot.press("R", "t")
        await console.logged()
        assert console.paused("orders")


class ProductionConsole(SkyConsole):
    """Whose sources are all production."""

    def tint_of(self, source: str) -> str:
        return "prod"


async def test_in_production_even_a_pause_is_shown_before_it_runs(pgq_database: str) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('orders')")
        app = ProductionConsole([PostgresSource(pgq_database, "here")], interval=0.2, read_only=True)
        async with app.run_test(size=(100, 40), notifications=True) as pilot:
            console = Console(app, pilot, conn)
            await console.until(lambda: app.selected_row() is not None, "no queue is shown")
            await pilot.press("R")
            await console.dialog(QuestionDialog)
            await pilot.press("enter")
            await console.closed()
            assert app.read_only, "the focus was not on Cancel"
            await pilot.press("R")
            await console.dialog(QuestionDialog)
            await pilot.press("tab", "enter")
            await console.closed()
            assert not app.read_only
            await pilot.press("t")
            await console.dialog(ConfirmDialog)
            assert not console.paused("orders")
            await pilot.press("enter")
            await console.logged()
            assert console.paused("orders")


async def test_marked_queues_are_dropped_together_after_their_count_is_typed(pgq_database: str) -> None:
    async with opened(pgq_database, "a", "b", "c") as console:
        for name in ("a", "b"):
            await console.cursor_on(name)
            await console.pilot.press("space")
        await console.pilot.press("X")
        await console.dialog(ConfirmDialog)
        await console.pilot.press("2", "enter")
        await console.logged(count=2)
        assert console.queues() == ["c"]


async def test_commands_of_one_submission_stop_at_the_first_failure(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        console.app.run_commands((CreateQueue("one"), CreateQueue("orders"), CreateQueue("two")))
        await console.dialog(FailureDialog)
        assert [entry.state for entry in console.log] == [State.DONE, State.FAILED, State.SKIPPED]
        assert console.text_of("#failure-state") == "1 command before it took effect, 1 not run"
        assert console.queues() == ["one", "orders"]


async def test_a_show_command_opens_a_table_that_can_be_sorted(pgq_database: str) -> None:
    async with opened(pgq_database, "orders", "billing") as console:
        console.app.run_command(ShowQueue())
        screen = await console.dialog(ResultScreen)
        await console.until(lambda: len(screen.table.rows) == 2, "no rows")
        _, rows = screen.export_rows()
        names = [row[0] for row in rows]
        assert sorted(names) == ["billing", "orders"]
        await console.pilot.press("greater_than_sign")
        await console.pilot.press("o")
        await console.pilot.press("enter")
        await console.pilot.press("escape", "escape")
        console.app.run_command(ShowConsumer())
        await console.dialog(ResultScreen)


async def test_only_changed_settings_go_into_the_command(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        await console.pilot.press("S")
        form = await console.dialog(AlterQueueForm)
        await console.pilot.press("enter")
        assert console.app.screen is form, "a form without a change must not run"
        form.query_one("#field-max_count", Input).value = "250"
        form.query_one("#field-rotation_period", Input).value = "3 hours"
        await console.pilot.pause()
        await console.pilot.press("enter")
        entry = await console.logged()
        assert entry.text == "alter queue orders set max_count = 250, rotation_period = '3 hours';"
        assert console.value("select queue_ticker_max_count from pgq.queue") == 250
        await console.pilot.press("u")
        await console.logged(count=2)
        assert console.value("select queue_ticker_max_count from pgq.queue") == 500
        assert console.value("select queue_rotation_period::text from pgq.queue") == "02:00:00"


async def test_a_consumer_is_registered_and_moved_by_forms(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        await console.pilot.press("C")
        await console.dialog(RegisterConsumerForm)
        await console.pilot.press(*"mailer", "enter")
        await console.logged()
        first = console.value("select last_tick from pgq.get_consumer_info('orders', 'mailer')")
        console.conn.execute("select pgq.insert_event('orders', 't', 'd')")
        newest = console.value("select pgq.ticker('orders')")
        await console.pilot.press("3")
        await console.cursor_on("orders", "mailer")
        await console.pilot.press("M")
        await console.dialog(MoveConsumerForm)
        await console.pilot.press(*"x9")
        assert console.app.screen.query_one("#form-run", Button).disabled
        console.app.screen.query_one("#field-at", Input).value = str(newest)
        await console.pilot.pause()
        await console.pilot.press("enter")
        await console.logged(count=2)
        assert console.value("select last_tick from pgq.get_consumer_info('orders', 'mailer')") == newest
        await console.pilot.press("u")
        await console.logged(count=3)
        assert console.value("select last_tick from pgq.get_consumer_info('orders', 'mailer')") == first


async def test_the_menu_runs_an_action_by_its_key_and_explains_disabled_ones(pgq_database: str) -> None:
    async with opened(pgq_database, "orders") as console:
        await console.pilot.press("a")
        await console.dialog(ActionMenu)
        await console.pilot.press("t")
        await console.logged()
        assert console.paused("orders")
        await console.until(lambda: console.row.facts.paused, "the pause is not shown")
        reasons = {offer.action.id: offer.reason for offer in console.app.offers()}
        assert reasons["pause-ticker"] == "paused already"
        assert reasons["resume-ticker"] == ""


async def test_the_palette_finds_the_action_of_the_row(pgq_database: str) -> None:
    async with opened(pgq_database, "[/x]") as console:
        await console.pilot.press("ctrl+p")
        await console.until(lambda: len(console.app.screen_stack) == 2, "no palette")
        await console.pilot.press(*"pause")
        await console.until(lambda: "Pause the ticker" in _chosen_hit(console), "pausing is not the first hit")
        await console.pilot.press("enter")
        await console.logged()
        assert console.paused("[/x]")


def _chosen_hit(console: Console) -> str:
    """The hit that enter would run."""
    found = console.app.screen.query(CommandList)
    option = found.first().highlighted_option if found else None
    return "" if option is None else str(option.prompt)


async def test_a_table_is_exported_and_never_overwritten_silently(pgq_database: str, tmp_path: Path) -> None:
    async with opened(pgq_database, "orders", "=1+1") as console:
        target = tmp_path / "out.json"
        await console.pilot.press("E")
        form = await console.dialog(ExportForm)
        form.query_one("#export-path", Input).value = str(target)
        await console.pilot.pause()
        await console.pilot.press("enter")
        await console.until(target.exists, "no file")
        await console.until(lambda: target.stat().st_size > 0, "an empty file")
        assert {row["queue"] for row in json.loads(target.read_text())} == {"orders", "=1+1"}
        target.write_text("mine")
        console.app.save(target, ("a",), ((1,),))
        await console.dialog(QuestionDialog)
        await console.pilot.press("enter")
        await console.closed()
        assert target.read_text() == "mine"
        console.app.save(target, ("a",), ((1,),))
        await console.dialog(QuestionDialog)
        await console.pilot.press("tab", "enter")
        await console.until(lambda: target.read_text() != "mine", "not replaced")


async def test_undo_of_an_earlier_session_is_shown_before_it_runs(pgq_database: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    async with opened(pgq_database, "orders") as console:
        console.app.journal = Journal(path)
        console.app.run_command(AlterQueue.paused("orders", True))
        await console.logged()
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        app = SkyConsole([PostgresSource(pgq_database, "here")], interval=0.2)
        app.journal = Journal(path)
        async with app.run_test(size=(80, 24)) as pilot:
            console = Console(app, pilot, conn)
            await console.until(lambda: app.selected_row() is not None, "no queue is shown")
            await pilot.press("u")
            await console.dialog(ConfirmDialog)
            assert console.paused("orders")
            await pilot.press("enter")
            await console.logged()
            assert not console.paused("orders")


async def test_a_command_without_rights_says_so(pgq_database: str, server: Any) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('orders')")
        conn.execute("do $$ begin create role watcher login; exception when duplicate_object then null; end $$")
        conn.execute("grant pgq_reader to watcher")
        dsn = psycopg.conninfo.make_conninfo(pgq_database, user="watcher")
        app = SkyConsole([PostgresSource(dsn, "here")], interval=0.2)
        async with app.run_test(size=(100, 40), notifications=True) as pilot:
            console = Console(app, pilot, conn)
            await console.until(lambda: app.selected_row() is not None, "no queue is shown")
            reasons = {offer.action.id: offer.reason for offer in app.offers()}
            assert reasons["drop"] == "this login may not change queues"
            app.run_command(AlterQueue.paused("orders", True))
            await console.dialog(FailureDialog)
            assert "42501" in console.text_of("#failure-facts")
            await pilot.press("escape")
            app.run_command(RegisterConsumer("mailer", "orders"))
            await console.logged()
            assert console.value("select count(*) from pgq.get_consumer_info('orders')") == 1
