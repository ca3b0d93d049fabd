"""The errors skyconsole raises: each says what is wrong, and what to do about it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every skyconsole command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNHEALTHY = 4


class SkyError(Exception):
    """Base of all errors of ours.

    `message` is one sentence without a trailing newline that names the thing that is wrong;
    `hint` (may be empty) is one sentence that says what to do. Neither ever holds a password.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(SkyError):
    """The call, a configuration file or a statement is not what we accept."""

    exit_code = ExitCode.USAGE


class UnreachableError(SkyError):
    """A server could not be reached, or refused us. `sqlstate` is why it refused, None when it did not answer."""

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, message: str, hint: str = "", *, sqlstate: str | None = None) -> None:
        super().__init__(message, hint)
        self.sqlstate = sqlstate
