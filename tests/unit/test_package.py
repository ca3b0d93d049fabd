"""What is shipped, and what a headless process loads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import skyconsole
from skyconsole.console.app import SkyConsole
from skyconsole.engine.errors import UsageError

ROOT = Path(skyconsole.__file__).parent
LEFT_OUT = {"tests", "docs", "build", "dist"}
DATA = {".sql", ".toml", ".tcss"}


def shipped_files() -> set[str]:
    """Every file below the root that a user needs, as it must stand in the wheel."""
    wanted = set()
    for path in ROOT.rglob("*"):
        below = path.relative_to(ROOT)
        if below.parts[0] in LEFT_OUT or below.parts[0].startswith(".") or "__pycache__" in below.parts:
            continue
        is_python = path.suffix == ".py"
        is_data = path.suffix in DATA and below.parts[0] in {"sql", "themes"}
        if path.is_file() and (is_python or is_data):
            wanted.add(f"skyconsole/{below.as_posix()}")
    return wanted


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    work = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", "tests")
    shutil.copytree(ROOT, work / "source", ignore=ignore)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(work / "dist"), str(work / "source")],
        check=True,
        timeout=300,
    )
    (built,) = (work / "dist").glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.mark.timeout(300)
def test_the_wheel_holds_every_module_and_every_data_file(wheel: zipfile.ZipFile) -> None:
    assert shipped_files() - set(wheel.namelist()) == set()


def test_the_wheel_holds_no_tests(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if name.startswith(("tests/", "skyconsole/tests/"))] == []


def test_every_folder_with_modules_is_a_listed_package() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(("skyconsole", *Path(name).parent.parts[1:]))
        for name in shipped_files()
        if name.endswith("/__init__.py")
    }
    assert found == listed


@pytest.mark.parametrize("daemon", ["ticker", "demo"])
def test_a_headless_process_never_loads_a_screen_library(daemon: str) -> None:
    probe = f"""
import sys
from skyconsole.console.cli import main
try:
    main(["--headless", {daemon!r}, "--help"])
except SystemExit:
    pass
loaded = {{"textual", "prompt_toolkit", "rich"}} & set(sys.modules)
assert not loaded, loaded
assert "skyconsole.daemons.{daemon}" in sys.modules
"""
    subprocess.run([sys.executable, "-c", probe], check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_help_and_version_load_neither_the_screen_nor_the_driver() -> None:
    probe = """
import sys
from skyconsole.console.cli import main
assert main(["--version"]) == 0
loaded = {"textual", "prompt_toolkit", "psycopg"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", probe], check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_an_unknown_command_is_a_usage_error_with_a_sentence() -> None:
    done = subprocess.run([sys.executable, "-m", "skyconsole", "tikcer"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "tikcer" in done.stderr
    assert done.stdout == ""


def test_an_unknown_daemon_is_named_together_with_those_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "skyconsole", "--headless", "tikcer"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "tikcer" in done.stderr
    assert "ticker" in done.stderr


@pytest.mark.parametrize("option", [["--dsn", "service=other"], ["--read-only"], ["--config", "x.toml"]])
def test_an_option_of_the_console_before_a_command_is_refused_not_lost(option: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "skyconsole", *option, "status"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert option[0] in done.stderr
    assert "status" in done.stderr
    assert done.stdout == ""


def test_an_unknown_theme_is_refused_by_name_before_anything_is_drawn() -> None:
    with pytest.raises(UsageError, match='no theme "nope"'):
        SkyConsole([], theme="nope")
