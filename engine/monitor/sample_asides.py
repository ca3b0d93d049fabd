"""What stands aside in the sample: one dead letter, one waiting event, one capture trigger of each kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from .asides import PAYLOAD_CHARACTERS, Capture, DeadLetter, EventRow, WaitingEvent
from .sample_cast import SampleConsumer, SampleQueue

LETTERS_OF = "emails"
"""The queue whose consumer gave events up."""
_GIVER = "bounces"
_GONE = "old_sender"
"""A consumer that has left; its letters stay."""

_LETTERS: tuple[tuple[str, float, str, int, str, str, str | None, int | None], ...] = (
    (_GONE, 3 * 86400.0, "SMTPServerDisconnected: the relay closed the connection", 3, "welcome",
     '{"to": "ada@example.org", "template": "welcome", "lang": "de"}', None, None),
    (_GIVER, 5400.0, "KeyError: 'locale'", 5, "U:id",
     "id=4711&address=grace%40example.org&bounced=2&note=mailbox%20full&locale", "public.bounces", None),
    (_GIVER, 4200.0, "UniqueViolation: duplicate key value violates unique constraint \"bounces_pkey\"", 5, "I",
     "(id,address,note) values ('4712','o''hara@example.org',null)", "public.bounces", None),
    (_GIVER, 1260.0, "ValueError: unknown state", 4, '{"op":"DELETE","table":["public","bounces"],"pkey":["id"]}',
     '{"id":4713,"address":"alan@example.org","hard":true,"seen":"2026-11-22 11:38:00+00"}', "public.bounces", None),
    (_GIVER, 300.0, "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 9", 5, "U:id",
     "id=4714&address=%ff%fe&note=%", "public.bounces", None),
    (_GIVER, 45.0, "MemoryError", 5, "attachment", "iVBORw0KGgo" * 1490, None, 3_481_600),
)  # fmt: skip
"""Consumer, seconds ago, reason, tries, type, data, extra1, bytes of the whole data."""


def letter_counts() -> dict[tuple[str, str], int]:
    """How many dead letters each consumer has, by queue and consumer."""
    found: dict[tuple[str, str], int] = {}
    for consumer, *_ in _LETTERS:
        found[LETTERS_OF, consumer] = found.get((LETTERS_OF, consumer), 0) + 1
    return found


def sample_letters(queues: list[SampleQueue], start: datetime) -> tuple[DeadLetter, ...]:
    """Every dead letter of the sample, oldest first."""
    if all(one.name != LETTERS_OF for one in queues):
        return ()
    return tuple(
        DeadLetter(
            dl_id=number,
            queue=LETTERS_OF,
            consumer=consumer,
            time=start - timedelta(seconds=ago),
            reason=reason,
            batch_id=88_000 + number * 17,
            event=EventRow(
                ev_id=310_000 + number * 411,
                ev_time=start - timedelta(seconds=ago + 600.0),
                ev_txid=2_004_000 + number * 97,
                ev_retry=tries,
                ev_type=kind,
                ev_data=data[:PAYLOAD_CHARACTERS],
                ev_extra1=table,
                data_bytes=size,
            ),
        )
        for number, (consumer, ago, reason, tries, kind, data, table, size) in enumerate(_LETTERS, 17)
    )


def retries_of(queue: SampleQueue) -> int:
    """How many events of the queue wait for a retry."""
    return queue.queue_id * 7 % 5 if queue.rate else 0


def retrying(queue: SampleQueue, consumers: list[SampleConsumer]) -> SampleConsumer | None:
    """The consumer that the queue's retries belong to."""
    own = [one for one in consumers if one.queue is queue and not one.subconsumer]
    return own[-1] if own and retries_of(queue) else None


def sample_waiting(
    queues: list[SampleQueue],
    consumers: list[SampleConsumer],
    now: datetime,
    event: Callable[[SampleQueue, int], EventRow],
) -> tuple[WaitingEvent, ...]:
    """The retry queue at a time, and a delayed event; due first."""
    found: list[WaitingEvent] = []
    for queue in queues:
        consumer = retrying(queue, consumers)
        for number in range(retries_of(queue) if consumer is not None else 0):
            base = event(queue, 1000 + number)
            found.append(
                WaitingEvent(
                    queue=queue.name,
                    consumer=None if consumer is None else consumer.name,
                    due=now + timedelta(seconds=queue.queue_id * 13.0 + number * 40.0 - 20.0),
                    delayed=False,
                    event=EventRow(
                        base.ev_id, base.ev_time, None, number + 1, base.ev_type, base.ev_data, base.ev_extra1
                    ),
                )
            )
        if queue.name == LETTERS_OF:
            reminder = EventRow(12, now - timedelta(hours=2), None, None, "reminder", '{"to": "ada@example.org"}')
            found.append(WaitingEvent(queue.name, None, now + timedelta(hours=22), True, reminder))
    return tuple(sorted(found, key=lambda one: (one.due, one.key[0], one.event.ev_id)))


def sample_captures(queues: list[SampleQueue]) -> tuple[Capture, ...]:
    """A trigger of each kind, form and state, as far as their queues exist."""
    every = "after insert or update or delete"
    found = (
        Capture("crm", "Order Lines", "lines_to_ledger", "ledger", "logutriga", "generic", "disabled", (), every),
        Capture("public", "customers", "audit", "audit_log", "sqltriga", "row", "stale", ("ignore=seen",), every),
        Capture("public", "invoices", "to_billing", "billing", "jsontriga", "statement", "current", ("backup",), every),
        Capture("public", "orders", "_londiste_shop", "orders", "logutriga", "generic", "current", (), every),
        Capture("public", "orders", "_londiste_shop_truncate", "orders", "logutriga", "generic", "current", (),
                "after truncate"),
    )  # fmt: skip
    names = {one.name for one in queues}
    return tuple(one for one in found if one.queue in names)
