"""What the screen shows when there is little or nothing to show. Source: design 4.7."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from skyconsole.engine.monitor.picture import Feed, Picture

Told = Callable[..., list[Picture]]
Look = Callable[..., bool]
SIZES = pytest.mark.parametrize("size", [(60, 16), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")


def fed(picture: Picture, now: datetime, **feed: Any) -> Picture:
    return replace(picture, feed=Feed(good_at=now - timedelta(seconds=14), **feed))


@SIZES
def test_connecting_shows_a_skeleton_and_says_to_what(told: Told, look: Look, size: Any) -> None:
    """Rows of dots under the titles, and below them that it connects to prod-main and for how long."""
    assert look(told("connecting", 1), size=size)


@SIZES
def test_a_database_without_pgq_offers_to_install_it(told: Told, look: Look, size: Any) -> None:
    """PgQ is not installed in prod-main; i installs it and shows the SQL first."""
    assert look(told("no_pgq", 2), size=size)


@SIZES
def test_no_queues_says_what_a_queue_is_and_how_to_make_one(told: Told, look: Look, size: Any) -> None:
    """No queues, what they are for, and the keys that make the first one."""
    assert look(told("empty", 2), size=size)


def test_a_filter_that_hides_all_says_so(told: Told, look: Look) -> None:
    """0 of 14 match, and esc clears the filter."""
    assert look(told(), ("slash", *"lag>9d", "enter"))


@SIZES
def test_a_lost_connection_keeps_the_last_facts_and_says_what_happened(
    told: Told, look: Look, clock: Any, size: Any
) -> None:
    """A red strip with the server's message; the rows are dimmed; the title counts age and seconds to the retry."""
    last = told("lost", 2)[-1]
    picture = fed(last, clock.now(), attempt=3, retry_at=clock.now() + timedelta(seconds=8))
    assert look([picture], size=size)


def test_the_details_of_a_lost_connection_are_one_key_away(told: Told, look: Look) -> None:
    """A dialog with the database, the message and the hint."""
    assert look(told("lost", 2), ("D",))


def test_a_stale_reading_is_dimmed_and_shows_its_age(told: Told, look: Look, clock: Any) -> None:
    """The title says how old the facts are; the strip says that a reading failed; the rows are dimmed."""
    last = told("stale", 2)[-1]
    assert look([fed(last, clock.now(), attempt=1, retry_at=clock.now() + timedelta(seconds=6))])


def test_a_part_that_may_not_be_read_is_told_once(told: Told, look: Look) -> None:
    """The queues are there; one notice says which right is missing; the detail shows ? for the retry queue."""
    assert look(told("no_privilege", 4), size=(140, 40))


def test_paused_is_written_in_the_title(told: Told, look: Look, clock: Any) -> None:
    """Paused, and how old the facts are, where live stood."""
    assert look([fed(told()[-1], clock.now(), paused=True)])


def test_read_only_is_written_in_the_title(told: Told, look: Look) -> None:
    """RO before the freshness."""
    assert look(told(), read_only=True)
