"""The commands of the language, by name."""

from __future__ import annotations

from .captures import CompileCapture, ShowCapture, UncompileCapture
from .consumers import RegisterConsumer, ShowConsumer, UnregisterConsumer
from .help import Help
from .letters import PurgeDeadLetters, ReplayDeadLetters, ShowDeadLetters, ShowRetry
from .members import RegisterSubconsumer, ShowSubconsumers, UnregisterSubconsumer
from .queues import AlterQueue, CreateQueue, DropQueue, ShowQueue
from .scope import EVERY, Every

__all__ = [
    "EVERY",
    "AlterQueue",
    "CompileCapture",
    "CreateQueue",
    "DropQueue",
    "Every",
    "Help",
    "PurgeDeadLetters",
    "RegisterConsumer",
    "RegisterSubconsumer",
    "ReplayDeadLetters",
    "ShowCapture",
    "ShowConsumer",
    "ShowDeadLetters",
    "ShowQueue",
    "ShowRetry",
    "ShowSubconsumers",
    "UncompileCapture",
    "UnregisterConsumer",
    "UnregisterSubconsumer",
]
