"""What PgQ hands out: batches and events, as frozen rows. Source: spec/pgq.md 1.3 and 4.4."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Batch:
    """An open batch: the events between two ticks, held by one subscription until it is finished."""

    batch_id: int
    tick_id: int
    prev_tick_id: int
    tick_time: datetime
    prev_tick_time: datetime
    tick_event_seq: int
    prev_tick_event_seq: int


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a batch."""

    ev_id: int
    ev_time: datetime
    ev_txid: int
    ev_retry: int | None
    ev_type: str | None
    ev_data: str | None
    ev_extra1: str | None
    ev_extra2: str | None
    ev_extra3: str | None
    ev_extra4: str | None


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is worth taking; None: no such limit. Source: spec/pgq.md 6."""

    min_lag: timedelta | None = None
    min_count: int | None = None
    min_interval: timedelta | None = None
