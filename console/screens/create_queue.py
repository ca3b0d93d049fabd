"""The forms that make something new: a queue, a registration, another position of a consumer."""

from __future__ import annotations

from collections.abc import Mapping

from ...engine.errors import UsageError
from ...engine.language.commands import CreateQueue, RegisterConsumer
from ...engine.language.model import Command, Context
from ...engine.monitor.picture import ConsumerRow
from ..shown import named
from ..widgets.command_form import CommandForm, Field


class CreateQueueForm(CommandForm):
    """Asks for the name of a new queue."""

    def __init__(self, source: str, context: Context, *, production: bool = False) -> None:
        fields = (Field("queue", "name", hint="any text"),)
        super().__init__("create a queue", source, context, fields, production=production)

    def command_of(self, values: Mapping[str, str]) -> Command | None:
        return CreateQueue(values["queue"]) if values["queue"] else None


class RegisterConsumerForm(CommandForm):
    """Asks for a consumer's name and where on the queue it starts."""

    def __init__(self, queue: str, source: str, context: Context, *, production: bool = False) -> None:
        self._queue = queue
        rows = context.picture.consumers if context.picture else ()
        here = tuple(row.facts.name for row in rows if row.facts.queue == queue)
        fields = (
            Field("consumer", "consumer", hint="its name"),
            Field("at", "start at tick", hint="empty: from now on"),
            Field("copy", "or where it is", hint="another consumer of this queue", choices=here),
        )
        about = f"on queue {named(queue)}"
        super().__init__("register a consumer", source, context, fields, about=about, production=production)

    def command_of(self, values: Mapping[str, str]) -> Command | None:
        if not values["consumer"]:
            return None
        copy = values["copy"] or None
        if copy is not None and values["at"].strip():
            raise UsageError("Give a tick or another consumer, not both.")
        return RegisterConsumer(values["consumer"], self._queue, at=tick_of(values["at"]), copy=copy)


class MoveConsumerForm(CommandForm):
    """Asks for the tick to which a consumer's position is moved."""

    def __init__(self, row: ConsumerRow, source: str, context: Context, *, production: bool = False) -> None:
        self._row = row
        stands = "" if row.facts.last_tick_id is None else f"it has finished tick {row.facts.last_tick_id}"
        newest = next(
            (
                queue.facts.last_tick_id
                for queue in (context.picture.queues if context.picture else ())
                if queue.facts.name == row.facts.queue
            ),
            None,
        )
        hint = "" if newest is None else f"the newest is {newest}"
        about = f"{named(row.facts.name)} on queue {named(row.facts.queue)}\n{stands}".rstrip()
        fields = (Field("at", "to tick", hint=hint),)
        super().__init__("move a consumer", source, context, fields, about=about, production=production)

    def command_of(self, values: Mapping[str, str]) -> Command | None:
        tick = tick_of(values["at"])
        return None if tick is None else RegisterConsumer(self._row.facts.name, self._row.facts.queue, at=tick)


def tick_of(text: str) -> int | None:
    """The number of a tick as typed; None when nothing is. Raises UsageError."""
    digits = text.strip()
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"'{digits}' is no tick.", "A tick is a whole number.")
    return int(digits)
