"""What the look tests share: a clock that stands still, a sample told up to a moment, the screen as text."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from skyconsole.console.app import SkyConsole
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.model import Snapshot
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.monitor.sample import SampleSource, Scenario

CLEARED = ("NO_COLOR", "COLORTERM", "COLUMNS", "LINES", "TEXTUAL_THEME", "TEXTUAL_FPS", "TEXTUAL_DEBUG")


class StillClock:
    """Moves only when it is told to."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    """The same surroundings everywhere: UTC, no animation, a home without files, UTF-8."""
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LANG", "C.UTF-8")
    time.tzset()
    monkeypatch.setattr("skyconsole.console.app._speaks_unicode", lambda: True)
    yield
    monkeypatch.undo()
    time.tzset()


def at_once(reading: Coroutine[Any, Any, Snapshot]) -> Snapshot:
    """The result of a coroutine that waits for nothing, as the sample's are; works inside and outside of a loop."""
    try:
        reading.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("the sample waited")


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def told(clock: StillClock) -> Callable[..., list[Picture]]:
    """The pictures of a sample's first minutes; afterwards the clock shows the time of the last one."""

    def tell(scenario: Scenario = "fleet", readings: int = 60, name: str = "prod-main", **sizes: int) -> list[Picture]:
        source = SampleSource(7, clock, scenario=scenario, name=name, **sizes)
        pictures: list[Picture] = []

        for number in range(readings):
            if number:
                clock.advance(5.0)
            pictures.append(derive(pictures[-1] if pictures else None, at_once(source.read())))
        return pictures

    return tell


@pytest.fixture
def console(clock: StillClock) -> Callable[..., SkyConsole]:
    """An application that polls nothing: the test hands it its pictures."""

    def make(*names: str, **settings: Any) -> SkyConsole:
        sources = [SampleSource(7, clock, name=name) for name in names or ("prod-main",)]
        return SkyConsole(sources, settings.pop("settings", None), clock=clock, autostart=False, **settings)

    return make


@pytest.fixture
def look(snap_compare: Any, console: Callable[..., SkyConsole], clock: StillClock) -> Callable[..., bool]:
    """Shows pictures, presses keys, and compares with the picture on file."""

    def compare(
        pictures: list[Picture], keys: tuple[str, ...] = (), size: tuple[int, int] = (80, 24), **settings: Any
    ) -> bool:
        names = tuple(dict.fromkeys(picture.snapshot.source for picture in pictures)) or ("prod-main",)
        app = console(*settings.pop("sources", names), **settings)

        async def prepare(pilot: Any) -> None:
            await show(app, pilot, pictures)
            clock.advance(2.0)
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            clock.advance(2.0)
            await settled(app, pilot)

        return bool(snap_compare(app, terminal_size=size, run_before=prepare))

    return compare


async def show(app: SkyConsole, pilot: Any, pictures: list[Picture]) -> None:
    for picture in pictures:
        app.receive(picture)
    await pilot.pause()
    await pilot.pause()


async def settled(app: SkyConsole, pilot: Any) -> None:
    """Wait until what was debounced or asked of the engine is on the screen."""
    deadline = time.monotonic() + 5.0
    screen = app.table_screen
    while screen is not None and getattr(screen, "_reading", False) and time.monotonic() < deadline:
        await pilot.pause(0.02)
    for one in app.screen_stack:
        if one is screen:
            one.rearrange()
    await pilot.pause()
    await pilot.pause()


@pytest.fixture
def screen_text() -> Callable[[SkyConsole], list[str]]:
    """The lines of the present screen as text, without colours and trailing blanks."""

    def read(app: SkyConsole) -> list[str]:
        return ["".join(segment.text for segment in strip).rstrip() for strip in app.screen._compositor.render_strips()]

    return read


@pytest.fixture
def shown(console: Callable[..., SkyConsole], clock: StillClock) -> Callable[..., Any]:
    """Runs an application with these pictures on it, for tests that press keys and read the screen."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def run(pictures: list[Picture], size: tuple[int, int] = (80, 24), **settings: Any) -> Any:
        names = tuple(dict.fromkeys(picture.snapshot.source for picture in pictures)) or ("prod-main",)
        app = console(*settings.pop("sources", names), **settings)
        async with app.run_test(size=size) as pilot:
            await show(app, pilot, pictures)
            clock.advance(2.0)
            yield app, pilot

    return run
