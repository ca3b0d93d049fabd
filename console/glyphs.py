"""The signs the screens draw with, in Unicode and in plain ASCII."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine.monitor.picture import Level


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of signs; every sign is one cell wide."""

    levels: dict[Level, str]
    bars: str
    """Heights of a sparkline, lowest first."""
    live: str
    stale: str
    crumb: str
    dot: str
    more: str
    rise: str
    fall: str
    sort_up: str
    sort_down: str
    mark: str
    rule: str
    divider: str
    leads_to: str
    enter: str
    plot: dict[str, str]
    """Line drawing of a plot: '-', '|', 'up', 'down', corners 'ul', 'ur', 'll', 'lr', axis 'axis', 'tick'."""


UNICODE = Glyphs(
    levels={Level.OK: "●", Level.WARN: "▲", Level.CRIT: "■", Level.OFF: "○", Level.UNKNOWN: "·"},
    bars="▁▂▃▄▅▆▇",
    live="●",
    stale="◐",
    crumb="›",
    dot="·",
    more="…",
    rise="↑",
    fall="↓",
    sort_up="▲",
    sort_down="▼",
    mark="▌",
    rule="─",
    divider="│",
    leads_to="→",
    enter="⏎",
    plot={"-": "─", "|": "│", "ul": "╭", "ur": "╮", "ll": "╰", "lr": "╯", "axis": "│", "tick": "┤", "limit": "╌"},
)

ASCII = Glyphs(
    levels={Level.OK: "o", Level.WARN: "!", Level.CRIT: "#", Level.OFF: "-", Level.UNKNOWN: "?"},
    bars="_.-~=+*#",
    live="*",
    stale="?",
    crumb=">",
    dot="-",
    more="~",
    rise="^",
    fall="v",
    sort_up="^",
    sort_down="v",
    mark="|",
    rule="-",
    divider="|",
    leads_to=">",
    enter="ret",
    plot={"-": "-", "|": "|", "ul": "+", "ur": "+", "ll": "+", "lr": "+", "axis": "|", "tick": "+", "limit": "."},
)

LEVEL_WORDS: dict[Level, str] = {
    Level.OK: "ok",
    Level.WARN: "warn",
    Level.CRIT: "crit",
    Level.OFF: "off",
    Level.UNKNOWN: "unknown",
}
"""The word that goes with each level's colour and sign."""

LEVEL_ROLES: dict[Level, str] = {
    Level.OK: "ok",
    Level.WARN: "warn",
    Level.CRIT: "crit",
    Level.OFF: "off",
    Level.UNKNOWN: "muted",
}
"""The role that colours each level."""
