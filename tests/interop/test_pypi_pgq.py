"""The PyPI package `pgq` (3.8), unchanged, produces and consumes on our SQL as on the original extension."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .conftest import PeerPython

ODD_NAMES = ["plain", "[/x]", 'a"b', "x.y", "Ünï", "🐘", "x" * 63, "it's", "a%b"]

pytestmark = pytest.mark.peer

_CONFIG = """\
[{section}]
job_name = {consumer}
db = {dsn}
queue_name = {queue}
pidfile = {folder}/printer.pid
loop_delay = 0
exception_sleep = 0
{more}
"""


class Place:
    """A queue on a database, with what the tests do there besides the peer."""

    def __init__(self, dsn: str, folder: Path, queue: str) -> None:
        self.dsn = dsn
        self.queue = queue
        self._folder = folder
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.one("select pgq.create_queue(%s)", queue)
        for name, value in {"ticker_max_lag": "0", "ticker_idle_period": "0"}.items():
            self.one("select pgq.set_queue_config(%s, %s, %s)", queue, name, value)

    def one(self, statement: str, *parameters: object) -> Any:
        row = self.connection.execute(statement, parameters).fetchone()
        return row[0] if row else None

    def insert(self, kind: str, data: str) -> int:
        return int(self.one("select pgq.insert_event(%s, %s, %s)", self.queue, kind, data))

    def tick(self) -> None:
        assert self.one("select pgq.ticker(%s)", self.queue) is not None

    def config(self, consumer: str = "printer", section: str = "printer", **more: object) -> str:
        path = self._folder / f"{consumer}.ini"
        settings = {
            "section": section,
            "consumer": consumer,
            "dsn": self.dsn,
            "queue": self.queue,
            "folder": str(self._folder),
        }
        lines = "\n".join(f"{name} = {value}" for name, value in more.items())
        escaped = {name: value.replace("%", "%%") for name, value in settings.items()}
        path.write_text(_CONFIG.format(**escaped, more=lines), encoding="utf-8")
        return str(path)


def _lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def _data(events: Iterable[dict[str, Any]]) -> list[str]:
    return [event["ev_data"] for event in events]


@pytest.fixture
def place(pgq_database: str, tmp_path: Path) -> Iterable[Place]:
    place = Place(pgq_database, tmp_path, "interop")
    yield place
    place.connection.close()


@pytest.fixture
def each_place(each_pgq_database: str, tmp_path: Path) -> Iterable[Place]:
    place = Place(each_pgq_database, tmp_path, "interop")
    yield place
    place.connection.close()


@pytest.mark.matrix
def test_a_consumer_registers_gets_every_event_once_and_unregisters(peer_python: PeerPython, each_place: Place) -> None:
    place = each_place
    config = place.config()
    peer_python.run("pypi_consumer.py", "printer", "--register", config)
    ids = [place.insert("t", f"event {number}") for number in range(700)]
    place.tick()
    place.insert("t", "the next batch")
    place.tick()

    events = _lines(peer_python.run("pypi_consumer.py", "printer", config))

    assert [event["ev_id"] for event in events[:-1]] == ids
    assert events[-1]["ev_data"] == "the next batch"
    assert len({event["batch"] for event in events}) == 2
    assert _lines(peer_python.run("pypi_consumer.py", "printer", config)) == []
    peer_python.run("pypi_consumer.py", "printer", "--unregister", config)
    assert place.one("select count(*) from pgq.get_consumer_info()") == 0


@pytest.mark.parametrize("fetch", [0, 1, 300])
def test_a_consumer_gets_the_same_events_however_it_fetches_them(
    peer_python: PeerPython, place: Place, fetch: int
) -> None:
    config = place.config(pgq_lazy_fetch=fetch)
    peer_python.run("pypi_consumer.py", "printer", "--register", config)
    for number in range(10):
        place.insert("wanted" if number % 2 else "t", str(number))
    place.tick()
    assert _data(_lines(peer_python.run("pypi_consumer.py", "printer", config))) == [str(n) for n in range(10)]


@pytest.mark.parametrize("fetch", [0, 2])
def test_a_filter_is_applied_by_the_server(peer_python: PeerPython, place: Place, fetch: int) -> None:
    config = place.config(pgq_lazy_fetch=fetch)
    peer_python.run("pypi_consumer.py", "filtered", "--register", config)
    for number in range(10):
        place.insert("wanted" if number % 2 else "t", str(number))
    place.tick()
    assert _data(_lines(peer_python.run("pypi_consumer.py", "filtered", config))) == ["1", "3", "5", "7", "9"]


def test_an_event_handed_back_comes_again_to_its_consumer_only(peer_python: PeerPython, place: Place) -> None:
    mine, other = place.config("mine"), place.config("other")
    for config in (mine, other):
        peer_python.run("pypi_consumer.py", "printer", "--register", config)
    place.insert("again", "a")
    place.insert("t", "b")
    place.tick()
    assert _data(_lines(peer_python.run("pypi_consumer.py", "printer", mine))) == ["a", "b"]
    assert place.one("select count(*) from pgq.retry_queue") == 1

    assert place.one("select pgq.maint_retry_events()") == 1
    place.tick()

    again = _lines(peer_python.run("pypi_consumer.py", "printer", mine))
    assert [(event["ev_data"], event["ev_retry"]) for event in again] == [("a", 1)]
    assert _data(_lines(peer_python.run("pypi_consumer.py", "printer", other))) == ["a", "b"]


def test_a_consumer_that_died_in_a_batch_gets_the_same_batch_again(peer_python: PeerPython, place: Place) -> None:
    config = place.config()
    peer_python.run("pypi_consumer.py", "printer", "--register", config)
    place.insert("t", "first")
    place.insert("crash", "second")
    place.tick()
    dead = _lines(peer_python.run("pypi_consumer.py", "printer", config, "--crash", expect=17))
    batch = place.one("select sub_batch from pgq.subscription")
    assert batch is not None

    events = _lines(peer_python.run("pypi_consumer.py", "printer", config))

    assert _data(dead) == ["first"]
    assert _data(events) == ["first", "second"]
    assert place.one("select sub_batch from pgq.subscription") is None


def test_a_consumer_merges_ticks_when_it_asks_for_a_number_of_events(peer_python: PeerPython, place: Place) -> None:
    config = place.config(pgq_batch_collect_events=4)
    peer_python.run("pypi_consumer.py", "printer", "--register", config)
    for number in range(6):
        place.insert("t", str(number))
        place.tick()
    events = _lines(peer_python.run("pypi_consumer.py", "printer", config))
    assert _data(events) == [str(number) for number in range(6)]
    assert len({event["batch"] for event in events}) == 1


def test_a_consumer_with_its_position_in_a_file_is_put_back_to_it(
    peer_python: PeerPython, place: Place, tmp_path: Path
) -> None:
    tracking = tmp_path / "position"
    config = place.config(local_tracking_file=tracking)
    peer_python.run("pypi_consumer.py", "local", "--register", config)
    place.insert("t", "a")
    place.tick()
    assert _data(_lines(peer_python.run("pypi_consumer.py", "local", config))) == ["a"]
    before = tracking.read_text(encoding="ascii")
    place.insert("t", "b")
    place.tick()
    assert _data(_lines(peer_python.run("pypi_consumer.py", "local", config))) == ["b"]

    tracking.write_text(before, encoding="ascii")

    assert _data(_lines(peer_python.run("pypi_consumer.py", "local", config))) == ["b"]


@pytest.mark.parametrize("queue", ODD_NAMES)
def test_queues_of_any_name_are_produced_into_and_consumed(
    peer_python: PeerPython, pgq_database: str, tmp_path: Path, queue: str
) -> None:
    place = Place(pgq_database, tmp_path, queue)
    config = place.config()
    peer_python.run("pypi_consumer.py", "printer", "--register", config)
    rows: list[list[str | None]] = [["t", "single"], ["t", "ünï 🐘"], [None, None], ["t", "x", "1", "2", "3", "4"]]
    ids = json.loads(peer_python.run("pypi_producer.py", "single", place.dsn, queue, json.dumps(rows)))
    place.tick()

    events = _lines(peer_python.run("pypi_consumer.py", "printer", config))

    assert [event["ev_id"] for event in events] == ids
    assert [[event["ev_type"], event["ev_data"]] for event in events] == [row[:2] for row in rows]
    assert events[-1]["ev_extra1"] == "1"
    place.connection.close()


def test_events_inserted_in_bulk_arrive_between_those_inserted_singly(peer_python: PeerPython, place: Place) -> None:
    config = place.config()
    peer_python.run("pypi_consumer.py", "printer", "--register", config)
    now = datetime.now(UTC).isoformat()
    place.insert("t", "before")
    rows = [[now, "bulk", f"tab\tnewline\nbackslash\\ {number}", "extra"] for number in range(100)]
    peer_python.run("pypi_producer.py", "bulk", place.dsn, place.queue, json.dumps(rows))
    place.insert("t", "after")
    place.tick()

    events = _lines(peer_python.run("pypi_consumer.py", "printer", config))

    assert _data(events) == ["before", *(row[2] for row in rows), "after"]
    assert {event["ev_extra1"] for event in events[1:-1]} == {"extra"}


def test_an_empty_bulk_insert_does_nothing(peer_python: PeerPython, place: Place) -> None:
    peer_python.run("pypi_producer.py", "bulk", place.dsn, place.queue, "[]")
    assert place.one("select count(*) from pgq.event_template") == 0


def test_the_status_report_shows_queues_and_consumers(peer_python: PeerPython, place: Place) -> None:
    config = place.config()
    peer_python.run("pypi_consumer.py", "printer", "--register", config)
    for number in range(3):
        place.insert("t", str(number))
        place.tick()

    output = peer_python.run("pypi_status.py", place.config("status", "pgqadm"))

    assert "PgQ version: 3." in output
    queue_line = next(line for line in output.splitlines() if line.startswith("interop"))
    assert "3/7200s" in queue_line
    assert any(line.split()[:1] == ["printer"] for line in output.splitlines())
