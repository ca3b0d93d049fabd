"""skyconsole.toml is understood whole, or refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from skyconsole.engine.errors import UsageError
from skyconsole.engine.monitor.thresholds import Limits
from skyconsole.engine.settings import Settings, load_settings, parse_settings

WHOLE = """
theme = "sky-light"
interval = "500ms"

[services.shop]
dsn = "host=db1 dbname=shop password=secret"
group = "prod"

[services."odd.name"]

[groups.test]
tint = "green"

[thresholds]
lag_warn = "1m"
lag_crit = 600

[[thresholds.override]]
queue = "x.y"
lag_crit = "1h"

[[thresholds.override]]
queue = "x.y"
consumer = 'a"b'
lag_warn = "10m"
"""


def test_everything_a_file_can_say_is_taken() -> None:
    settings = parse_settings(WHOLE)
    assert settings.theme == "sky-light"
    assert settings.interval == 0.5
    assert list(settings.services) == ["shop", "odd.name"]
    assert settings.services["odd.name"].dsn == "odd.name"
    assert settings.groups["test"].tint == "green"
    assert settings.groups["test"].read_only is False


def test_the_group_prod_is_red_and_read_only_unless_it_says_otherwise() -> None:
    group = parse_settings(WHOLE).group_of("shop")
    assert group is not None
    assert (group.tint, group.read_only) == ("red", True)
    loosened = parse_settings("[groups.prod]\nread_only = false\n").groups["prod"]
    assert (loosened.tint, loosened.read_only) == ("red", False)


def test_a_consumers_limits_stand_on_its_queues_and_these_on_the_general_ones() -> None:
    thresholds = parse_settings(WHOLE).thresholds
    assert thresholds.for_queue("other") == Limits(lag_warn=60.0, lag_crit=600.0)
    assert thresholds.for_queue("x.y") == Limits(lag_warn=60.0, lag_crit=3600.0)
    assert thresholds.for_consumer("x.y", 'a"b') == Limits(lag_warn=600.0, lag_crit=3600.0)
    assert thresholds.for_consumer("x.y", "c") == thresholds.for_queue("x.y")


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("\nthem = 'x'\n", "sky.toml:2", '"them"'),
        ("[thresholds]\n\nlag_wran = 3\n", "sky.toml:3", '"lag_wran"'),
        ("[thresholds]\nlag_warn = 'soon'\n", "sky.toml:2", "lag_warn must be a time"),
        ("[thresholds]\nlag_warn = true\n", "sky.toml:2", "lag_warn must be a time"),
        ("[thresholds]\nlag_warn = -1\n", "sky.toml:2", "lag_warn must be a time"),
        ("[thresholds]\ntick_warn = '2s'\n", "sky.toml:2", "tick_warn must be a positive number"),
        ("[thresholds]\nlag_warn = '1h'\n", "sky.toml:2", "lag_warn is greater than lag_crit"),
        ("interval = 0.1\n", "sky.toml:1", "out of range"),
        ("interval = 'x'\n", "sky.toml:1", "interval must be a time"),
        ("theme = 3\n", "sky.toml:1", "theme must be text"),
        ("services = 3\n", "sky.toml:1", "services must be a table"),
        ("[services.a]\nport = 3\n", "sky.toml:2", '"port" in [services.a]'),
        ("[services.a]\ngroup = 'none'\n", "sky.toml:2", 'no group "none"'),
        ("[services]\na = 3\n", "sky.toml:2", "a must be a table"),
        ("[groups.prod]\nread_only = 'yes'\n", "sky.toml:2", "true or false"),
        ("[[thresholds.override]]\nconsumer = 'a'\n", "sky.toml:1", "names a queue"),
        ("[thresholds]\noverride = 3\n", "sky.toml:2", "[[thresholds.override]]"),
        ("interval = = 3\n", "sky.toml is not TOML", "line 1"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(text: str, place: str, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_settings(text, "sky.toml")
    assert place in caught.value.message
    assert word in caught.value.message


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        load_settings(tmp_path / "none.toml")


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_settings() == Settings()


def test_the_users_own_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "skyconsole" / "skyconsole.toml"
    file.parent.mkdir()
    file.write_text("interval = 5\n")
    settings = load_settings()
    assert (settings.interval, settings.path) == (5.0, file)


def test_a_dsn_is_not_shown_by_accident() -> None:
    assert "secret" not in repr(parse_settings(WHOLE))
