"""The themes: pictures of each, and the contrast of every state on every ground."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from skyconsole.console.app import SkyConsole
from skyconsole.console.role_styles import GROUNDS, RoleStyles
from skyconsole.console.themes import ThemeError, parse_theme, shipped_themes
from skyconsole.engine.monitor.picture import Picture
from skyconsole.engine.settings import Service, Settings

Told = Callable[..., list[Picture]]
Look = Callable[..., bool]
THEMES = ("sky-dark", "sky-light", "sky-contrast", "sky-deutan", "sky-tritan")
ROLES = ("text", "muted", "off", "ok", "warn", "crit", "trend", "key", "label", "flash")
READABLE = 4.5


def contrast(fore: Any, back: Any) -> float:
    """The contrast ratio of WCAG 2.1."""

    def luminance(colour: Any) -> float:
        parts = [value / 255 for value in (colour.r, colour.g, colour.b)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])

    bright, dark = sorted((luminance(fore), luminance(back)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_five_themes_are_shipped() -> None:
    assert {theme.name for theme in shipped_themes()} == set(THEMES)


@pytest.mark.parametrize("name", THEMES)
def test_every_state_is_readable_on_every_ground(name: str, console: Callable[..., SkyConsole]) -> None:
    styles: RoleStyles = console(theme=name).role_styles
    poor = {
        f"{role} on {ground}{' dimmed' if dimmed else ''}": round(contrast(*styles.colours(role, ground, dimmed)), 2)
        for role in ROLES
        for ground in GROUNDS
        for dimmed in (False, True)
        if contrast(*styles.colours(role, ground, dimmed)) < (READABLE if not dimmed else 3.0)
    }
    assert not poor


@pytest.mark.parametrize("name", THEMES)
def test_the_queues_in_each_theme(told: Told, look: Look, name: str) -> None:
    """The queues with their detail; red, amber, green and grey are told apart, the cursor stands out."""
    assert look(told(), ("down",), size=(140, 40), theme=name)


def test_a_theme_of_others_gets_our_colours_from_its_own(told: Told, look: Look) -> None:
    """The queues in Textual's nord: same places, its colours."""
    assert look(told(), theme="nord")


def test_production_tints_the_title(told: Told, look: Look) -> None:
    """The title line of a production database is red."""
    services = {"prod-main": Service("prod-main", "", "prod")}
    assert look(told(), settings=Settings(services=services))


def test_without_colour_sign_and_weight_carry_the_meaning(
    told: Told, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR: grey only; the cursor is reversed, critical rows are underlined and bold, the signs differ."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert look(told(), ("down",))


def test_ascii_draws_tables_and_details_without_other_signs(told: Told, look: Look) -> None:
    """Signs are # ! o -; the trend and the plot are of dots and dashes; titles, rows, detail and keys are ASCII."""
    assert look(told(), ("down", "down"), size=(140, 40), ascii_only=True)


def test_a_theme_with_an_unknown_colour_is_refused_by_name() -> None:
    with pytest.raises(ThemeError, match=r"mine\.toml sets an unknown colour own\.lag"):
        parse_theme('[base]\nprimary = "#000000"\n[own]\nlag = "#ffffff"\n', "mine.toml")
