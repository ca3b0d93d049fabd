"""How fast the screen is: page render at 10,000 rows, key to paint while the source is slow, start to first frame.

Run it: `python tests/bench/screen.py`. It prints medians in milliseconds; nothing is asserted here.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from skyconsole.console.app import SkyConsole
from skyconsole.console.widgets.snapshot_table import SnapshotTable
from skyconsole.engine.clock import SystemClock
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.model import Part, Snapshot
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.monitor.sample import SampleSource
from textual import events

QUEUES, CONSUMERS = 1000, 10_000


class SlowSource(SampleSource):
    """Answers after five seconds, but for the first time."""

    reads = 0

    async def read(self, parts: frozenset[Part] = frozenset(Part)) -> Snapshot:
        self.reads += 1
        if self.reads > 1:
            await asyncio.sleep(5.0)
        return await super().read(parts)


async def large_picture(queues: int = QUEUES, consumers: int = CONSUMERS) -> Picture:
    source = SampleSource(1, SystemClock(), queues=queues, consumers=consumers)
    return derive(derive(None, await source.read()), await source.read())


def page(table: SnapshotTable) -> None:
    """Paint every line in sight, as the compositor asks for it."""
    table._styles_cache.clear()
    for y in range(table.size.height):
        table.render_line(y)


def median_ms(act: Callable[[], object], rounds: int = 20) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


async def page_times(size: tuple[int, int] = (140, 40)) -> dict[str, float]:
    """Milliseconds for a page of 10,000 consumers, by how much of it changed."""
    picture = await large_picture()
    app = SkyConsole([SampleSource(1, SystemClock())], autostart=False)
    async with app.run_test(size=size) as pilot:
        app.receive(replace(picture, snapshot=replace(picture.snapshot, source="sample")))
        await pilot.pause()
        await pilot.press("3")
        await pilot.pause()
        await pilot.pause()
        screen = app.table_screen
        assert screen is not None
        table = screen.table
        assert len(table.rows) == CONSUMERS

        def one_changed() -> None:
            rows = list(table.rows)
            rows[3] = replace(rows[3])
            table.show(rows, table.sort, table.descending)
            page(table)

        def all_changed() -> None:
            table._cache.clear()
            page(table)

        def scrolled() -> None:
            table.scroll_to(y=(table.scroll_y + 997) % 9000, animate=False)
            page(table)

        world = app.world
        return {
            "page, nothing changed": median_ms(lambda: page(table)),
            "page, 1 row changed": median_ms(one_changed),
            "page, all rows changed": median_ms(all_changed),
            "page, scrolled far away": median_ms(scrolled),
            "arrange 10,000 rows (engine thread)": median_ms(lambda: screen.request.arrange(world)),
            "new picture shown (screen thread)": median_ms(lambda: screen.arrived(world, None, None)),
        }


async def key_times(rounds: int = 20) -> list[float]:
    """Milliseconds from a key to the painted cursor while every reading takes five seconds."""
    source = SlowSource(1, SystemClock(), queues=QUEUES, consumers=2000)
    app = SkyConsole([source], interval=0.2)
    times = []
    async with app.run_test(size=(140, 40)) as pilot:
        deadline = time.monotonic() + 20
        while not (app.table_screen and app.table_screen.table.rows) and time.monotonic() < deadline:
            await pilot.pause(0.02)
        for _ in range(rounds):
            table: Any = app.table_screen.table if app.table_screen else None
            before = table.cursor
            painted = asyncio.Event()
            began = time.perf_counter()
            app.post_message(events.Key("down", None))
            while table.cursor == before:  # noqa: ASYNC110 (an event of ours would be measured too)
                await asyncio.sleep(0)
            table.call_after_refresh(painted.set)
            await painted.wait()
            times.append((time.perf_counter() - began) * 1000)
    return times


def start_seconds() -> float:
    """Milliseconds from the start of the interpreter to the first frame."""
    code = (
        "import time; began = time.perf_counter()\n"
        "import asyncio\n"
        "from skyconsole.console.app import SkyConsole\n"
        "from skyconsole.engine.monitor.sample import SampleSource\n"
        "from skyconsole.engine.clock import SystemClock\n"
        "async def main():\n"
        "    app = SkyConsole([SampleSource(1, SystemClock())], autostart=False)\n"
        "    async with app.run_test(size=(80, 24)):\n"
        "        print((time.perf_counter() - began) * 1000)\n"
        "asyncio.run(main())\n"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    return statistics.median(runs)


def main() -> None:
    for what, took in asyncio.run(page_times()).items():
        print(f"{what:<40} {took:8.2f} ms")
    times = sorted(asyncio.run(key_times()))
    print(f"{'key to paint, source takes 5 s':<40} {statistics.median(times):8.2f} ms, worst {times[-1]:.2f} ms")
    print(f"{'start to first frame':<40} {start_seconds():8.0f} ms")


if __name__ == "__main__":
    main()
