"""What becomes of an event that could not be processed: when it comes again, or is given up. Pure decisions."""

from __future__ import annotations

import codecs
import math
import random
from dataclasses import dataclass
from typing import Literal

from ..errors import UsageError
from ..postgres.refusals import redact

OnError = Literal["repeat", "retry", "dead_letter"]
"""What an exception of `process_event` does: the whole batch again, this event later, or this event set aside."""

LONGEST_WAIT = 2**31 - 1
"""Seconds that an event can be retried after at most, 68 years: those of PostgreSQL's integer."""

LONGEST_REASON = 500
"""Characters of a dead letter's reason that we write at most."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after how many seconds an event is tried again.

    The wait grows from `first` by `factor` with every try up to `most` seconds, and is shortened by up to the share
    `jitter` at random, so that events that failed together do not come back together. After `attempts` retries the
    event becomes a dead letter.
    """

    first: float = 10.0
    factor: float = 2.0
    most: float = 3600.0
    jitter: float = 0.1
    attempts: int = 10

    def __post_init__(self) -> None:
        if self.first < 0 or self.most < self.first or self.factor < 1 or self.attempts < 0:
            raise UsageError(
                "A retry policy needs 0 <= first <= most seconds, a factor of at least 1 and 0 or more attempts."
            )
        if not 0 <= self.jitter <= 1:
            raise UsageError("The jitter of a retry policy is a share between 0 and 1.")

    def seconds(self, retries: int | None, rng: random.Random | None = None) -> int:
        """Whole seconds until the next try of an event that was retried so often (`ev_retry`)."""
        # Beyond this power every wait is `most`, and the float would overflow.
        power = min(retries or 0, 64)
        full = min(self.most, self.first * min(self.factor**power, 1e18))
        share = (rng or random).uniform(0, self.jitter) if self.jitter else 0.0
        return math.ceil(min(full * (1 - share), LONGEST_WAIT))

    def exhausted(self, retries: int | None) -> bool:
        """Whether an event that was retried so often (`ev_retry`) is given up now."""
        return (retries or 0) >= self.attempts


@dataclass(frozen=True, slots=True)
class Retry:
    """The event comes again after so many seconds."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Dead:
    """The event becomes a dead letter."""

    reason: str


Verdict = Retry | Dead


def backed_off(policy: RetryPolicy, retries: int | None, reason: str, *, dead_letters: bool) -> Verdict:
    """The policy's answer for an event retried so often; without dead letters on the server it is retried for ever."""
    if dead_letters and policy.exhausted(retries):
        return Dead(reason)
    return Retry(policy.seconds(retries))


def judged(
    error: Exception, on_error: OnError, policy: RetryPolicy, retries: int | None, *, dead_letters: bool
) -> Verdict:
    """What becomes of an event whose handler raised `error`; `on_error` is not "repeat"."""
    if on_error == "dead_letter":
        return Dead(reason_of(error))
    return backed_off(policy, retries, reason_of(error), dead_letters=dead_letters)


def reason_of(error: Exception) -> str:
    """The exception's class and the first line of its text, without passwords."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return redact(text).replace("\0", "\\0")[:LONGEST_REASON]


def writable(reason: str, encoding: str) -> str:
    """The reason as a database in this encoding can store it: what it cannot is written as in Python's literals."""
    # A NUL and lone surrogates can stand in an exception's text, but in no text of PostgreSQL.
    plain = reason.replace("\0", "\\0").encode(errors="backslashreplace").decode()
    if encoding in ("UTF8", "SQL_ASCII"):
        return plain
    try:
        codec = codecs.lookup(encoding.replace("WIN", "cp")).name
    except LookupError:
        codec = "ascii"
    return plain.encode(codec, errors="backslashreplace").decode(codec)
