"""`skyconsole --headless consumer` as a process: classes, statements for rows, signals, restarts, status."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from skyconsole.daemons.consumer import main

COMMAND = (sys.executable, "-m", "skyconsole", "--headless", "consumer")
LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] (FATAL|ERROR|WARNING|LOG|DEBUG|NOISE) .|^\t")

QUEUE = "[/q] Ünï"
CONSUMER = 'a"b.[red]'

KEEPER = """
import asyncio, logging, os, time
from skyconsole.engine.queue import *

class Keeper(Consumer):
    def process_event(self, db, event):
        db.execute("insert into kept values (%s, %s)", (event.ev_id, event.ev_data))
        if event.ev_data == "say":
            logging.getLogger("shop").warning("said by the user's own module")
        if event.ev_data == "bad":
            raise ValueError("a bad event")
        if event.ev_data == "slow":
            db.execute("select pg_sleep(1.5)")
        if event.ev_data == "for ever":
            time.sleep(60)

class AsyncKeeper(Consumer):
    async def process_event(self, db, event):
        await db.execute("insert into kept values (%s, %s)", (event.ev_id, event.ev_data))
        if event.ev_data == "for ever":
            await asyncio.sleep(60)

class Far(SerialConsumer):
    def process_remote_event(self, db, event, dst):
        dst.execute("insert into kept values (%s, %s)", (event.ev_id, event.ev_data))

class Member(CoopConsumer):
    def process_event(self, db, event):
        db.execute("insert into kept values (%s, %s)", (event.ev_id, event.ev_data))
        if event.ev_data == "for ever":
            time.sleep(60)

class Near(LocalConsumer):
    def process_event(self, db, event):
        db.execute("insert into kept values (%s, %s)", (event.ev_id, event.ev_data))
"""


def _soon(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.03)


@dataclass
class ConsumerProcess:
    """A consumer as a process of its own."""

    process: subprocess.Popen[bytes]
    ini: Path
    narration: Path

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 15.0) -> int:
        return self.process.wait(seconds)

    def said(self) -> str:
        return self.narration.read_text("utf-8")


@dataclass
class Shop:
    """A database with a queue whose events are kept in a table, and processes that consume it."""

    dsn: str
    conn: psycopg.Connection[Any]
    folder: Path
    started: list[ConsumerProcess]

    def value(self, query: str, *parameters: object) -> Any:
        row = self.conn.execute(query.encode(), parameters).fetchone()
        return None if row is None else row[0]

    def put(self, *data: str, kind: str = "t", extra1: str | None = None) -> None:
        """One event for each text, then a tick."""
        for text in data:
            self.conn.execute("select pgq.insert_event(%s, %s, %s, %s, null, null, null)", (QUEUE, kind, text, extra1))
        self.tick()

    def tick(self) -> None:
        self.conn.execute("select pgq.force_tick(%s)", (QUEUE,))
        self.conn.execute("select pgq.ticker(%s)", (QUEUE,))

    def kept(self) -> list[str]:
        """What the consumer has kept, in order."""
        return [text for (text,) in self.conn.execute("select data from kept order by id")]

    def ini(self, lines: str = "", section: str = "consumer", name: str = "job") -> Path:
        path = self.folder / f"{name}.ini"
        own = "consumer_path = .\n" if section == "consumer" else f"dst_db = {self.dsn}\n"
        path.write_text(
            f"[{section}]\nsrc_db = {self.dsn}\nqueue_name = {QUEUE}\nconsumer_name = {CONSUMER}\n"
            f"loop_delay = 0.2\nexception_sleep = 0.2\n{own}{lines}\n",
            "utf-8",
        )
        return path

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        return subprocess.run(
            [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, cwd="/", check=False,
            env=self._environment(),
        )  # fmt: skip

    def start(self, ini: Path, *switches: str, **environment: str) -> ConsumerProcess:
        narration = ini.with_suffix(f".{len(self.started)}.stderr")
        with narration.open("ab") as stderr:
            process = subprocess.Popen(
                [*COMMAND, *switches, str(ini)], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, cwd="/",
                env={**self._environment(), **environment},
            )  # fmt: skip
        self.started.append(ConsumerProcess(process, ini, narration))
        return self.started[-1]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)}


@contextmanager
def _open_shop(dsn: str, tmp_path: Path) -> Iterator[Shop]:
    (tmp_path / "shop.py").write_text(KEEPER)
    started: list[ConsumerProcess] = []
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("create table kept (id bigint, data text)")
        conn.execute("select pgq.create_queue(%s)", (QUEUE,))
        try:
            yield Shop(dsn, conn, tmp_path, started)
        finally:
            _end(started)


def _end(started: list[ConsumerProcess]) -> None:
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


@pytest.fixture
def shop(pgq_database: str, tmp_path: Path) -> Iterator[Shop]:
    """On our pgq, with CONSUMER registered."""
    with _open_shop(pgq_database, tmp_path) as opened:
        opened.conn.execute("select pgq.register_consumer(%s, %s)", (QUEUE, CONSUMER))
        yield opened


@pytest.mark.parametrize("name", ["Keeper", "AsyncKeeper"])
def test_a_class_of_the_users_works_off_batches_and_stops_gracefully(shop: Shop, name: str) -> None:
    process = shop.start(shop.ini(f"consumer_class = shop:{name}"))
    shop.put("a", "b")
    _soon(lambda: shop.kept() == ["a", "b"], "the first batch")
    shop.put("say", "d")
    _soon(lambda: shop.kept() == ["a", "b", "say", "d"], "the second batch")
    _soon(lambda: process.said().count("LOG {count: 2, duration: ") == 2, "statistics")
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
    with _open_shop(pgq_database, tmp_path) as shop:
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
    _soon(lambda: _working(shop), "it is in the slow event")
    process.send(signal.SIGINT)
    assert process.wait() == 0
    assert shop.kept() == ["slow", "after"]

    process = shop.start(shop.ini("consumer_class = shop:Keeper"))
    shop.put("for ever", "after")
    _soon(lambda: _working(shop), "it is in the endless event")
    process.send(signal.SIGINT)
    _soon(lambda: "when the work in hand is done" in process.said(), "the first is seen")
    began = time.monotonic()
    process.send(signal.SIGINT)
    assert process.wait() == 1
    assert time.monotonic() - began < 5
    assert shop.kept() == ["slow", "after"]


def _working(shop: Shop) -> bool:
    """Whether the consumer's session has written in a transaction that is open."""
    return bool(
        shop.value(
            "select count(*) from pg_stat_activity where application_name = %s and backend_xid is not null", CONSUMER
        )
    )


@pytest.mark.parametrize("name", ["Keeper", "AsyncKeeper"])
def test_a_term_ends_it_within_five_seconds_and_the_batch_comes_again(shop: Shop, name: str) -> None:
    ini = shop.ini(f"consumer_class = shop:{name}\nstop_timeout = 1")
    process = shop.start(ini)
    shop.put("a", "for ever", "b")
    _soon(lambda: _working(shop), "it is in the endless event")
    began = time.monotonic()
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() - began < 5
    assert "stopped in the middle of batch" in process.said()
    assert shop.kept() == []
    assert shop.value("select sub_batch is not null from pgq.subscription")
    (shop.folder / "shop.py").write_text(KEEPER.replace("sleep(60)", "sleep(0)"))
    shop.start(ini)
    _soon(lambda: shop.kept() == ["a", "for ever", "b"], "the batch comes again, once")


def test_a_killed_one_leaves_nothing_behind_and_its_successor_goes_on(shop: Shop) -> None:
    ini = shop.ini(f"consumer_class = shop:Keeper\npidfile = {shop.folder / 'job.pid'}")
    process = shop.start(ini)
    shop.put("a")
    _soon(lambda: shop.kept() == ["a"], "the first batch")
    shop.put("b", "for ever", "c")
    _soon(lambda: _working(shop), "it is in the endless event")
    process.process.kill()
    process.wait()
    (shop.folder / "shop.py").write_text(KEEPER.replace("sleep(60)", "sleep(0)"))
    process = shop.start(ini)
    _soon(lambda: shop.kept() == ["a", "b", "for ever", "c"], "the batch comes again, once")
    assert "stale pid file" in process.said()


def test_background_signals_status_and_pid_file(shop: Shop) -> None:
    pidfile, log = shop.folder / "job.pid", shop.folder / "job.log"
    ini = shop.ini(f"consumer_class = shop:Keeper\npidfile = {pidfile}\nlogfile = {log}")
    assert shop.call("-s", ini).returncode == 3
    assert shop.call("-s", "--compat", ini).returncode == 0
    assert shop.start(ini, "-d").wait() == 0
    _soon(lambda: pidfile.exists() and pidfile.read_text().strip().isdigit(), "the pid file")
    shop.put("a")
    _soon(lambda: shop.kept() == ["a"], "it works")
    _soon(lambda: shop.call("--status", ini).returncode == 0, "a healthy status")
    _soon(lambda: json.loads(shop.call("--status", "--json", ini).stdout)["events"] == 1, "the status counts")
    assert f"{CONSUMER} on {QUEUE}: idle, 1 batches and 1 events" in shop.call("--status", ini).stdout
    second = shop.call(ini)
    assert (second.returncode, "another instance running?" in second.stderr) == (1, True)
    log.rename(shop.folder / "job.log.old")
    assert shop.call("-r", ini).returncode == 0
    _soon(lambda: log.exists() and "going on with the new configuration" in log.read_text(), "a new log")
    shop.put("b")
    _soon(lambda: shop.kept() == ["a", "b"], "it works on")
    assert shop.call("-s", ini).returncode == 0
    _soon(lambda: not pidfile.exists(), "it ends and removes its pid file")
    assert shop.call("--status", ini).returncode == 2
    assert "skyconsole consumer stopped" in log.read_text()


def test_a_reload_takes_the_new_settings_after_the_batch_and_refuses_broken_ones(shop: Shop) -> None:
    ini = shop.ini("consumer_class = shop:Keeper")
    process = shop.start(ini)
    shop.put("slow", "a")
    _soon(lambda: _working(shop), "it is in the slow event")
    shop.ini("consumer_class = shop:AsyncKeeper\nconsumer_filter = ev_data <> 'b'")
    process.send(signal.SIGHUP)
    _soon(lambda: "going on with the new configuration" in process.said(), "it takes them over")
    assert shop.kept() == ["slow", "a"]
    shop.put("b", "c")
    _soon(lambda: shop.kept() == ["slow", "a", "c"], "the filter holds")
    shop.ini("consumer_class = shop:Nobody")
    process.send(signal.SIGHUP)
    _soon(lambda: "the old one goes on: There is no Nobody in the module shop" in process.said(), "it refuses")
    shop.put("b", "d")
    _soon(lambda: shop.kept() == ["slow", "a", "c", "d"], "the old ones hold")


def test_a_bad_event_repeats_its_batch_and_makes_the_status_unhealthy(shop: Shop) -> None:
    ini = shop.ini(
        "consumer_class = shop:Keeper\nunhealthy_after = 0.3\nexception_quiet = ValueError\nexception_grace = 1"
    )
    process = shop.start(ini)
    shop.put("a", "bad")
    _soon(lambda: shop.call("--status", ini).returncode == 1, "an unhealthy status")
    assert "ValueError: a bad event" in shop.call("--status", ini).stdout
    assert shop.kept() == []
    _soon(lambda: "ValueError: a bad event\n" in process.said() and "Traceback" in process.said(), "quiet, then loud")
    assert process.said().index("WARNING the batch failed") < process.said().index("ERROR the batch failed")
    (shop.folder / "shop.py").write_text(KEEPER)
    shop.ini("consumer_class = shop:Keeper\non_error = dead_letter\nunhealthy_after = 0.3")
    process.send(signal.SIGHUP)
    _soon(lambda: shop.kept() == ["a"], "the event is set aside")
    _soon(lambda: shop.call("--status", ini).returncode == 0, "a healthy status")
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
    with _open_shop(f"{cluster.dsn('shop')} password=geheim", tmp_path) as shop:
        shop.conn.execute("select pgq.register_consumer(%s, %s)", (QUEUE, CONSUMER))
        process = shop.start(shop.ini("consumer_class = shop:Keeper"), "-v")
        shop.put("a")
        _soon(lambda: shop.kept() == ["a"], "the first batch")
        shop.conn.close()
        cluster.stop()
        _soon(lambda: "again in" in process.said(), "it tells of the loss")
        cluster.start()
        shop.conn = psycopg.connect(shop.dsn, autocommit=True)
        shop.put("b")
        _soon(lambda: shop.kept() == ["a", "b"], "it goes on", 30)
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
    _soon(lambda: shop.kept() == ["a"], "a member works")
    shop.put("for ever")
    _soon(lambda: _working(shop), "it is in the endless event")
    (shop.folder / "shop.py").write_text(KEEPER.replace("sleep(60)", "sleep(0)"))
    second = shop.start(inis[1])
    shop.put("c")
    _soon(lambda: shop.kept() == ["a", "c"], "the other one works meanwhile")
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    _soon(lambda: sorted(shop.kept()) == ["a", "c", "for ever"], "the other one gets the batch")
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

        _soon(lambda: kept() == [("a",), ("b",)], "the rows are there")
        process.send(signal.SIGINT)
        assert process.wait() == 0
        for command in ("--rewind", "--reset"):
            told = shop.call(command, ini)
            assert told.returncode == 0, told.stderr


# The original's ready-made scripts


def _copying(shop: Shop, section: str, lines: str = "") -> Path:
    shop.conn.execute("create table source (id int primary key, name text, note text)")
    shop.conn.execute("create table target (id int primary key, name text, note text, at text)")
    query = (
        "dst_query = insert into target values (%%(id)s, %%(name)s, %%(note)s, %%(pgq.ev_extra1)s)\n"
        "    on conflict (id) do update set name = excluded.name, note = excluded.note;\n"
        "    insert into kept values (%%(pgq.ev_id)s, %%(pgq.ev_type)s || ' 100%%%% ' || %%(pgq.ev_data)s\n"
        "       || (%%(pgq.ev_time)s is not null)::text || %%(pgq.tick_id)s || coalesce(%%(pgq.ev_extra2)s, '-'))\n"
    )
    return shop.ini(query + lines, section)


@pytest.mark.parametrize("section", ["simple_consumer3", "simple_local_consumer3"])
def test_a_statement_is_run_for_each_row(shop: Shop, section: str) -> None:
    local = "local" in section
    tracking = shop.folder / "position"
    ini = _copying(shop, section, f"local_tracking_file = {tracking}" if local else "")
    process = shop.start(ini)
    shop.put("id=1&name=%c3%b5+%27&note", "id=2&name=", kind="I:id", extra1="public.source")
    _soon(lambda: "query parameter missing: note" in process.said(), "a missing column is told")
    assert "at event" in process.said()
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert shop.value("select name || coalesce(note, '!') from target where id = 1") == "õ '!"
    assert not local or tracking.read_text().strip() == "1"
    query = ini.read_text().replace("%%(note)s", "null")
    ini.write_text(query)
    process = shop.start(ini)
    _soon(lambda: shop.value("select count(*) from target") == 2, "the batch comes again")
    shop.put("not a row", kind="mine")
    shop.put("id=2&name=b%5c&note=n", kind="U:id", extra1="public.source")
    _soon(lambda: shop.value("select name from target where id = 2") == "b\\", "an update")
    assert shop.kept()[-1] == "U:id 100% id=2&name=b%5c&note=ntrue4-"
    assert not any("mine" in text for text in shop.kept())
    _soon(lambda: not local or tracking.read_text().strip() == "4", "the position")
    process.send(signal.SIGINT)
    assert process.wait() == 0


def test_a_row_that_cannot_be_read_repeats_its_batch_or_is_set_aside(shop: Shop) -> None:
    ini = _copying(shop, "simple_consumer3")
    process = shop.start(ini)
    shop.put("id=1&name=%f5&note", "id=2&name=b&note", kind="I:id", extra1="public.source")
    _soon(lambda: process.said().count("are no text in utf-8 (at character 10)") >= 2, "it is told, twice")
    assert "at event 1, type I:id" in process.said()
    assert shop.value("select count(*) from target") == 0
    ini.write_text(ini.read_text() + "on_error = dead_letter\n")
    process.send(signal.SIGHUP)
    _soon(lambda: shop.value("select count(*) from target") == 1, "the other one")
    _soon(lambda: shop.value("select dl_reason from pgq.dead_letter"), "the first is set aside")
    assert str(shop.value("select dl_reason from pgq.dead_letter")).startswith("EncodingError: The bytes are no text")


def test_a_table_filter_and_a_lost_target_of_a_simple_consumer(shop: Shop) -> None:
    lines = "table_filter = source\nsql_retry = 1\nsql_retry_formula_a = 0.1\nsql_retry_formula_b = 0"
    process = shop.start(_copying(shop, "simple_consumer3", lines))
    shop.put("id=1&name=a&note", kind="I:id", extra1="public.source")
    _soon(lambda: shop.value("select count(*) from target") == 1, "a row")
    sessions = "from pg_stat_activity where application_name = %s and query like 'insert into target%%'"
    _soon(lambda: shop.value(f"select count(*) {sessions}", CONSUMER) == 1, "a session in the target")
    shop.conn.execute(f"select pg_terminate_backend(pid) {sessions}".encode(), (CONSUMER,))
    _soon(lambda: shop.value(f"select count(*) {sessions}", CONSUMER) == 0, "it is gone")
    shop.put("id=5&name=a&note", kind="I:id", extra1="public.other")
    shop.put("id=2&name=a&note", kind="I:id", extra1="public.source")
    _soon(lambda: shop.value("select string_agg(id::text, ',' order by id) from target") == "1,2", "another row")
    assert "Traceback" not in process.said()


@pytest.mark.matrix
@pytest.mark.peer
def test_on_the_original_extension(original_database: str, tmp_path: Path) -> None:
    with _open_shop(original_database, tmp_path) as shop:
        ini = shop.ini("consumer_class = shop:Keeper")
        assert shop.call("--register", ini).returncode == 0
        assert shop.call("--check", ini).returncode == 0
        process = shop.start(ini)
        shop.put("a", "b")
        _soon(lambda: shop.kept() == ["a", "b"], "the batch")
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
