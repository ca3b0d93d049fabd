"""A consumer as a daemon's service: made from the configuration, made anew when that changes, and watched."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...engine.clock import Clock, SystemClock
from ...engine.errors import UsageError
from ...engine.queue.consumer import Consumer
from ...engine.queue.steps import BatchStatistics, Step
from ..ticker.metrics import write as write_metrics
from . import metrics
from .config import ConsumerConfig
from .loading import make_consumer
from .trouble import Trouble, TroubleFilter, follow_other_logs

logger = logging.getLogger("skyconsole.consumer")


@dataclass(slots=True)
class Progress:
    """What the consumer has done since it began; written in the consumer's own thread."""

    batch_id: int | None = None
    """The batch in work."""
    batches: int = 0
    events: int = 0
    retries: int = 0
    dead: int = 0
    last: Mapping[str, float | int] = field(default_factory=dict)
    """The statistics of the last batch."""


class ConsumerService:
    """Runs one consumer until it is told to stop, as the original's script loop does. Source: spec/scripts.md 1.4."""

    sees_events = False

    def __init__(self, config: ConsumerConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._consumer: Consumer | None = None
        self._is_changed = False
        self._is_finishing = False
        self._metrics_failed = False
        self._trouble = Trouble(config.quiet, self._clock)
        self._since = self._clock.now()
        self.progress = Progress()

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Consume until `stop` is set, or until the consumer ends by itself. Raises SkyError."""
        metrics_file = asyncio.create_task(self._write_metrics())
        try:
            with TroubleFilter(logger, self._trouble), follow_other_logs(logger):
                await self._consume(stop, ready)
        finally:
            metrics_file.cancel()
            self._write_metrics_now()

    async def _consume(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Consumer after consumer, each with the settings of its time."""
        ready()
        while True:
            self._is_changed = False
            self._consumer = make_consumer(self._config, observer=self, report=self.report)
            if self._is_finishing:
                return
            await self._consumer.run_async(stop)
            if stop.is_set() or self._is_finishing or not self._is_changed:
                return
            logger.info("going on with the new configuration")

    async def _write_metrics(self) -> None:
        while True:
            self._write_metrics_now()
            await asyncio.sleep(metrics.PERIOD)

    def _write_metrics_now(self) -> None:
        if (path := self._config.metrics_file) is None:
            return
        try:
            write_metrics(path, metrics.render(self.status()))
        except OSError as error:
            if not self._metrics_failed:
                logger.error("the metrics file %s cannot be written: %s", path, error.strerror)
            self._metrics_failed = True
        else:
            self._metrics_failed = False

    def finish(self) -> None:
        """End after the batch in work."""
        self._is_finishing = True
        self._end_batch()

    def reconfigure(self, config: ConsumerConfig) -> None:
        """Go on with these settings after the batch in work."""
        self._config = config
        self._trouble.quiet = config.quiet
        self._is_changed = True
        self._end_batch()

    def _end_batch(self) -> None:
        if self._consumer is not None:
            self._consumer.stop(math.inf)

    def on_step(self, step: Step, batch_id: int) -> None:
        """Note where the consumer is; called by it."""
        match step:
            case Step.OPENED:
                self.progress.batch_id = batch_id
            case Step.COMMITTED | Step.IDLE:
                self.progress.batch_id = None
                self._trouble.passed()

    def report(self, statistics: BatchStatistics) -> None:
        """Log the statistics in the original's form and count them; called by the consumer."""
        logger.info("%s", statistics)
        if statistics.batch_id is not None:
            progress = self.progress
            progress.batches += 1
            progress.events += statistics.count
            progress.retries += statistics.retries
            progress.dead += statistics.dead
            progress.last = statistics.as_dict()

    def answer(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """`status`. Raises UsageError."""
        if request["command"] != "status":
            raise UsageError(f"A consumer knows no request {request['command']!r}.", "It knows status.")
        return self.status()

    def status(self) -> dict[str, object]:
        """How everything stands, as plain data."""
        progress, trouble = self.progress, self._trouble
        return {
            "healthy": not trouble.lasts_for(self._config.unhealthy_after),
            "state": self._state(),
            "job_name": self._config.job_name,
            "queue_name": self._config.settings.queue_name,
            "consumer_name": self._config.settings.consumer_name,
            "subconsumer_name": self._config.settings.subconsumer_name,
            "consumer_class": self._config.consumer_class or self._config.section,
            "since": self._since.isoformat(),
            "batch_id": progress.batch_id,
            "batches": progress.batches,
            "events": progress.events,
            "retries": progress.retries,
            "dead": progress.dead,
            "last_batch": dict(progress.last),
            "error": trouble.error,
            "failed_since": trouble.since.isoformat() if trouble.since else None,
        }

    def _state(self) -> str:
        if self._trouble.since is not None:
            return "failing"
        return "idle" if self.progress.batch_id is None else "working"

    def summary(self) -> str:
        """One line: what it does, and what it has done."""
        progress = self.progress
        return f"{self._state()}, {progress.batches} batches, {progress.events} events"
