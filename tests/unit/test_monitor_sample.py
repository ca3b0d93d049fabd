"""The sample tells the same story to everybody, and every state of the screen occurs in it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from skyconsole.engine.errors import SkyError, UsageError
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.model import Part, Phase, Snapshot
from skyconsole.engine.monitor.picture import Level, Picture
from skyconsole.engine.monitor.sample import SCENARIOS, SampleSource
from skyconsole.engine.monitor.sample_cast import LONG_NAME

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
ALL = frozenset(Part)


class HandClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


def story(seconds: float, step: float, seed: int = 1) -> list[Picture]:
    clock = HandClock()
    source = SampleSource(seed, clock)
    made: list[Picture] = []
    while clock.time <= NOON + timedelta(seconds=seconds):
        made.append(derive(made[-1] if made else None, asyncio.run(source.read(ALL))))
        clock.time += timedelta(seconds=step)
    return made


def read(source: SampleSource) -> Snapshot:
    return asyncio.run(source.read(ALL))


def test_the_same_seed_and_clock_tell_the_same_story() -> None:
    assert story(20, 2.0) == story(20, 2.0)
    assert story(0, 1.0, seed=1) != story(0, 1.0, seed=2)


def test_it_does_not_matter_how_often_it_was_read() -> None:
    assert story(40, 1.0)[-1].snapshot.consumers == story(40, 8.0)[-1].snapshot.consumers


def test_every_state_of_the_screen_occurs_at_once() -> None:
    picture = story(0, 1.0)[0]
    assert {row.level for row in picture.queues} == {Level.OK, Level.OFF, Level.WARN, Level.CRIT}
    notes = "\n".join([row.note for row in picture.queues] + [row.note for row in picture.consumers])
    for word in ("stalled", "not seen", "rotation blocked", "ticker paused", "no consumers", "of 4 behind", "idle"):
        assert word in notes, word
    assert any(one.blocked_by for one in picture.sessions)


def test_odd_names_occur_whole() -> None:
    names = {row.facts.name for row in story(0, 1.0)[0].queues}
    assert {"[/x]", 'a"b', "x.y", "Ünï", "📦 parcels", LONG_NAME} <= names
    assert len(LONG_NAME.encode()) == 63


def test_things_happen_while_one_watches() -> None:
    changes = [change for picture in story(600, 2.0) for change in picture.changes]
    assert {Level.OK, Level.WARN} <= {change.level for change in changes}
    assert any("newsletter" in change.subject for change in changes)


def test_no_count_and_no_tick_ever_goes_back() -> None:
    made = story(700, 5.0)
    for before, now in pairwise(made):
        for old, new in zip(before.snapshot.queues, now.snapshot.queues, strict=True):
            assert new.event_seq >= old.event_seq
            assert (new.last_tick_id or 0) >= (old.last_tick_id or 0)
            assert new.event_seq >= (new.last_tick_seq or 0)
        for was, is_ in zip(before.snapshot.consumers, now.snapshot.consumers, strict=True):
            assert (is_.last_tick_id or 0) >= (was.last_tick_id or 0)
            assert is_.last_seen >= was.last_seen


def test_it_scales_to_any_size() -> None:
    snapshot = read(SampleSource(1, HandClock(), queues=1000, consumers=10000))
    assert (len(snapshot.queues), len(snapshot.consumers)) == (1000, 10000)
    assert len({(one.queue, one.name) for one in snapshot.consumers}) == 10000
    small = read(SampleSource(1, HandClock(), queues=3, consumers=5))
    assert (len(small.queues), len(small.consumers)) == (3, 5)


@pytest.mark.parametrize(
    ("scenario", "phase", "queues"),
    [
        ("fleet", Phase.LIVE, 14),
        ("empty", Phase.LIVE, 0),
        ("no_pgq", Phase.NO_PGQ, 0),
        ("connecting", Phase.CONNECTING, 0),
        ("lost", Phase.LOST, 14),
        ("stale", Phase.STALE, 14),
        ("no_privilege", Phase.LIVE, 14),
    ],
)
def test_each_scenario_shows_its_state(scenario: str, phase: Phase, queues: int) -> None:
    assert scenario in SCENARIOS
    source = SampleSource(1, HandClock(), scenario)  # type: ignore[arg-type]
    picture = derive(None, read(source))
    assert picture.snapshot.phase is phase
    assert len(picture.queues) == queues
    assert bool(picture.snapshot.problems) is (scenario in ("lost", "stale", "no_privilege"))
    again = derive(picture, read(source))
    assert again.overview.level is (Level.CRIT if phase is Phase.LOST else again.overview.level)


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(UsageError, match='no scenario "flood"'):
        SampleSource(1, HandClock(), "flood")  # type: ignore[arg-type]


def test_events_can_be_peeked_at() -> None:
    source = SampleSource(1, HandClock())
    open_batch = next(one for one in read(source).consumers if one.name == "invoice_export")
    assert open_batch.batch_id is not None
    events = asyncio.run(source.peek_batch(open_batch.batch_id, 20))
    assert [event.ev_id for event in events] == sorted(event.ev_id for event in events)
    assert len(events) == 20
    newest = asyncio.run(source.peek_queue("orders", 5))
    assert [event.ev_id for event in newest] == sorted((event.ev_id for event in newest), reverse=True)
    with pytest.raises(SkyError, match="not open"):
        asyncio.run(source.peek_batch(1, 5))
    with pytest.raises(SkyError, match="no queue"):
        asyncio.run(source.peek_queue("none", 5))
