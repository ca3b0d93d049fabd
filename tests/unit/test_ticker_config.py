"""The ticker reads the original's files as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from skyconsole.daemons.ini import ConfigError
from skyconsole.daemons.ticker.chores import in_hours
from skyconsole.daemons.ticker.config import DatabaseList, TickerConfig, database_list, hours, load, sample_ini
from skyconsole.daemons.ticker.session import Facts, conninfo

OF_A_DISTRIBUTION = """\
[pgqd]
base_connstr = host=/var/run/postgresql
logfile = /var/log/skytools/%(job_name)s.log
pidfile = /var/run/skytools/pgqd.pid
"""

WITH_EVERY_KEY = """\
# as sites keep them for years
[pgqd]

logfile = ~/log/pgqd.log
pidfile = ~/pid/pgqd.pid

; libpq connect string without dbname=
base_connstr = host=localhost port=5432 user=pgq password='a # b'
initial_database = template1
database_list = first, "second, with comma" , third
syslog = 0
syslog_ident = pgqd-main
syslog_facility = local3
check_period = 60
retry_period = 30
maint_period = 120
ticker_period = 0.25
stats_period = 30
connection_lifetime = 3600
"""


def _load(folder: Path, content: str, **options: object) -> TickerConfig:
    path = folder / "pgqd.ini"
    path.write_text(content, "utf-8")
    config, warnings = load(path, **options)  # type: ignore[arg-type]
    assert warnings == ()
    return config


def test_files_of_the_original_load_as_they_are(tmp_path: Path) -> None:
    assert _load(tmp_path, OF_A_DISTRIBUTION).base_connstr == "host=/var/run/postgresql"
    config = _load(tmp_path, WITH_EVERY_KEY)
    assert config.logfile == Path.home() / "log/pgqd.log"
    assert config.database_list.only == ("first", "second, with comma", "third")
    assert (config.ticker_period, config.initial_database, config.syslog) == (0.25, "template1", False)
    assert "password='a # b'" in conninfo(config, "x")


@pytest.mark.parametrize("path", ["/etc/pgqd.ini", "/usr/share/doc/pgqd/conf/pgqd.ini.templ"])
def test_files_that_come_with_the_original_load(path: str) -> None:
    if not Path(path).is_file():
        pytest.skip(f"the original's package is not installed: no {path}")
    assert load(Path(path), strict=True)[1] == ()


def test_the_sample_loads_and_says_the_defaults(tmp_path: Path) -> None:
    assert _load(tmp_path, sample_ini()) == TickerConfig()
    lines = [line[1:] for line in sample_ini().split("\n") if line.startswith("#") and " = " in line and line[1] != " "]
    assert len(lines) > 20
    assert _load(tmp_path, "[pgqd]\n" + "\n".join(lines), strict=True).maint_hours == (1, 5)


def test_a_removed_line_returns_to_the_default(tmp_path: Path) -> None:
    assert _load(tmp_path, "[pgqd]\ndatabase_list = a\nlogfile = /l\n").logfile == Path("/l")
    assert _load(tmp_path, "[pgqd]\n") == TickerConfig()
    assert _load(tmp_path, "[pgqd]\ndatabase_list =\n").database_list == DatabaseList()


@pytest.mark.parametrize(
    "value", ["host=h password=Sesame Street", "postgresql://u:Ses@mStreet@h/", "host=h password='Street"]
)
def test_a_connection_string_that_cannot_be_read_is_refused_without_its_password(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"pgqd\.ini:2: base_connstr is refused") as refused:
        _load(tmp_path, f"[pgqd]\nbase_connstr = {value}\n")
    assert "Street" not in str(refused.value) + refused.value.hint


def test_databases_may_have_settings_of_their_own(tmp_path: Path) -> None:
    content = (
        "[pgqd]\nticker_period = 2\n"
        '[skyconsole database a "b]\nticker_period = 0.1\n'
        "[skyconsole]\nmax_connections = 7\n"
    )
    config = _load(tmp_path, content)
    assert config.of('a "b').ticker_period == 0.1
    assert config.of("other").ticker_period == 2
    assert config.of('a "b').max_connections == 7


def test_sections_of_other_daemons_of_ours_are_warned_of_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.ini"
    path.write_text("[skyconsole replay]\nx = 1\n")
    assert "[skyconsole replay]" in load(path)[1][0]
    path.write_text("[londiste3]\nx = 1\n")
    with pytest.raises(ConfigError, match=r"unknown section \[londiste3\]"):
        load(path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", DatabaseList()),
        ("a", DatabaseList(("a",))),
        (" a ,b,a", DatabaseList(("a", "b"))),
        ("a,,b", DatabaseList(("a", "", "b"))),
        ('"x, y", "say ""hi""", z', DatabaseList(("x, y", 'say "hi"', "z"))),
        ("!a", DatabaseList((), frozenset({"a"}))),
        ('b, !"c d"', DatabaseList(("b",), frozenset({"c d"}))),
        ("Ünï köde, [/x]", DatabaseList(("Ünï köde", "[/x]"))),
    ],
)
def test_a_list_of_databases_takes_any_name(value: str, expected: DatabaseList) -> None:
    assert database_list(value) == expected


@pytest.mark.parametrize("value", ['"open', '"a" b', 'x, "'])
def test_a_list_with_broken_quotes_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="has"):
        database_list(value)


def test_hours_of_the_day_may_cross_midnight() -> None:
    assert [h for h in range(24) if in_hours(hours("1-5"), h)] == [1, 2, 3, 4]
    assert [h for h in range(24) if in_hours(hours("22-2"), h)] == [0, 1, 22, 23]
    assert all(in_hours(hours(""), h) for h in range(24))
    for bad in ("5", "a-b", "1-30", "-"):
        with pytest.raises(ValueError, match="must be hours"):
            hours(bad)


def test_the_database_name_wins_over_one_in_the_connection_string() -> None:
    made = conninfo(TickerConfig(base_connstr="host=h dbname=wrong keepalives_idle=99"), "it's")
    assert conninfo_to_dict(made)["dbname"] == "it's"
    assert "keepalives_idle=99" in made


@pytest.mark.parametrize(
    ("version", "fine"), [("3.5", True), ("3.5.2", True), ("10.1", True), ("2.1.8", False), ("", False), ("x", False)]
)
def test_versions_from_three_on_are_ticked(version: str, fine: bool) -> None:
    assert (Facts(False, 100, True, version, has_maintenance=True).problem == "") is fine
    assert Facts(False, 100, True, version, has_maintenance=False).problem
