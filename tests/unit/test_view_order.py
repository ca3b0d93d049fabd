"""Order, hold and ahead-of-time arrangement of rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from skyconsole.console.columns import CHANGES, QUEUES
from skyconsole.console.view import (
    CHANGES_KEPT,
    Request,
    ViewState,
    World,
    arrange,
    held,
    neighbour,
    sorted_by,
    with_picture,
)
from skyconsole.engine.clock import SystemClock
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.picture import Change, Level, Picture, QueueRow
from skyconsole.engine.monitor.sample import SampleSource


@pytest.fixture(scope="module")
def picture() -> Picture:
    async def read() -> Picture:
        return derive(None, await SampleSource(7, SystemClock()).read())

    return asyncio.run(read())


def names(view: object) -> list[str]:
    return [row.facts.name for row in view.rows]  # type: ignore[attr-defined]


def test_the_worst_stands_first(picture: Picture) -> None:
    view = arrange(picture.queues, QUEUES, ViewState("level", True))
    keys = [(row.level, row.worst_lag or 0.0) for row in view.rows]
    assert keys == sorted(keys, reverse=True)
    assert keys[0][0] is Level.CRIT


@pytest.mark.parametrize("descending", [True, False])
def test_rows_without_a_value_stand_last_in_both_directions(picture: Picture, descending: bool) -> None:
    view = arrange(picture.queues, QUEUES, ViewState("lag", descending))
    lags = [row.worst_lag for row in view.rows]
    known = [lag for lag in lags if lag is not None]
    assert lags[: len(known)] == sorted(known, reverse=descending)
    assert set(lags[len(known) :]) == {None}


def test_equal_rows_keep_their_order(picture: Picture) -> None:
    same = tuple(replace(row, ev_per_sec=1.0) for row in picture.queues)
    assert names(arrange(same, QUEUES, ViewState("ev/s", True))) == [row.facts.name for row in same]


def test_a_filter_that_is_not_understood_hides_nothing(picture: Picture) -> None:
    view = arrange(picture.queues, QUEUES, ViewState("level", True, "nonsense>1"))
    assert view.problem is not None
    assert len(view.rows) == view.total == len(picture.queues)


def test_a_column_chosen_again_turns_around() -> None:
    lag = next(column for column in QUEUES if column.id == "lag")
    first = sorted_by(ViewState("level", True), lag)
    assert (first.sort, first.descending) == ("lag", True)
    assert sorted_by(first, lag).descending is False


def test_the_neighbour_of_the_last_column_is_the_first() -> None:
    state = ViewState(QUEUES[-1].id, True)
    assert neighbour(state, QUEUES, 1).sort == QUEUES[0].id
    assert neighbour(ViewState(QUEUES[0].id, True), QUEUES, -1).sort == QUEUES[-1].id


def test_held_rows_keep_their_places_while_new_ones_come_last_and_gone_ones_go(picture: Picture) -> None:
    before = picture.queues[:5]
    now = arrange(picture.queues[1:7], QUEUES, ViewState("queue", False))
    kept = names(held(before, now))
    assert kept[:4] == [row.facts.name for row in before[1:]]
    assert set(kept[4:]) == {row.facts.name for row in picture.queues[5:7]}


def test_a_request_gives_the_same_view_wherever_it_is_arranged(picture: Picture) -> None:
    world = with_picture(World(), picture)
    request = Request(partial(_queues, picture.snapshot.source), QUEUES, ViewState("level", True))
    assert request.arrange(world) == arrange(picture.queues, QUEUES, ViewState("level", True))


def _queues(source: str, world: World) -> Sequence[QueueRow]:
    return world.pictures[source].queues


def test_changes_are_kept_newest_first_and_not_for_ever(picture: Picture) -> None:
    world = World()
    for number in range(CHANGES_KEPT // 100 + 2):
        changes = tuple(
            Change(datetime(2026, 1, 1, tzinfo=UTC), Level.OK, "a", "s", f"{number}.{index}") for index in range(100)
        )
        world = with_picture(world, replace(picture, changes=changes))
    assert len(world.changes) == CHANGES_KEPT
    assert world.changes[0].text == f"{CHANGES_KEPT // 100 + 1}.99"
    assert [row.number for row in world.changes] == sorted((row.number for row in world.changes), reverse=True)
    assert arrange(world.changes, CHANGES, ViewState("time", True)).rows[0].text
