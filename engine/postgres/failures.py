"""What goes wrong with a cluster, told so that a person can act on it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..errors import SkyError
from .account import Account

_FULL_BELOW = 1024 * 1024
_FULL_SIGNS = ("No space left on device", "Disk quota exceeded", "could not extend file")


class ClusterError(SkyError):
    """A cluster could not be created, started, stopped or read."""


def not_readable(data_dir: Path, error: Exception) -> ClusterError:
    """A data directory that we may not look into."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ClusterError(
        f"The folder {data_dir} can not be read ({reason}).",
        "Choose a folder of yours, or run as the account that owns it.",
    )


def not_writable(folder: Path, error: OSError) -> ClusterError:
    """A folder in which nothing can be made."""
    return ClusterError(f"Nothing can be made in {folder} ({error.strerror}).", "Choose another folder.")


def no_way_in(folder: Path, account: Account) -> ClusterError:
    """A folder that the server's account can not enter."""
    why = ", which must run the server because root may not," if account.switch else ""
    return ClusterError(
        f"The account {account.name}{why} can not enter {folder}.",
        "Choose a folder outside of private homes, or open each folder above it for passing (chmod o+x).",
    )


def server_failure(what: str, said: str, folder: Path, log: Path | None = None) -> ClusterError:
    """`what` went wrong, and a server program said this (many lines): the full disk is told first, as it is common."""
    if any(sign in said for sign in _FULL_SIGNS) or _is_full(folder):
        return ClusterError(f"{what}: the disk of {folder} is full.", "Free some space on it, then try again.")
    reason = _telling_line(said)
    if "could not look up effective user" in said:
        return ClusterError(f"{what}: {reason}", "PostgreSQL needs an entry for this user id in /etc/passwd.")
    return ClusterError(f"{what}: {reason}", f"The whole log is in {log}." if log else "")


def _telling_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for sign in ("FATAL:", "PANIC:", "error:", "ERROR:"):
        for line in reversed(lines):
            if sign in line:
                return line.partition(sign)[2].strip()
    return lines[-1] if lines else "no reason was given."


def _is_full(folder: Path) -> bool:
    if not os.path.isdir(folder):
        return False
    return shutil.disk_usage(folder).free < _FULL_BELOW
