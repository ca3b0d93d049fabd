"""The judge finds what is planted: a torture that cannot fail proves nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from .check import Delivery, Event, Fate, HandedBack, Registration, Snapshot, verify
from .ledger import Claim, Ledger, Outcome

QUEUE = "q"
START = Registration("c", QUEUE, 1, Snapshot.parse("10:12:10"))


@dataclass(frozen=True)
class World:
    """A small run in which everything went well; tests spoil one thing of it."""

    events: tuple[Event, ...] = (
        Event("old", QUEUE, 9, True),
        Event("late commit", QUEUE, 10, True),
        Event("before the tick", QUEUE, 11, True),
        Event("a", QUEUE, 12, True),
        Event("b", QUEUE, 13, True),
        Event("undone", QUEUE, 13, False),
        Event("elsewhere", "other", 14, True),
    )
    deliveries: tuple[Delivery, ...] = (
        Delivery("c", QUEUE, "late commit", 1, 0),
        Delivery("c", QUEUE, "a", 1, 0),
        Delivery("c", QUEUE, "b", 2, 0),
        Delivery("c", QUEUE, "b", 3, 1),
        Delivery("c", QUEUE, "b", 4, 2),
    )
    handed_back: tuple[HandedBack, ...] = (HandedBack("c", QUEUE, "b"), HandedBack("c", QUEUE, "b"))

    def fates(self) -> list[tuple[Fate, str]]:
        findings = verify(self.events, [START], self.deliveries, self.handed_back)
        return [(finding.fate, finding.key) for finding in findings]


def test_nothing_is_found_where_everything_came_once_and_again_as_often_as_handed_back() -> None:
    assert World().fates() == []


def test_a_planted_loss_is_found() -> None:
    world = World()
    assert replace(world, deliveries=world.deliveries[1:]).fates() == [(Fate.LOST, "late commit")]


def test_a_planted_duplicate_is_found() -> None:
    world = World()
    spoilt = replace(world, deliveries=(*world.deliveries, Delivery("c", QUEUE, "a", 5, 0)))
    assert spoilt.fates() == [(Fate.DUPLICATE, "a")]


def test_an_event_twice_in_one_batch_is_a_duplicate() -> None:
    world = World()
    assert replace(world, deliveries=(*world.deliveries, world.deliveries[1])).fates() == [(Fate.DUPLICATE, "a")]


def test_an_event_of_a_transaction_that_rolled_back_is_found() -> None:
    world = World()
    spoilt = replace(world, deliveries=(*world.deliveries, Delivery("c", QUEUE, "undone", 2, 0)))
    assert spoilt.fates() == [(Fate.ROLLED_BACK, "undone")]


def test_an_event_that_no_producer_made_is_found() -> None:
    world = World()
    spoilt = replace(world, deliveries=(*world.deliveries, Delivery("c", QUEUE, "phantom", 2, 0)))
    assert spoilt.fates() == [(Fate.UNKNOWN, "phantom")]


def test_an_event_of_another_queue_is_found() -> None:
    world = World()
    spoilt = replace(world, deliveries=(*world.deliveries, Delivery("c", QUEUE, "elsewhere", 2, 0)))
    assert spoilt.fates() == [(Fate.UNKNOWN, "elsewhere")]


@pytest.mark.parametrize("key", ["old", "before the tick"])
def test_an_event_from_before_the_registration_is_found(key: str) -> None:
    world = World()
    spoilt = replace(world, deliveries=(*world.deliveries, Delivery("c", QUEUE, key, 2, 0)))
    assert spoilt.fates() == [(Fate.TOO_EARLY, key)]


def test_a_consumer_that_left_is_owed_nothing_newer_and_must_not_have_it() -> None:
    left = replace(START, until=Snapshot.parse("13:13:"))
    world = World()
    until_then = world.deliveries[:2]
    assert verify(world.events, [left], until_then, []) == ()
    assert [(one.fate, one.key) for one in verify(world.events, [left], world.deliveries[:3], [])] == [
        (Fate.TOO_LATE, "b")
    ]
    assert [(one.fate, one.key) for one in verify(world.events, [left], until_then[:1], [])] == [(Fate.LOST, "a")]


def test_a_retry_that_never_came_back_is_found() -> None:
    world = World()
    assert replace(world, deliveries=world.deliveries[:-1]).fates() == [(Fate.RETRY_LOST, "b")]


def test_a_retry_that_nobody_asked_for_is_found() -> None:
    world = World()
    assert replace(world, handed_back=world.handed_back[1:]).fates() == [(Fate.DUPLICATE, "b")]


def test_wrong_numbers_of_retries_are_found() -> None:
    world = World()
    spoilt = replace(world, deliveries=(*world.deliveries[:-1], replace(world.deliveries[-1], retry=3)))
    assert spoilt.fates() == [(Fate.RETRY_NUMBER, "b")]


def test_a_delivery_to_a_consumer_that_never_registered_is_found() -> None:
    world = World()
    spoilt = replace(world, deliveries=(*world.deliveries, Delivery("stranger", QUEUE, "a", 9, 0)))
    assert spoilt.fates() == [(Fate.UNKNOWN, "a")]


def test_a_ledger_with_a_doubt_left_gives_no_events(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.claim(Claim("t", "read committed", "commit", 5, [], [(QUEUE, "a")]))
    with pytest.raises(ValueError, match="still in doubt"):
        list(ledger.events())
    ledger.settle("t", Outcome.COMMITTED)
    assert [(event.key, event.xid, event.committed) for event in ledger.events()] == [("a", 5, True)]
    with pytest.raises(ValueError, match="committed already"):
        ledger.settle("t", Outcome.ROLLED_BACK)
    ledger.close()


def test_events_behind_a_rolled_back_savepoint_do_not_count_as_committed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.claim(Claim("t", "serializable", "commit", 5, [], [(QUEUE, "a")], [(QUEUE, "b")]))
    ledger.settle("t", Outcome.COMMITTED)
    assert {event.key: event.committed for event in ledger.events()} == {"a": True, "b": False}
    ledger.close()
    assert len(ledger.path.read_text(encoding="utf-8").splitlines()) == 2
