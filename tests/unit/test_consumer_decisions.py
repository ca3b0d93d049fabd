"""The decisions of consumers: how long until the next try, what a failed event becomes, whether a batch is the next."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skyconsole.engine.errors import UsageError
from skyconsole.engine.queue import (
    Batch,
    BatchStatistics,
    ConsumerSettings,
    Event,
    LostPositionError,
    RetryPolicy,
    TickRemadeError,
    UnknownColumnError,
)
from skyconsole.engine.queue.event import BatchTags, event_class
from skyconsole.engine.queue.position import Mark, is_next
from skyconsole.engine.queue.retry import Dead, Retry, backed_off, judged, reason_of, writable

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = Batch(1, 20, 10, _NOW, _NOW, 0, 0)
BEGIN, END = Mark(10, "a"), Mark(20, "b")


def test_waits_grow_by_the_factor_up_to_the_most() -> None:
    policy = RetryPolicy(first=10, factor=3, most=200, jitter=0)
    assert [policy.seconds(retries) for retries in (None, 1, 2, 3, 4, 10_000)] == [10, 30, 90, 200, 200, 200]


@given(st.integers(0, 100), st.floats(0, 1), st.integers())
def test_jitter_only_shortens(retries: int, jitter: float, seed: int) -> None:
    full = RetryPolicy(jitter=0).seconds(retries)
    found = RetryPolicy(jitter=jitter).seconds(retries, random.Random(seed))
    assert full * (1 - jitter) <= found <= full


def test_an_event_is_given_up_after_its_attempts_where_there_are_dead_letters() -> None:
    policy = RetryPolicy(first=1, most=1, jitter=0, attempts=2)
    assert backed_off(policy, 1, "why", dead_letters=True) == Retry(1)
    assert backed_off(policy, 2, "why", dead_letters=True) == Dead("why")
    assert backed_off(policy, 2, "why", dead_letters=False) == Retry(1)
    assert judged(KeyError("x"), "dead_letter", policy, None, dead_letters=True) == Dead("KeyError: 'x'")


def test_a_reason_is_one_line_without_a_password() -> None:
    assert reason_of(ValueError("one\ntwo")) == "ValueError: one"
    assert reason_of(ValueError()) == "ValueError"
    assert reason_of(ValueError("a\0b")) == "ValueError: a\\0b"
    assert "geheim" not in reason_of(ValueError("host=x password=geheim"))
    assert len(reason_of(ValueError("x" * 10_000))) == 500


@pytest.mark.parametrize(
    ("encoding", "stored"),
    [
        ("UTF8", "ü → \\0 \\udc80"),
        ("SQL_ASCII", "ü → \\0 \\udc80"),
        ("LATIN1", "ü \\u2192 \\0 \\udc80"),
        ("WIN1252", "ü \\u2192 \\0 \\udc80"),
        ("MULE_INTERNAL", "\\xfc \\u2192 \\0 \\udc80"),
    ],
)
def test_a_reason_is_written_as_the_database_can_store_it(encoding: str, stored: str) -> None:
    assert writable("ü → \0 \udc80", encoding) == stored


@pytest.mark.parametrize(
    "wrong", [{"first": -1}, {"first": 10, "most": 1}, {"factor": 0.5}, {"attempts": -1}, {"jitter": 2}]
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RetryPolicy(**wrong)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (Mark(None), True),
        (Mark(10, "a"), True),
        (Mark(10), True),
        (Mark(20, "b"), False),
        (Mark(20), False),
    ],
)
def test_a_batch_is_processed_skipped_or_begun_with(stored: Mark, expected: bool) -> None:
    assert is_next(BATCH, stored, BEGIN, END, "the target", "") is expected


@pytest.mark.parametrize("stored", [Mark(10, "z"), Mark(20, "z")])
def test_a_tick_that_looks_different_stops_with_both_named(stored: Mark) -> None:
    with pytest.raises(TickRemadeError, match=f"Tick {stored.tick_id} was made again") as caught:
        is_next(BATCH, stored, BEGIN, END, "the target", "Call resync().")
    assert "z" in caught.value.message
    assert caught.value.hint == "Call resync()."


@pytest.mark.parametrize("tick_id", [9, 15, 21])
def test_a_position_beside_the_batch_stops(tick_id: int) -> None:
    with pytest.raises(LostPositionError, match=rf"batch 10\.\.20, there has {tick_id}"):
        is_next(BATCH, Mark(tick_id), BEGIN, END, "there", "")


def test_settings_that_cannot_work_are_refused() -> None:
    for wrong in (
        {"lazy_fetch": -1},
        {"autocommit": True},
        {"autocommit": True, "lazy_fetch": 0, "on_error": "retry"},
        {"on_error": "ignore"},
        {"columns": ("ev_id", "nonsense")},
        {"columns": ()},
        {"columns": ("ev_id", "ev_id")},
        {"min_count": -1},
    ):
        with pytest.raises(UsageError):
            ConsumerSettings("q", "c", **wrong)


def test_what_retries_need_is_fetched_as_well() -> None:
    assert ConsumerSettings("q", "c", columns=("ev_data",)).fetched_columns == ("ev_id", "ev_data")
    retrying = ConsumerSettings("q", "c", columns=("ev_data",), on_error="retry")
    assert retrying.fetched_columns == ("ev_id", "ev_retry", "ev_data")


def test_tables_are_named_in_full_and_quoted() -> None:
    settings = ConsumerSettings("q", "c", table_filter=("t", "s.o'x", "b\\s"), consumer_filter="superseded")
    assert settings.condition == r"ev_extra1 in ('public.t', 's.o''x',  E'public.b\\s')"
    assert ConsumerSettings("q", "c", consumer_filter="ev_id > 1").condition == "ev_id > 1"
    assert ConsumerSettings("q", "c").condition is None


def _event(row: tuple[Any, ...], columns: tuple[str, ...] | None = None) -> Event:
    tags = BatchTags("q", 1, RetryPolicy(), dead_letters=True)
    return Event(row, tags) if columns is None else event_class(columns)(row, tags)


def test_a_time_is_read_when_somebody_asks() -> None:
    columns = ("ev_id", "ev_time")
    assert _event((1, 0), columns).ev_time == datetime(2000, 1, 1, tzinfo=UTC)
    assert _event((1, 1_500_000), columns).time == datetime(2000, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert _event((1, -(2**63)), columns).ev_time.year == 1
    assert _event((1, 2**63 - 1), columns).ev_time.year == 9999


def test_an_event_of_some_columns_is_a_mapping_of_these() -> None:
    event = _event((7, "text"), ("ev_id", "ev_data"))
    assert dict(event) == {"ev_id": 7, "ev_data": "text"}
    assert event.get("ev_type", "none") == "none"
    assert "ev_type" not in event
    assert not hasattr(event, "ev_type")
    for name in ("ev_type", "type", "nonsense"):
        with pytest.raises(UnknownColumnError):
            getattr(event, name)
    with pytest.raises(KeyError):
        event["ev_type"]


def test_tags_follow_one_another() -> None:
    event = _event((7, None), ("ev_id", "ev_retry"))
    event.retry()
    assert event.get_status() == 0
    event.dead("x")
    assert event.get_status() == 2
    event.done()
    assert event.get_status() == 1


def test_statistics_have_the_originals_keys() -> None:
    assert BatchStatistics(1, 5, 0.25, 1.5, 2).as_dict() == {
        "count": 5,
        "duration": 0.25,
        "idle": 1.5,
        "retry-events": 2,
    }
    assert str(BatchStatistics(None, 0, 0, 300.0)) == "{idle: 300.0}"
