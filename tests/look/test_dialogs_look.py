"""Pictures of every dialog; each docstring says what a person should see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from skyconsole.console.app import SkyConsole
from skyconsole.console.performing import CommandExecutor
from skyconsole.console.screens.result import ResultScreen
from skyconsole.console.widgets.command_log import CommandLog, LogEntry, State
from skyconsole.console.widgets.confirm import ConfirmDialog, FailureDialog
from skyconsole.engine.language.commands import CreateQueue, DropQueue, ShowQueue
from skyconsole.engine.language.model import Command, Context, Outcome
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.monitor.sample import SampleSource
from textual.pilot import Pilot
from textual.widgets import Static

NOW = datetime(2026, 11, 22, 12, 4, 31, tzinfo=UTC)
SIZES = [(60, 16), (80, 24), (140, 40)]
Compare = Callable[..., bool]
Steps = Callable[[Pilot[object]], Awaitable[None]]


class StillClock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.moment = NOW - timedelta(minutes=2)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


class PreparedExecutor:
    """Answers every command with an outcome made beforehand; what PostgreSQL does is no matter of looks."""

    async def run(self, command: Command, context: Context) -> Outcome:
        return Outcome(command, command.plan(context), True, "", rows=((1,),), seconds=0.003)

    async def dry_run(self, command: Command, context: Context) -> Outcome:
        return Outcome(
            command,
            command.plan(context),
            True,
            "DROP",
            seconds=0.0123,
            dry_run=True,
            changes=("delete 1 row from pgq.queue", "delete 6 rows from pgq.subscription"),
            locks=tuple(f"AccessExclusiveLock on pgq.event_3_{number}" for number in range(3)),
        )

    async def close(self) -> None:
        return None


class Still(SkyConsole):
    """The console with one picture, in which nothing moves."""

    def __init__(self, *, production: bool = False, queues: int = 14, ascii_only: bool = False) -> None:
        clock = StillClock()
        source = SampleSource(7, clock, queues=queues, name="prod-main" if production else "shop")
        super().__init__([source], clock=clock, autostart=False, ascii_only=ascii_only)
        self.production = production
        self.still: Picture = asyncio.run(_story(source, clock))

    def tint_of(self, source: str) -> str:
        return "prod" if self.production else ""

    def executor_for(self, source: str) -> CommandExecutor | None:
        return PreparedExecutor()

    async def show(self, pilot: Pilot[object], *keys: str) -> None:
        self.receive(self.still)
        await pilot.pause()
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()


async def _story(source: SampleSource, clock: StillClock) -> Picture:
    picture: Picture | None = None
    for _ in range(25):
        picture = derive(picture, await source.read())
        clock.moment += timedelta(seconds=5)
    assert picture is not None
    clock.moment = picture.snapshot.taken
    return picture


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TEXTUAL_THEME", "COLORTERM", "TEXTUAL_DRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("TZ", "UTC")


def keys(*pressed: str) -> Steps:
    async def run(pilot: Pilot[object]) -> None:
        app = pilot.app
        assert isinstance(app, Still)
        await app.show(pilot, *pressed)
        _no_blinking(app)
        await pilot.pause()

    return run


def _no_blinking(app: SkyConsole) -> None:
    from textual.widgets import Input

    for field in app.screen.query(Input):
        field.cursor_blink = False


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
class TestDialogs:
    def test_dropping_a_queue(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """What is destroyed, the command and its SQL, an empty field with the focus, Run disabled."""
        assert snap_compare(Still(production=True), terminal_size=size, run_before=keys("X"))

    def test_a_dry_run(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """Under the SQL: rows that would change and locks that would be taken; the field keeps what was typed."""

        async def run(pilot: Pilot[object]) -> None:
            await keys("X", "o", "r", "ctrl+d")(pilot)
            place = pilot.app.screen.query_one("#confirm-dry-run", Static)
            for _ in range(500):
                if "rolled back" in str(place.content):
                    break
                await pilot.pause(0.01)
            await pilot.pause()

        assert snap_compare(Still(production=True), terminal_size=size, run_before=run)

    def test_a_name_that_looks_like_markup(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """Brackets, quotes, an emoji and an escape character stand there whole; nothing is coloured by them."""

        async def run(pilot: Pilot[object]) -> None:
            await keys()(pilot)
            pilot.app.run_command(DropQueue('[/x] [bold]a"b Ünï 🦄 \x1b[31m' + "z" * 40))  # type: ignore[attr-defined]
            await pilot.pause()
            _no_blinking(pilot.app)  # type: ignore[arg-type]
            await pilot.pause()

        assert snap_compare(Still(), terminal_size=size, run_before=run)

    def test_unregistering_a_consumer(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """What is lost, the command, `u undoes it`, and Cancel with the focus."""
        assert snap_compare(Still(), terminal_size=size, run_before=keys("3", "X"))

    def test_a_pause_in_production(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """A red frame, the change and its SQL; Run has the focus, one Enter runs it."""
        assert snap_compare(Still(production=True), terminal_size=size, run_before=keys("t"))

    def test_a_failure(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """The server's words, SQLSTATE, hint, the statement, and that nothing was changed."""

        async def run(pilot: Pilot[object]) -> None:
            await keys()(pilot)
            pilot.app.push_screen(
                FailureDialog(
                    "drop queue orders",
                    "shop",
                    "cannot drop queue, consumers still attached",
                    statement="select pgq.drop_queue('orders');",
                    sqlstate="P0001",
                    hint="Unregister its consumers first.",
                )
            )
            await pilot.pause()

        assert snap_compare(Still(), terminal_size=size, run_before=run)

    def test_the_menu_of_a_queue(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """Each action with its key and risk; what cannot be done is grey and says why."""
        assert snap_compare(Still(), terminal_size=size, run_before=keys("a"))

    def test_the_menu_in_read_only_mode(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """Only what looks can be chosen; the rest says `read-only: press R`."""
        assert snap_compare(Still(), terminal_size=size, run_before=keys("R", "3", "a"))

    def test_the_help(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """The actions of the row with what they do, then every key of the screen."""
        assert snap_compare(Still(), terminal_size=size, run_before=keys("question_mark"))

    def test_the_copy_menu(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """Name, cell, row, SQL and JSON, each with the beginning of what would be copied."""
        assert snap_compare(Still(), terminal_size=size, run_before=keys("y"))

    def test_changing_settings(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """Every setting with its value; under them the command that the change of one makes."""
        assert snap_compare(Still(), terminal_size=size, run_before=keys("S", "home", "5"))

    def test_creating_a_queue(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """A field, and under it the command as it grows."""
        assert snap_compare(Still(), terminal_size=size, run_before=keys("A", "n", "e", "w"))

    def test_registering_a_consumer(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """Name, tick, other consumer; a tick that is none is said in red and Run is disabled."""
        assert snap_compare(Still(), terminal_size=size, run_before=keys("C", "m", "tab", "x"))

    def test_exporting(self, snap_compare: Compare, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
        """A file's name that tells screen and time, and which format its ending means."""
        monkeypatch.chdir("/")
        assert snap_compare(Still(), terminal_size=size, run_before=keys("E"))

    def test_the_palette(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """The actions of the row first, each with its key."""

        async def run(pilot: Pilot[object]) -> None:
            await keys("ctrl+p")(pilot)
            for _ in range(300):
                await pilot.pause(0.01)
                if _settled(pilot):
                    break
            _no_blinking(pilot.app)  # type: ignore[arg-type]
            await pilot.pause()

        assert snap_compare(Still(), terminal_size=size, run_before=run)

    def test_a_result(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """The columns of the command, numbers to the right, the command in the title."""

        async def run(pilot: Pilot[object]) -> None:
            await keys()(pilot)
            app = pilot.app
            assert isinstance(app, Still)
            command = ShowQueue()
            plan = command.plan(Context())
            columns = ("queue_name", "tables", "max_count", "max_lag", "idle_period", "paused", "ev_per_sec", "ev_new")
            rows = tuple(
                (
                    one.name,
                    "1/3",
                    500,
                    timedelta(seconds=3),
                    timedelta(minutes=1),
                    one.paused,
                    float(one.queue_id),
                    one.event_seq,
                )
                for one in (row.facts for row in app.still.queues)
            )
            app.show_result(Outcome(command, plan, True, "", columns=columns, rows=rows), "shop")
            await pilot.pause()
            assert isinstance(app.screen, ResultScreen)

        assert snap_compare(Still(), terminal_size=size, run_before=run)

    def test_the_command_log(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        """Time, command, SQL, rows and time taken, how to undo it; a failure in red."""

        async def run(pilot: Pilot[object]) -> None:
            await keys()(pilot)
            app = pilot.app
            assert isinstance(app, Still)
            create = CreateQueue("orders").text()
            pause = "alter queue legacy_sync set paused = 1;"
            sql = "select pgq.set_queue_config('legacy_sync', 'ticker_paused', '1');"
            app._set_log(
                (
                    LogEntry(0, NOW, "shop", pause, sql, State.DONE, result="1 row · 3 ms", back="u undoes it"),
                    LogEntry(1, NOW, "shop", create, "", State.FAILED, result="Queue already exists."),
                )
            )
            log = app.screen.query_one(CommandLog)
            if not log.display:
                await pilot.press("L")
            for _ in range(100):
                await pilot.pause()
                if 0 < log.max_scroll_y == log.scroll_offset.y:
                    break

        assert snap_compare(Still(), terminal_size=size, run_before=run)


@pytest.mark.parametrize("theme", ["sky-light", "sky-contrast", "sky-deutan"])
def test_dropping_a_queue_in_other_themes(snap_compare: Compare, theme: str) -> None:
    """The same dialog, readable in every theme."""

    async def run(pilot: Pilot[object]) -> None:
        pilot.app.theme = theme
        await keys("X")(pilot)

    assert snap_compare(Still(production=True), terminal_size=(80, 24), run_before=run)


def test_unregistering_a_consumer_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """No colour: the glyph and the words carry the meaning, the focus is reversed."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(Still(production=True), terminal_size=(80, 24), run_before=keys("3", "X"))


@pytest.mark.parametrize("size", [(60, 16), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_dialog_keeps_its_buttons_in_sight(size: tuple[int, int]) -> None:
    openers = ["X", "a", "question_mark", "y", "S", "A", "C", "E", "3 X", "3 M"]
    for opener in openers:
        app = await asyncio.to_thread(Still, production=True)
        async with app.run_test(size=size) as pilot:
            await app.show(pilot, *opener.split())
            region = app.screen.query_one("#dialog").region
            assert app.screen.region.contains_region(region), opener
            row = app.screen.query_one("#dialog-buttons").region
            for button in app.screen.query("#dialog-buttons Button"):
                assert row.contains_region(button.region), (opener, button)


@pytest.mark.parametrize("opener", ["3 X", "a", "question_mark"])
async def test_with_ascii_signs_a_dialog_draws_only_ascii(opener: str) -> None:
    app = await asyncio.to_thread(Still, production=True, ascii_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.show(pilot, *opener.split())
        await pilot.pause()
        frame = app.screen.query_one("#dialog").region
        lines = [strip.crop(frame.x, frame.right).text for strip in app.screen._compositor.render_strips()]
        drawn = "".join(lines[frame.y : frame.bottom])
        assert "Close" in drawn or "Cancel" in drawn
        scrollbar = "▁▂▃▄▅▆▇"  # Textual's own, which has no ASCII form
        assert not [sign for sign in drawn if not sign.isascii() and not sign.isalpha() and sign not in scrollbar], (
            drawn
        )


async def test_a_long_name_stands_whole_in_its_dialog() -> None:
    name = "n" * 63
    app = await asyncio.to_thread(Still)
    async with app.run_test(size=(60, 16)) as pilot:
        await app.show(pilot)
        app.run_command(DropQueue(name))
        await pilot.pause()
        assert isinstance(app.screen, ConfirmDialog)
        text = str(app.screen.query_one("#confirm-command", Static).content)
        assert name in text


def _settled(pilot: Pilot[object]) -> bool:
    from textual.command import CommandList

    found: Any = pilot.app.screen.query(CommandList)
    return bool(found) and found.first().option_count > 5
