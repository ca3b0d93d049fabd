"""How a consumer's life is run: in this thread with signals, in an event loop, or in a thread beside an event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from .driver_async import AsyncDriver
from .driver_sync import SyncDriver
from .life import Life
from .requests import Place, Program
from .stopping import Stop, StopNow

T = TypeVar("T")

GRACE = 0.5
"""Seconds beyond the stop's own time after which a thread that does not end is left to itself."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a consumer works: the connections' strings, and the name they are known by."""

    dsns: Mapping[Place, str]
    application_name: str

    def sync_driver(self, stop: Stop) -> SyncDriver:
        """A driver that blocks."""
        return SyncDriver(self.dsns, self.application_name, stop)

    def once(self, program: Program[T]) -> T:
        """Run a program on connections of its own."""
        stop = Stop(0.0)
        driver = self.sync_driver(stop)
        try:
            return driver.run(program)
        finally:
            driver.close()
            stop.close()


def run_here(site: Site, life: Life, stop: Stop) -> None:
    """Run in this thread until the stop; in the main thread SIGTERM and SIGINT ask for it."""
    driver = site.sync_driver(stop)
    try:
        with _Signals(stop):
            driver.run(life.live())
    except StopNow:
        return
    finally:
        driver.close()


async def run_in_loop(site: Site, life: Life, stop: Stop) -> None:
    """Run in this event loop until the stop. A cancellation hands the batch in work back, and is raised again."""
    driver = AsyncDriver(site.dsns, site.application_name, stop)
    loop = asyncio.get_running_loop()

    async def live() -> None:
        try:
            await driver.run(life.live())
        except StopNow:
            # A KeyboardInterrupt must not leave a task: it would end the loop.
            return
        finally:
            await driver.close()

    work = asyncio.create_task(live())
    stop.on_request = lambda: _soon(loop, lambda: loop.call_later(stop.seconds, work.cancel))
    if stop.requested:
        loop.call_later(stop.seconds, work.cancel)
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        if work.cancelled():
            return
        work.cancel()
        await asyncio.wait({work})
        raise


async def run_in_thread(site: Site, life: Life, stop: Stop) -> None:
    """Run in a thread until the stop. A handler that does not return in time is left behind, its batch handed back."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    driver = site.sync_driver(stop)

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        failure: BaseException | None = None
        try:
            driver.run(life.live())
        except StopNow:
            failure = None
        except BaseException as error:
            failure = error
        driver.close()
        _soon(loop, lambda: settle(failure))

    overdue = asyncio.Event()

    def on_request() -> None:
        _soon(loop, lambda: loop.call_later(stop.seconds + GRACE, overdue.set))

    stop.on_request = on_request
    if stop.requested:
        on_request()
    threading.Thread(target=work, name=f"skyconsole {site.application_name}", daemon=True).start()
    waiting: asyncio.Future[Any] = asyncio.create_task(overdue.wait())
    try:
        await asyncio.wait({done, waiting}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        stop.request()
        await asyncio.wait({done}, timeout=GRACE)
        raise
    finally:
        waiting.cancel()
        if not done.done():
            await asyncio.to_thread(_leave_behind, site, driver, life)
    if done.done():
        await done


def _leave_behind(site: Site, driver: SyncDriver, life: Life) -> None:
    driver.cancel()
    site.once(life.abandon())


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> None:
    """Call it in the loop, from whichever thread; nothing when the loop has ended."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def run_with_loop(make: Callable[[asyncio.Event], Any]) -> None:
    """Run an asynchronous consumer in an event loop of its own, with SIGTERM and SIGINT as requests to stop."""

    async def main() -> None:
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        handled = (signal.SIGTERM, signal.SIGINT) if _is_main_thread() else ()

        def on_signal() -> None:
            if asked.is_set():
                task.cancel()
            asked.set()

        for number in handled:
            loop.add_signal_handler(number, on_signal)
        try:
            await make(asked)
        except asyncio.CancelledError:
            if not asked.is_set():
                raise
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    asyncio.run(main())


class _Signals:
    """SIGTERM and SIGINT as requests to stop, and SIGALRM as the end of its time, while we are in the main thread."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        if not _is_main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            self._former[number] = signal.signal(number, self._on_signal)
        self._former[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_alarm)
        self._stop.on_request = self._set_alarm
        if self._stop.requested:
            self._set_alarm()

    def __exit__(self, *_: object) -> None:
        if not self._former:
            return
        self._stop.on_request = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _set_alarm(self) -> None:
        # Zero would switch the alarm off.
        signal.setitimer(signal.ITIMER_REAL, max(0.001, self._stop.seconds))

    def _on_signal(self, *_: object) -> None:
        if self._stop.requested:
            raise StopNow
        self._stop.request()

    def _on_alarm(self, *_: object) -> None:
        raise StopNow


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
