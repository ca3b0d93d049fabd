"""The events of a batch as a handler gets them: to iterate over, plainly or asynchronously."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from .event import BatchTags, Event
from .feed import Feed
from .requests import Program, Rows


class _Events:
    """What both forms share."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def __len__(self) -> int:
        """How many events were fetched so far."""
        return self._feed.count

    @property
    def tags(self) -> BatchTags:
        """What is to become of the events."""
        return self._feed.tags


class SyncEvents(_Events):
    """Iterate over it with `for`: once, or, when the batch was fetched whole (lazy_fetch = 0), as often as you like."""

    def __init__(self, run: Callable[[Program[Any]], Any], feed: Feed) -> None:
        super().__init__(feed)
        self._run = run

    def pieces(self) -> Iterator[Rows]:
        """The rows, as they were fetched."""
        feed = self._feed
        feed.open()
        yield from feed.kept or ()
        while rows := self._run(feed.next_rows()):
            feed.arrived(rows)
            if feed.stop.requested:
                feed.stop.check()
            if (touch := feed.touch()) is not None:
                self._run(touch)
            yield rows
            # A piece is not kept while the next one is read.
            del rows

    def __iter__(self) -> Iterator[Event]:
        for rows in self.pieces():
            events = self._feed.events(rows)
            del rows
            yield from events
            del events

    def hand_to(self, handler: Callable[[Event], object], databases: Sequence[Any]) -> None:
        """Call the handler for each event; a failing one is isolated in `databases` where the settings say so."""
        feed = self._feed
        if not feed.is_watched:
            stop = feed.stop
            for event in self:
                if stop.requested:
                    stop.check()
                handler(event)
            return
        for event in self:
            feed.before()
            if (touch := feed.touch()) is not None:
                self._run(touch)
            if not feed.isolates:
                handler(event)
                continue
            try:
                with ExitStack() as savepoints:
                    for database in databases:
                        savepoints.enter_context(database.transaction())
                    handler(event)
                    # Before the savepoint ends: it takes the event back, and spares those after it.
                    feed.check_sound(databases)
            except Exception as error:
                feed.failed(event, error, databases)


class AsyncEvents(_Events):
    """Iterate over it with `async for`: once, or, when the batch was fetched whole, as often as you like."""

    def __init__(self, run: Callable[[Program[Any]], Awaitable[Any]], feed: Feed) -> None:
        super().__init__(feed)
        self._run = run

    async def pieces(self) -> AsyncIterator[Rows]:
        """The rows, as they were fetched."""
        feed = self._feed
        feed.open()
        for rows in feed.kept or ():
            yield rows
        while rows := await self._run(feed.next_rows()):
            feed.arrived(rows)
            if feed.stop.requested:
                feed.stop.check()
            if (touch := feed.touch()) is not None:
                await self._run(touch)
            yield rows
            # A piece is not kept while the next one is read.
            del rows

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for rows in self.pieces():
            for event in self._feed.events(rows):
                yield event

    async def hand_to(self, handler: Callable[[Event], Awaitable[object]], databases: Sequence[Any]) -> None:
        """Await the handler for each event; a failing one is isolated in `databases` where the settings say so."""
        feed = self._feed
        stop = feed.stop
        is_watched = feed.is_watched
        async for rows in self.pieces():
            for event in feed.events(rows):
                if stop.requested:
                    stop.check()
                if not is_watched:
                    await handler(event)
                else:
                    await self._hand_watched(event, handler, databases)

    async def _hand_watched(
        self, event: Event, handler: Callable[[Event], Awaitable[object]], databases: Sequence[Any]
    ) -> None:
        feed = self._feed
        feed.before()
        if (touch := feed.touch()) is not None:
            await self._run(touch)
        if not feed.isolates:
            await handler(event)
            return
        try:
            async with AsyncExitStack() as savepoints:
                for database in databases:
                    await savepoints.enter_async_context(database.transaction())
                await handler(event)
                feed.check_sound(databases)
        except Exception as error:
            feed.failed(event, error, databases)
