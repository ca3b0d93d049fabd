"""Where a cluster's data, its sockets and a copy of its programs may live."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ..errors import SkyError
from .account import Account
from .binaries import Binaries

SYSTEM_ROOT = Path("/var/lib/skyconsole")
"""Where root keeps data and shared copies: the server's account can reach it, unlike root's home."""

_SOCKET_PATH_LIMIT = 107
_SOCKET_NAME = ".s.PGSQL.65535"
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./+-]*")


class PlaceError(SkyError):
    """A folder is missing, is not ours, or can not be reached by who needs it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A chosen folder, and a sentence when it is not the usual one."""

    path: Path
    note: str = ""


def default_data_place(environ: Mapping[str, str] | None = None) -> Place:
    """The data directory when none is given: SKYCONSOLE_PG_DATA, else the user's data folder, for root /var/lib.

    Falls back to a private folder in the temporary directory when that can not be written. Raises PlaceError.
    """
    env = os.environ if environ is None else environ
    if named := env.get("SKYCONSOLE_PG_DATA"):
        return Place(Path(named).expanduser().absolute())
    usual = _usual_data_dir()
    if usual is not None and _can_create(usual):
        return Place(usual)
    fallback = Path(tempfile.gettempdir()) / f"skyconsole-{os.geteuid()}"
    _claim(fallback, os.geteuid(), 0o711)
    why = "This account has no home" if usual is None else f"{usual} can not be written"
    return Place(fallback / "data", f"{why}, so the data is kept in {fallback / 'data'}.")


def _usual_data_dir() -> Path | None:
    if os.geteuid() == 0:
        return SYSTEM_ROOT / "data"
    try:
        return platformdirs.user_data_path("skyconsole") / "data"
    except RuntimeError:
        # Neither HOME nor an entry in the account database, as in containers with an arbitrary user id.
        return None


def socket_dir(data_dir: Path, account: Account, *, make: bool = True) -> Path:
    """A folder for the server's socket that only its account (and root) can enter; made if need be and `make`.

    The data directory itself when its path fits into a socket's address and needs no quoting anywhere, else a short
    folder made for it. Raises PlaceError.
    """
    if _fits(data_dir):
        return data_dir
    key = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    refused: PlaceError | None = None
    for base in (Path("/run"), Path(tempfile.gettempdir()), Path("/tmp")):
        folder = base / f"skyconsole-{account.uid}-{key}"
        if not _fits(folder) or not os.access(base, os.W_OK | os.X_OK):
            continue
        try:
            if make or folder.exists():
                _claim(folder, account.uid, 0o700)
        except PlaceError as error:
            refused = error
            continue
        return folder
    raise refused or PlaceError(
        f"There is no folder with a path short enough for the server's socket of {data_dir}.",
        "Set TMPDIR to a short path that you may write.",
    )


def remove_stale_sockets(folder: Path) -> None:
    """Remove the sockets and socket locks that a killed server left. Only for a folder of one stopped server."""
    for leftover in folder.glob(".s.PGSQL.*"):
        leftover.unlink(missing_ok=True)


def release_socket_dir(folder: Path, data_dir: Path) -> None:
    """Remove what socket_dir made for a server that is stopped now."""
    if folder != data_dir and folder.name.startswith("skyconsole-") and folder.is_dir():
        remove_stale_sockets(folder)
        if not any(folder.iterdir()):
            folder.rmdir()


def reachable_binaries(binaries: Binaries, account: Account) -> Binaries:
    """The same programs where the server's account can run them: as they are, or a shared copy.

    A virtual environment below /root is closed to every other account. Raises PlaceError.
    """
    if not account.switch or (account.may_run(binaries.initdb) and account.may_run(binaries.postgres)):
        return binaries
    root = _shared_root()
    target = root / "server" / f"{binaries.version[0]}.{binaries.version[1]}-{_fingerprint(binaries)}"
    prefix = Path(*binaries.prefix.parts[-2:])
    copied = Binaries(target / prefix / "bin", binaries.version, f"copy of {binaries.bindir} for {account.name}")
    if not target.is_dir():
        _copy_installation(binaries.prefix, target, prefix)
    if not (account.may_run(copied.initdb) and account.may_run(copied.postgres)):
        raise PlaceError(
            f"The account {account.name}, which must run the server because root may not, can not run {copied.bindir}.",
            "Check that the folder's disk is not mounted noexec, or run skyconsole as an ordinary user.",
        )
    return copied


def _copy_installation(source: Path, target: Path, prefix: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        shutil.copytree(source, work / prefix, symlinks=True)
        # The wheel's programs find their libraries by a path relative to themselves, in a folder beside the package.
        libraries = source.parent.parent / f"{source.parent.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, work / libraries.name, symlinks=True)
        _open_for_all(work)
        try:
            work.rename(target)
        except OSError:
            # Another process finished the same copy first.
            if not target.is_dir():
                raise
    except (OSError, shutil.Error) as error:
        raise PlaceError(f"The server programs of {source} could not be copied to {target}: {error}.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _open_for_all(top: Path) -> None:
    top.chmod(0o755)
    for folder, folders, names in os.walk(top):
        for name in (*folders, *names):
            path = Path(folder, name)
            if not path.is_symlink():
                runnable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if runnable else 0o644)


def _fingerprint(binaries: Binaries) -> str:
    state = binaries.postgres.stat()
    text = f"{binaries.bindir}\0{state.st_size}\0{state.st_mtime_ns}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _shared_root() -> Path:
    if _can_create(SYSTEM_ROOT / "server"):
        SYSTEM_ROOT.mkdir(parents=True, exist_ok=True)
        return SYSTEM_ROOT
    fallback = Path(tempfile.gettempdir()) / "skyconsole-0"
    _claim(fallback, 0, 0o711)
    return fallback


def _fits(folder: Path) -> bool:
    # A comma, a quote or a space would be read as syntax in unix_socket_directories or in a connection string.
    address = os.fsencode(folder / _SOCKET_NAME)
    return len(address) <= _SOCKET_PATH_LIMIT and _PLAIN_PATH.fullmatch(os.fsdecode(os.fsencode(folder))) is not None


def _can_create(folder: Path) -> bool:
    try:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
    except PermissionError:
        return False
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) and not _read_only(nearest)


def _read_only(folder: Path) -> bool:
    # root passes access() on a read-only disk.
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _claim(folder: Path, uid: int, mode: int) -> None:
    """Make a folder in a place others can write too, or take the one that is ours already; never a stranger's."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (uid, os.geteuid()):
            raise PlaceError(
                f"{folder} belongs to somebody else, so it is not used.", "Remove it, or set TMPDIR to another folder."
            ) from None
    except OSError as error:
        raise PlaceError(f"{folder} can not be made ({error.strerror}).", "Set TMPDIR to another folder.") from error
    folder.chmod(mode)
    if os.geteuid() != uid:
        os.chown(folder, uid, -1)
