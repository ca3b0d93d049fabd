"""The settings of a queue that `alter queue` changes. Sources: spec/qadmin.md 3 and 11.5, spec/pgq.md 4.1."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ..errors import UsageError
from ..monitor.model import QueueFacts


class ValueKind(Enum):
    """What a setting's value is."""

    INTEGER = "a whole number"
    BOOLEAN = "0 or 1"
    INTERVAL = "an interval"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting."""

    name: str
    """As it is written in the language."""
    parameter: str
    """The column of pgq.queue, without the prefix `queue_`."""
    kind: ValueKind
    help: str
    direct: bool = False
    """Not known to `pgq.set_queue_config`; changed by an update of pgq.queue."""
    nullable: bool = False


SETTINGS = (
    Setting("idle_period", "ticker_idle_period", ValueKind.INTERVAL, "tick this often when there are no events"),
    Setting("max_count", "ticker_max_count", ValueKind.INTEGER, "tick when this many events are new"),
    Setting("max_lag", "ticker_max_lag", ValueKind.INTERVAL, "tick when events have waited this long"),
    Setting("paused", "ticker_paused", ValueKind.BOOLEAN, "1: no ticks at all"),
    Setting("rotation_period", "rotation_period", ValueKind.INTERVAL, "least time between two rotations"),
    Setting("external_ticker", "external_ticker", ValueKind.BOOLEAN, "1: ticks come from elsewhere"),
    Setting("disable_insert", "disable_insert", ValueKind.BOOLEAN, "1: inserting events is refused", direct=True),
    Setting(
        "per_tx_limit", "per_tx_limit", ValueKind.INTEGER, "most events of one transaction; null: any", direct=True,
        nullable=True,
    ),
)  # fmt: skip
"""In the order of the columns that sql/language/queue.sql's `settings` returns."""

BY_NAME = {one.name: one for one in SETTINGS}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")
_TRUE = frozenset(("1", "t", "true", "y", "yes", "on"))
_FALSE = frozenset(("0", "f", "false", "n", "no", "off"))


def normalise(name: str, value: str | int | bool | None) -> str | None:
    """The value as the language writes it: 1 and 0 for booleans, digits for numbers, text for intervals.

    Raises UsageError for an unknown setting or a value of the wrong kind.
    """
    setting = BY_NAME.get(name)
    if setting is None:
        raise UsageError(f'A queue has no setting "{name}".', f"There are {', '.join(BY_NAME)}.")
    if value is None:
        if setting.nullable:
            return None
        raise UsageError(f"{name} cannot be null.")
    text = str(int(value)) if isinstance(value, bool) else str(value).strip()
    match setting.kind:
        case ValueKind.INTEGER if _INTEGER.match(text):
            return str(int(text))
        case ValueKind.BOOLEAN if text.lower() in _TRUE:
            return "1"
        case ValueKind.BOOLEAN if text.lower() in _FALSE:
            return "0"
        case ValueKind.INTERVAL if text and "\x00" not in text:
            return text
    raise UsageError(f"{name} must be {setting.kind.value}, not '{text}'.")


def of_facts(name: str, facts: QueueFacts) -> str | None:
    """The setting's present value in the picture, as the language writes it."""
    match name:
        case "idle_period":
            return _seconds(facts.idle_period)
        case "max_count":
            return str(facts.max_count)
        case "max_lag":
            return _seconds(facts.max_lag)
        case "paused":
            return str(int(facts.paused))
        case "rotation_period":
            return _seconds(facts.rotation_period)
        case "external_ticker":
            return str(int(facts.external_ticker))
        case "disable_insert":
            return str(int(facts.disable_insert))
        case _:
            return None if facts.per_tx_limit is None else str(facts.per_tx_limit)


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") + " seconds"
