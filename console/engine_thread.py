"""The one thread in which the engine runs for the console: its own event loop, never waited for at exit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class EngineThread:
    """A daemon thread with an asyncio loop. The screen's thread never touches a connection; it submits coroutines.

    A daemon thread of our own, because leaving the program must not wait for a query that still runs.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="skyconsole-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive() and not self._loop.is_closed()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Run a coroutine in the engine's loop. The future's callbacks run in the engine's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self, patience: float = 0.3) -> None:
        """Cancel what runs and end the loop; waits at most `patience` seconds for it."""
        if not self.running:
            return
        self._loop.call_soon_threadsafe(self._cancel_all)
        self._thread.join(patience)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _cancel_all(self) -> None:
        running = [task for task in asyncio.all_tasks(self._loop) if not task.done()]
        for task in running:
            task.cancel()
        self._loop.create_task(self._end(running))

    async def _end(self, running: list[asyncio.Task[Any]]) -> None:
        await asyncio.gather(*running, return_exceptions=True)
        self._loop.stop()
