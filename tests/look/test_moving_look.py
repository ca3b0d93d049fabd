"""Keys and mouse on the sample, read from the screen as text."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from skyconsole.console.app import SkyConsole
from skyconsole.engine.monitor.picture import Picture
from textual import events
from textual.widgets import Input

Told = Callable[..., list[Picture]]


def table(app: SkyConsole) -> Any:
    screen = app.table_screen
    assert screen is not None
    return screen.table


async def test_the_cursor_stays_on_its_queue_when_the_order_changes(told: Told, shown: Any, clock: Any) -> None:
    pictures = told()
    last = pictures[-1]
    async with shown(pictures) as (app, pilot):
        await pilot.press("down", "down")
        name = table(app).row.facts.name
        clock.advance(2.0)
        calm = tuple(replace(row, worst_lag=0.0) if row.facts.name != name else row for row in last.queues)
        await pilot.press("o")
        clock.advance(2.0)
        app.receive(replace(last, queues=calm))
        await pilot.pause()
        assert table(app).row.facts.name == name
        assert table(app).cursor != 2


async def test_rows_keep_their_places_for_a_second_after_a_key(told: Told, shown: Any, clock: Any) -> None:
    pictures = told()
    last = pictures[-1]
    turned = replace(last, queues=tuple(replace(row, level=type(row.level)(4 - row.level)) for row in last.queues))
    async with shown(pictures, size=(120, 24)) as (app, pilot):
        await pilot.press("down")
        before = [row.facts.name for row in table(app).rows]
        app.receive(turned)
        await pilot.pause()
        assert [row.facts.name for row in table(app).rows] == before
        clock.advance(2.0)
        app.receive(replace(turned, feed=replace(turned.feed, attempt=0, interval=1.0)))
        await pilot.pause()
        assert [row.facts.name for row in table(app).rows] != before


async def test_an_unchanged_picture_paints_no_row_again(told: Told, shown: Any) -> None:
    pictures = told()
    async with shown(pictures) as (app, pilot):
        await pilot.pause()
        painted: list[object] = []
        paint = table(app).painter.row

        def noted(row: object, *rest: object) -> object:
            painted.append(row)
            return paint(row, *rest)

        table(app).painter.row = noted
        app.receive(replace(pictures[-1], feed=replace(pictures[-1].feed, attempt=1)))
        await pilot.pause()
        assert painted == []
        changed = replace(pictures[-1].queues[0], new=999)
        app.receive(replace(pictures[-1], queues=(changed, *pictures[-1].queues[1:])))
        await pilot.pause()
        assert set(painted) == {changed}


async def test_a_lag_that_grows_shows_an_arrow_until_the_next_picture(told: Told, shown: Any, screen_text: Any) -> None:
    pictures = told()
    last = pictures[-1]
    async with shown(pictures) as (app, pilot):
        grown = tuple(
            replace(row, worst_lag=(row.worst_lag or 0.0) + 60.0) if row.facts.name == "orders" else row
            for row in last.queues
        )
        app.receive(replace(last, queues=grown))
        await pilot.pause()
        assert next(line for line in screen_text(app) if "↑" in line and "history" not in line).startswith(" ■ orders")
        app.receive(replace(last, queues=tuple(grown), feed=replace(last.feed, attempt=1)))
        await pilot.pause()
        assert not [line for line in screen_text(app) if "↑" in line and "history" not in line]


async def test_a_click_on_a_title_sorts_and_a_second_one_turns_it_around(
    told: Told, shown: Any, screen_text: Any
) -> None:
    async with shown(told()) as (app, pilot):
        heading = screen_text(app)[2]
        await pilot.click("#table", offset=(heading.index("EV/S") + 1, 0))
        await pilot.pause()
        rates = [row.ev_per_sec for row in table(app).rows]
        assert rates == sorted(rates, reverse=True)
        await pilot.click("#table", offset=(heading.index("EV/S") + 1, 0))
        await pilot.pause()
        assert [row.ev_per_sec for row in table(app).rows] == sorted(rates)
        assert "▲EV/S" in screen_text(app)[2]


async def test_a_double_click_opens_a_row_and_a_click_on_a_crumb_goes_back(
    told: Told, shown: Any, screen_text: Any
) -> None:
    async with shown(told()) as (app, pilot):
        await pilot.click("#table", offset=(5, 3), times=2)
        await pilot.pause()
        assert "› queues › orders" in screen_text(app)[0]
        await pilot.click("#title", offset=(screen_text(app)[0].index("queues") + 1, 0))
        await pilot.pause()
        assert screen_text(app)[0].startswith(" sky › prod-main › queues  ")


async def test_the_wheel_scrolls_without_moving_the_cursor(told: Told, shown: Any) -> None:
    async with shown(told(readings=2, queues=200, consumers=200)) as (app, pilot):
        key = table(app).row.key
        await pilot._post_mouse_events([events.MouseScrollDown], "#table", offset=(5, 5))
        await pilot.pause()
        assert table(app).scroll_y > 0
        assert table(app).row.key == key


async def test_motions_reach_every_row(told: Told, shown: Any) -> None:
    async with shown(told(readings=2, queues=200, consumers=200)) as (app, pilot):
        await pilot.press("G")
        assert table(app).cursor == 199
        await pilot.press("g", "j", "j", "k")
        assert table(app).cursor == 1
        await pilot.press("ctrl+f")
        after_page = table(app).cursor
        assert after_page > 10
        await pilot.press("ctrl+b")
        assert table(app).cursor == 1


async def test_escape_clears_the_filter_then_the_marks_then_goes_back(told: Told, shown: Any) -> None:
    async with shown(told()) as (app, pilot):
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("space", "slash", *"lag", "enter")
        await pilot.pause()
        screen = app.table_screen
        assert screen is not None
        assert screen.view.state.filter == "lag"
        await pilot.press("escape")
        await pilot.pause()
        assert screen.view.state.filter == ""
        assert table(app).marks
        await pilot.press("escape")
        assert not table(app).marks
        await pilot.press("escape")
        await pilot.pause()
        assert app.table_screen is not screen


async def test_keys_typed_into_the_filter_are_text(told: Told, shown: Any) -> None:
    async with shown(told()) as (app, pilot):
        await pilot.press("slash", *"qp1R:")
        assert app.screen.query_one("#filter-input", Input).value == "qp1R:"
        assert not app.read_only
        assert not app.readings.paused


async def test_a_range_is_marked_from_one_key_to_the_next(told: Told, shown: Any) -> None:
    async with shown(told()) as (app, pilot):
        await pilot.press("down", "v", "down", "down", "v", "down")
        assert [row.key for row in app.marked_rows()] == [row.key for row in table(app).rows[1:4]]
        await pilot.press("*")
        assert len(app.marked_rows()) == len(table(app).rows)
        await pilot.press("backslash")
        assert app.marked_rows() == ()


async def test_every_mode_is_one_key_away_and_minus_goes_to_the_last(told: Told, shown: Any) -> None:
    async with shown(told()) as (app, pilot):
        for key, mode in (("1", "overview"), ("3", "consumers"), ("7", "daemons"), ("8", "events"), ("2", "queues")):
            await pilot.press(key)
            await pilot.pause()
            assert app.current_mode == mode
        await pilot.press("minus")
        await pilot.pause()
        assert app.current_mode == "events"


async def test_an_event_leads_to_what_it_is_about(told: Told, shown: Any) -> None:
    async with shown(told()) as (app, pilot):
        await pilot.press("8")
        await pilot.pause()
        subject = table(app).row.subject
        await pilot.press("enter")
        await pilot.pause()
        await pilot.pause()
        assert table(app).row.facts.name in subject


async def test_the_overview_leads_into_a_database(told: Told, shown: Any, screen_text: Any) -> None:
    async with shown([*told(), *told("empty", 2, name="archive")]) as (app, pilot):
        assert app.current_mode == "overview"
        table(app).put_cursor("archive")
        await pilot.press("enter")
        await pilot.pause()
        assert app.current_source == "archive"
        assert "no queues" in "\n".join(screen_text(app))
        await pilot.press("1", "home", "enter")
        await pilot.pause()
        assert app.current_source == "prod-main"
        assert "orders" in "\n".join(screen_text(app))


async def test_nothing_breaks_at_any_size(told: Told, shown: Any, screen_text: Any) -> None:
    async with shown(told()) as (app, pilot):
        for size in ((60, 16), (200, 60), (20, 6), (119, 24), (120, 24), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.05)
            for key in ("1", "2", "enter", "escape", "3", "7", "8", "2"):
                await pilot.press(key)
                await pilot.pause()
            assert len(screen_text(app)) == size[1]
            assert screen_text(app)[0].startswith(" sky")


async def test_markup_in_names_is_shown_and_never_read(told: Told, shown: Any, screen_text: Any) -> None:
    async with shown(told(), size=(140, 60)) as (app, pilot):
        await pilot.press("3", "slash", *"bold", "enter")
        await pilot.pause()
        assert any("[bold]sender[/bold]" in line for line in screen_text(app))


async def test_a_notice_says_once_what_may_not_be_read(told: Told, shown: Any) -> None:
    pictures = told("no_privilege", 3)
    async with shown(pictures) as (app, pilot):
        app.receive(replace(pictures[-1]))
        await pilot.pause()
        assert len(app._notifications) == 1


@pytest.fixture(scope="module")
def bench() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[1] / "bench" / "screen.py"))


async def test_a_page_of_ten_thousand_rows_is_painted_within_three_frames(bench: dict[str, Any]) -> None:
    times = await bench["page_times"]()
    assert times["page, all rows changed"] < 48
    assert times["page, 1 row changed"] < 48
    assert times["new picture shown (screen thread)"] < 150


async def test_a_key_is_painted_while_the_source_takes_five_seconds(bench: dict[str, Any]) -> None:
    times = sorted(await bench["key_times"](8))
    assert times[len(times) // 2] < 150
