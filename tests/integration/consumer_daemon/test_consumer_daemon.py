"""`skyconsole --headless consumer` as a process: classes of the user's, signals, restarts, reload, status."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from skyconsole.daemons.consumer import main

from .conftest import CONSUMER, KEEPER, QUEUE, Shop, open_shop, soon

LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] (FATAL|ERROR|WARNING|LOG|DEBUG|NOISE) .|^\t")


@pytest.mark.parametrize("name", ["Keeper", "AsyncKeeper"])
def test_a_class_of_the_users_works_off_batches_and_stops_gracefully(shop: Shop, name: str) -> None:
    process = shop.start(shop.ini(f"consumer_class = shop:{name}"))
    shop.put("a", "b")
    soon(lambda: shop.kept() == ["a", "b"], "the first batch")
    shop.put("say", "d")
    soon(lambda: shop.kept() == ["a", "b", "say", "d"], "the second batch")
    soon(lambda: process.said().count("LOG {count: 2, duration: ") == 2, "statistics")
    process.send(signal.SIGINT)
    assert process.wait() == 0
    said = process.said()
    assert all(LINE.match(line) for line in said.splitlines()), said
    assert ("said by the user's own module" in said) == (name == "Keeper")


def test_it_loads_neither_textual_nor_prompt_toolkit() -> None:
    code = (
        "import sys; from skyconsole.console.cli import main\n"
        "try: main(['--headless', 'consumer', '--ini'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'textual', 'prompt_toolkit', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/", stdout=subprocess.DEVNULL)


def test_registering_checking_and_unregistering_are_commands(pgq_database: str, tmp_path: Path) -> None:
    with open_shop(pgq_database, tmp_path) as shop:
        ini = shop.ini("consumer_class = shop:Keeper")
        told = shop.call("--check", ini)
        assert (told.returncode, "is not registered. Run with --register." in told.stdout) == (1, True), told
        started = shop.call(ini)
        assert (started.returncode, "is not registered on the queue" in started.stderr) == (1, True), started
        for said in ("registered", "was registered already"):
            told = shop.call("--register", ini)
            assert told.returncode == 0
            assert told.stderr.strip().endswith(said)
        assert shop.value("select co_name from pgq.consumer") == CONSUMER
        told = shop.call("--check", ini)
        assert (told.returncode, told.stdout.splitlines()[-1]) == (0, "ready"), told
        assert shop.call("--unregister", ini).stderr.strip().endswith("unregistered")
        assert shop.value("select count(*) from pgq.consumer") == 0
        shop.conn.execute("select pgq.drop_queue(%s)", (QUEUE,))
        assert "there is no queue" in shop.call("--check", ini).stdout
        told = shop.call("--register", ini)
        assert (told.returncode, "Event queue not created yet" in told.stderr) == (1, True), told
        assert shop.call("--rewind", ini).returncode == 2


def test_mistakes_are_told_in_a_sentence_with_the_code_of_usage(
    shop: Shop, server: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    ini = shop.ini("consumer_class = shop:Keeper\nqueue = x")
    assert main([str(ini)]) == 2
    assert f"{ini}:9: unknown key queue in [consumer]" in capfd.readouterr().err
    assert main(["--compat", str(ini)]) == 1
    for arguments in (
        (),
        ("/there/is/none.ini",),
        ("--stop", "--kill", ini),
        ("--register", "--check", ini),
        ("--no",),
    ):
        assert main([str(argument) for argument in arguments]) == 2, arguments
    told = shop.call(shop.ini("consumer_class = shop:Nobody"))
    assert (told.returncode, "There is no Nobody in the module shop" in told.stderr) == (2, True), told
    nowhere = shop.ini(f"consumer_class = shop:Keeper\nsrc_db = {server.dsn('there is no such database')}")
    told = shop.call("--check", nowhere)
    assert (told.returncode, "there is no such database" in told.stdout) == (3, True), told
    for switch, said in (("-h", "--register"), ("-V", "skyconsole consumer"), ("--ini", "[consumer]")):
        assert main([switch]) == 0
        assert said in capfd.readouterr().out


def test_an_interrupt_lets_the_batch_end_and_a_second_one_does_not(shop: Shop) -> None:
    process = shop.start(shop.ini("consumer_class = shop:Keeper\nstop_timeout = 0.1"))
    shop.put("slow", "after")
    soon(lambda: shop.working(), "it is in the slow event")
    process.send(signal.SIGINT)
    assert process.wait() == 0
    assert shop.kept() == ["slow", "after"]

    process = shop.start(shop.ini("consumer_class = shop:Keeper"))
    shop.put("for ever", "after")
    soon(lambda: shop.working(), "it is in the endless event")
    process.send(signal.SIGINT)
    soon(lambda: "when the work in hand is done" in process.said(), "the first is seen")
    began = time.monotonic()
    process.send(signal.SIGINT)
    assert process.wait() == 1
    assert time.monotonic() - began < 5
    assert shop.kept() == ["slow", "after"]


@pytest.mark.parametrize("name", ["Keeper", "AsyncKeeper"])
def test_a_term_ends_it_within_five_seconds_and_the_batch_comes_again(shop: Shop, name: str) -> None:
    ini = shop.ini(f"consumer_class = shop:{name}\nstop_timeout = 1")
    process = shop.start(ini)
    shop.put("a", "for ever", "b")
    soon(lambda: shop.working(), "it is in the endless event")
    began = time.monotonic()
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() - began < 5
    assert "stopped in the middle of batch" in process.said()
    assert shop.kept() == []
    assert shop.value("select sub_batch is not null from pgq.subscription")
    (shop.folder / "shop.py").write_text(KEEPER.replace("sleep(60)", "sleep(0)"))
    shop.start(ini)
    soon(lambda: shop.kept() == ["a", "for ever", "b"], "the batch comes again, once")


def test_a_killed_one_leaves_nothing_behind_and_its_successor_goes_on(shop: Shop) -> None:
    ini = shop.ini(f"consumer_class = shop:Keeper\npidfile = {shop.folder / 'job.pid'}")
    process = shop.start(ini)
    shop.put("a")
    soon(lambda: shop.kept() == ["a"], "the first batch")
    shop.put("b", "for ever", "c")
    soon(lambda: shop.working(), "it is in the endless event")
    process.process.kill()
    process.wait()
    (shop.folder / "shop.py").write_text(KEEPER.replace("sleep(60)", "sleep(0)"))
    process = shop.start(ini)
    soon(lambda: shop.kept() == ["a", "b", "for ever", "c"], "the batch comes again, once")
    assert "stale pid file" in process.said()


def test_background_signals_status_and_pid_file(shop: Shop) -> None:
    pidfile, log = shop.folder / "job.pid", shop.folder / "job.log"
    ini = shop.ini(f"consumer_class = shop:Keeper\npidfile = {pidfile}\nlogfile = {log}")
    assert shop.call("-s", ini).returncode == 3
    assert shop.call("-s", "--compat", ini).returncode == 0
    assert shop.start(ini, "-d").wait() == 0
    soon(lambda: pidfile.exists() and pidfile.read_text().strip().isdigit(), "the pid file")
    shop.put("a")
    soon(lambda: shop.kept() == ["a"], "it works")
    soon(lambda: shop.call("--status", ini).returncode == 0, "a healthy status")
    soon(lambda: json.loads(shop.call("--status", "--json", ini).stdout)["events"] == 1, "the status counts")
    assert f"{CONSUMER} on {QUEUE}: idle, 1 batches and 1 events" in shop.call("--status", ini).stdout
    second = shop.call(ini)
    assert (second.returncode, "another instance running?" in second.stderr) == (1, True)
    log.rename(shop.folder / "job.log.old")
    assert shop.call("-r", ini).returncode == 0
    soon(lambda: log.exists() and "going on with the new configuration" in log.read_text(), "a new log")
    shop.put("b")
    soon(lambda: shop.kept() == ["a", "b"], "it works on")
    assert shop.call("-s", ini).returncode == 0
    soon(lambda: not pidfile.exists(), "it ends and removes its pid file")
    assert shop.call("--status", ini).returncode == 2
    assert "skyconsole consumer stopped" in log.read_text()


def test_a_reload_takes_the_new_settings_after_the_batch_and_refuses_broken_ones(shop: Shop) -> None:
    ini = shop.ini("consumer_class = shop:Keeper")
    process = shop.start(ini)
    shop.put("slow", "a")
    soon(lambda: shop.working(), "it is in the slow event")
    shop.ini("consumer_class = shop:AsyncKeeper\nconsumer_filter = ev_data not like 'b%%'")
    process.send(signal.SIGHUP)
    soon(lambda: "going on with the new configuration" in process.said(), "it takes them over")
    assert shop.kept() == ["slow", "a"]
    shop.put("b", "c")
    soon(lambda: shop.kept() == ["slow", "a", "c"], "the filter holds")
    shop.ini("consumer_class = shop:Nobody")
    process.send(signal.SIGHUP)
    soon(lambda: "the old one goes on: There is no Nobody in the module shop" in process.said(), "it refuses")
    shop.put("b", "d")
    soon(lambda: shop.kept() == ["slow", "a", "c", "d"], "the old ones hold")


def test_a_bad_event_repeats_its_batch_and_makes_the_status_unhealthy(shop: Shop) -> None:
    ini = shop.ini(
        "consumer_class = shop:Keeper\nunhealthy_after = 0.3\nexception_quiet = ValueError\nexception_grace = 1"
    )
    process = shop.start(ini)
    shop.put("a", "bad")
    soon(lambda: shop.call("--status", ini).returncode == 1, "an unhealthy status")
    assert "ValueError: a bad event" in shop.call("--status", ini).stdout
    assert shop.kept() == []
    soon(lambda: "ValueError: a bad event\n" in process.said() and "Traceback" in process.said(), "quiet, then loud")
    assert process.said().index("WARNING the batch failed") < process.said().index("ERROR the batch failed")
    (shop.folder / "shop.py").write_text(KEEPER)
    shop.ini("consumer_class = shop:Keeper\non_error = dead_letter\nunhealthy_after = 0.3")
    process.send(signal.SIGHUP)
    soon(lambda: shop.kept() == ["a"], "the event is set aside")
    soon(lambda: shop.call("--status", ini).returncode == 0, "a healthy status")
    if shop.value("select to_regclass('pgq.dead_letter') is not null"):
        assert shop.value("select dl_reason from pgq.dead_letter") == "ValueError: a bad event"


def test_a_restarted_server_is_survived_and_no_password_is_told(
    private_cluster: Any, tmp_path: Path, server: Any
) -> None:
    cluster = private_cluster()
    cluster.start()
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("create database shop")
    told = subprocess.run(
        [sys.executable, "-m", "skyconsole", "install", "pgq", "--dsn", cluster.dsn("shop")],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    with open_shop(f"{cluster.dsn('shop')} password=geheim", tmp_path) as shop:
        shop.conn.execute("select pgq.register_consumer(%s, %s)", (QUEUE, CONSUMER))
        process = shop.start(shop.ini("consumer_class = shop:Keeper"), "-v")
        shop.put("a")
        soon(lambda: shop.kept() == ["a"], "the first batch")
        shop.conn.close()
        cluster.stop()
        soon(lambda: "again in" in process.said(), "it tells of the loss")
        cluster.start()
        shop.conn = psycopg.connect(shop.dsn, autocommit=True)
        shop.put("b")
        soon(lambda: shop.kept() == ["a", "b"], "it goes on", 30)
        process.send(signal.SIGTERM)
        assert process.wait() == 0
        assert "geheim" not in process.said()
        shop.conn.close()


def test_without_waiting_it_ends_when_there_is_no_work(shop: Shop) -> None:
    shop.put("a")
    shop.put("b")
    told = shop.call(shop.ini("consumer_class = shop:Keeper\nloop_delay = -1"))
    assert (told.returncode, shop.kept()) == (0, ["a"]), told
    metrics = shop.folder / "m.prom"
    ini = shop.ini(f"consumer_class = shop:Keeper\nmetrics_file = {metrics}")
    told = shop.call(ini, "--set", "loop_delay=0", "-q")
    assert re.search(r'^skyconsole_consumer_events_total{queue="\[/q\] Ünï",consumer=.* 1$', metrics.read_text(), re.M)
    assert (told.returncode, shop.kept(), told.stderr) == (0, ["a", "b"], ""), told
    shop.put("bad")
    told = shop.call(shop.ini("consumer_class = shop:Keeper\nloop_delay = 0"))
    assert (told.returncode, "a bad event" in told.stderr) == (1, True), told


def test_members_of_a_group_share_the_batches_and_a_stopped_one_hands_its_batch_back(shop: Shop) -> None:
    subprocess.run(
        [sys.executable, "-m", "skyconsole", "install", "pgq_coop", "--dsn", shop.dsn], check=True, cwd="/",
        capture_output=True,
    )  # fmt: skip
    lines = "consumer_class = shop:Member\nsubconsumer_timeout = 1 hour\nstop_timeout = 0.5\nsubconsumer_name = m"
    inis = [shop.ini(f"{lines}{number}", name=f"m{number}") for number in (1, 2)]
    for ini in inis:
        assert shop.call("--register", ini).returncode == 0
    first = shop.start(inis[0])
    shop.put("a")
    soon(lambda: shop.kept() == ["a"], "a member works")
    shop.put("for ever")
    soon(lambda: shop.working(), "it is in the endless event")
    (shop.folder / "shop.py").write_text(KEEPER.replace("sleep(60)", "sleep(0)"))
    second = shop.start(inis[1])
    shop.put("c")
    soon(lambda: shop.kept() == ["a", "c"], "the other one works meanwhile")
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    soon(lambda: sorted(shop.kept()) == ["a", "c", "for ever"], "the other one gets the batch")
    second.send(signal.SIGINT)
    assert second.wait() == 0
    assert shop.call("--unregister", inis[0]).returncode == 0


def test_a_remote_class_gets_the_other_database_and_its_position_can_be_reset(shop: Shop, server: Any) -> None:
    other = server.create_database()
    try:
        _remote(shop, server.dsn(other))
    finally:
        server.drop_database(other)


def _remote(shop: Shop, dsn: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "skyconsole", "install", "pgq_ext", "--dsn", dsn], check=True, cwd="/",
        capture_output=True,
    )  # fmt: skip
    ini = shop.ini(f"consumer_class = shop:Far\ndst_db = {dsn}")
    with psycopg.connect(dsn, autocommit=True) as target:
        target.execute("create table kept (id bigint, data text)")
        process = shop.start(ini)
        shop.put("a", "b")

        def kept() -> list[tuple[str]]:
            return target.execute("select data from kept order by id").fetchall()

        soon(lambda: kept() == [("a",), ("b",)], "the rows are there")
        process.send(signal.SIGINT)
        assert process.wait() == 0
        for command in ("--rewind", "--reset"):
            told = shop.call(command, ini)
            assert told.returncode == 0, told.stderr


@pytest.mark.matrix
@pytest.mark.peer
def test_on_the_original_extension(original_database: str, tmp_path: Path) -> None:
    with open_shop(original_database, tmp_path) as shop:
        ini = shop.ini("consumer_class = shop:Keeper")
        assert shop.call("--register", ini).returncode == 0
        assert shop.call("--check", ini).returncode == 0
        process = shop.start(ini)
        shop.put("a", "b")
        soon(lambda: shop.kept() == ["a", "b"], "the batch")
        process.send(signal.SIGTERM)
        assert process.wait() == 0


def test_systemd_is_told(shop: Shop) -> None:
    path = shop.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(20)
        process = shop.start(shop.ini("consumer_class = shop:Keeper"), NOTIFY_SOCKET=str(path))
        heard = [listener.recv(1000)]
        process.send(signal.SIGTERM)
        while b"STOPPING=1" not in heard:
            heard.append(listener.recv(1000))
        assert heard[0] == b"READY=1"
        assert process.wait() == 0
