"""Ticker connections are granted in the order of asking, and holders make room."""

from __future__ import annotations

import asyncio

from skyconsole.daemons.ticker.slots import Slots
from skyconsole.engine.clock import SystemClock


async def test_no_more_than_the_limit_hold_a_slot_and_all_get_their_turn() -> None:
    slots, holding, most, served = Slots(2, SystemClock()), 0, 0, []

    async def visit(name: int) -> None:
        nonlocal holding, most
        async with slots.turn():
            holding += 1
            most = max(most, holding)
            await asyncio.sleep(0)
            served.append(name)
            holding -= 1

    await asyncio.wait_for(asyncio.gather(*(visit(n) for n in range(6))), 10)
    assert most == 2
    assert served == [0, 1, 2, 3, 4, 5]


async def test_only_as_many_holders_leave_as_others_wait() -> None:
    slots = Slots(3, SystemClock())
    async with slots.turn() as a, slots.turn() as b, slots.turn() as c:
        assert not any(turn.should_leave() for turn in (a, b, c))
        waiting = asyncio.create_task(_hold(slots))
        await asyncio.sleep(0)
        assert [turn.should_leave() for turn in (a, b, c)] == [True, False, False]
        assert a.should_leave(), "a promise is kept"
    await asyncio.wait_for(waiting, 10)


async def test_a_waiter_that_gives_up_costs_no_slot() -> None:
    slots = Slots(1, SystemClock())
    async with slots.turn() as turn:
        waiting = asyncio.create_task(_hold(slots))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not turn.should_leave()
    await asyncio.wait_for(_hold(slots), 10)


async def test_a_raised_limit_lets_waiters_in() -> None:
    slots = Slots(1, SystemClock())
    async with slots.turn():
        waiting = asyncio.create_task(_hold(slots))
        await asyncio.sleep(0)
        slots.limit = 2
        await asyncio.wait_for(waiting, 10)


async def _hold(slots: Slots) -> None:
    async with slots.turn():
        return
