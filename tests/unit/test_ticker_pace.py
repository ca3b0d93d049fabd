"""How often the ticker looks: as fast as needed, as seldom as possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skyconsole.engine.queue.ticks import Look, Pace

IDLE = Look(queues=3, due=(), waiting=0, expected_gap=None, next_due=None)
EAGER = Look(queues=3, due=(), waiting=0, expected_gap=0.0, next_due=None)
START = Pace(period=1.0, min_period=0.01)


def test_a_database_without_events_is_looked_at_once_a_period() -> None:
    pace = START
    for now in range(5):
        pace = pace.after(IDLE, float(now), 0.0002)
    assert pace.distance(5.0) == 1.0


def test_events_of_an_eager_queue_bring_the_least_distance_at_once() -> None:
    assert START.after(EAGER, 10.0, 0.0002).distance(10.0) == 0.01


def test_in_silence_the_distance_grows_with_it_up_to_the_period() -> None:
    pace = START.after(EAGER, 10.0, 0.0002)
    distances = [pace.distance(10.0 + quiet) for quiet in (0, 0.4, 0.8, 4, 8, 100)]
    assert distances == pytest.approx([0.01, 0.05, 0.1, 0.5, 1.0, 1.0])


def test_a_patient_queue_is_looked_at_when_it_becomes_due() -> None:
    patient = Look(queues=1, due=(), waiting=0, expected_gap=3.0, next_due=0.3)
    assert START.after(patient, 0.0, 0.0002).distance(0.0) == pytest.approx(0.301)


def test_a_queue_that_fills_in_half_a_second_is_looked_at_ten_times_in_it() -> None:
    filling = Look(queues=1, due=(), waiting=0, expected_gap=0.5, next_due=None)
    assert START.after(filling, 0.0, 0.0002).distance(0.0) == pytest.approx(0.05)


def test_dear_looks_never_take_more_than_a_tenth_of_the_time() -> None:
    pace = START.after(EAGER, 0.0, 0.5)
    assert pace.distance(0.0) == 0.01, "the first look, with cold caches, tells nothing"
    for cost in (0.02, 0.03, 0.02):
        pace = pace.after(EAGER, 0.0, cost)
    assert pace.distance(0.0) == pytest.approx(0.2)


def test_looks_may_take_half_of_the_time_where_the_least_distance_asks_for_it() -> None:
    pace = Pace(period=1.0, min_period=0.001)
    for cost in (0.02, 0.03, 0.02):
        pace = pace.after(EAGER, 0.0, cost)
    assert pace.distance(0.0) == pytest.approx(0.04)


def test_no_glance_comes_before_a_cheap_look_while_events_come_in() -> None:
    pace = START.after(EAGER, 10.0, 0.0005)
    assert not pace.glances(10.5)
    assert pace.glances(12.0), "in silence a glance is enough"
    assert START.after(EAGER, 10.0, 0.02).glances(10.5), "a glance is cheaper than a dear look"
    assert START.glances(0.0), "nothing is known of the costs yet"


def test_a_wake_up_counts_as_events() -> None:
    assert START.woken(7.0).distance(7.0) == 0.01
    assert START.quiet(7.0) == float("inf")
    assert START.woken(7.0).quiet(9.0) == 2.0


@given(
    st.floats(0, 100), st.floats(0, 10), st.floats(0, 10), st.floats(0, 1000),
    st.one_of(st.none(), st.floats(0, 100)), st.one_of(st.none(), st.floats(-5, 100)),
)  # fmt: skip
def test_the_distance_lies_between_the_two_periods(
    period: float, min_period: float, cost: float, quiet: float, gap: float | None, due: float | None
) -> None:
    pace = Pace(period, min_period).after(Look(1, (), 0, gap, due), 0.0, cost)
    assert min_period <= pace.distance(quiet) <= max(period, min_period)


@pytest.mark.parametrize(
    ("expected_gap", "idle_gap", "lasts"),
    [(None, 60.0, 1.0), (None, 2.0, 0.2), (None, 0.0, 0.0), (None, None, 1.0), (3.0, 60.0, 0.0)],
)
def test_a_look_lasts_until_an_idle_tick_would_be_missed(
    expected_gap: float | None, idle_gap: float | None, lasts: float
) -> None:
    assert Look(1, (), 0, expected_gap, None, idle_gap).lasts == pytest.approx(lasts)
