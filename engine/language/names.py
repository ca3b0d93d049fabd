"""The names that exist, as far as the last picture knows: what is completed and recognised, without a query."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from ..monitor.picture import Picture

_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_NO_TICKS: Mapping[str, tuple[int, ...]] = MappingProxyType({})


class NameList:
    """Names that can be searched by how they begin or by what they hold, whatever the case."""

    def __init__(self, names: Iterable[str]) -> None:
        self._pairs = sorted((name.casefold(), name) for name in set(names))
        self._keys = [key for key, _ in self._pairs]
        self._set = frozenset(name for _, name in self._pairs)

    def __contains__(self, name: str) -> bool:
        return name in self._set

    def __len__(self) -> int:
        return len(self._pairs)

    def search(self, part: str, most: int) -> list[str]:
        """At most so many names: that begin with the part, then that hold it; else that hold its letters in order."""
        part = part.casefold()
        if not part:
            return [name for _, name in self._pairs[:most]]
        first = bisect_left(self._keys, part)
        found: list[str] = []
        for key, name in self._pairs[first : first + most]:
            if not key.startswith(part):
                break
            found.append(name)
        if len(found) < most:
            within = [name for key, name in self._pairs if part in key and not key.startswith(part)]
            found += within[: most - len(found)]
        if not found and len(part) > 1:
            in_order = re.compile(".*".join(re.escape(letter) for letter in part), re.DOTALL).search
            found = [name for key, name in self._pairs if part[-1] in key and in_order(key)][:most]
        return found


@dataclass(frozen=True)
class Names:
    """All names of one database."""

    queues: tuple[str, ...] = ()
    consumers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NONE)
    """By queue."""
    ticks: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: _NO_TICKS)
    """By queue: the newest tick and where its consumers stand, newest first."""
    default_queue: str | None = None
    subconsumers: tuple[str, ...] = ()
    """Of all groups, without the names of their main consumers."""

    @classmethod
    def of(cls, picture: Picture | None, default_queue: str | None = None) -> Names:
        """The names in a picture."""
        if picture is None:
            return cls(default_queue=default_queue)
        consumers: dict[str, list[str]] = {}
        ticks: dict[str, set[int]] = {}
        for row in picture.queues:
            if row.facts.last_tick_id is not None:
                ticks[row.facts.name] = {row.facts.last_tick_id}
        for one in picture.consumers:
            consumers.setdefault(one.facts.queue, []).append(one.facts.name)
            if one.facts.last_tick_id is not None:
                ticks.setdefault(one.facts.queue, set()).add(one.facts.last_tick_id)
        return cls(
            tuple(row.facts.name for row in picture.queues),
            {queue: tuple(names) for queue, names in consumers.items()},
            {queue: tuple(sorted(found, reverse=True)) for queue, found in ticks.items()},
            default_queue,
            tuple(sorted({one.facts.name[len(one.facts.main) + 1 :] for one in picture.consumers if one.facts.main})),
        )

    def has_queue(self, name: str) -> bool:
        return name in self.queue_list

    def has_consumer(self, name: str) -> bool:
        return name in self.consumer_list

    @cached_property
    def queue_list(self) -> NameList:
        return NameList(self.queues)

    @cached_property
    def consumer_list(self) -> NameList:
        """Of all queues."""
        return NameList(name for names in self.consumers.values() for name in names)

    @cached_property
    def subconsumer_list(self) -> NameList:
        return NameList(self.subconsumers)

    def consumers_of(self, queue: str) -> NameList:
        """Of one queue."""
        return NameList(self.consumers.get(queue, ()))


NO_NAMES = Names()
