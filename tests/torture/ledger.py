"""The ledger outside the database: an append-only file of what each producer's transaction did and how it ended."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from .check import Event


class Outcome(StrEnum):
    """How a transaction ended, as far as its producer knows."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    IN_DOUBT = "in doubt"


@dataclass(slots=True)
class Claim:
    """A transaction at the moment before its end is asked for: what will be there if it commits.

    `kept` and `undone` are (queue, key) pairs; the undone ones sat behind a savepoint that was rolled back.
    """

    name: str
    isolation: str
    ending: str
    xid: int = 0
    tables: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    undone: list[tuple[str, str]] = field(default_factory=list)


class Ledger:
    """Writes each fact to its file at once and answers from memory; the file is what a person reads after a failure."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._begin = time.monotonic()
        self._claims: dict[str, Claim] = {}
        self._outcomes: dict[str, Outcome] = {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def note(self, what: str, **facts: object) -> None:
        """Write a fact that nobody judges, such as a fault or a rotation."""
        self._write({"note": what, **facts})

    def claim(self, claim: Claim) -> None:
        """A producer is about to end this transaction."""
        self._claims[claim.name] = claim
        self._outcomes[claim.name] = Outcome.IN_DOUBT
        self._write({"claim": asdict(claim)})

    def settle(self, name: str, outcome: Outcome) -> None:
        """The transaction ended so; a doubt may be settled later, a certainty never changes."""
        before = self._outcomes[name]
        if before is not Outcome.IN_DOUBT:
            raise ValueError(f"transaction {name} is {before} already, and now {outcome}")
        self._outcomes[name] = outcome
        self._write({"settle": name, "outcome": outcome})

    def outcomes(self) -> dict[str, Outcome]:
        """Every claimed transaction with its outcome."""
        return dict(self._outcomes)

    def events(self) -> Iterable[Event]:
        """Every event of every claimed transaction; raises if a doubt is left."""
        for claim in self._claims.values():
            outcome = self._outcomes[claim.name]
            if outcome is Outcome.IN_DOUBT:
                raise ValueError(f"transaction {claim.name} is still in doubt")
            note = f"({claim.isolation}, {claim.ending}, {claim.name}) in {', '.join(claim.tables) or 'no table'}"
            for queue, key in claim.kept:
                yield Event(key, queue, claim.xid, outcome is Outcome.COMMITTED, note)
            for queue, key in claim.undone:
                yield Event(key, queue, claim.xid, False, f"{note}, savepoint rolled back")

    def counts(self) -> dict[str, int]:
        """How many transactions ended how, by isolation level."""
        ends = Counter(f"{claim.isolation}, {self._outcomes[claim.name]}" for claim in self._claims.values())
        return dict(sorted(ends.items()))

    def _write(self, fact: dict[str, Any]) -> None:
        seconds = round(time.monotonic() - self._begin, 3)
        self._file.write(json.dumps({"at": seconds, **fact}, ensure_ascii=False) + "\n")
