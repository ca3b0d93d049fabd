"""A consumer that is killed at any step of a batch does nothing twice, misses nothing, and never gets stuck.

Options, as environment variables:
  SKYCONSOLE_KILLS           kills in the long run, on each server version (200)
  SKYCONSOLE_KILLS_SEED      the first seed; without it a new one, printed
  SKYCONSOLE_KILLS_VERSIONS  the server versions of the long run, by commas (15,18)
"""

from __future__ import annotations

import os
import random
import secrets
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from skyconsole.engine.postgres.cluster import Cluster

from .fleet import Child, Fleet
from .place import Place, Site, until
from .plan import OUTSIDE, Kind, Plan, plan_of
from .site import prepared

SHORT_KILLS = 12

BATCHES, EVENTS = 3, 8


def _first_seed() -> int:
    return int(os.environ.get("SKYCONSOLE_KILLS_SEED") or secrets.randbelow(1_000_000))


def _kills() -> int:
    return int(os.environ.get("SKYCONSOLE_KILLS", "200"))


def _versions() -> list[int]:
    return [int(major) for major in os.environ.get("SKYCONSOLE_KILLS_VERSIONS", "15,18").split(",")]


def _strike(plan: Plan, place: Place, fleet: Fleet) -> Child:
    """Let the consumer work until it is killed."""
    strike = plan.strike
    common = {"is_async": plan.is_async, "lazy_fetch": plan.lazy_fetch, "prefetch": plan.prefetch}
    if strike.step == OUTSIDE:
        child = fleet.start(place.job(**common, dawdle=0.01))
        with pytest.raises(AssertionError, match="does not end"):
            child.wait(strike.after)
        child.send(signal.SIGKILL)
    else:
        child = fleet.start(place.job(**common, step=strike.step, nth=strike.nth))
    assert child.wait(15) == -signal.SIGKILL, f"{plan}: it ended otherwise\n{child.told()}"
    return child


def _drain(plan: Plan, place: Place, fleet: Fleet) -> None:
    """Let it, or another member of its group, work off what is left, and stop it in peace."""
    heir = {"member": "second", "member_timeout": "0.1 seconds", "worker": "second"} if plan.is_taken_over else {}
    child = fleet.start(place.job(is_async=plan.is_async, lazy_fetch=plan.lazy_fetch, prefetch=plan.prefetch, **heir))
    until(place.is_drained, f"{plan}: the queue is drained\n{child.told()}")
    child.send(signal.SIGTERM)
    assert child.wait(5) == 0, f"{plan}\n{child.told()}"


def _kill_and_check(plan: Plan, site: Site, fleet: Fleet, folder: Path) -> int:
    """How many deeds were done more than once."""
    place = Place(site, plan.kind, f"kill {plan.seed}", folder)
    try:
        place.produce(random.Random(plan.seed), BATCHES, EVENTS)
        _strike(plan, place, fleet)
        _drain(plan, place, fleet)
        assert not place.findings(), f"{plan}: {place.findings()}"
        return place.again()
    finally:
        place.close()


def _run(kills: int, kinds: tuple[Kind, ...], site: Site, fleet: Fleet, folder: Path) -> None:
    first = _first_seed()
    print(f"SKYCONSOLE_KILLS_SEED={first}")
    seen: Counter[str] = Counter()
    again = 0
    for seed in range(first, first + kills):
        plan = plan_of(seed, kinds, site.dead_letters)
        again += _kill_and_check(plan, site, fleet, folder)
        seen[f"{plan.kind} {plan.strike.step}"] += 1
    print(f"{kills} kills, {again} deeds repeated by local consumers: {dict(sorted(seen.items()))}")


@pytest.mark.timeout(100)
def test_a_consumer_that_is_killed_at_any_step_does_all_and_nothing_twice(
    pgq_database: str, database: str, fleet: Fleet, tmp_path: Path
) -> None:
    _run(SHORT_KILLS, tuple(Kind), prepared(pgq_database, database), fleet, tmp_path)


def test_the_judge_finds_what_a_consumer_that_commits_each_statement_does_twice(
    pgq_database: str, database: str, fleet: Fleet, tmp_path: Path
) -> None:
    """With pgq_autocommit nothing binds the work to the end of its batch: the judge has to see that."""
    place = Place(prepared(pgq_database, database), Kind.PLAIN, "careless", tmp_path)
    place.produce(random.Random(1), 1, 8)
    careless = {"is_async": False, "lazy_fetch": 0, "prefetch": False, "autocommit": True}
    assert fleet.start(place.job(**careless, step="HANDLED", nth=1)).wait(15) == -signal.SIGKILL
    fleet.start(place.job(**careless))
    until(place.is_drained, "the queue is drained")
    assert any("done 2 times" in finding for finding in place.findings()), place.findings()
    place.close()


@pytest.mark.torture
@pytest.mark.matrix
@pytest.mark.timeout(0)
@pytest.mark.parametrize("major", _versions())
def test_a_consumer_that_is_killed_many_times_does_all_and_nothing_twice(
    private_cluster: Callable[..., Cluster], fleet: Fleet, tmp_path: Path, major: int
) -> None:
    site = _private_site(private_cluster(major))
    _run(_kills(), tuple(Kind), site, fleet, tmp_path)


@pytest.mark.torture
@pytest.mark.peer
@pytest.mark.timeout(0)
def test_our_consumers_killed_on_the_original_extension_do_all_and_nothing_twice(
    original_database: str, pgq_database: str, fleet: Fleet, tmp_path: Path
) -> None:
    """The original extension keeps no dead letters, and its groups know no zombies; our pgq_coop stands on it."""
    _run(_kills(), tuple(Kind), prepared(original_database, pgq_database), fleet, tmp_path)


def _private_site(cluster: Cluster) -> Site:
    cluster.start({"fsync": "off", "shared_buffers": "32MB"})
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("create database target")
    return prepared(cluster.dsn(), cluster.dsn("target"))
