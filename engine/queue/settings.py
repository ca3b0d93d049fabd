"""What a consumer is told: its queue, its name, how it fetches and waits. Source: spec/pgq-clients.md 4 and 5."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from ..errors import UsageError
from .retry import OnError, RetryPolicy

EVENT_COLUMNS = (
    "ev_id",
    "ev_time",
    "ev_txid",
    "ev_retry",
    "ev_type",
    "ev_data",
    "ev_extra1",
    "ev_extra2",
    "ev_extra3",
    "ev_extra4",
)
"""The columns of an event, in the order of pgq.get_batch_events()."""

Interval = timedelta | str
"""A time span: Python's, or PostgreSQL's text such as "5 minutes"."""


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """The settings of a consumer. Times without another unit are seconds. Raises UsageError for what cannot work."""

    queue_name: str
    consumer_name: str
    lazy_fetch: int = field(default=1000, kw_only=True)
    """Events fetched at once; 0: the whole batch."""
    autocommit: bool = field(default=False, kw_only=True)
    """Whether every statement of the handler commits by itself; needs lazy_fetch = 0."""
    min_count: int | None = field(default=None, kw_only=True)
    """A batch is not taken before it has so many events..."""
    min_interval: Interval | None = field(default=None, kw_only=True)
    """...or spans so much time."""
    min_lag: Interval | None = field(default=None, kw_only=True)
    """Stay so far behind."""
    table_filter: tuple[str, ...] = field(default=(), kw_only=True)
    """Only events of these tables (ev_extra1); `public.` is put before a name without a schema."""
    consumer_filter: str | None = field(default=None, kw_only=True)
    """Only events that meet this SQL condition over the event's columns. It is executed as it stands."""
    columns: tuple[str, ...] = field(default=EVENT_COLUMNS, kw_only=True)
    """The columns of an event that are fetched; fewer are faster."""
    keepalive_stats: float = field(default=300.0, kw_only=True)
    """An idle consumer says so after this time."""
    loop_delay: float = field(default=1.0, kw_only=True)
    """How long to wait when there is nothing to do and no tick is told; 0: leave then; negative: one batch at most."""
    exception_sleep: float = field(default=20.0, kw_only=True)
    """How long to wait after an error before the batch is tried again."""
    connection_lifetime: float = field(default=1200.0, kw_only=True)
    """Connections older than this are made anew between two batches; 0: never."""
    stop_timeout: float = field(default=4.0, kw_only=True)
    """How long a stop waits for the batch in work before the batch is handed back."""
    prefetch: bool = field(default=True, kw_only=True)
    """Whether a second connection reads ahead while the handler works and there is more to read."""
    listen: bool = field(default=True, kw_only=True)
    """Whether to wake up as soon as a ticker tells of a tick."""
    on_error: OnError = field(default="repeat", kw_only=True)
    """What an exception of process_event does: the batch comes again, or the event is retried or set aside."""
    retry: RetryPolicy = field(default_factory=RetryPolicy, kw_only=True)
    subconsumer_name: str | None = field(default=None, kw_only=True)
    """The member's name in a cooperative group."""
    subconsumer_timeout: Interval | None = field(default=None, kw_only=True)
    """A member of the group that was silent for so long loses its batch to another."""
    local_tracking_file: Path | None = field(default=None, kw_only=True)
    """Where a local consumer keeps its position."""

    def __post_init__(self) -> None:
        if self.lazy_fetch < 0:
            raise UsageError("pgq_lazy_fetch is a number of events, 0 or more.")
        if self.autocommit and self.lazy_fetch:
            raise UsageError(
                "pgq_autocommit is not compatible with pgq_lazy_fetch.", "Set pgq_lazy_fetch = 0, or no pgq_autocommit."
            )
        if self.on_error not in ("repeat", "retry", "dead_letter"):
            raise UsageError(f'on_error is "repeat", "retry" or "dead_letter", not "{self.on_error}".')
        if self.autocommit and self.on_error != "repeat":
            raise UsageError("on_error needs a transaction to take back a failed event's work: no pgq_autocommit.")
        unknown = [name for name in self.columns if name not in EVENT_COLUMNS]
        if unknown or not self.columns or len(set(self.columns)) < len(self.columns):
            raise UsageError(
                f"The columns of an event are each given once: {', '.join(unknown) or 'none or twice'} is not right.",
                f"There are {', '.join(EVENT_COLUMNS)}.",
            )
        if self.min_count is not None and self.min_count < 0:
            raise UsageError("pgq_batch_collect_events is a number of events, 0 or more.")

    @property
    def fetched_columns(self) -> tuple[str, ...]:
        """The columns to ask for: the chosen ones, and those that retries need."""
        needed = {"ev_id"} if self.on_error == "repeat" else {"ev_id", "ev_retry"}
        return tuple(name for name in EVENT_COLUMNS if name in needed or name in self.columns)

    @property
    def condition(self) -> str | None:
        """The SQL condition on events; the tables' one is above the other. None: all events."""
        if self.table_filter:
            names = (name if "." in name else f"public.{name}" for name in self.table_filter)
            return f"ev_extra1 in ({', '.join(_literal(name) for name in names)})"
        return self.consumer_filter or None


def _literal(text: str) -> str:
    quoted = text.replace("'", "''")
    # The E form reads the same whether or not standard_conforming_strings is on.
    return f"'{quoted}'" if "\\" not in text else " E'" + quoted.replace("\\", "\\\\") + "'"
