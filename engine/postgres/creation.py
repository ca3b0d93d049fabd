"""Making a new cluster: initdb beside its place, then one rename, so that an interruption leaves nothing half."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .account import Account
from .binaries import Binaries
from .failures import no_way_in, server_failure

SUPERUSER = "postgres"
_LOCALES = ("C.UTF-8", "C")
_PASSED_ENVIRONMENT = ("PATH", "TZ", "LD_LIBRARY_PATH")


def server_environment(home: Path) -> dict[str, str]:
    """The environment of server programs: ours without PG*, locale and the home of an account they may not enter."""
    kept = {name: os.environ[name] for name in _PASSED_ENVIRONMENT if name in os.environ}
    return {**kept, "HOME": str(home), "LC_ALL": "C", "LANG": "C"}


def make_cluster(data_dir: Path, binaries: Binaries, account: Account, options: Sequence[str] = ()) -> None:
    """Make a cluster at a place that is free or an empty folder; the caller holds the lock. Raises ClusterError.

    Everybody who reaches the socket is trusted, because only the account itself and root can reach it (see
    places.socket_dir); over TCP nobody is let in until pg_hba.conf says so.
    """
    try:
        make_folders(data_dir.parent)
        if not account.may_enter(data_dir.parent):
            raise no_way_in(data_dir.parent, account)
        if data_dir.is_mount() or not os.access(data_dir.parent, os.W_OK):
            # Such a folder can not be replaced by a rename.
            _own(data_dir, account)
            _initdb(data_dir, data_dir, binaries, account, options)
        else:
            _make_aside(data_dir, binaries, account, options)
    except OSError as error:
        raise server_failure(f"The cluster {data_dir} could not be made", str(error), data_dir.parent) from error


def _make_aside(data_dir: Path, binaries: Binaries, account: Account, options: Sequence[str]) -> None:
    prefix = f".{data_dir.name[:200]}.new"
    for leftover in data_dir.parent.iterdir():
        # An initdb whose caller was killed may still be writing there: then it fails, and takes its own folder away.
        if leftover.name.startswith(prefix) and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f"{prefix}.", dir=data_dir.parent))
    try:
        _own(work, account)
        _initdb(work, data_dir, binaries, account, options)
        work.rename(data_dir)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _initdb(target: Path, data_dir: Path, binaries: Binaries, account: Account, options: Sequence[str]) -> None:
    """Run initdb on `target`, which will be, or is, `data_dir`."""
    for locale in _LOCALES:
        command = [
            os.fspath(binaries.initdb),
            f"--pgdata={target}",
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            f"--locale={locale}",
            "--auth-local=trust",
            "--auth-host=reject",
            "--no-instructions",
            *options,
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=server_environment(target),
            umask=0o077,
            **account.identity,
        )
        if done.returncode == 0:
            return
        # Old C libraries have no C.UTF-8; C sorts the same way.
        if "invalid locale" not in done.stderr:
            break
    raise server_failure(f"The cluster {data_dir} could not be made", done.stderr.strip() or done.stdout, target.parent)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing; what root makes can be passed by the server's account."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o755, exist_ok=True)
        if os.geteuid() == 0:
            # Whatever root's umask is.
            path.chmod(0o755)


def _own(folder: Path, account: Account) -> None:
    if account.switch:
        os.chown(folder, account.uid, account.gid)
