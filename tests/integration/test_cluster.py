"""A cluster of our own: created, started, stopped, and described, wherever it lies."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.account import server_account
from skyconsole.engine.postgres.cluster import Cluster, ClusterError, cluster_major
from skyconsole.engine.postgres.processes import server_processes

MakeCluster = Callable[..., Cluster]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change accounts")


@pytest.fixture
def folder(servers: Any, request: pytest.FixtureRequest) -> Path:
    """A folder that the server's account can pass, with nothing in it."""
    path = Path(servers.folder, f"f_{abs(hash(request.node.name)):x}"[:20])
    path.mkdir()
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(server: Any) -> Any:
    return server.cluster.binaries


def _value(cluster: Cluster, query: str) -> Any:
    with psycopg.connect(cluster.dsn()) as conn:
        row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_each_version_starts_answers_stops_and_starts_again(
    each_server: Any, private_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY.nonsense")
    monkeypatch.setenv("PGDATA", "/nowhere")
    cluster = private_cluster(each_server.version)
    assert cluster.status().major == each_server.version
    assert not cluster.status().running

    assert cluster.start()
    assert not cluster.start(), "the second start finds it running"
    status = cluster.status()
    assert status.running
    assert status.pid in server_processes(cluster.data_dir)
    assert _value(cluster, "show server_encoding") == "UTF8"
    assert _value(cluster, "show listen_addresses") == ""
    assert _value(cluster, "select current_user") == "postgres"

    assert cluster.stop()
    assert not cluster.stop(), "the second stop finds it stopped"
    assert server_processes(cluster.data_dir) == ()
    assert cluster.start()
    assert cluster.stop("immediate")


@pytest.mark.parametrize(
    "name",
    ["with space", 'it\'s "quoted"', "comma,and=equal", "Ünï-日本", "deep/" + "d" * 60 + "/" + "e" * 60, "$HOME;`x`\\"],
)
def test_a_path_of_any_kind_holds_a_cluster(folder: Path, programs: Any, name: str) -> None:
    cluster = Cluster(folder / name, programs)
    try:
        assert cluster.create(options=["--no-sync"])
        assert cluster.start({"fsync": "off"})
        assert _value(cluster, "show data_directory") == str(folder / name)
        assert cluster.stop()
    finally:
        cluster.remove()
    assert not cluster.data_dir.exists()


def test_a_setting_on_top_of_the_configuration_holds(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    cluster.start({"work_mem": "7MB", "application_name": 'it\'s a "name" $x'})
    assert _value(cluster, "show work_mem") == "7MB"


def test_a_setting_the_server_refuses_is_told_with_its_reason(private_cluster: MakeCluster) -> None:
    with pytest.raises(ClusterError, match="no_such_setting"):
        private_cluster().start({"no_such_setting": "1"})


def test_starting_where_no_cluster_is_says_so(folder: Path, programs: Any) -> None:
    with pytest.raises(ClusterError, match="holds no database cluster"):
        Cluster(folder / "none", programs).start()


def test_a_folder_with_other_files_is_left_alone(folder: Path, programs: Any) -> None:
    (folder / "letter.txt").write_text("dear", "utf-8")
    with pytest.raises(ClusterError, match="not empty"):
        Cluster(folder, programs).create()
    assert [file.name for file in folder.iterdir()] == ["letter.txt"]


def test_an_empty_folder_becomes_a_cluster(folder: Path, programs: Any) -> None:
    (folder / "empty").mkdir()
    cluster = Cluster(folder / "empty", programs)
    assert cluster.create(options=["--no-sync"])
    assert not cluster.create()
    assert cluster_major(folder / "empty") == programs.version[0]


def test_what_an_interrupted_creation_left_is_cleared_away(folder: Path, programs: Any) -> None:
    half = folder / ".data.new.x1"
    (half / "base").mkdir(parents=True)
    (half / "PG_VERSION").write_text("99", "ascii")
    cluster = Cluster(folder / "data", programs)
    assert cluster.create(options=["--no-sync"])
    assert not half.exists()


def test_a_failed_creation_leaves_nothing(folder: Path, programs: Any) -> None:
    with pytest.raises(ClusterError, match="could not be made"):
        Cluster(folder / "data", programs).create(options=["--no-such-option"])
    assert [entry.name for entry in folder.iterdir()] == [".data.lock"]


def test_data_of_another_major_version_is_named_with_both(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    (cluster.data_dir / "PG_VERSION").write_text("13\n", "ascii")
    ours = cluster.binaries.version[0]
    with pytest.raises(
        ClusterError, match=rf"made by PostgreSQL 13, but .* holds PostgreSQL {ours}.*SKYCONSOLE_PG_BIN"
    ):
        cluster.start()


def test_two_starts_at_once_start_one_server(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(Cluster(cluster.data_dir, cluster.binaries).start()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [False, False, False, True]


def test_two_creations_at_once_make_one_cluster(folder: Path, programs: Any) -> None:
    results: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(Cluster(folder / "data", programs).create(options=["--no-sync"]))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [False, False, True]


def test_a_server_that_lets_us_not_in_counts_as_started(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    (cluster.data_dir / "pg_hba.conf").write_text("local all all reject\n", "utf-8")
    assert cluster.start(timeout=30)
    assert cluster.status().running


def test_a_link_to_the_data_directory_is_the_same_cluster(private_cluster: MakeCluster, folder: Path) -> None:
    cluster = private_cluster()
    cluster.start()
    (folder / "link").symlink_to(cluster.data_dir)
    assert not Cluster(folder / "link", cluster.binaries).start()


def test_a_grown_log_is_set_aside_at_the_next_start(
    private_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyconsole.engine.postgres.cluster._LOG_LIMIT", 10)
    cluster = private_cluster()
    cluster.start()
    cluster.stop()
    cluster.start()
    assert cluster.log.with_name("server.log.1").exists()
    assert "ready to accept connections" in cluster.log_tail()


@as_root
def test_root_runs_the_server_under_another_account(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    cluster.start()
    pid = cluster.status().pid
    assert os.stat(f"/proc/{pid}").st_uid == server_account().uid != 0


@as_root
@pytest.mark.parametrize("name", ["plain", "with space"])
def test_other_local_accounts_can_not_reach_the_socket(folder: Path, programs: Any, name: str) -> None:
    cluster = Cluster(folder / name, programs)
    cluster.create(options=["--no-sync"])
    try:
        cluster.start()
        found = cluster.status()
        socket = f"{found.socket_dir}/.s.PGSQL.{found.port}"
        assert os.path.exists(socket)
        stranger = server_account().uid + 1
        script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        done = subprocess.run(
            ["/usr/bin/env", "python3", "-c", script, socket],
            user=stranger, group=stranger, extra_groups=[], cwd="/", capture_output=True, text=True,
            env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert "PermissionError" in done.stderr
    finally:
        cluster.remove()


@as_root
def test_a_home_that_is_closed_to_the_server_is_refused_with_a_sentence(folder: Path, programs: Any) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(ClusterError, match=r"can not enter .*home"):
        Cluster(home / "data", programs).create()


@as_root
def test_data_that_belongs_to_root_is_refused_with_a_sentence(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    os.chown(cluster.data_dir, 0, 0)
    with pytest.raises(ClusterError, match="belongs to root"):
        cluster.start()


@as_root
def test_a_folder_we_may_not_read_is_refused_with_a_sentence(private_cluster: MakeCluster) -> None:
    cluster = private_cluster()
    os.seteuid(server_account().uid + 1)
    try:
        for act in (cluster.status, cluster.start, cluster.stop, cluster.create):
            with pytest.raises(ClusterError, match="can not be read"):
                act()
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_and_one_in_a_closed_folder_are_refused_with_a_sentence(folder: Path, programs: Any) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o000)
    with pytest.raises(ClusterError, match="can not be read"):
        Cluster(closed, programs).create()
    with pytest.raises(ClusterError, match="can not be"):
        Cluster(closed / "data", programs).create()


def test_a_place_where_nothing_can_be_made_is_refused_with_a_sentence(programs: Any) -> None:
    with pytest.raises(ClusterError, match=r"Nothing can be made in /proc/none"):
        Cluster(Path("/proc/none/data"), programs).create()


@as_root
def test_a_root_that_may_become_nobody_else_is_told_so(folder: Path) -> None:
    command = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody make a user namespace")
    start = [sys.executable, "-m", "skyconsole", "pg", "start", "--data-dir", str(folder / "data")]
    done = subprocess.run([*command, *start], capture_output=True, text=True, cwd="/")
    assert done.returncode == 1
    assert "does not let us become" in done.stderr


@as_root
def test_a_full_disk_is_told_as_such(folder: Path, programs: Any) -> None:
    mounted = folder / "small"
    mounted.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "none", mounted], capture_output=True)
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        for place in (mounted, mounted / "data"):
            with pytest.raises(ClusterError, match=r"disk of .* is full"):
                Cluster(place, programs).create()
            assert cluster_major(place) is None
    finally:
        subprocess.run(["umount", mounted], check=True)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 4096):
            pass


@as_root
def test_a_server_whose_disk_fills_up_says_so_when_started_again(folder: Path, programs: Any) -> None:
    mounted = folder / "small"
    mounted.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m,mode=755", "none", mounted], capture_output=True)
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount a small disk")
    cluster = Cluster(mounted / "data", programs)
    try:
        cluster.create(options=["--no-sync", "--wal-segsize=1"])
        cluster.start()
        cluster.kill()
        _fill(mounted / "filler")
        with pytest.raises(ClusterError, match=r"disk of .* is full"):
            cluster.start({"dynamic_shared_memory_type": "mmap", "min_dynamic_shared_memory": "4MB"})
        (mounted / "filler").unlink()
        assert cluster.start()
    finally:
        cluster.kill()
        subprocess.run(["umount", mounted], check=True)
