"""The screens as pictures, at the sizes people have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from skyconsole.engine.monitor.picture import Picture

Told = Callable[..., list[Picture]]
Look = Callable[..., bool]

SIZES = pytest.mark.parametrize("size", [(60, 16), (80, 24), (140, 40)], ids=lambda size: f"{size[0]}x{size[1]}")


@SIZES
def test_the_queues_stand_worst_first_with_their_trend(told: Told, look: Look, size: Any) -> None:
    """Fourteen queues: four red squares first with long lags, one amber triangle, one hollow circle, the rest green.

    At 60 columns the trend gives way; at 140 the detail of the first queue stands on the right.
    """
    assert look(told(), size=size)


@SIZES
def test_all_consumers_stand_late_first(told: Told, look: Look, size: Any) -> None:
    """Consumers with their queues; former_shop leads with three days of lag; the thin bar shows there is more below."""
    assert look(told(), ("3",), size=size)


@SIZES
def test_the_overview_has_a_row_for_each_database(told: Told, look: Look, size: Any) -> None:
    """Two databases: one in trouble on top, an empty one below it."""
    assert look([*told(), *told("empty", 3, name="archive")], size=size)


@SIZES
def test_the_daemons_say_what_they_do(told: Told, look: Look, size: Any) -> None:
    """The ticker with its process id, when it came and how old its newest tick is."""
    assert look(told(), ("7",), size=size)


@SIZES
def test_what_happened_is_listed_newest_first(told: Told, look: Look, size: Any) -> None:
    """Changes of the sample's first minutes with time, sign, subject and what happened."""
    assert look(told(), ("8",), size=size)


@SIZES
def test_a_queue_opens_to_its_consumers(told: Told, look: Look, size: Any) -> None:
    """The crumbs end in orders; invoice_export is red with its lag, five others are green."""
    assert look(told(), ("down", "down", "enter"), size=size)


@SIZES
def test_a_consumer_opens_to_the_events_of_its_batch(told: Told, look: Look, size: Any) -> None:
    """The crumbs name queue, consumer and batch; events with id, time, type and data, oldest first."""
    assert look(told(), ("down", "down", "enter", "enter"), size=size)


def test_the_detail_pane_says_why_a_queue_is_late(told: Told, look: Look) -> None:
    """Right of the table: settings, the lag with its limits, the consumers, and the chain of evidence to pid 4502."""
    assert look(told(), ("down", "down"), size=(160, 50))


def test_the_explanation_is_a_dialog_where_there_is_no_room(told: Told, look: Look) -> None:
    """A frame over the queues with the same detail, readable in 80 columns."""
    assert look(told(), ("down", "down", "e"))


def test_marks_are_seen_and_counted(told: Told, look: Look) -> None:
    """Three rows carry a bar at the left and a tinted ground; the totals say 3 marked."""
    assert look(told(), ("space", "space", "space"))


def test_a_filter_keeps_the_rows_that_match(told: Told, look: Look) -> None:
    """Only queues with more than ten seconds of lag; the filter's line says how many of how many."""
    assert look(told(), ("slash", *"lag>10s", "enter"))


def test_a_filter_that_is_not_understood_is_told_in_place(told: Told, look: Look) -> None:
    """All rows stay; the filter's line says in red that there is no such column, and which there are."""
    assert look(told(), ("slash", *"lagg>10s"), size=(120, 24))


def test_the_order_can_be_chosen_from_a_menu(told: Told, look: Look) -> None:
    """A list of the columns with their meaning, the present one marked."""
    assert look(told(), ("s",))


def test_the_rows_can_be_ordered_by_any_column(told: Told, look: Look) -> None:
    """Queues by name: the title QUEUE carries the arrow."""
    assert look(told(), ("greater_than_sign", *["less_than_sign"] * 2, "greater_than_sign"))


def test_a_large_screen_is_filled(told: Told, look: Look) -> None:
    """At 200x60 there is a column STATE, a long trend, whole notes, the detail and the command log."""
    assert look(told(), size=(200, 60))


def test_a_thousand_queues_are_as_calm_as_ten(told: Told, look: Look) -> None:
    """The last page of a thousand queues, the thin bar at the bottom."""
    assert look(told(readings=2, queues=1000, consumers=2000), ("G",))
