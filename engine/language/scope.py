"""Which queue or consumer a command is about: a name, every one (`*`), or the one that was chosen before."""

from __future__ import annotations

from difflib import get_close_matches
from enum import Enum
from typing import Final, assert_never

from ..errors import UsageError
from ..monitor.model import ConsumerFacts, QueueFacts
from .model import Context
from .tokens import quote_name


class Every(Enum):
    """The star of the language; not a name, since a queue may be called `*`."""

    EVERY = "*"


EVERY: Final = Every.EVERY


def write(name: str | Every) -> str:
    """A name or the star, as the language writes it."""
    match name:
        case Every.EVERY:
            return "*"
        case str():
            return quote_name(name)
        case _:
            assert_never(name)


def queue_or_default(queue: str | None, context: Context) -> str:
    """The queue that was named, or the default queue. Raises UsageError when there is neither."""
    if queue is not None:
        return queue
    if context.default_queue is not None:
        return context.default_queue
    raise UsageError("No queue specified.", "Name it: `on QUEUE`.")


def queue_facts(queue: str, context: Context) -> QueueFacts | None:
    """What the picture knows of the queue."""
    if context.picture is None:
        return None
    return next((row.facts for row in context.picture.queues if row.facts.name == queue), None)


def consumers_of(queue: str, context: Context) -> tuple[ConsumerFacts, ...]:
    """The queue's registrations in the picture."""
    if context.picture is None:
        return ()
    return tuple(row.facts for row in context.picture.consumers if row.facts.queue == queue)


def consumer_facts(queue: str, consumer: str, context: Context) -> ConsumerFacts | None:
    """What the picture knows of the registration."""
    return next((facts for facts in consumers_of(queue, context) if facts.name == consumer), None)


def did_you_mean(queue: str, context: Context) -> str:
    """A hint with a queue of a similar name, or an empty text."""
    if context.picture is None:
        return ""
    names = [row.facts.name for row in context.picture.queues]
    if queue in names:
        return ""
    near = get_close_matches(queue, names, 1)
    return f"Did you mean {quote_name(near[0])}?" if near else ""


def plural(number: int, thing: str) -> str:
    """`1 consumer`, `2 consumers`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def listed(names: list[str], most: int = 8) -> str:
    """Names in a row; when there are many, the first ones and how many more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
