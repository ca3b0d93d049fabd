"""Ten thousand consumers are judged and kept without effort; bounds are generous, the bench prints the figures."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.model import Part
from skyconsole.engine.monitor.ring import Ring
from skyconsole.engine.monitor.sample import SampleSource


class HandClock:
    """A clock that moves when told to."""

    time = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


def test_a_thousand_queues_and_ten_thousand_consumers_are_derived_quickly_and_kept_small() -> None:
    clock = HandClock()
    source = SampleSource(1, clock, queues=1000, consumers=10000)
    ring = Ring(live_bytes=0)
    picture = None
    spent: list[float] = []
    for _ in range(5):
        snapshot = asyncio.run(source.read(frozenset(Part)))
        began = time.process_time()
        picture = derive(picture, snapshot)
        spent.append(time.process_time() - began)
        ring.add(picture)
        clock.time += timedelta(seconds=2)
    assert picture is not None
    assert (len(picture.queues), len(picture.consumers)) == (1000, 10000)
    assert min(spent) < 0.5
    alive = 11_000 * 1400
    a_packed_picture = (ring.size - alive) / 4
    assert a_packed_picture * 450 < 150 << 20
