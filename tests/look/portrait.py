"""Draws a screen of the sample as a PNG: `python tests/look/portrait.py FILE [--size 140x40] [--keys 2,down]`.

Needs cairosvg and the font Fira Code.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cairosvg  # type: ignore[import-untyped]
from skyconsole.console.app import SkyConsole
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.monitor.sample import SampleSource


class StillClock:
    """Moves only when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


async def draw(size: tuple[int, int], keys: list[str], theme: str | None) -> str:
    """The screen after those keys, as SVG."""
    clock = StillClock()
    source = SampleSource(7, clock, name="prod-main")
    app = SkyConsole([source], clock=clock, theme=theme, autostart=False)
    async with app.run_test(size=size) as pilot:
        picture: Picture | None = None
        for _ in range(60):
            clock.time += timedelta(seconds=5)
            picture = derive(picture, await source.read())
            app.receive(picture)
            await pilot.pause()
        await pilot.press(*keys)
        clock.time += timedelta(seconds=5)
        app.receive(derive(picture, await source.read()))
        await pilot.pause(0.5)
        return app.export_screenshot(title="skyconsole")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", default="140x36")
    parser.add_argument("--keys", default="2")
    parser.add_argument("--theme")
    options = parser.parse_args()
    columns, rows = (int(part) for part in options.size.split("x"))
    svg = asyncio.run(draw((columns, rows), options.keys.split(","), options.theme))
    cairosvg.svg2png(bytestring=svg.encode(), write_to=str(options.file))


if __name__ == "__main__":
    main()
