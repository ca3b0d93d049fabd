"""The filter's language on rows of the sample."""

from __future__ import annotations

import asyncio

import pytest
from skyconsole.console.columns import CONSUMERS, QUEUES
from skyconsole.console.filtering import FilterError, parse_filter
from skyconsole.engine.clock import SystemClock
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.picture import Level, Picture
from skyconsole.engine.monitor.sample import SampleSource


@pytest.fixture(scope="module")
def picture() -> Picture:
    async def read() -> Picture:
        source = SampleSource(7, SystemClock())
        return derive(None, await source.read())

    return asyncio.run(read())


def queues(picture: Picture, text: str) -> set[str]:
    accepts = parse_filter(text, QUEUES)
    return {row.facts.name for row in picture.queues if accepts(row)}


def test_a_word_is_looked_for_in_names_and_notes_whatever_its_case(picture: Picture) -> None:
    assert queues(picture, "ORDERS") == {"orders"}
    assert "audit_log" in queues(picture, "rotation")


def test_an_exclamation_mark_turns_a_word_around(picture: Picture) -> None:
    everything = {row.facts.name for row in picture.queues}
    assert queues(picture, "!orders") == everything - {"orders"}


def test_a_tilde_takes_a_regular_expression(picture: Picture) -> None:
    assert queues(picture, "~^(orders|ledger)$") == {"orders", "ledger"}


def test_durations_are_compared_with_their_units(picture: Picture) -> None:
    late = {row.facts.name for row in picture.queues if row.worst_lag is not None and row.worst_lag > 90}
    assert late
    assert queues(picture, "lag>90s") == queues(picture, "lag>1m30s") == late


def test_a_row_without_a_value_is_on_neither_side(picture: Picture) -> None:
    unknown = {row.facts.name for row in picture.queues if row.worst_lag is None}
    assert unknown
    assert not unknown & (queues(picture, "lag>=0s") | queues(picture, "lag<1d"))


def test_levels_are_words_and_can_be_compared(picture: Picture) -> None:
    assert queues(picture, "level=crit") == {row.facts.name for row in picture.queues if row.level is Level.CRIT}
    assert queues(picture, "level>=warn") == {row.facts.name for row in picture.queues if row.level >= Level.WARN}


def test_a_name_is_matched_whole_or_by_stars(picture: Picture) -> None:
    assert queues(picture, "queue=orders") == {"orders"}
    assert queues(picture, "queue=*_log") == {"audit_log"}
    assert queues(picture, "queue=[/x]") == {"[/x]"}


def test_terms_are_joined_by_and(picture: Picture) -> None:
    assert queues(picture, "level=crit lag<1h !ledger") == {"orders"}


def test_quotes_keep_blanks_together() -> None:
    accepts = parse_filter('"naïve café"', CONSUMERS)

    async def read() -> Picture:
        return derive(None, await SampleSource(7, SystemClock()).read())

    found = [row.facts.name for row in asyncio.run(read()).consumers if accepts(row)]
    assert found == ["naïve café"]


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("lagg>10s", 0, "no column `lagg`"),
        ("orders lag>fast", 11, "no duration"),
        ("cons>many", 5, "no number"),
        ("level=bad", 6, "no level"),
        ("~(", 1, "regular expression"),
        ("queue>a", 6, "is text"),
        ("lag>", 4, "wants a value"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, position: int, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text, QUEUES)
    assert caught.value.position == position
    assert message in caught.value.message
