"""Peers: programs of the original suite and of its users, in an environment of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class PeerPython:
    """The Python in which the peers' packages are installed; SKYCONSOLE_PEER_PYTHON names it."""

    python: str

    def run(self, script: str, *arguments: str, expect: int = 0) -> str:
        """Run one of the scripts beside this file to its end and give what it printed; fails on another exit code."""
        done = subprocess.run(
            [self.python, str(HERE / script), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == expect, f"{script} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def _missing(reason: str) -> None:
    if os.environ.get("SKYCONSOLE_TEST_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)


def _imports(python: str, modules: Sequence[str]) -> bool:
    command = [python, "-c", "import " + ", ".join(modules)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.fixture(scope="session")
def peer_python() -> PeerPython:
    """The peers' Python with `pgq`, `skytools` and `psycopg2`; skips with the reason when it is not there."""
    python = os.environ.get("SKYCONSOLE_PEER_PYTHON", "")
    if not python:
        _missing("SKYCONSOLE_PEER_PYTHON names no Python with the packages pgq, skytools and psycopg2-binary")
    if not _imports(python, ["pgq", "skytools", "psycopg2"]):
        _missing(f"{python} cannot import pgq, skytools and psycopg2 (pip install pgq==3.8 skytools psycopg2-binary)")
    return PeerPython(python)
