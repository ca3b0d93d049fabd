"""PgQ: typed calls of its functions, its batches and events, and the consumers and producers users write.

A consumer is a class with a handler::

    from skyconsole.engine.queue import Consumer, ConsumerSettings

    class Mailer(Consumer):
        def process_event(self, db, event):
            print(event.ev_id, event.ev_type, event.ev_data)
            db.execute("insert into sent (event_id) values (%s)", (event.ev_id,))

    mailer = Mailer("dbname=shop", ConsumerSettings("orders", "mailer"))
    mailer.register()
    mailer.run()

What the handler does on `db` is committed together with the end of its batch: exactly once.
"""

from __future__ import annotations

from .columns import ColumnConsumer, Columns
from .consumer import Consumer
from .coop import CoopConsumer
from .event import Event, UnknownColumnError
from .events import AsyncEvents, SyncEvents
from .local import LocalConsumer
from .model import Batch
from .position import LostPositionError, TickRemadeError
from .producer import AsyncProducer, Producer
from .remote import RemoteConsumer, SerialConsumer
from .retry import RetryPolicy
from .settings import ConsumerSettings
from .steps import BatchStatistics, Observer, Step
from .work import BatchLostError, NotRegisteredError

__all__ = [
    "AsyncEvents",
    "AsyncProducer",
    "Batch",
    "BatchLostError",
    "BatchStatistics",
    "ColumnConsumer",
    "Columns",
    "Consumer",
    "ConsumerSettings",
    "CoopConsumer",
    "Event",
    "LocalConsumer",
    "LostPositionError",
    "NotRegisteredError",
    "Observer",
    "Producer",
    "RemoteConsumer",
    "RetryPolicy",
    "SerialConsumer",
    "Step",
    "SyncEvents",
    "TickRemadeError",
    "UnknownColumnError",
]
