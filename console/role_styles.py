"""What a role ('crit', 'muted', 'key' …) looks like on a ground ('base', 'cursor', 'title' …) in the present theme."""

from __future__ import annotations

from collections.abc import Mapping

from rich.style import Style
from textual.color import Color, ColorParseError

_ROLES: dict[str, tuple[str, str]] = {
    "text": ("foreground", ""),
    "strong": ("foreground", "bold"),
    "muted": ("muted", ""),
    "label": ("muted", "bold"),
    "off": ("lag-off", ""),
    "off-strong": ("lag-off", ""),
    "ok": ("lag-ok", ""),
    "ok-strong": ("lag-ok", "bold"),
    "warn": ("lag-warn", ""),
    "warn-strong": ("lag-warn", "bold"),
    "crit": ("lag-crit", ""),
    "crit-strong": ("lag-crit", "bold"),
    "muted-strong": ("muted", "bold"),
    "trend": ("trend", ""),
    "key": ("key", "bold"),
    "flash": ("flash", "bold"),
    "rule": ("muted", ""),
}
"""Role -> colour variable and attributes."""

_NO_COLOUR: dict[str, str] = {
    "crit": "bold underline",
    "crit-strong": "bold underline",
    "warn": "bold",
    "warn-strong": "bold",
    "off": "dim",
    "key": "bold underline",
    "flash": "reverse",
    "trend": "",
}

_FAINT = frozenset({"muted", "muted-strong", "off", "off-strong", "label", "rule", "trend"})
"""Roles that keep their lightness without colour; all others are as bright as text, whatever grey their colour has."""

GROUNDS: dict[str, str] = {
    "base": "background",
    "cursor": "cursor-ground",
    "mark": "mark-ground",
    "heading": "heading-ground",
    "title": "title-ground",
    "totals": "totals-ground",
    "prod": "env-prod",
    "test": "env-test",
    "alarm": "alarm-ground",
}
"""Ground -> colour variable."""


def own_defaults(variables: Mapping[str, str]) -> dict[str, str]:
    """Our variables for a theme that does not set them, from its base colours (`#rrggbb`)."""

    def get(name: str, default: str) -> Color:
        return _colour(variables.get(name), default)

    background, foreground = get("background", "#101418"), get("foreground", "#e0e0e0")
    primary = get("primary", "#5fa8ec")
    success, warning, error = get("success", "#7fd1a0"), get("warning", "#f2b866"), get("error", "#ff7b8a")
    colours = {
        "lag-ok": success,
        "lag-warn": warning,
        "lag-crit": error,
        "lag-off": foreground.blend(background, 0.35),
        "trend": primary,
        "flash": foreground,
        "muted": foreground.blend(background, 0.32),
        "key": get("accent", "#ffb454"),
        "cursor-ground": background.blend(primary, 0.3),
        "mark-ground": background.blend(warning, 0.18),
        "heading-ground": background.blend(foreground, 0.12),
        "title-ground": background.blend(foreground, 0.08),
        "totals-ground": background.blend(foreground, 0.04),
        "env-prod": background.blend(error, 0.28),
        "env-test": background.blend(success, 0.22),
        "alarm-ground": background.blend(error, 0.35),
    }
    return {name: f"#{c.r:02x}{c.g:02x}{c.b:02x}" for name, c in colours.items()}


def _colour(text: str | None, default: str) -> Color:
    if text is None or text.startswith("auto"):
        return Color.parse(default)
    try:
        return Color.parse(text)
    except ColorParseError:
        return Color.parse(default)


class RoleStyles:
    """Rich styles by role and ground; made once a theme, asked for at every span."""

    def __init__(self, variables: Mapping[str, str], no_colour: bool = False) -> None:
        self._variables = {**own_defaults(variables), **variables}
        self._no_colour = no_colour
        self._made: dict[tuple[str, str, bool], Style] = {}

    def get(self, role: str, ground: str = "base", dimmed: bool = False) -> Style:
        """The style of a role on a ground; `dimmed` for facts that are old."""
        made = self._made.get((role, ground, dimmed))
        if made is None:
            made = self._made[(role, ground, dimmed)] = self._make(role, ground, dimmed)
        return made

    def colours(self, role: str, ground: str, dimmed: bool = False) -> tuple[Color, Color]:
        """Foreground and background."""
        variable, _ = _ROLES[role]
        back = _colour(self._variables.get(GROUNDS[ground]), "#101418")
        fore = _colour(self._variables.get(variable), "#e0e0e0")
        return (fore.blend(back, 0.2) if dimmed else fore), back

    def _make(self, role: str, ground: str, dimmed: bool) -> Style:
        fore, back = self.colours(role, ground, dimmed)
        attributes = _ROLES[role][1]
        if self._no_colour:
            if role not in _FAINT or ground == "cursor":
                fore, back = self.colours("text", ground, dimmed)
            attributes = _NO_COLOUR.get(role, attributes)
            if ground == "cursor":
                attributes += " reverse"
            elif ground in {"heading", "mark", "alarm"}:
                attributes += " bold"
        style = Style.parse(attributes.strip() or "none")
        return style + Style(color=fore.rich_color, bgcolor=back.rich_color)
