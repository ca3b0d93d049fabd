"""The cast of the sample: queues and consumers whose state is a closed formula of time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

LONG_NAME = "a_queue_whose_name_takes_all_of_the_sixty_three_bytes_there_are"
FIRST_TICK = 1_000_000
HOUR = 3600.0
DAY = 86400.0
ROTATION = 2 * HOUR


@dataclass(frozen=True, slots=True)
class SampleQueue:
    """A queue of the sample. Times are seconds since the sample's start; negative ones lie before it."""

    queue_id: int
    name: str
    rate: float
    """Events a second on average; 0: nothing happens."""
    wave: float
    """Share of the rate by which it swings, within 5 minutes."""
    phase: float
    """Shifts ticks and rotation against the other queues."""
    tick_period: float
    paused_at: float | None = None
    external: bool = False
    no_inserts: bool = False
    rotated_at: float | None = None
    """The last rotation there was; None: it rotates as it should."""

    def event_seq(self, at: float) -> int:
        """The event sequence at a time; never falls."""
        turn = 2 * math.pi / 300.0
        swing = self.wave * self.rate / turn * (1.0 - math.cos(turn * (at + self.phase)))
        return 1 + int(self.rate * (at + 10 * DAY) + swing)

    def tick_at(self, at: float) -> int:
        """The newest tick at a time."""
        if self.paused_at is not None:
            at = min(at, self.paused_at)
        return FIRST_TICK + math.floor((at - self.phase) / self.tick_period)

    def tick_time(self, tick: int) -> float:
        return (tick - FIRST_TICK) * self.tick_period + self.phase

    def rotations(self, at: float) -> tuple[int, float]:
        """How often it has rotated, and when last."""
        if self.rotated_at is not None:
            return 1, self.rotated_at
        count = math.floor((at + self.phase * 500.0) / ROTATION)
        return count + 100, count * ROTATION - self.phase * 500.0


@dataclass(frozen=True, slots=True)
class SampleConsumer:
    """A subscription of the sample."""

    sub_id: int
    queue: SampleQueue
    name: str
    lag: Callable[[float], float]
    """Seconds it is behind at a time; never grows faster than time, so its position never falls."""
    seen: Callable[[float], float]
    """Seconds since its last sign of life."""
    working: bool = False
    """It holds a batch."""
    subconsumer: bool = False
    idle: bool = False
    """A subconsumer without a batch."""

    @property
    def main(self) -> str | None:
        """Of a subconsumer, the main consumer's name."""
        return self.name.rpartition(".")[0] if self.subconsumer else None


def _brisk(offset: float) -> Callable[[float], float]:
    return lambda at: 0.3 + 0.4 * (1 + math.sin(at / 3.0 + offset))


def _waves(offset: float) -> Callable[[float], float]:
    """Swings between 20 and 90 seconds in 4 minutes."""
    return lambda at: 55.0 + 35.0 * math.sin(at * 2 * math.pi / 240.0 + offset)


def _since(start: float) -> Callable[[float], float]:
    """Has not moved since then."""
    return lambda at: at - start


def _stuck_from(start: float) -> Callable[[float], float]:
    """Moves no more since then."""
    return lambda at: max(at - start, 2.0)


def _recovering(behind: float) -> Callable[[float], float]:
    """Far behind, and reads five times as fast as it is written."""
    return lambda at: max(behind - 4.0 * at, 0.7)


def _sinking(behind: float) -> Callable[[float], float]:
    """Far behind, and reads half as fast as it is written."""
    return lambda at: behind + 0.5 * at


def _hiccups(at: float) -> float:
    """Stands still for two minutes of every ten, then catches up within one."""
    turn = (at + 480.0) % 600.0
    if turn < 120.0:
        return 0.6 + turn
    return max(0.6, 120.6 - 2.0 * (turn - 120.0))


_QUEUES: tuple[dict[str, object], ...] = (
    {"name": "orders", "rate": 412.0, "wave": 0.2},
    {"name": "billing", "rate": 96.0, "wave": 0.4},
    {"name": "audit_log", "rate": 51.0, "wave": 0.1, "rotated_at": -ROTATION - 560.0},
    {"name": "clickstream", "rate": 733.0, "wave": 0.6},
    {"name": "emails", "rate": 18.0, "wave": 0.5},
    {"name": "legacy_sync", "rate": 0.0, "wave": 0.0, "paused_at": -3.2 * HOUR},
    {"name": "ledger", "rate": 33.0, "wave": 0.3},
    {"name": "[/x]", "rate": 4.0, "wave": 0.3},
    {"name": 'a"b', "rate": 0.0, "wave": 0.0, "tick_period": 60.0},
    {"name": "x.y", "rate": 7.0, "wave": 0.2, "rotated_at": -3 * DAY + 600.0},
    {"name": "Ünï", "rate": 2.0, "wave": 0.1, "tick_period": 3.0},
    {"name": "📦 parcels", "rate": 21.0, "wave": 0.8},
    {"name": LONG_NAME, "rate": 87.0, "wave": 0.2},
    {"name": "imports", "rate": 0.0, "wave": 0.0, "tick_period": 30.0, "external": True},
)


def sample_queues(count: int, draw: random.Random) -> list[SampleQueue]:
    """The first `count` queues: the cast, then as many plain ones as are asked for."""
    found: list[SampleQueue] = []
    for number in range(count):
        settings: dict[str, object]
        if number < len(_QUEUES):
            settings = dict(_QUEUES[number])
        else:
            settings = {"name": f"queue_{number + 1:04}", "rate": round(draw.uniform(0.5, 50.0), 1), "wave": 0.4}
        settings.setdefault("tick_period", 1.0)
        found.append(SampleQueue(queue_id=number + 1, phase=round(draw.uniform(0.0, 1.0), 3), **settings))  # type: ignore[arg-type]
    return found


def sample_consumers(queues: list[SampleQueue], count: int, draw: random.Random) -> list[SampleConsumer]:
    """Exactly `count` consumers as far as there are queues: the cast, then brisk ones spread over the queues."""
    cast = _Cast({queue.name: queue for queue in queues}, draw)
    cast.play()
    found = cast.found[:count]
    open_queues = queues[len(_QUEUES) :] or queues
    number = 0
    while open_queues and len(found) < count:
        cast.found.clear()
        cast.brisk(open_queues[number % len(open_queues)].name, f"consumer_{number + 1:05}")
        found.extend(cast.found)
        number += 1
    return found


class _Cast:
    """Builds the consumers that make every state of the screen occur."""

    def __init__(self, queues: dict[str, SampleQueue], draw: random.Random) -> None:
        self._queues = queues
        self._draw = draw
        self._subscriptions = 0
        self.found: list[SampleConsumer] = []

    def play(self) -> None:
        self._add("orders", "invoice_export", _since(-761.0), _since(-761.0), working=True)
        for name in ("audit", "bi_loader", "mailer", "search_feeder", "stock_sync"):
            self.brisk("orders", name)
        self._add("billing", "dunning", _waves(0.4), _brisk(2.0), working=True)
        self._add("billing", "tax_report", _waves(0.9), _brisk(1.0), working=True)
        self.brisk("billing", "ledger_feed")
        self.brisk("billing", "receipts")
        self._add("audit_log", "archive_loader", _sinking(ROTATION + 900.0), _brisk(0.0), working=True)
        self.brisk("audit_log", "auditor")
        self._group("clickstream", "sessions")
        for name in ("ads", "funnels", "heatmap", "recommender", "warehouse"):
            self.brisk("clickstream", name)
        self._add("emails", "newsletter", _hiccups, _brisk(0.0), working=True)
        self.brisk("emails", "receipts")
        self.brisk("emails", "[bold]sender[/bold]")
        self._add("legacy_sync", "mainframe", lambda at: at + 3.2 * HOUR, lambda at: at + 3.2 * HOUR)
        self._add("ledger", "year_end", _recovering(1800.0), _brisk(0.5), working=True)
        self.brisk("ledger", "poster")
        self.brisk("[/x]", "[/y]")
        self.brisk('a"b', 'c"d')
        self._add("x.y", "former_shop", _since(-3 * DAY), _since(-3 * DAY))
        self.brisk("x.y", "x.y.z")
        self.brisk("Ünï", "Grüße")
        self.brisk("📦 parcels", "🚚 courier")
        self.brisk(LONG_NAME, LONG_NAME.replace("queue", "guest"))
        for queue, name in (
            ("emails", "bounces"),
            ("emails", "digest"),
            ("ledger", "reconciler"),
            ("[/x]", "it's"),
            ('a"b', "semi;colon"),
            ("x.y", "tab\there"),
            ("Ünï", "naïve café"),
            ("📦 parcels", "customs"),
            ("📦 parcels", "tracking"),
            (LONG_NAME, "reader"),
        ):
            self.brisk(queue, name)

    def brisk(self, queue: str, name: str) -> None:
        shift = self._draw.uniform(0.0, 6.0)
        self._add(queue, name, _brisk(shift), _brisk(shift), working=self._draw.random() < 0.3)

    def _group(self, queue: str, name: str) -> None:
        """A main consumer whose batches three subconsumers share: one works, one is stuck, one has nothing to do."""
        self._add(queue, name, _brisk(0.0), _brisk(0.0))
        self._add(queue, f"{name}.1", _brisk(1.0), _brisk(1.0), working=True, subconsumer=True)
        self._add(queue, f"{name}.2", _stuck_from(200.0), _stuck_from(200.0), working=True, subconsumer=True)
        self._add(queue, f"{name}.3", _brisk(3.0), _brisk(40.0), subconsumer=True, idle=True)

    def _add(
        self,
        queue: str,
        name: str,
        lag: Callable[[float], float],
        seen: Callable[[float], float],
        *,
        working: bool = False,
        subconsumer: bool = False,
        idle: bool = False,
    ) -> None:
        found = self._queues.get(queue)
        if found is None:
            return
        if not subconsumer:
            self._subscriptions += 1
        self.found.append(SampleConsumer(self._subscriptions, found, name, lag, seen, working, subconsumer, idle))
