"""A cluster whose last run did not end well starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.account import server_account
from skyconsole.engine.postgres.cluster import Cluster, ClusterError
from skyconsole.engine.postgres.processes import server_processes, wait_gone

MakeCluster = Callable[..., Cluster]


def _forge_pid_file(cluster: Cluster, pid: int) -> None:
    path = cluster.data_dir / "postmaster.pid"
    path.write_text(f"{pid}\n{cluster.data_dir}\n1\n5432\n{cluster.data_dir}\n\n  1  1\nready   \n", "utf-8")
    os.chown(path, cluster.data_dir.stat().st_uid, -1)


def test_a_server_killed_whole_starts_again_with_its_data(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    cluster.start()
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("create table kept as select 7 as n")
    cluster.kill()
    assert (cluster.data_dir / "postmaster.pid").exists()
    assert not cluster.status().running
    assert not cluster.stop()

    assert cluster.start()
    with psycopg.connect(cluster.dsn()) as conn:
        assert conn.execute("select n from kept").fetchone() == (7,)


def test_a_pid_file_of_a_dead_process_does_not_hinder(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    ended = subprocess.Popen(["true"])
    ended.wait()
    _forge_pid_file(cluster, ended.pid)
    assert not cluster.status().running
    assert cluster.start()


def test_a_pid_that_now_belongs_to_a_foreign_process_does_not_hinder_and_is_not_signalled(
    private_cluster: MakeCluster,
) -> None:
    cluster = private_cluster()
    # Of the server's own account: that is the case in which PostgreSQL itself would refuse to start.
    foreign = subprocess.Popen(["sleep", "600"], **server_account().identity)
    try:
        _forge_pid_file(cluster, foreign.pid)
        (cluster.data_dir / ".s.PGSQL.5432.lock").write_text(f"{foreign.pid}\n", "ascii")
        assert not cluster.status().running
        assert not cluster.stop()
        assert cluster.start()
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


@pytest.mark.parametrize("text", ["", "\n", "garbage\n", "0\n"])
def test_a_broken_pid_file_does_not_hinder(private_cluster: MakeCluster, text: str) -> None:
    cluster = private_cluster()
    (cluster.data_dir / "postmaster.pid").write_text(text, "ascii")
    assert not cluster.status().running
    assert cluster.start()


def test_orphaned_backends_at_work_are_ended_before_the_next_start(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    cluster.start()
    postmaster = cluster.status().pid
    assert postmaster is not None
    conn = psycopg.connect(cluster.dsn(), autocommit=True)
    backend = conn.info.backend_pid
    # An endless loop never looks whether the first process still lives, so this backend stays behind.
    conn.pgconn.send_query(b"do $$ begin loop null; end loop; end $$")
    os.kill(postmaster, signal.SIGKILL)
    assert wait_gone([postmaster], cluster.data_dir, 10)
    assert backend in server_processes(cluster.data_dir)

    assert cluster.start()
    assert backend not in server_processes(cluster.data_dir)
    conn.close()
    with psycopg.connect(cluster.dsn()) as conn:
        assert conn.execute("select 1").fetchone() == (1,)


def test_a_creation_that_was_killed_half_way_can_be_made_again(servers: Any, server: Any) -> None:
    data_dir = servers.folder / "half" / "data"
    command = [sys.executable, "-m", "skyconsole", "pg", "start", "--data-dir", str(data_dir)]
    environ = {**os.environ, "SKYCONSOLE_PG_BIN": str(server.cluster.binaries.bindir)}
    creation = subprocess.Popen(command, env=environ, cwd="/", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(data_dir.parent.glob(".data.new.*/base")):
        assert time.monotonic() < deadline
        assert creation.poll() is None
    creation.kill()
    creation.wait()

    cluster = Cluster(data_dir, server.cluster.binaries)
    try:
        assert cluster.create(options=["--no-sync"])
        assert cluster.start()
    finally:
        cluster.remove()


def test_a_server_that_can_not_recover_tells_why(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    (cluster.data_dir / "global" / "pg_control").unlink()
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"did not start: .*pg_control"):
        cluster.start()
    assert time.monotonic() - began < 30
