"""The marks of consumers that work in another database: exactly once, because a mark commits with the work.

Source: spec/pgq-ext.md 4. Beyond the original the mark holds what the last applied tick looked like, so that a queue
whose database lost its last moments is noticed before anything is skipped or done twice.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from ..errors import UsageError
from ..postgres.sql import queries
from .event import BatchTags
from .fetch import Source, begin_work, event_sql
from .model import Batch
from .position import LostPositionError, Mark, is_next, remade
from .requests import Commit, Place, Program, Rollback, rows, value
from .retry import Dead, Retry
from .settings import ConsumerSettings
from .work import BatchLostError, NotRegisteredError, PlainWork

_CONSUMER = queries("queue/consumer.sql")
_REMOTE = queries("queue/remote.sql")
_MARKS = queries("queue/marks.sql")
_WHERE = "the target"
_REMEDY = (
    "Call resync(), or run with --resync: it goes on from a position that skips nothing, and says from where on events "
    "may come a second time."
)
_LOST_REASON = "set aside before a crash, which took the reason"

logger = logging.getLogger("skyconsole.consumer")


class MarkedWork(PlainWork):
    """A consumer with a mark in the database it works in."""

    handler_places = (Place.QUEUE, Place.REMOTE)

    def __init__(self, settings: ConsumerSettings) -> None:
        super().__init__(settings)
        self._name = settings.consumer_name
        self._keeps_digests = False
        self._end = Mark(None)

    def prepare(self) -> Program[None]:
        if not (yield from value(Place.REMOTE, _MARKS["is_installed"])):
            raise UsageError(
                "The database that the consumer works in has no pgq_ext, which keeps its position.",
                "Run there: skyconsole install pgq_ext.",
            )
        self._keeps_digests = bool((yield from value(Place.REMOTE, _REMOTE["keeps_digests"])))

    def stored(self) -> Program[Mark]:
        """The tick that the target has applied last."""
        if not self._keeps_digests:
            return Mark((yield from value(Place.REMOTE, _REMOTE["get_last_tick"], self._name, "")))
        found = yield from rows(Place.REMOTE, _REMOTE["get_last_tick_digest"], self._name, "")
        return Mark(*found[0]) if found else Mark(None)

    def store(self, mark: Mark) -> Program[None]:
        """Record a tick, or with Mark(None) forget the one that is recorded."""
        if self._keeps_digests and mark.tick_id is not None:
            arguments = (self._name, "", mark.tick_id, mark.digest)
            yield from value(Place.REMOTE, _REMOTE["set_last_tick_digest"], *arguments)
        else:
            yield from value(Place.REMOTE, _REMOTE["set_last_tick"], self._name, "", mark.tick_id)

    def looked_up(self, tick_id: int) -> Program[Mark]:
        """The queue's tick as it is now; a tick that is gone has no digest."""
        digest = yield from value(Place.QUEUE, _REMOTE["tick_digest"], self.settings.queue_name, tick_id)
        return Mark(tick_id, digest)

    def begin_apart(self, batch: Batch) -> Program[None]:
        """Begin the target's transaction so that no other process works on this batch. Raises BatchLostError."""
        yield from begin_work(Place.REMOTE, batch)
        yield from value(Place.REMOTE, _MARKS["guard"], self._name)
        if not (yield from value(Place.QUEUE, _CONSUMER["still_open"], batch.batch_id)):
            raise BatchLostError(f"Batch {batch.batch_id} was finished by another process before we began.")

    def is_next(self, batch: Batch, stored: Mark) -> Program[bool]:
        """Compare the batch's ticks, as the queue has them, with the target's. Raises as position.is_next."""
        begin, self._end = Mark(batch.prev_tick_id), Mark(batch.tick_id)
        if self._keeps_digests:
            begin = yield from self.looked_up(batch.prev_tick_id)
            self._end = yield from self.looked_up(batch.tick_id)
        return is_next(batch, stored, begin, self._end, _WHERE, _REMEDY)

    def commit_apart(self, batch: Batch) -> Program[None]:
        """Commit the target's transaction."""
        if not (yield Commit(Place.REMOTE)):
            logger.warning("the handler ended the target's transaction of batch %s: it may come twice", batch.batch_id)

    def reset(self) -> Program[str]:
        """Forget the target's position: the next batch is taken as it comes."""
        yield from self.prepare()
        yield from self.store(Mark(None))
        return "The target's position is forgotten: the next batch is taken as it comes."

    def rewind(self) -> Program[str]:
        """Move the queue's position to the target's."""
        yield from self.prepare()
        stored = yield from self.stored()
        if stored.tick_id is None:
            return "No tick found on dst side: nothing was moved."
        found = yield from self.looked_up(stored.tick_id)
        if not stored.is_same(found):
            raise remade(found, stored, _WHERE, _REMEDY)
        yield from self.reposition(stored.tick_id)
        return f"The queue's position is tick {stored.tick_id} now."

    def resync(self) -> Program[str]:
        """Find a position from which nothing is skipped. Raises LostPositionError where there is none."""
        yield from self.prepare()
        stored = yield from self.stored()
        position = yield from self.position()
        if position is None:
            raise NotRegisteredError(
                f'The consumer "{self._name}" is not registered on the queue "{self.settings.queue_name}".',
                "Register it first.",
            )
        if stored.tick_id is None:
            return "The target has no position stored: there is nothing to bring in step."
        shared = yield from self._shared()
        if shared == stored.tick_id == position[0]:
            return f"Queue and target agree on tick {shared}: nothing was changed."
        if shared is None:
            return (yield from self._restart(stored, position[0]))
        if shared != stored.tick_id:
            yield from self.store((yield from self.looked_up(shared)))
        yield from self.reposition(shared)
        was = f"the queue was at {position[0]}, the target at {stored.tick_id}"
        return f"Queue and target go on from tick {shared}, the last one they share; {was}."

    def _shared(self) -> Program[int | None]:
        """The newest tick that looks to the queue as it did when the target applied it."""
        if not self._keeps_digests:
            return None
        applied = yield from rows(Place.REMOTE, _REMOTE["get_tick_digests"], self._name, "")
        arguments = ([tick for tick, _ in applied], [digest for _, digest in applied], self.settings.queue_name)
        found: int | None = yield from value(Place.QUEUE, _REMOTE["last_shared_tick"], *arguments)
        return found

    def _restart(self, stored: Mark, queue_tick: int) -> Program[str]:
        """Without a tick that both are known to share: the queue's position counts, if the target is not behind it."""
        assert stored.tick_id is not None
        found = yield from self.looked_up(stored.tick_id)
        exists = found.digest is not None and stored.is_same(found)
        if exists and stored.tick_id <= queue_tick:
            # Nothing is known of what it looked like, and the original would do the same.
            yield from self.reposition(stored.tick_id)
            return f"The queue's position is tick {stored.tick_id} now, where the target is; it was {queue_tick}."
        if stored.tick_id <= queue_tick:
            raise LostPositionError(
                f"The queue is at tick {queue_tick} and has tick {stored.tick_id}, where the target is, no longer: "
                "the events between them may be lost to the target.",
                "Bring the target's data in step by other means, then call reset(), or run with --reset.",
            )
        yield from self.store((yield from self.looked_up(queue_tick)))
        yield from self.reposition(queue_tick)
        return (
            f"The target's tick {stored.tick_id} is not known to be the queue's: both go on from tick {queue_tick}. "
            "Events after it that the target has already applied come a second time."
        )


class SerialWork(MarkedWork):
    """Ticks are marked; nothing is retried, so that the order stays."""

    may_retry = False

    def register(self) -> Program[bool]:
        added = yield from super().register()
        if added:
            yield from self.reset()
        return added

    def unregister(self) -> Program[int]:
        removed = yield from super().unregister()
        yield from self.reset()
        return removed

    def admit(self, batch: Batch, tags: BatchTags) -> Program[bool]:
        yield from self.begin_apart(batch)
        if (yield from self.is_next(batch, (yield from self.stored()))):
            return True
        yield Rollback(Place.REMOTE)
        return False

    def seal(self, batch: Batch, tags: BatchTags) -> Program[bool]:
        yield from self.store(self._end)
        yield from self.commit_apart(batch)
        return True


class RemoteWork(MarkedWork):
    """Batches are marked, and where the target can keep digests their ticks as well."""

    def stored(self) -> Program[Mark]:
        """The tick that the target has applied last; unknown without digests, and when an older client came after us.

        Such a client marks its batches, but leaves our mark of the tick as it is.
        """
        if not self._keeps_digests:
            return Mark(None)
        ours = yield from value(Place.REMOTE, _REMOTE["get_last_tick"], self._name, _label("batch"))
        if ours is not None and not (yield from value(Place.REMOTE, _REMOTE["is_batch_done"], self._name, "", ours)):
            return Mark(None)
        return (yield from super().stored())

    def reset(self) -> Program[str]:
        """Take the queue's position for the target's."""
        yield from self.prepare()
        position = yield from self.position()
        if not self._keeps_digests or position is None:
            yield from self.store(Mark(None))
            return "The target's position is forgotten: the next batch is taken as it comes."
        # With a tick that is known, a batch's id does not count: after a failover ids are given again.
        yield from self.store((yield from self.looked_up(position[0])))
        return f"The target's position is the queue's now, tick {position[0]}."

    def admit(self, batch: Batch, tags: BatchTags) -> Program[bool]:
        yield from self.begin_apart(batch)
        stored = yield from self.stored()
        admitted = yield from self.is_next(batch, stored)
        if stored.tick_id is None:
            admitted = not (yield from value(Place.REMOTE, _REMOTE["is_batch_done"], self._name, "", batch.batch_id))
        if not admitted:
            yield from self._recover(batch, tags)
            yield Rollback(Place.REMOTE)
        return admitted

    def seal(self, batch: Batch, tags: BatchTags) -> Program[bool]:
        for label, tagged in (("retry", list(tags.retries)), ("dead", list(tags.letters))):
            if tagged:
                arguments = (self._name, _label(label), batch.batch_id, tagged)
                yield from rows(Place.REMOTE, _MARKS["set_events_done"], *arguments)
        yield from value(Place.REMOTE, _REMOTE["set_batch_done"], self._name, "", batch.batch_id)
        if self._keeps_digests:
            yield from self.store(self._end)
            yield from value(Place.REMOTE, _REMOTE["set_last_tick"], self._name, _label("batch"), batch.batch_id)
        yield from self.commit_apart(batch)
        return True

    def _recover(self, batch: Batch, tags: BatchTags) -> Program[None]:
        """Find the tags of a batch whose work is committed while its end is not."""
        only_ids = replace(self.settings, columns=("ev_id",), on_error="repeat")
        source = Source(Place.QUEUE, (yield from event_sql(batch)), only_ids)
        yield from source.start()
        while found := (yield from source.next_rows()):
            ids = [row[0] for row in found]
            for event_id in (yield from self._marked(ids, "retry", batch)):
                tags.verdicts[event_id] = Retry(self.settings.retry.seconds(None))
            for event_id in (yield from self._marked(ids, "dead", batch)):
                tags.verdicts[event_id] = Dead(_LOST_REASON)
        yield Commit(Place.QUEUE)

    def _marked(self, ids: list[int], label: str, batch: Batch) -> Program[list[int]]:
        arguments = (ids, self._name, _label(label), batch.batch_id)
        return [row[0] for row in (yield from rows(Place.REMOTE, _MARKS["events_done"], *arguments))]


def _label(kind: str) -> str:
    """The member, which does not exist, under whose name we mark what the original does not."""
    return f"\x1fskyconsole {kind}"
