"""The strict INI dialect of the daemons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from skyconsole.daemons.ini import (
    ConfigError,
    Entry,
    Key,
    file_name,
    flag,
    number,
    overrides,
    read_ini,
    sample,
    seconds,
    settle,
    text,
)

KEYS = (Key("period", seconds, 1.0, "Seconds."), Key("name", text, "", "A name."), Key("on", flag, True, "A flag."))


def _written(folder: Path, content: str, name: str = "t.ini") -> Path:
    path = folder / name
    path.write_text(content, "utf-8")
    return path


def test_comments_are_whole_lines_and_values_go_to_the_end_of_theirs(tmp_path: Path) -> None:
    path = _written(tmp_path, '# one\n  ; two\n[ a ]\n\n  name =  x # y; "z" = %(q)s \r\nname=\n')
    assert read_ini(path) == (
        Entry("a", "name", 'x # y; "z" = %(q)s', f"{path}:5"),
        Entry("a", "name", "", f"{path}:6"),
    )


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("x = 1\n", 1),
        ("[a]\njust words\n", 2),
        ("[a]\n= 1\n", 2),
        ("[a\n", 1),
        ("[]\n", 1),
        ("[a]\n\n%include\n", 3),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: str, line: int) -> None:
    path = _written(tmp_path, content)
    with pytest.raises(ConfigError, match=f"{path}:{line}: "):
        read_ini(path)


def test_files_include_others_beside_them_but_not_for_ever(tmp_path: Path) -> None:
    inner = _written(tmp_path, "[b]\nname = inner\n", "inner.ini")
    outer = _written(tmp_path, "[a]\nname = outer\n%include inner.ini\nname = after\n")
    assert [(e.section, e.value, e.where) for e in read_ini(outer)] == [
        ("a", "outer", f"{outer}:2"),
        ("b", "inner", f"{inner}:2"),
        ("b", "after", f"{outer}:4"),
    ]
    endless = _written(tmp_path, "%include endless.ini\n", "endless.ini")
    with pytest.raises(ConfigError, match="include each other"):
        read_ini(endless)


def test_a_missing_file_and_wrong_bytes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_ini(tmp_path / "none")
    (tmp_path / "latin").write_bytes(b"[a]\nname = \xe4\n")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 11"):
        read_ini(tmp_path / "latin")


def test_later_entries_win_and_what_is_left_out_has_its_default() -> None:
    entries = [Entry("a", "period", "2", "f:1"), *overrides(["period=3.5"], "a")]
    assert settle(entries, KEYS) == ({"period": 3.5, "name": "", "on": True}, ())


def test_unknown_keys_are_warned_of_or_refused() -> None:
    entries = [Entry("a", "nme", "x", "f:7")]
    assert settle(entries, KEYS)[1] == ("f:7: unknown key nme in [a], ignored",)
    with pytest.raises(ConfigError, match=r"f:7: unknown key nme.*Known are: name, on, period"):
        settle(entries, KEYS, strict=True)


@pytest.mark.parametrize("value", ["", "-1", "1s", "soon", "1.2.3", "nan", "inf", "1e3", "²", "."])
def test_seconds_are_plain_decimals(value: str) -> None:
    with pytest.raises(ConfigError, match=r"f:1: period must be seconds"):
        settle([Entry("a", "period", value, "f:1")], KEYS)


def test_numbers_flags_and_file_names() -> None:
    assert (number("12"), flag("1"), flag("No"), file_name("")) == (12, True, False, None)
    assert file_name("~/x") == Path.home() / "x"
    for parse, value in ((number, "1.5"), (flag, "2"), (file_name, "~nobody-of-this-name/x")):
        with pytest.raises(ValueError, match=r"must be|names the home"):
            parse(value)


def test_an_override_needs_an_equals_sign() -> None:
    with pytest.raises(ConfigError, match="--set period: expected key=value"):
        overrides(["period"], "a")


def test_the_sample_with_its_lines_uncommented_says_the_defaults(tmp_path: Path) -> None:
    content = re.sub(r"(?m)^#(?=\w)", "", sample("a", KEYS))
    assert settle(read_ini(_written(tmp_path, content)), KEYS)[0] == {"period": 1.0, "name": "", "on": True}
