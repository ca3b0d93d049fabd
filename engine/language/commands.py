"""The commands of the language, by name."""

from __future__ import annotations

from .consumers import RegisterConsumer, ShowConsumer, UnregisterConsumer
from .help import Help
from .queues import AlterQueue, CreateQueue, DropQueue, ShowQueue
from .scope import EVERY, Every

__all__ = [
    "EVERY",
    "AlterQueue",
    "CreateQueue",
    "DropQueue",
    "Every",
    "Help",
    "RegisterConsumer",
    "ShowConsumer",
    "ShowQueue",
    "UnregisterConsumer",
]
