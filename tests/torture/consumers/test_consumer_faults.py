"""What a consumer survives beside its own end: a frozen colleague, lost connections, a server or a ticker that goes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from skyconsole.engine.postgres.cluster import Cluster

from .fleet import Fleet
from .place import Place, Site, until
from .plan import Kind
from .site import prepared

_WORKERS = "select pid from pg_catalog.pg_stat_activity where application_name = %s"


def _is_worked_off(place: Place) -> Callable[[], bool]:
    return lambda: place.is_drained() and not place.findings()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("step", ["HANDLING", "HANDLED"])
def test_a_frozen_member_cannot_finish_what_another_one_took_over(
    pgq_database: str, database: str, fleet: Fleet, tmp_path: Path, step: str, is_async: bool
) -> None:
    site = prepared(pgq_database, database)
    place = Place(site, Kind.COOP, "group", tmp_path)
    common = {"is_async": is_async, "lazy_fetch": 3, "prefetch": True}
    place.produce(random.Random(1), 1, 8)
    zombie = fleet.start(place.job(**common, step=step, nth=1, how="SIGSTOP"))
    until(lambda: zombie.is_stopped, "the first member is frozen in its batch")

    heir = fleet.start(place.job(**common, member="second", member_timeout="0.1 seconds", worker="second"))
    until(_is_worked_off(place), "the second member has done all")
    zombie.send(signal.SIGCONT)
    until(lambda: "taken over" in zombie.told(), "the first member is told so")
    assert not place.findings(), "what it did is not there"

    place.produce(random.Random(2), 6, 8)
    until(_is_worked_off(place), "both go on")
    for child in (zombie, heir):
        child.send(signal.SIGTERM)
        assert child.wait(5) == 0, child.told()
    assert not place.findings()
    place.close()


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.COOP, Kind.REMOTE])
def test_a_consumer_whose_backends_are_terminated_comes_back_and_does_all_once(
    pgq_database: str, database: str, fleet: Fleet, tmp_path: Path, kind: Kind
) -> None:
    place = Place(prepared(pgq_database, database), kind, "terminated", tmp_path)
    worker = fleet.start(place.job(is_async=False, lazy_fetch=3, prefetch=True, dawdle=0.002))
    for number in range(3):
        done = place.done()
        place.produce(random.Random(number), 2, 8)
        until(lambda done=done: place.done() > done, "it is at work")
        place.one(f"select count(pg_terminate_backend(w.pid)) from ({_WORKERS}) as w", place.consumer)
    until(_is_worked_off(place), f"all is done\n{worker.told()}")
    worker.send(signal.SIGTERM)
    assert worker.wait(5) == 0, worker.told()
    place.close()


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.REMOTE])
def test_a_consumer_outlives_its_server(
    private_cluster: Callable[..., Cluster], fleet: Fleet, tmp_path: Path, kind: Kind
) -> None:
    cluster = private_cluster()
    settings = {"fsync": "off", "shared_buffers": "32MB"}
    cluster.start(settings)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("create database target")
    site = prepared(cluster.dsn(), cluster.dsn("target"))
    place = Place(site, kind, "outlives", tmp_path)
    worker = fleet.start(place.job(is_async=kind is Kind.REMOTE, lazy_fetch=3, prefetch=True, dawdle=0.005))
    for number in range(2):
        done = place.done()
        place.produce(random.Random(number), 3, 8)
        until(lambda done=done: place.done() > done, "it is at work")
        place.close()
        cluster.kill()
        cluster.start(settings)
        place.reconnect()
    until(_is_worked_off(place), f"all is done\n{worker.told()}")
    worker.send(signal.SIGTERM)
    assert worker.wait(5) == 0, worker.told()
    place.close()


def test_a_consumer_waits_for_a_ticker_that_was_away(
    pgq_database: str, database: str, fleet: Fleet, tmp_path: Path
) -> None:
    place = Place(prepared(pgq_database, database), Kind.PLAIN, "waits", tmp_path)
    worker = fleet.start(place.job(is_async=False, lazy_fetch=3, prefetch=True, loop_delay=30.0))
    for number in range(2):
        with _ticker(place.site, tmp_path) as ticker:
            place.insert(random.Random(number), 8)
            until(lambda: not place.findings(), f"the events arrive\n{worker.told()}")
            ticker.kill()
        place.insert(random.Random(number + 10), 8)
        assert place.findings(), "without a ticker nothing arrives"
    with _ticker(place.site, tmp_path):
        until(lambda: not place.findings(), f"the events arrive after all\n{worker.told()}")
    worker.send(signal.SIGTERM)
    assert worker.wait(5) == 0, worker.told()
    place.close()


@contextmanager
def _ticker(site: Site, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    parts = {key: str(given) for key, given in conninfo_to_dict(site.dsn).items()}
    database = parts.pop("dbname")
    config = folder / "ticker.ini"
    config.write_text(
        f"[pgqd]\nbase_connstr = {make_conninfo('', **parts)}\ninitial_database = {database}\n"
        f"database_list = {database}\nsyslog = 0\nretry_period = 0.1\nlogfile = {folder / 'ticker.log'}\n"
    )
    command = [sys.executable, "-m", "skyconsole", "--headless", "ticker", "-q", str(config)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/") as process:
        try:
            yield process
        finally:
            process.kill()
