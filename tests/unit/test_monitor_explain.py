"""An explanation names the cause, the one who is to blame and what to do, from one picture."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.explain import explain
from skyconsole.engine.monitor.model import Part, SessionFacts
from skyconsole.engine.monitor.picture import ConsumerRow, Level, Picture, QueueRow
from skyconsole.engine.monitor.sample import SampleSource

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


class HandClock:
    """A clock that moves when told to."""

    time = NOON

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


def sample() -> Picture:
    """The sample after four readings."""
    clock = HandClock()
    source = SampleSource(1, clock)
    picture = None
    for _ in range(4):
        picture = derive(picture, asyncio.run(source.read(frozenset(Part))))
        clock.time += timedelta(seconds=2)
    assert picture is not None
    return picture


PICTURE = sample()


def consumer(name: str) -> ConsumerRow:
    return next(row for row in PICTURE.consumers if row.facts.name == name)


def queue(name: str) -> QueueRow:
    return next(row for row in PICTURE.queues if row.facts.name == name)


def lines(row: QueueRow | ConsumerRow, picture: Picture = PICTURE) -> list[str]:
    return [evidence.text for evidence in explain(picture, row)]


def test_a_stalled_consumer_is_followed_to_the_session_that_blocks_it() -> None:
    told = lines(consumer("invoice_export"))
    assert told[0].startswith("batch ")
    assert "open for 12m by invoice_export" in told[0]
    assert told[1] == "its backend pid 4711 waits on Lock:relation"
    assert told[2] == "blocked by pid 4502 (idle in transaction for 13m): alter table invoices add column vat_id text"
    assert told[3].startswith("→ ")
    assert told[3].endswith("ev/s come in")


def test_locks_that_go_round_end() -> None:
    round_trip = tuple(replace(one, blocked_by=(4711 if one.pid == 4502 else 4502,)) for one in PICTURE.sessions)
    told = lines(consumer("invoice_export"), replace(PICTURE, sessions=round_trip))
    assert sum(line.startswith("blocked by") for line in told) == 1


def test_a_blocker_that_is_not_seen_is_named_by_its_number() -> None:
    alone = tuple(one for one in PICTURE.sessions if one.pid != 4502)
    assert "blocked by pid 4502, which is not seen" in lines(
        consumer("invoice_export"), replace(PICTURE, sessions=alone)
    )


def test_a_prepared_transaction_is_called_one() -> None:
    sessions = tuple(replace(one, blocked_by=(0,)) if one.pid == 4711 else one for one in PICTURE.sessions)
    assert "blocked by a prepared transaction" in lines(consumer("invoice_export"), replace(PICTURE, sessions=sessions))


def test_a_dead_consumer_is_said_to_be_unseen_with_advice() -> None:
    evidence = explain(PICTURE, consumer("former_shop"))
    assert evidence[0].text == "former_shop has no batch open and was not seen for 3d"
    assert "unregister" in evidence[0].advice
    assert evidence[-1].text.startswith("rotation of the queue waits for it since 2d")


def test_one_that_catches_up_has_a_forecast() -> None:
    assert lines(consumer("year_end"))[-1].startswith("→ catches up in ~")


def test_one_that_falls_behind_is_told_so() -> None:
    assert any(line.startswith("→ falls behind") for line in lines(consumer("archive_loader")))


def test_one_that_keeps_up_is_fine() -> None:
    evidence = explain(PICTURE, consumer("mailer"))
    assert [one.level for one in evidence] == [Level.OK]


def test_an_idle_subconsumer_is_explained() -> None:
    assert lines(consumer("sessions.3")) == ["an idle subconsumer: it takes the next batch that its group has"]


def test_a_queue_names_the_worst_of_its_consumers_and_rotation() -> None:
    told = lines(queue("audit_log"))
    assert told[0] == "rotation is 9m overdue: archive_loader has not moved past the last switch"
    assert "2 of 4 consumers are behind" in lines(queue("billing"))[0]


def test_a_paused_queue_and_one_without_consumers_say_so() -> None:
    assert lines(queue("legacy_sync")) == ["the ticker is paused here: no new batches"]
    assert lines(queue("imports"))[0].startswith("no consumers")
    assert lines(queue("Ünï")) == ["nothing is wrong"]


def test_rotation_held_up_by_an_old_transaction_names_it() -> None:
    facts = replace(queue("Ünï").facts, switch_time=NOON - timedelta(hours=3))
    row = replace(queue("Ünï"), facts=facts)
    old = SessionFacts(77, "psql", "dba", "idle in transaction", "", "", None, (), None, NOON - timedelta(hours=4))
    told = lines(row, replace(PICTURE, sessions=(*PICTURE.sessions, old)))
    assert told == ["rotation is 1h overdue: pid 77 has a transaction open since before the last switch"]


def test_a_backend_is_found_by_its_batch_whatever_it_is_called() -> None:
    row = consumer("invoice_export")
    anonymous = SessionFacts(
        99, "", "shop", "active", "", f"select * from pgq.get_batch_events({row.facts.batch_id})", NOON, ()
    )
    told = lines(row, replace(PICTURE, sessions=(anonymous,)))
    assert told[1].startswith("its backend pid 99 runs for")
