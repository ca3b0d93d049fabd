"""Cooperative consumers: several processes share one consumer's batches. Source: spec/pgq-coop.md."""

from __future__ import annotations

from ..errors import UsageError
from ..postgres.sql import queries
from .consumer import Consumer
from .model import Batch
from .requests import Begin, Commit, Place, Program, Rollback, rows, value
from .settings import ConsumerSettings
from .work import BatchLostError, PlainWork

_SQL = queries("queue/coop.sql")

_TOUCHES = 4
"""How often in its timeout a member that works on a long batch says that it is alive."""


class CoopWork(PlainWork):
    """A member of a group. The group's position moves when a batch is handed out, so nothing is read ahead."""

    may_read_ahead = False

    def __init__(self, settings: ConsumerSettings) -> None:
        if not settings.subconsumer_name:
            raise UsageError("A cooperative consumer needs a name of its own in the group.", "Set subconsumer_name.")
        super().__init__(settings)
        self._group = (settings.queue_name, settings.consumer_name)
        self._member = (*self._group, settings.subconsumer_name)
        self._row_name = f"{settings.consumer_name}.{settings.subconsumer_name}"

    def register(self) -> Program[bool]:
        return bool((yield from value(Place.QUEUE, _SQL["register"], *self._member)))

    def unregister(self) -> Program[int]:
        return int((yield from value(Place.QUEUE, _SQL["unregister"], *self._member)))

    def prepare(self) -> Program[None]:
        if not self.capabilities.coop:
            raise UsageError(
                "The database has no pgq_coop, which cooperative consumers need.", "Run: skyconsole install pgq_coop."
            )
        self.touch_interval = None
        if self.capabilities.touch and self.settings.subconsumer_timeout is not None:
            timeout = yield from value(Place.QUEUE, _SQL["seconds"], self.settings.subconsumer_timeout)
            self.touch_interval = timeout / _TOUCHES

    def open(self, place: Place = Place.QUEUE) -> Program[Batch | None]:
        chosen = self.settings
        if not self.capabilities.hand_back:
            # The original's next_batch locks the group's row, whether or not there is a batch.
            names = (chosen.subconsumer_timeout, chosen.consumer_name, self._row_name, chosen.queue_name)
            if (yield from value(place, _SQL["worth_asking"], *names)) is False:
                return None
        limits = (chosen.min_lag, chosen.min_count, chosen.min_interval, chosen.subconsumer_timeout)
        batch_id = yield from value(place, _SQL["next_batch"], *self._member, *limits)
        if batch_id is None:
            return None
        found = yield from rows(place, _SQL["batch_info"], batch_id, batch_id)
        if found[0][1] is None:
            raise BatchLostError(f"Batch {batch_id} was taken over by another member before we began.")
        return Batch(*found[0])

    def finish(self, batch: Batch, place: Place = Place.QUEUE) -> Program[bool]:
        if self.capabilities.finish_batch_of:
            return bool((yield from value(place, _SQL["finish_batch_of"], *self._member, batch.batch_id)))
        finished = yield from value(place, _SQL["finish_batch"], batch.batch_id)
        if not finished or self.settings.autocommit:
            return bool(finished)
        return bool((yield from value(place, _SQL["was_mine"], self.settings.queue_name, self._row_name)))

    def touch(self) -> Program[None]:
        if not (yield from value(Place.ASIDE, _SQL["touch"], *self._member)):
            raise BatchLostError("Another member has taken our batch over: our work on it is rolled back.")

    def hand_back(self, batch: Batch) -> Program[str]:
        if self.capabilities.hand_back:
            given = yield from value(Place.ASIDE, _SQL["hand_back"], *self._member, batch.batch_id)
            return "the next member that asks gets it" if given else "it is not ours any more"
        # The retry queue belongs to the group: whichever member comes first gets the events from there.
        yield Begin(Place.ASIDE)
        try:
            if not (yield from value(Place.ASIDE, _SQL["is_mine"], self._group[0], self._row_name, batch.batch_id)):
                return "it is not ours any more"
            moved = yield from value(Place.ASIDE, _SQL["batch_retry"], batch.batch_id)
            if not (yield from self.finish(batch, Place.ASIDE)):
                return "it is not ours any more"
            yield Commit(Place.ASIDE)
        finally:
            yield Rollback(Place.ASIDE)
        return f"its {moved} events come again to the group"


class CoopConsumer(Consumer):
    """A member of a group that shares the batches of one consumer: each batch goes to one member.

    The settings name it (`subconsumer_name`), and say after which silence another member takes its batch over
    (`subconsumer_timeout`). Handlers are those of Consumer, with the same exactly-once.
    """

    def _make_work(self) -> PlainWork:
        return CoopWork(self.settings)
