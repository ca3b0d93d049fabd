"""Dead letters, the retry queue, groups and capture triggers as pictures, and the keys that lead there and on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from skyconsole.console.screens.captures import CapturesScreen
from skyconsole.console.screens.dead_letters import DeadLettersScreen
from skyconsole.console.screens.members import MembersScreen
from skyconsole.console.screens.waiting import WaitingScreen
from skyconsole.console.widgets.payload import payload_lines
from skyconsole.engine.monitor.asides import PAYLOAD_CHARACTERS, DeadLetter, EventRow, NotThereError
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.monitor.sample import SampleSource
from textual.pilot import Pilot

Told = Callable[..., list[Picture]]
Look = Callable[..., bool]

SIZES = pytest.mark.parametrize("size", [(60, 16), (80, 24), (140, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
TO_EMAILS = ("slash", *"emails", "enter")


@SIZES
def test_the_dead_letters_of_a_database_stand_newest_first(told: Told, look: Look, size: Any) -> None:
    """Six letters with age and reason, the youngest on top; at 140 columns the event of the first on the right."""
    assert look(told(), ("1", "d"), size=size)


@SIZES
def test_a_queue_opens_to_its_dead_letters(told: Told, look: Look, size: Any) -> None:
    """The crumbs say emails and dead letters; there is no column for the queue."""
    assert look(told(), (*TO_EMAILS, "d"), size=size)


@SIZES
def test_a_letter_opens_to_its_event_as_columns_and_values(told: Told, look: Look, size: Any) -> None:
    """A dialog: reason, consumer, when; then update of public.bounces with id, address, bounced, note and a NULL."""
    assert look(told(), ("1", "d", "down", "down", "down", "down", "enter"), size=size)


def test_partial_sql_json_what_does_not_decode_and_what_is_huge_are_told_apart(told: Told, look: Look) -> None:
    """The letter from jsontriga: delete of public.bounces with its four values, the key lit."""
    assert look(told(), ("1", "d", "down", "down"), size=(140, 40))


def test_a_payload_that_does_not_decode_is_shown_as_it_is(told: Told, look: Look) -> None:
    """In amber that it does not decode and where; below it the data as they are."""
    assert look(told(), ("1", "d", "down"), size=(140, 40))


@SIZES
def test_the_retry_queue_stands_due_first(told: Told, look: Look, size: Any) -> None:
    """One event is overdue, the others come within minutes; the delayed one tomorrow, to everybody."""
    assert look(told(), ("1", "W"), size=size)


@SIZES
def test_a_group_shows_who_works_who_is_idle_and_who_is_stuck(told: Told, look: Look, size: Any) -> None:
    """Four rows: member 2 is amber and stale, since 12:03:20; 1 works, 3 is idle; sessions is the group."""
    assert look(told(), ("3", "slash", *"consumer=sessions", "enter", "down", "enter"), size=size)


@SIZES
def test_the_capture_triggers_say_what_they_write_and_in_which_form(told: Told, look: Look, size: Any) -> None:
    """Five triggers: one hollow and disabled, one amber and stale, one compiled for statements, two generic."""
    assert look(told(), ("1", "T"), size=size)


def test_a_queue_without_letters_says_so(told: Told, look: Look) -> None:
    """No dead letters: the queue's name and that it has given up no event; esc goes back."""
    assert look(told(), ("d",))


def test_a_pgq_without_dead_letters_says_what_is_missing(
    told: Told, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In plain words and without red: this PgQ keeps no dead letters, ours does."""
    bare = told("no_privilege", 3)

    async def missing(*_: object) -> tuple[DeadLetter, ...]:
        raise NotThereError("The PgQ of this database keeps no dead letters.", "skyconsole's own PgQ does.")

    monkeypatch.setattr(SampleSource, "dead_letters", missing)
    assert look(bare, ("1", "d"))


async def pressed(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
    await pilot.pause(0.1)


async def test_every_place_is_reached_by_keys_and_left_by_esc(told: Told, shown: Any) -> None:
    async with shown(told()) as (app, pilot):
        for key, kind, deepest in (("d", DeadLettersScreen, 2), ("W", WaitingScreen, 2), ("T", CapturesScreen, 3)):
            for mode in ("1", "2", "3"):
                await pressed(pilot, mode, key)
                assert isinstance(app.screen, kind), (mode, key)
                await pressed(pilot, key, key)
                assert len(app.screen_stack) == deepest, "the same again goes nowhere; from a trigger to its table's"
                await pressed(pilot, *["escape"] * (deepest - 1))
                assert len(app.screen_stack) == 1
        await pressed(pilot, "3", "m")
        assert isinstance(app.screen, MembersScreen)


async def test_marked_letters_are_purged_by_typing_how_many(told: Told, shown: Any, screen_text: Any) -> None:
    async with shown(told()) as (app, pilot):
        asked: list[str] = []
        app.run_commands = lambda commands, **_: asked.extend(one.text() for one in commands)
        await pressed(pilot, "1", "d", "space", "space", "X")
        assert asked == ["purge dead letter 22, 21;"]
        await pressed(pilot, "P")
        assert asked[1:] == ["replay dead letter 22, 21;"]


async def test_a_table_s_triggers_are_those_of_the_row(told: Told, shown: Any) -> None:
    async with shown(told(), size=(120, 30)) as (app, pilot):
        await pressed(pilot, "1", "T", "end", "T")
        assert [row.capture.trigger for row in app.table_screen.table.rows] == [
            "_londiste_shop",
            "_londiste_shop_truncate",
        ]


async def test_a_subconsumer_is_begun_in_the_prompt(told: Told, shown: Any) -> None:
    async with shown(told()) as (app, pilot):
        await pressed(pilot, "2", "slash", *"ledger", "enter", "enter", "N", "w", "9")
        from skyconsole.console.prompt.pane import PromptPane

        text = app.screen.query_one(PromptPane).text
        assert text == f"register subconsumer w9 for {app.selected_row().facts.name} on ledger;"


def text_of(event: EventRow, room: int = 60) -> list[str]:
    return ["".join(span.text for span in line) for line in payload_lines(event, room)]


def event(data: str | None, kind: str | None = None, **fields: Any) -> EventRow:
    from datetime import UTC, datetime

    return EventRow(1, datetime(2026, 11, 22, tzinfo=UTC), 1, None, kind, data, **fields)


def test_a_row_is_shown_by_column_with_what_was_there_before() -> None:
    one = event("id=1&name=a%26b&note", "U:id", ev_extra1="public.t", ev_extra2="id=1&name=old&note=x")
    assert text_of(one) == ["", "update of public.t", "id   = 1", "name = a&b  (was old)", "note = NULL  (was x)"]


@pytest.mark.parametrize("data", ["%zz", "id=%ff", "{", "[" * 5000, "\x00", "=", "🐘" * 40, "(a) values (", ""])
@pytest.mark.parametrize("kind", ["I:id", "U:id", "D:", "I", "U", "D", "R", "new", "", None])
def test_whatever_is_in_an_event_is_shown_and_never_an_error(kind: str | None, data: str) -> None:
    for room in (8, 20, 60):
        lines = payload_lines(event(data, kind, ev_extra1="public.t", ev_extra2="%"), room)
        assert lines


def test_a_cut_payload_says_how_big_it_is() -> None:
    one = event("x" * PAYLOAD_CHARACTERS, "new", data_bytes=3_481_600)
    assert text_of(one)[:3] == ["", "data", "3.3 MB in the database; the first 16,384 characters:"]
