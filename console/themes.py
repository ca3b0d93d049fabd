"""The colour themes that come with the console, read from themes/*.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from ..engine.errors import SkyError

if TYPE_CHECKING:
    from textual.theme import Theme

DEFAULT_THEME = "sky-dark"

OWN_VARIABLES: tuple[str, ...] = (
    "lag-ok", "lag-warn", "lag-crit", "lag-off", "trend", "flash", "muted", "key",
    "cursor-ground", "mark-ground", "heading-ground", "title-ground", "totals-ground",
    "env-prod", "env-test", "alarm-ground",
)  # fmt: skip
"""Colours of ours that a theme may set; for a theme that does not, they follow from its base colours."""

_BASE = (
    "primary", "secondary", "warning", "error", "success", "accent", "foreground", "background", "surface",
    "panel", "boost",
)  # fmt: skip


class ThemeError(SkyError):
    """A theme file is not what we accept."""


@dataclass(frozen=True, slots=True)
class ThemeColours:
    """A theme as its file says it: colours as `#rrggbb`."""

    name: str
    dark: bool
    base: Mapping[str, str]
    own: Mapping[str, str]


def parse_theme(text: str, origin: str) -> ThemeColours:
    """A theme from TOML: `name`, `dark`, tables `[base]` and `[own]`. Raises ThemeError that names the file and key."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ThemeError(f"The theme {origin} is not TOML: {error}.") from error
    base, own = data.get("base", {}), data.get("own", {})
    for table, known, found in (("base", _BASE, base), ("own", OWN_VARIABLES, own)):
        for key in found:
            if key not in known:
                raise ThemeError(
                    f"The theme {origin} sets an unknown colour {table}.{key}.", f"known: {', '.join(known)}"
                )
    if "primary" not in base:
        raise ThemeError(f"The theme {origin} does not set base.primary.")
    return ThemeColours(str(data.get("name", origin)), bool(data.get("dark", True)), base, own)


@lru_cache(maxsize=1)
def shipped_themes() -> tuple[ThemeColours, ...]:
    """The themes in the package, by name."""
    found = [
        parse_theme(entry.read_text(encoding="utf-8"), entry.name)
        for entry in files(f"{__package__.rpartition('.')[0]}.themes").iterdir()
        if entry.name.endswith(".toml")
    ]
    return tuple(sorted(found, key=lambda theme: theme.name))


def textual_theme(colours: ThemeColours) -> Theme:
    """The theme as Textual registers it."""
    from textual.theme import Theme

    base = colours.base
    variables = {**colours.own, "footer-key-foreground": colours.own.get("key", base["primary"])}
    variables["input-selection-background"] = f"{base['primary']} 40%"
    return Theme(
        name=colours.name,
        dark=colours.dark,
        variables=variables,
        primary=base["primary"],
        secondary=base.get("secondary"),
        warning=base.get("warning"),
        error=base.get("error"),
        success=base.get("success"),
        accent=base.get("accent"),
        foreground=base.get("foreground"),
        background=base.get("background"),
        surface=base.get("surface"),
        panel=base.get("panel"),
        boost=base.get("boost"),
    )
