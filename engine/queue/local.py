"""Local consumers: the position is kept in a file beside the work. Source: spec/pgq-clients.md 5.6."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from ..errors import SkyError, UsageError
from .consumer import Consumer
from .event import BatchTags
from .model import Batch
from .position import Mark, is_next
from .requests import Program
from .settings import ConsumerSettings
from .work import PlainWork

logger = logging.getLogger("skyconsole.consumer")

_REMEDY = "Move the queue to the file's position (--rewind), or forget the file (--reset)."


class TrackingFile:
    """One tick's number in a file, replaced whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.parent.is_dir() or (str(path.parent) == "." and not str(path).startswith(".")):
            raise UsageError(
                f"path does not exist: {path.parent}.", "local_tracking_file is a file in a directory that is there."
            )

    def read(self) -> int | None:
        """The tick; None: there is no file. Raises SkyError for a file that holds something else."""
        try:
            text = self.path.read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise SkyError(f"The tracking file {self.path} cannot be read: {error}.") from error
        if not text.isdigit():
            raise SkyError(
                f"The tracking file {self.path} holds no tick.",
                "Restore it, or remove it: then the queue's side counts.",
            )
        return int(text)

    def write(self, tick_id: int) -> None:
        """Write the tick so that it outlives a crash of the machine. Raises SkyError."""
        folder = self.path.parent
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=folder)
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(f"{tick_id}\n")
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            directory = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise SkyError(f"The tracking file {self.path} cannot be written: {error.strerror}.") from error

    def remove(self) -> bool:
        """Remove it; False: it was not there."""
        existed = self.path.exists()
        self.path.unlink(missing_ok=True)
        return existed


class LocalWork(PlainWork):
    """A consumer that trusts its file more than the queue."""

    may_retry = False
    keeps_work = False

    def __init__(self, settings: ConsumerSettings) -> None:
        if settings.local_tracking_file is None:
            raise UsageError("A local consumer needs a file for its position.", "Set local_tracking_file.")
        super().__init__(settings)
        self.file = TrackingFile(settings.local_tracking_file)

    def unregister(self) -> Program[int]:
        removed = yield from super().unregister()
        self.file.remove()
        return removed

    def prepare(self) -> Program[None]:
        tick_id = self.file.read()
        position = yield from self.position()
        if position is None:
            if tick_id is None:
                yield from self.register()
            else:
                yield from self.reposition(tick_id)
            return
        if tick_id is None:
            self.file.write(position[0])
        elif tick_id != position[0]:
            logger.warning(
                "Tracking out of sync: the queue is at tick %s, %s at %s. %s",
                position[0],
                self.file.path,
                tick_id,
                "Repositioning on queue." if tick_id > position[0] else "Rewinding queue.",
            )
            yield from self.reposition(tick_id)

    def admit(self, batch: Batch, tags: BatchTags) -> Program[bool]:
        yield from ()
        stored, begin, end = Mark(self.file.read()), Mark(batch.prev_tick_id), Mark(batch.tick_id)
        return is_next(batch, stored, begin, end, str(self.file.path), _REMEDY)

    def seal(self, batch: Batch, tags: BatchTags) -> Program[bool]:
        yield from ()
        self.file.write(batch.tick_id)
        return True

    def rewind(self) -> Program[str]:
        """Move the queue's position to the file's."""
        tick_id = self.file.read()
        if tick_id is None:
            return f"There is no tracking file {self.file.path}: nothing was moved."
        yield from self.reposition(tick_id)
        return f"The queue's position is tick {tick_id} now."

    def reset(self) -> Program[str]:
        """Forget the file."""
        yield from ()
        return f"{self.file.path} was removed." if self.file.remove() else f"There was no {self.file.path}."


class LocalConsumer(Consumer):
    """A consumer whose position is in a file, for work that leaves no trace in any database.

    Each batch comes at least once: the file is written after the work and before the queue is told. Handlers are those
    of Consumer, but what they do on `db` is not certain to last, and events cannot be retried. An unregistered consumer
    registers itself, at the file's position if there is one.
    """

    def rewind(self) -> str:
        """Move the queue's position to the file's; returns what was done. Raises SkyError and psycopg.Error."""
        return self._site.once(self._local.rewind())

    def reset(self) -> str:
        """Forget the file; returns what was done. Raises SkyError."""
        return self._site.once(self._local.reset())

    @property
    def _local(self) -> LocalWork:
        assert isinstance(self._work, LocalWork)
        return self._work

    def _make_work(self) -> PlainWork:
        return LocalWork(self.settings)
