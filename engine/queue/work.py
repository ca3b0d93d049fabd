"""What a plain consumer does around its handler: open a batch, finish it. The other kinds change parts of it."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from ..errors import SkyError, UsageError
from ..postgres.sql import queries
from .event import BatchTags
from .model import Batch
from .requests import Place, Program, rows, value
from .settings import ConsumerSettings

_SQL = queries("queue/consumer.sql")


class NotRegisteredError(SkyError):
    """The consumer has no subscription to its queue."""


class BatchLostError(SkyError):
    """The batch was finished or taken over by somebody else; what was done for it is rolled back."""


class WorkUndoneError(SkyError):
    """The handler rolled back the transaction of its batch, and with it the work on events before."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Which of our additions the server has, and its database's encoding."""

    dead_letters: bool = False
    coop: bool = False
    finish_batch_of: bool = False
    touch: bool = False
    hand_back: bool = False
    encoding: str = "UTF8"
    many_outcomes: bool = False


class PlainWork:
    """A consumer whose work is done where its queue is, in the transaction that finishes the batch."""

    handler_places: tuple[Place, ...] = (Place.QUEUE,)
    may_retry = True
    """Whether single events can be retried or set aside."""
    may_read_ahead = True
    """Whether the next batch is foreseeable: nobody else takes batches of this consumer."""
    keeps_work = True
    """Whether what the handler does on its connections lasts."""
    touch_interval: float | None = None
    """Seconds after which a batch in work is to be touched; None: never."""

    def __init__(self, settings: ConsumerSettings) -> None:
        if settings.on_error != "repeat" and not self.may_retry:
            raise UsageError(
                "A consumer whose position is a tick cannot take single events out of a batch.",
                "Set on_error = repeat.",
            )
        self.settings = settings
        self.capabilities = Capabilities()

    def register(self) -> Program[bool]:
        """True: newly registered."""
        added = yield from value(Place.QUEUE, _SQL["register"], self.settings.queue_name, self.settings.consumer_name)
        return bool(added)

    def unregister(self) -> Program[int]:
        """How many subscriptions were removed."""
        removed = yield from value(
            Place.QUEUE, _SQL["unregister"], self.settings.queue_name, self.settings.consumer_name
        )
        return int(removed)

    def prepare(self) -> Program[None]:
        """Before the first batch on fresh connections."""
        yield from ()

    def open(self, place: Place = Place.QUEUE) -> Program[Batch | None]:
        """The consumer's open batch, or the next one; None: there is none yet. Raises NotRegisteredError."""
        chosen = self.settings
        arguments = (chosen.queue_name, chosen.consumer_name, chosen.min_lag, chosen.min_count, chosen.min_interval)
        try:
            found = yield from rows(place, _SQL["next_batch"], *arguments)
        except psycopg.errors.RaiseException as error:
            if not str(error).startswith("Not subscriber to queue"):
                raise
            raise NotRegisteredError(
                f'The consumer "{chosen.consumer_name}" is not registered on the queue "{chosen.queue_name}".',
                "Register it first: consumer.register(), or the switch --register.",
            ) from error
        return Batch(*found[0]) if found and found[0][0] is not None else None

    def admit(self, batch: Batch, tags: BatchTags) -> Program[bool]:
        """Whether the batch is to be processed; False: that was done before, and `tags` holds what was tagged then."""
        yield from ()
        return True

    def seal(self, batch: Batch, tags: BatchTags) -> Program[bool]:
        """Make the work durable where that is not the queue's transaction; True: something was committed."""
        yield from ()
        return False

    def finish(self, batch: Batch, place: Place = Place.QUEUE) -> Program[bool]:
        """Finish the batch; False: it is not open any more."""
        finished = yield from value(place, _SQL["finish_batch"], batch.batch_id)
        return bool(finished)

    def touch(self) -> Program[None]:
        """Tell that the batch is still in work."""
        yield from ()

    def hand_back(self, batch: Batch) -> Program[str]:
        """Give up a batch whose work was rolled back; returns what becomes of it."""
        yield from ()
        return "it stays open and comes again at the next start"

    def position(self) -> Program[tuple[int, int | None] | None]:
        """The queue's position of this consumer: its last tick and the batch that is open; None: not registered."""
        found = yield from rows(Place.QUEUE, _SQL["position"], self.settings.queue_name, self.settings.consumer_name)
        return (found[0][0], found[0][1]) if found else None

    def reposition(self, tick_id: int) -> Program[None]:
        """Move the queue's position to this tick; an open batch is forgotten. Raises psycopg.Error for a tick gone."""
        chosen = self.settings
        yield from value(Place.QUEUE, _SQL["register_at"], chosen.queue_name, chosen.consumer_name, tick_id)
