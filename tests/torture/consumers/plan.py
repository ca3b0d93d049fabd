"""What is done to a consumer, decided by a seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from skyconsole.engine.queue import Step


class Kind(StrEnum):
    """The kinds of consumers."""

    PLAIN = "plain"
    LOCAL = "local"
    COOP = "coop"
    REMOTE = "remote"
    SERIAL = "serial"

    @property
    def is_exact(self) -> bool:
        """Whether it promises each event exactly once; else at least once."""
        return self is not Kind.LOCAL

    @property
    def is_remote(self) -> bool:
        """Whether its work is done in another database."""
        return self in (Kind.REMOTE, Kind.SERIAL)

    @property
    def retries(self) -> bool:
        """Whether its handler may hand events to the retry queue, or set them aside."""
        return self in (Kind.PLAIN, Kind.COOP, Kind.REMOTE)


OUTSIDE = "from outside"
"""In place of a step: whenever the moment has come."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One kill: when the consumer is at a step for the `nth` time, or after so many seconds from outside."""

    step: str
    nth: int = 1
    after: float = 0.0

    def __str__(self) -> str:
        return f"{OUTSIDE} after {self.after:.3f} s" if self.step == OUTSIDE else f"at {self.step}, {self.nth}."


@dataclass(frozen=True, slots=True)
class Plan:
    """One consumer, how it is set up, and what happens to it before it may drain its queue in peace."""

    seed: int
    kind: Kind
    strike: Strike
    is_async: bool
    lazy_fetch: int
    prefetch: bool
    is_taken_over: bool
    """A cooperative member does not come back: another one takes its batch over."""

    def __str__(self) -> str:
        form = "async" if self.is_async else "sync"
        heir = ", taken over" if self.is_taken_over else ""
        return f"seed {self.seed}: {self.kind} ({form}, lazy_fetch {self.lazy_fetch}{heir}), killed {self.strike}"


_EVERYWHERE = (
    Step.OPENED,
    Step.FETCHED,
    Step.HANDLING,
    Step.HANDLED,
    Step.FINISHING,
    Step.FINISHED,
    Step.COMMITTED,
)


def steps_of(kind: Kind, dead_letters: bool = True) -> tuple[str, ...]:
    """At what moments a consumer of this kind can be killed."""
    steps = [step.name for step in _EVERYWHERE]
    if kind.retries:
        steps.append(Step.RETRY_TAGGED.name)
        if dead_letters:
            steps.append(Step.DEAD_TAGGED.name)
    if kind.is_remote or kind is Kind.LOCAL:
        steps.append(Step.REMOTE_COMMITTED.name)
    return (*steps, OUTSIDE)


def moments(kinds: tuple[Kind, ...], dead_letters: bool = True) -> list[tuple[Kind, str]]:
    """Each kind with each of its moments, the kinds in turn."""
    found = [(number, kind, step) for kind in kinds for number, step in enumerate(steps_of(kind, dead_letters))]
    return [(kind, step) for _, kind, step in sorted(found, key=lambda one: (one[0], kinds.index(one[1])))]


def plan_of(seed: int, kinds: tuple[Kind, ...] = tuple(Kind), dead_letters: bool = True) -> Plan:
    """The plan of a seed; consecutive seeds go through all moments of all kinds."""
    every = moments(kinds, dead_letters)
    kind, step = every[seed % len(every)]
    rng = random.Random(seed)
    nth = rng.randint(1, 12) if step == Step.HANDLING.name else rng.randint(1, 2)
    return Plan(
        seed=seed,
        kind=kind,
        strike=Strike(step, nth, rng.uniform(0.03, 0.3)),
        is_async=rng.random() < 0.5,
        lazy_fetch=rng.choice((0, 3, 1000)),
        prefetch=rng.random() < 0.7,
        is_taken_over=kind is Kind.COOP and rng.random() < 0.5,
    )
