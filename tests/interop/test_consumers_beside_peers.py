"""Our consumers and those of the PyPI package `pgq` on one queue, side by side and one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from skyconsole.engine.queue import Consumer, ConsumerSettings, CoopConsumer, Event, RemoteConsumer, SerialConsumer

from .conftest import PeerPython
from .test_pypi_coop import Work, _database, _worker
from .test_pypi_pgq import Place, _lines

pytestmark = pytest.mark.peer


class Ours(Consumer):
    """Keeps what it gets; hands back what is of type `again`, as the peer does."""

    got: list[tuple[int, int | None]]

    def process_event(self, db: Any, event: Event) -> None:
        if event.ev_type == "again" and event.ev_retry is None:
            event.tag_retry(0)
        self.got.append((event.ev_id, event.ev_retry))


def _ours(place: Place, name: str) -> list[tuple[int, int | None]]:
    consumer = Ours(place.dsn, ConsumerSettings(place.queue, name, loop_delay=0))
    consumer.got = []
    consumer.run()
    return consumer.got


def _theirs(peer_python: PeerPython, config: str) -> list[tuple[int, int | None]]:
    printed = _lines(peer_python.run("pypi_consumer.py", "printer", config))
    return [(event["ev_id"], event["ev_retry"]) for event in printed]


@pytest.fixture
def place(server: Any, tmp_path: Path) -> Iterator[Place]:
    """A queue on our pgq and pgq_coop."""
    with _database(server, "pgq_coop") as dsn:
        made = Place(dsn, tmp_path, "interop")
        yield made
        made.connection.close()


@pytest.fixture
def target(server: Any) -> Iterator[Work]:
    """Another database, with our pgq_ext."""
    with _database(server, "pgq_ext") as dsn:
        work = Work(dsn)
        yield work
        work.connection.close()


@pytest.fixture(params=["ours", "original"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A queue on our pgq, and one on the original extension."""
    dsn = request.getfixturevalue("pgq_database" if request.param == "ours" else "original_database")
    made = Place(dsn, tmp_path, "interop")
    yield made
    made.connection.close()


def test_both_get_every_event_and_only_their_own_retries(peer_python: PeerPython, either: Place) -> None:
    config = either.config()
    peer_python.run("pypi_consumer.py", "printer", "--register", config)
    Ours(either.dsn, ConsumerSettings(either.queue, "ours")).register()
    ids = [either.insert("t", "a"), either.insert("again", "b"), either.insert("t", "c")]
    either.tick()
    first = [(ev_id, None) for ev_id in ids]
    assert (_ours(either, "ours"), _theirs(peer_python, config)) == (first, first)
    either.one("select pgq.maint_retry_events()")
    either.tick()
    assert (_ours(either, "ours"), _theirs(peer_python, config)) == ([(ids[1], 1)], [(ids[1], 1)])


def test_one_takes_up_where_the_other_left_off(peer_python: PeerPython, either: Place) -> None:
    config = either.config()
    peer_python.run("pypi_consumer.py", "printer", "--register", config)
    for _ in range(2):
        ids = [either.insert("t", "a"), either.insert("t", "b")]
        either.tick()
        assert [ev_id for ev_id, _ in _theirs(peer_python, config)] == ids
        ids = [either.insert("t", "a"), either.insert("t", "b")]
        either.tick()
        assert [ev_id for ev_id, _ in _ours(either, "printer")] == ids


class Member(CoopConsumer):
    """A worker beside the peer's."""

    def process_event(self, db: psycopg.Connection, event: Event) -> None:
        db.execute("insert into done (event, text, worker) values (%s, %s, 'ours')", (event.ev_id, event.ev_data))


def test_members_of_both_kinds_share_a_group(
    peer_python: PeerPython,
    place: Place,
    tmp_path: Path,
) -> None:
    work = Work(place.dsn)
    config = _worker(place, tmp_path, "theirs")
    peer_python.run("pypi_coop.py", "coop", "--register", config)
    settings = ConsumerSettings(place.queue, "printer", subconsumer_name="ours", loop_delay=-1)
    for number in range(4):
        place.insert("t", str(number))
        place.tick()
    Member(place.dsn, settings).run()
    Member(place.dsn, settings).run()
    peer_python.run("pypi_coop.py", "coop", config)
    assert set(work.counts().values()) == {1}
    assert work.texts() == ["0", "1", "2", "3"]
    work.connection.close()


class _Apart:
    def process_remote_event(self, db: Any, event: Event, dst: psycopg.Connection) -> None:
        dst.execute("insert into done (event, text, worker) values (%s, %s, 'ours')", (event.ev_id, event.ev_data))


class OurRemote(_Apart, RemoteConsumer):
    """Marks batches."""


class OurSerial(_Apart, SerialConsumer):
    """Marks ticks."""


@pytest.mark.parametrize(("kind", "ours"), [("remote", OurRemote), ("serial", OurSerial)])
def test_remote_consumers_take_up_where_the_other_left_off(
    peer_python: PeerPython,
    place: Place,
    target: Work,
    kind: str,
    ours: type[RemoteConsumer],
) -> None:
    config = place.config(target_db=target.dsn)
    peer_python.run("pypi_coop.py", kind, "--register", config)
    consumer = ours(place.dsn, ConsumerSettings(place.queue, "printer", loop_delay=0), remote_dsn=target.dsn)
    for number in range(5):
        place.insert("t", str(number))
        place.tick()
        if number % 2:
            peer_python.run("pypi_coop.py", kind, config)
        else:
            consumer.run()
    assert target.texts() == ["0", "1", "2", "3", "4"]
