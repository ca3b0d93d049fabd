"""The schedule of the torture comes from the seed alone, and holds every kind of trouble."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import pytest

from .plan import (
    Bulk,
    Ending,
    Fault,
    Isolation,
    Look,
    ProducerTemper,
    Step,
    Subtransaction,
    faults,
    retries_wanted,
    ring_sizes,
    transactions,
)


def _flat(steps: Iterable[Step]) -> Iterable[Step]:
    for step in steps:
        yield step
        if isinstance(step, Subtransaction):
            yield from _flat(step.steps)


@pytest.mark.parametrize("temper", list(ProducerTemper))
def test_the_same_seed_gives_the_same_transactions_and_another_seed_others(temper: ProducerTemper) -> None:
    first = list(islice(transactions(7, 3, temper), 50))
    assert first == list(islice(transactions(7, 3, temper), 50))
    assert first != list(islice(transactions(8, 3, temper), 50))
    assert first != list(islice(transactions(7, 4, temper), 50))


def test_the_transactions_hold_every_isolation_level_ending_and_kind_of_step() -> None:
    many = [planned for temper in ProducerTemper for planned in islice(transactions(1, 0, temper), 200)]
    steps = [step for planned in many for step in _flat(planned.steps)]
    assert {planned.isolation for planned in many} == set(Isolation)
    assert {planned.ending for planned in many} == set(Ending)
    assert {step.keeps for step in steps if isinstance(step, Subtransaction)} == {True, False}
    assert any(isinstance(step, Bulk) and step.held > 2 for step in steps)
    assert any(
        isinstance(planned.steps[0], Look) and planned.isolation is not Isolation.READ_COMMITTED for planned in many
    )


@pytest.mark.parametrize("seed", range(20))
def test_each_schedule_of_faults_kills_the_server_in_the_middle_and_the_ticker(seed: int) -> None:
    planned = faults(seed, 60)
    assert planned == faults(seed, 60)
    assert any(fault.fault is Fault.SERVER and 20 < fault.at < 40 for fault in planned)
    assert any(fault.fault is Fault.TICKER for fault in planned)
    assert any(fault.fault is Fault.BACKEND for fault in planned)
    assert [fault.at for fault in planned] == sorted(fault.at for fault in planned)
    assert all(0 < fault.at < 60 for fault in planned)


def test_one_queue_has_three_tables_and_the_others_from_two_to_four() -> None:
    sizes = {ring_sizes(seed) for seed in range(50)}
    assert sizes == {(3, 2), (3, 3), (3, 4)}
    assert ring_sizes(5) == ring_sizes(5)


def test_an_event_is_handed_back_at_most_twice_and_mostly_never() -> None:
    wanted = [retries_wanted(1, "c", f"key {number}") for number in range(2000)]
    assert set(wanted) == {0, 1, 2}
    assert wanted.count(0) > 1600
    assert retries_wanted(1, "c", "key 5") == wanted[5]
