"""The operating system's account under which a server runs: never root, because PostgreSQL refuses it."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from ..errors import SkyError


class AccountError(SkyError):
    """There is no account that may run the server, or it can not reach what it needs."""


class Identity(TypedDict, total=False):
    """The keywords of subprocess.run that change the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server. `switch` says that we are root and have to become it."""

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def identity(self) -> Identity:
        """Keywords for subprocess, empty when we are this account already."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def may_enter(self, folder: Path) -> bool:
        """Whether this account can change into the folder."""
        command = ["/bin/sh", "-c", 'cd -- "$1"', "sh", os.fspath(folder)]
        return subprocess.run(command, cwd="/", stderr=subprocess.DEVNULL, **self.identity).returncode == 0

    def may_run(self, program: Path) -> bool:
        """Whether this account can start the program, its shared libraries included."""
        try:
            done = subprocess.run(
                [program, "--version"],
                cwd="/",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=30,
                **self.identity,
            )
        except OSError:
            return False
        return done.returncode == 0


def server_account(owner: int | None = None) -> Account:
    """The account for a server: ourselves, or for root the owner of the data, `postgres` or `nobody`.

    `owner` is the user id that owns an existing data directory. Raises AccountError.
    """
    if os.geteuid() != 0:
        uid = os.geteuid()
        return Account(_name_of(uid), uid, os.getegid(), switch=False)
    if owner:
        try:
            gid = pwd.getpwuid(owner).pw_gid
        except KeyError:
            gid = owner
        return _proven(Account(_name_of(owner), owner, gid, switch=True))
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return _proven(Account(name, entry.pw_uid, entry.pw_gid, switch=True))
    raise AccountError(
        "PostgreSQL does not run as root, and this machine has neither an account postgres nor nobody.",
        "Add an account postgres, or run skyconsole as an ordinary user.",
    )


def _proven(account: Account) -> Account:
    """The account, once we have become it; the root of a container may be alone in it."""
    try:
        subprocess.run(["/bin/sh", "-c", ":"], cwd="/", check=True, **account.identity)
    except (OSError, subprocess.SubprocessError) as error:
        raise AccountError(
            f"PostgreSQL does not run as root, and the system does not let us become {account.name}.",
            "In a container without other accounts, run skyconsole as an ordinary user.",
        ) from error
    return account


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
