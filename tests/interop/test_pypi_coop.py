"""Cooperative and remote consumers of the PyPI package `pgq` (3.8), unchanged, on our pgq_coop and pgq_ext."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .conftest import HERE, PeerPython
from .test_pypi_pgq import Place

pytestmark = pytest.mark.peer

DONE = """
    create table done (batch bigint, event bigint, text text, worker text);
    create table go (n int);
"""


class Work:
    """What has been done in a database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.execute(DONE)

    def counts(self) -> Counter[str]:
        return Counter(text for (text,) in self.connection.execute("select text from done"))

    def texts(self) -> list[str]:
        return [text for (text,) in self.connection.execute("select text from done order by event, text")]


@contextmanager
def _database(server: Any, module: str) -> Iterator[str]:
    name = server.create_database(server.template_of(module))
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture
def place(server: Any, tmp_path: Path) -> Iterator[Place]:
    with _database(server, "pgq_coop") as dsn:
        place = Place(dsn, tmp_path, "interop")
        yield place
        place.connection.close()


@pytest.fixture
def target(server: Any) -> Iterator[Work]:
    """Another database than the queue's."""
    with _database(server, "pgq_ext") as dsn:
        work = Work(dsn)
        yield work
        work.connection.close()


def _worker(place: Place, tmp_path: Path, name: str, **more: str) -> str:
    """The configuration of a worker of the group "printer"; in a folder of its own, for its pid file."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    other = Place.__new__(Place)
    other.dsn, other.queue, other._folder = place.dsn, place.queue, folder
    return other.config(subconsumer_name=name, **more)


def _silence(place: Place) -> None:
    query = "update pgq.subscription set sub_active = now() - interval '2 hours' where sub_batch is not null"
    assert place.connection.execute(query).rowcount == 1


@contextmanager
def _running(peer_python: PeerPython, kind: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A peer at work in the background; killed at the end."""
    command = [peer_python.python, str(HERE / "pypi_coop.py"), kind, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_workers_join_share_the_batches_and_leave(peer_python: PeerPython, place: Place, tmp_path: Path) -> None:
    work = Work(place.dsn)
    workers = [_worker(place, tmp_path, name) for name in ("s1", "s2", "s3", "s4")]
    for config in workers:
        peer_python.run("pypi_coop.py", "coop", "--register", config)
    texts = [str(number) for number in range(60)]
    for number, text in enumerate(texts):
        place.insert("t", text)
        if number % 3 == 2:
            place.tick()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda config: peer_python.run("pypi_coop.py", "coop", config), workers))

    assert work.counts() == dict.fromkeys(texts, 1)
    batches = work.connection.execute("select count(*), count(distinct batch) from done").fetchone()
    assert batches == (60, 20)
    for config in workers:
        peer_python.run("pypi_coop.py", "coop", "--unregister", config)
    assert [row[1] for row in place.connection.execute("select * from pgq.get_consumer_info()")] == ["printer"]
    work.connection.close()


@pytest.mark.parametrize("death", ["in the batch", "killed"])
def test_a_dead_workers_batch_is_done_by_another(
    peer_python: PeerPython, place: Place, tmp_path: Path, death: str
) -> None:
    work = Work(place.dsn)
    dying, living = (_worker(place, tmp_path, name, subconsumer_timeout="1 hour") for name in ("dying", "living"))
    peer_python.run("pypi_coop.py", "coop", "--register", dying)
    place.insert("t", "a")
    place.insert("crash" if death == "in the batch" else "wait", "b")
    place.tick()
    if death == "in the batch":
        peer_python.run("pypi_coop.py", "coop", dying, "--crash", expect=17)
    else:
        with _running(peer_python, "coop", dying) as process:
            assert process.stdout is not None
            assert "waiting\n" in iter(process.stdout.readline, "")
        place.one("insert into go values (1) returning 1")
    peer_python.run("pypi_coop.py", "coop", living)
    assert work.counts() == {}, "not silent for long enough"

    _silence(place)
    peer_python.run("pypi_coop.py", "coop", living)

    assert work.texts() == ["a", "b"]
    work.connection.close()


def test_a_slow_worker_that_lost_its_batch_is_refused_and_its_work_is_undone(
    peer_python: PeerPython, place: Place, tmp_path: Path
) -> None:
    work = Work(place.dsn)
    slow = _worker(place, tmp_path, "slow", subconsumer_timeout="1 hour")
    peer_python.run("pypi_coop.py", "coop", "--register", slow)
    place.insert("wait", "a")
    place.tick()
    with _running(peer_python, "coop", slow) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert "waiting\n" in lines
        _silence(place)
        with psycopg.connect(place.dsn, autocommit=True) as conn:
            batch = conn.execute("select pgq_coop.next_batch('interop', 'printer', 'quick', '1 hour')").fetchone()
            assert batch is not None
            assert batch[0] is not None
            conn.execute("insert into done select %s, ev_id, ev_data, 'quick' from pgq.get_batch_events(%s)", batch * 2)
            assert conn.execute("select pgq_coop.finish_batch(%s)", batch).fetchone() == (1,)
            conn.execute("insert into go values (1)")
        rest = "".join(lines)
        assert process.wait(20) == 1
    assert "was taken over from this worker" in rest
    assert work.connection.execute("select text, worker from done").fetchall() == [("a", "quick")]
    place.insert("t", "b")
    place.tick()
    peer_python.run("pypi_coop.py", "coop", slow)
    assert work.texts() == ["a", "b"], "it goes on with the next batch"
    work.connection.close()


def test_a_worker_with_an_open_batch_cannot_leave(peer_python: PeerPython, place: Place, tmp_path: Path) -> None:
    Work(place.dsn).connection.close()
    config = _worker(place, tmp_path, "s")
    peer_python.run("pypi_coop.py", "coop", "--register", config)
    place.insert("crash", "a")
    place.tick()
    peer_python.run("pypi_coop.py", "coop", config, "--crash", expect=17)
    peer_python.run("pypi_coop.py", "coop", "--unregister", config, expect=1)
    peer_python.run("pypi_coop.py", "coop", config)
    peer_python.run("pypi_coop.py", "coop", "--unregister", config)


@pytest.mark.parametrize("kind", ["remote", "serial"])
def test_work_in_another_database_is_done_once_wherever_the_consumer_dies(
    peer_python: PeerPython, place: Place, target: Work, kind: str
) -> None:
    config = place.config(target_db=target.dsn)
    peer_python.run("pypi_coop.py", kind, "--register", config)
    for text in ("a", "b"):
        place.insert("t", text)
    place.insert("crash", "c")
    place.tick()
    peer_python.run("pypi_coop.py", kind, config, "--crash", expect=17)
    assert target.texts() == []

    # The work is committed, and the queue does not hear of it.
    place.connection.execute("alter function pgq.finish_batch(bigint) rename to finish_batch_hidden")
    peer_python.run("pypi_coop.py", kind, config, expect=1)
    assert target.texts() == ["a", "b", "c"]
    assert place.one("select sub_batch is not null from pgq.subscription")

    place.connection.execute("alter function pgq.finish_batch_hidden(bigint) rename to finish_batch")
    place.insert("t", "d")
    place.tick()
    peer_python.run("pypi_coop.py", kind, config)
    assert target.texts() == ["a", "b", "c", "d"]
    assert place.one("select sub_batch from pgq.subscription") is None
    mark = "select pgq_ext.get_last_tick('printer') is not null, pgq_ext.is_batch_done('printer', 2)"
    assert target.connection.execute(mark).fetchone() == ((True, False) if kind == "serial" else (False, True))


def test_a_serial_consumer_that_lost_its_position_stops_and_is_put_back(
    peer_python: PeerPython, place: Place, target: Work
) -> None:
    config = place.config(target_db=target.dsn)
    peer_python.run("pypi_coop.py", "serial", "--register", config)
    for text in ("a", "b", "c"):
        place.insert("t", text)
        place.tick()
    peer_python.run("pypi_coop.py", "serial", config)
    first = place.one("select min(tick_id) from pgq.tick")
    last = place.one("select max(tick_id) from pgq.tick")
    place.one("select pgq.register_consumer_at('interop', 'printer', %s)", first)

    peer_python.run("pypi_coop.py", "serial", config, expect=1)
    assert target.texts() == ["a", "b", "c"]

    peer_python.run("pypi_coop.py", "serial", "--rewind", config)
    assert place.one("select last_tick from pgq.get_consumer_info('interop', 'printer')") == last
    place.insert("t", "d")
    place.tick()
    peer_python.run("pypi_coop.py", "serial", config)
    assert target.texts() == ["a", "b", "c", "d"]

    peer_python.run("pypi_coop.py", "serial", "--reset", config)
    assert target.connection.execute("select pgq_ext.get_last_tick('printer')").fetchone() == (None,)
    peer_python.run("pypi_coop.py", "serial", "--unregister", config)
    assert place.one("select count(*) from pgq.get_consumer_info()") == 0


def test_a_serial_consumer_of_theirs_follows_one_that_keeps_digests(
    peer_python: PeerPython, place: Place, target: Work
) -> None:
    config = place.config(target_db=target.dsn)
    peer_python.run("pypi_coop.py", "serial", "--register", config)
    place.insert("t", "a")
    place.tick()
    last = place.one("select last_tick from pgq.get_consumer_info('interop', 'printer')")
    target.connection.execute("select pgq_ext.set_last_tick_digest('printer', '', %s, 'digest')", [last])

    peer_python.run("pypi_coop.py", "serial", config)

    assert target.texts() == ["a"]
    query = "select digest, tick_id > %s from pgq_ext.get_last_tick_digest('printer', '')"
    assert target.connection.execute(query, [last]).fetchone() == (None, True)
