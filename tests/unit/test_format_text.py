"""Numbers, durations and names as text of a known width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from skyconsole.console import format as fmt
from skyconsole.console.columns import CONSUMERS, QUEUES, place
from skyconsole.console.glyphs import ASCII, UNICODE
from skyconsole.console.lines import Span, cells, cut, spread, wrapped
from skyconsole.console.shown import shown


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (None, "-", "-"),
        (0.04, "0s", "0.0s"),
        (0.46, "0s", "0.5s"),
        (48.9, "48s", "48s"),
        (68, "1m 08s", "1m"),
        (761, "12m 41s", "12m"),
        (11520, "3h 12m", "3h"),
        (187200, "2d 04h", "2d"),
        (-3, "0s", "0.0s"),
    ],
)
def test_durations_read_as_people_write_them(seconds: float | None, long: str, short: str) -> None:
    assert (fmt.duration(seconds), fmt.short_duration(seconds)) == (long, short)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1.0k"), (1740, "1.7k"), (312_400, "312k"), (4_100_000, "4.1M")]
)
def test_counts_take_at_most_four_characters(number: int, text: str) -> None:
    assert fmt.count(number) == text


@given(st.floats(min_value=0, max_value=9e14))
def test_no_count_is_longer_than_four_characters(number: float) -> None:
    assert len(fmt.count(number)) <= 4


@given(st.text(), st.integers(min_value=1, max_value=40), st.booleans())
def test_a_cell_is_exactly_as_wide_as_it_was_asked_to_be(text: str, room: int, right: bool) -> None:
    assert cell_len(fmt.fit(shown(text), room, right)) == room


@pytest.mark.parametrize(
    "text", ["日本語の名前", "📦 parcels", "a\tb", "", "Ünï", "[/x]", "x" * 200, "👩‍👩‍👧‍👦 family"]
)
@pytest.mark.parametrize("room", [1, 2, 3, 7, 8])
def test_wide_signs_are_never_cut_in_half(text: str, room: int) -> None:
    assert cell_len(fmt.fit(shown(text), room)) == room


@given(st.lists(st.floats(min_value=0, max_value=1e6), max_size=80), st.integers(min_value=1, max_value=30))
def test_a_sparkline_has_one_bar_a_cell_and_its_highest_where_the_greatest_value_is(
    values: list[float], room: int
) -> None:
    for glyphs in (UNICODE, ASCII):
        line = fmt.sparkline(values, room, glyphs.bars, 1.0)
        assert len(line) == room
        if values and max(values) > 1.0:
            assert glyphs.bars[-1] in line


@given(st.text(alphabet="ab -é日", max_size=80), st.integers(min_value=4, max_value=30))
def test_wrapped_text_loses_nothing_but_blanks(text: str, room: int) -> None:
    lines = fmt.wrap(text, room)
    assert all(fmt.width(line) <= room for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.integers(min_value=20, max_value=220))
def test_columns_never_overlap_nor_leave_the_table(room: int) -> None:
    for columns in (QUEUES, CONSUMERS):
        placed = place(columns, room, {"queue": 63, "consumer": 20})
        assert placed[0].column is columns[0]
        ends = [one.x + one.width for one in placed]
        assert ends[-1] <= room
        assert all(one.x >= end + 1 for one, end in zip(placed[1:], ends, strict=False))


@pytest.mark.parametrize("room", [56, 76, 136])
def test_the_lag_is_always_in_sight(room: int) -> None:
    assert "lag" in {one.column.id for one in place(QUEUES, room, {})}


def test_columns_that_found_no_room_can_be_brought_into_sight() -> None:
    narrow = {one.column.id for one in place(QUEUES, 40, {})}
    moved = {one.column.id for one in place(QUEUES, 40, {}, skip=6)}
    assert "trend" not in narrow
    assert "trend" in moved


@given(
    st.text(alphabet="abé日", max_size=30),
    st.text(alphabet="xyz", max_size=10),
    st.integers(min_value=12, max_value=60),
)
def test_a_line_is_exactly_as_wide_as_the_screen(left: str, right: str, room: int) -> None:
    spans = spread([Span(left)] if left else [], [Span(right)] if right else [], room)
    assert cells(spans) <= room
    if right:
        assert cells(spans) == room


def test_a_line_that_is_cut_says_so() -> None:
    assert cut([Span("abc"), Span("defgh")], 5)[-1].text.endswith("…")


def test_a_long_message_is_broken_between_words() -> None:
    lines = wrapped([(Span("one two three four", "muted"),)], 9)
    assert [span.text for line in lines for span in line] == ["one two", "three", "four"]
