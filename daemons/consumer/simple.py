"""Consumers that run one statement for each row event. Source: spec/scripts.md 8 and 9."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, cast

import psycopg

from ...engine.errors import UnreachableError
from ...engine.postgres.connect import connect
from ...engine.queue.consumer import Consumer
from ...engine.queue.encodings import db_urldecode, python_codec
from ...engine.queue.event import Event
from ...engine.queue.events import AsyncEvents
from ...engine.queue.local import LocalConsumer
from ...engine.queue.model import Batch
from ...engine.queue.steps import Observer, Report
from .config import ConsumerConfig, SqlRetry

logger = logging.getLogger("skyconsole.consumer")

Parameters = dict[str, object]

ROW_TYPES = ("I:", "U:", "D:")
"""How the types of events begin that hold a url-encoded row."""

_FIELDS = ("ev_id", "ev_time", "ev_type", "ev_data", "ev_extra1", "ev_extra2", "ev_extra3", "ev_extra4")


def parameters_of(event: Event, tick_id: int, codec: str) -> Parameters | None:
    """The statement's parameters: the row's columns and the event's fields; None: the event holds no such row.

    Raises EncodingError.
    """
    if event.ev_type is None or event.ev_data is None or event.ev_type[:2] not in ROW_TYPES:
        return None
    row = db_urldecode(event.ev_data, codec)
    return {**row, "pgq.tick_id": tick_id, **{f"pgq.{name}": getattr(event, name) for name in _FIELDS}}


class Target:
    """The other database: each statement commits by itself."""

    def __init__(self, config: ConsumerConfig) -> None:
        self._dsn = config.dst_db or ""
        self._application_name = config.settings.consumer_name
        self._query = config.dst_query.encode()
        self._retry = config.sql_retry
        self._lifetime = config.settings.connection_lifetime
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._cursor: psycopg.AsyncClientCursor[Any] | None = None
        self._born = 0.0

    async def run(self, parameters: Parameters) -> None:
        """Run the statement; where sql_retry says so, again after its connection was lost. Raises psycopg.Error."""
        if not self._retry.enabled:
            return await self._run(parameters)
        return await self._run_repeatedly(parameters, self._retry)

    async def _run_repeatedly(self, parameters: Parameters, retry: SqlRetry) -> None:
        began, tries = time.monotonic(), 0
        while True:
            try:
                return await self._run(parameters)
            except (UnreachableError, psycopg.OperationalError) as error:
                if not isinstance(error, UnreachableError) and not self._is_lost:
                    raise
                tries += 1
                wait = retry.seconds(tries)
                if tries >= retry.max_count or time.monotonic() + wait - began > retry.max_time:
                    raise
                logger.warning("dst_db: the connection is lost, again in %g s (try %d)", wait, tries)
                await self.close()
                await asyncio.sleep(wait)

    async def _run(self, parameters: Parameters) -> None:
        if self._cursor is None:
            # Values are put into the text by the client, as the original did: statements may be any, and several.
            self._connection = await connect(self._dsn, application_name=self._application_name)
            self._cursor = psycopg.AsyncClientCursor(self._connection)
            self._born = time.monotonic()
        await self._cursor.execute(self._query, parameters)
        if logger.isEnabledFor(logging.DEBUG):
            rows = await self._cursor.fetchall() if self._cursor.description else self._cursor.statusmessage
            logger.debug("event %s: %s", parameters["pgq.ev_id"], rows)

    @property
    def _is_lost(self) -> bool:
        return self._connection is None or self._connection.closed

    async def renew(self) -> None:
        """Between two batches: let go of a connection that is old or lost."""
        if self._is_lost or (self._lifetime and time.monotonic() - self._born > self._lifetime):
            await self.close()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            await connection.close()


class SimpleConsumer(Consumer):
    """Runs `dst_query` for each event with a url-encoded row; other events are passed over.

    After a failure the whole batch comes again: the statement has to bear that.
    """

    def __init__(
        self, config: ConsumerConfig, *, observer: Observer | None = None, report: Report | None = None
    ) -> None:
        super().__init__(config.src_db, config.settings, observer=observer, report=report)
        self._target = Target(config)
        self._codec = "utf-8"
        self._tick_id = 0

    async def run_async(self, stop: asyncio.Event) -> None:
        try:
            await super().run_async(stop)
        finally:
            await self._target.close()

    async def process_batch(self, db: psycopg.AsyncConnection[Any], batch: Batch, events: AsyncEvents) -> None:
        """Run the statement for each event of the batch."""
        self._codec = python_codec(db.info.parameter_status("server_encoding") or "UTF8")
        self._tick_id = batch.tick_id
        await self._target.renew()
        try:
            await cast(Any, super().process_batch(db, batch, events))
        except BaseException:
            await self._target.close()
            raise

    async def process_event(self, db: psycopg.AsyncConnection[Any], event: Event) -> None:
        """Run the statement for this event, if it holds a row."""
        try:
            parameters = parameters_of(event, self._tick_id, self._codec)
            if parameters is not None:
                await self._target.run(parameters)
        except Exception as error:
            error.add_note(f"at event {event.ev_id}, type {event.ev_type}")
            raise


class SimpleLocalConsumer(SimpleConsumer, LocalConsumer):
    """The same, with the position in a file: it may be pointed at another node of a cascade, where ticks are equal."""
