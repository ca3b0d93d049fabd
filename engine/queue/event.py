"""An event in a consumer's hands: its columns, and what is to become of it. Source: spec/pgq-clients.md 6."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from .retry import LONGEST_WAIT, Dead, Retry, RetryPolicy, Verdict, backed_off
from .settings import EVENT_COLUMNS

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_INFINITY = 2**63 - 1
_ALIASES = {name.removeprefix("ev_"): name for name in EVENT_COLUMNS if name != "ev_retry"}


class UnknownColumnError(KeyError, AttributeError):
    """An event has no such column, or it was not among those that were fetched."""

    def __str__(self) -> str:
        return str(self.args[0])


class BatchTags:
    """What is to become of the events of one batch; an event that is not in here is done."""

    __slots__ = ("batch_id", "dead_letters", "may_retry", "policy", "queue_name", "verdicts")

    def __init__(
        self, queue_name: str, batch_id: int, policy: RetryPolicy, *, dead_letters: bool, may_retry: bool = True
    ) -> None:
        self.queue_name = queue_name
        self.batch_id = batch_id
        self.policy = policy
        self.dead_letters = dead_letters
        self.may_retry = may_retry
        self.verdicts: dict[int, Verdict] = {}

    def retry(self, event_id: int, retries: int | None, seconds: float | None) -> None:
        """The event comes again: after `seconds`, or when and as often as the policy says. Raises LookupError."""
        if not self.may_retry:
            raise LookupError("A consumer of this kind cannot retry events: its position is a tick.")
        self.verdicts[event_id] = (
            backed_off(self.policy, retries, f"given up after {retries} retries", dead_letters=self.dead_letters)
            if seconds is None
            else Retry(int(min(seconds, LONGEST_WAIT)))
        )

    def dead(self, event_id: int, reason: str) -> None:
        """The event becomes a dead letter. Raises LookupError where that cannot be."""
        if not self.may_retry:
            raise LookupError("A consumer of this kind cannot set events aside: its position is a tick.")
        if not self.dead_letters:
            raise LookupError("This server keeps no dead letters: its pgq has no function event_dead.")
        self.verdicts[event_id] = Dead(str(reason))

    @property
    def retries(self) -> dict[int, int]:
        """The events to retry, with the seconds."""
        return {event_id: tag.seconds for event_id, tag in self.verdicts.items() if isinstance(tag, Retry)}

    @property
    def letters(self) -> dict[int, str]:
        """The dead letters, with the reasons."""
        return {event_id: tag.reason for event_id, tag in self.verdicts.items() if isinstance(tag, Dead)}


class Event:
    """One event. Attributes and mapping keys are the columns, `ev_id` to `ev_extra4`; attributes also without `ev_`.

    `ev_retry` alone has no short name, as `retry` is what you do. Asking for an unknown column, or for one that
    the settings left out, raises UnknownColumnError, a KeyError and an AttributeError.
    """

    __slots__ = ("_row", "_tags")

    retry_time = 60
    """Seconds of tag_retry()."""
    columns: tuple[str, ...] = EVENT_COLUMNS

    def __init__(self, row: Sequence[Any], tags: BatchTags) -> None:
        self._row = row
        self._tags = tags

    @property
    def ev_id(self) -> int:
        return self._row[0]  # type: ignore[no-any-return]

    @property
    def ev_time(self) -> datetime:
        return read_time(self._row[1])

    @property
    def ev_txid(self) -> int:
        return self._row[2]  # type: ignore[no-any-return]

    @property
    def ev_retry(self) -> int | None:
        return self._row[3]  # type: ignore[no-any-return]

    @property
    def ev_type(self) -> str | None:
        return self._row[4]  # type: ignore[no-any-return]

    @property
    def ev_data(self) -> str | None:
        return self._row[5]  # type: ignore[no-any-return]

    @property
    def ev_extra1(self) -> str | None:
        return self._row[6]  # type: ignore[no-any-return]

    @property
    def ev_extra2(self) -> str | None:
        return self._row[7]  # type: ignore[no-any-return]

    @property
    def ev_extra3(self) -> str | None:
        return self._row[8]  # type: ignore[no-any-return]

    @property
    def ev_extra4(self) -> str | None:
        return self._row[9]  # type: ignore[no-any-return]

    @property
    def queue_name(self) -> str:
        """The queue it came from."""
        return self._tags.queue_name

    def retry(self, seconds: float | None = None) -> None:
        """Let this event come again to this consumer, after `seconds` or as the retry policy says."""
        retries = self["ev_retry"] if seconds is None else None
        self._tags.retry(self.ev_id, retries, seconds)

    def dead(self, reason: str) -> None:
        """Set this event aside as a dead letter. Raises LookupError where the server keeps none."""
        self._tags.dead(self.ev_id, reason)

    def done(self) -> None:
        """This event is processed; it is the default, and takes back retry() and dead()."""
        self._tags.verdicts.pop(self.ev_id, None)

    def tag_retry(self, retry_time: float = retry_time) -> None:
        """As retry(60); the original's name."""
        self.retry(retry_time)

    def tag_done(self) -> None:
        """As done(); the original's name."""
        self.done()

    def get_status(self) -> int:
        """0: to be retried, 1: done, 2: a dead letter."""
        tag = self._tags.verdicts.get(self.ev_id)
        return 1 if tag is None else 0 if isinstance(tag, Retry) else 2

    def __getattr__(self, name: str) -> Any:
        if (column := _ALIASES.get(name)) is not None:
            return getattr(self, column)
        # A property that raises an AttributeError ends up here as well.
        raise UnknownColumnError(_left_out(name) if name in EVENT_COLUMNS else f'An event has no column "{name}".')

    def __getitem__(self, name: str) -> Any:
        if name not in self.columns:
            raise UnknownColumnError(
                f'An event has no column "{name}".' if name not in EVENT_COLUMNS else _left_out(name)
            )
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def keys(self) -> Sequence[str]:
        """The columns' names."""
        return self.columns

    def values(self) -> list[Any]:
        """The columns' values."""
        return [self[name] for name in self.columns]

    def items(self) -> list[tuple[str, Any]]:
        """Names and values."""
        return [(name, self[name]) for name in self.columns]

    def get(self, name: str, default: Any = None) -> Any:
        """A column, or the default where there is no such one."""
        return self[name] if name in self.columns else default

    def __str__(self) -> str:
        shown = ("id", "type", "data", "e1", "e2", "e3", "e4")
        names = ("ev_id", "ev_type", "ev_data", "ev_extra1", "ev_extra2", "ev_extra3", "ev_extra4")
        return f"<{' '.join(f'{word}={self.get(name)}' for word, name in zip(shown, names, strict=True))}>"

    __repr__ = __str__


Mapping.register(Event)


@cache
def event_class(columns: tuple[str, ...]) -> type[Event]:
    """The class of events of which only these columns were fetched, in this order."""
    if columns == EVENT_COLUMNS:
        return Event
    members: dict[str, Any] = {"__slots__": (), "columns": columns}
    for name in EVENT_COLUMNS:
        members[name] = property(_reader(name, columns.index(name)) if name in columns else _refusal(name))
    return type("Event", (Event,), members)


def _reader(name: str, position: int) -> Any:
    if name == "ev_time":
        return lambda event: read_time(event._row[position])
    return lambda event: event._row[position]


def _refusal(name: str) -> Any:
    def refuse(_: Event) -> Any:
        raise UnknownColumnError(_left_out(name))

    return refuse


def _left_out(name: str) -> str:
    return f'The column "{name}" was not fetched: add it to the consumer\'s columns.'


def read_time(stored: Any) -> datetime:
    """Microseconds since 2000 in UTC, as the server sends them, read when somebody asks."""
    if isinstance(stored, int):
        if abs(stored) >= _INFINITY:
            return datetime.max.replace(tzinfo=UTC) if stored > 0 else datetime.min.replace(tzinfo=UTC)
        return _EPOCH + timedelta(microseconds=stored)
    return stored  # type: ignore[no-any-return]
