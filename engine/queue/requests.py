"""What a consumer's program asks of its driver. Programs decide, drivers do: one blocking, one on asyncio."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from psycopg.sql import Composed

if TYPE_CHECKING:
    from .feed import Feed


class Place(Enum):
    """One of a consumer's connections; each is opened when it is first used."""

    QUEUE = "queue"
    """Where the queue is, and where the handler's `db` is."""
    AHEAD = "ahead"
    """The same database, to read ahead."""
    BEYOND = "beyond"
    """The same database, to begin with the next batch while this one is still being read."""
    ASIDE = "aside"
    """The same database, for what must be committed while a batch is in work."""
    REMOTE = "remote"
    """The other database of a remote consumer."""


Query = LiteralString | bytes | Composed
Row = tuple[Any, ...]
Rows = list[Row]


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a statement; the answer is its rows."""

    place: Place
    query: Query
    parameters: Sequence[object] | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send statements, separated by semicolons, without waiting for them. What they give is for Receive."""

    place: Place
    statements: Composed


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for what was sent; the answer is the Received of the last statement that gives rows."""

    place: Place


@dataclass(frozen=True, slots=True)
class Received:
    """Rows that have arrived but are not read yet."""

    count: int
    rows: Callable[[], Rows]


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a transaction. The connections are in autocommit mode otherwise."""

    place: Place


@dataclass(frozen=True, slots=True)
class IsOpen:
    """Whether a transaction is open; the answer is True or False."""

    place: Place


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit, if a transaction is open; the answer tells whether one was."""

    place: Place


@dataclass(frozen=True, slots=True)
class Rollback:
    """Roll back, if a transaction is open."""

    place: Place


@dataclass(frozen=True, slots=True)
class Close:
    """Close these connections; what they were at is rolled back by the server."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class IsBroken:
    """Whether the connection is lost; the answer is True or False. One that was never opened is not lost."""

    place: Place


@dataclass(frozen=True, slots=True)
class Handle:
    """Call the user's handler of batches with the connections of these places, the batch and its events."""

    handler: Callable[..., Any]
    places: tuple[Place, ...]
    feed: Feed


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for so many seconds at most, until a stop is asked for, or, given a place, until it is notified.

    The answer tells whether a notification came.
    """

    seconds: float
    listening: Place | None = None


Request = Execute | Send | Receive | Begin | IsOpen | Commit | Rollback | Close | IsBroken | Handle | Wait

T = TypeVar("T")
Program = Generator[Request, Any, T]
"""Steps that yield requests and are sent the answers; returns a T."""


def rows(place: Place, query: Query, *parameters: object) -> Program[Rows]:
    """The rows of a statement."""
    found: Rows = yield Execute(place, query, parameters or None)
    return found


def value(place: Place, query: Query, *parameters: object) -> Program[Any]:
    """The first column of the first row; None where there is no row."""
    found: Rows = yield Execute(place, query, parameters or None)
    return found[0][0] if found else None
