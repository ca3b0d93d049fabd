"""PgQ: typed calls of its functions, its batches and events, and the consumers and producers users write."""

from __future__ import annotations

from .consumer import Consumer
from .event import Event
from .events import AsyncEvents, SyncEvents
from .model import Batch
from .retry import RetryPolicy
from .settings import ConsumerSettings
from .steps import BatchStatistics, Observer, Step

__all__ = [
    "AsyncEvents",
    "Batch",
    "BatchStatistics",
    "Consumer",
    "ConsumerSettings",
    "Event",
    "Observer",
    "RetryPolicy",
    "Step",
    "SyncEvents",
]
