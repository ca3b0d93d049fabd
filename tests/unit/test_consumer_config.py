"""Configuration files of consumers: the original's dialect, every key, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from skyconsole.daemons.consumer.config import ConsumerConfig, SqlRetry, load
from skyconsole.daemons.consumer.keys import KEYS, SECTIONS, Kind
from skyconsole.daemons.consumer.loading import make_consumer
from skyconsole.daemons.consumer.metrics import render
from skyconsole.daemons.consumer.samples import sample_ini
from skyconsole.daemons.consumer.service import ConsumerService
from skyconsole.daemons.consumer.trouble import Trouble
from skyconsole.daemons.ini import ConfigError
from skyconsole.daemons.log import DaemonLog
from skyconsole.engine.errors import UsageError
from skyconsole.engine.queue.steps import BatchStatistics, Step

MAILER = "src_db = dbname=app\nqueue_name = orders\nconsumer_class = shop:Mailer\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes job.ini and returns its path."""

    def to(text: str, name: str = "job.ini") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return to


def loaded(path: Path, *settings: str, **more: Any) -> ConsumerConfig:
    return load(path, settings, **more)[0]


def test_a_file_of_the_original_is_taken_as_it_is(write: Any, tmp_path: Path) -> None:
    path = write(
        """
# a job
[DEFAULT]
host = db1
logfile = ~/log/%(job_name)s.log
pidfile = %(config_dir)s/%(job_name)s.pid

[pgqd]
base_connstr = host=other

[simple_consumer3]
Job_Name = copier
src_db = dbname=a host=%(host)s
dst_db: dbname=b password=a%%b
pgq_queue_name = old.queue
queue_name = new_queue
dst_query = select 1,
    %%(pgq.ev_data)s,
    # not this
      %%(id)s
table_filter = public.t, s.u
pgq_lazy_fetch = 10
use_skylog = 0
logfmt_file = %%(asctime)s
"""
    )
    config, warnings = load(path)
    assert (config.kind, config.section, config.job_name) == (Kind.SIMPLE, "simple_consumer3", "copier")
    assert (config.src_db, config.dst_db) == ("dbname=a host=db1", "dbname=b password=a%b")
    assert (config.settings.queue_name, config.settings.consumer_name) == ("old.queue", "copier")
    assert config.dst_query == "select 1,\n%(pgq.ev_data)s,\n%(id)s"
    assert (config.settings.table_filter, config.settings.lazy_fetch) == (("public.t", "s.u"), 10)
    assert (config.pidfile, config.logfile) == (tmp_path / "copier.pid", Path.home() / "log/copier.log")
    assert [warning.partition(": ")[2] for warning in warnings] == [
        "logfmt_file has no effect: log lines have the form of our other daemons"
    ]


def test_the_files_name_is_the_job_and_the_consumer(write: Any) -> None:
    config = loaded(write("[consumer]\n" + MAILER, "mail.er.ini"))
    assert (config.job_name, config.settings.consumer_name, config.syslog_ident) == ("mail.er",) * 3


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("queue_nam = x", "{path}:5: unknown key queue_nam in [consumer]."),
        ("loop_delay = soon", "{path}:5: loop_delay must be seconds"),
        ("pgq_lazy_fetch = -1", "{path}:5: pgq_lazy_fetch must be a whole number"),
        ("pgq_keep_lag = a while", "{path}:5: pgq_keep_lag must be a time span"),
        ("pgq_batch_collect_interval = 5 minutes 3", ""),
        ("on_error = ignore", "{path}:5: on_error must be repeat, retry or dead_letter"),
        ("prefetch = perhaps", "{path}:5: prefetch must be 0 or 1"),
        ("log_size = big", "{path}:5: log_size must be a size"),
        ("log_size = 4 MB", ""),
        ("loop_delay = -1", ""),
        ("dst_query = select 1", "{path}:5: unknown key dst_query"),
        ("consumer_class = shop.Mailer", "{path}:5: consumer_class must be written package.module:Class"),
        ("dst_db = host=a pass", "{path}:5: dst_db is refused: The connection string can not be read."),
        ("retry_first = 100\nretry_most = 10", "[consumer] A retry policy needs"),
        ("pgq_autocommit = 1", "pgq_autocommit is not compatible with pgq_lazy_fetch"),
        ("consumer_filter = ev_type = %(what)s", "{path}:5: consumer_filter names what, which is no key of this file."),
        ("consumer_filter = %(a)s\na = %(b)s\nb = %(a)s", "stand in each other"),
        ("base = x", "unknown key base"),
        ("base = x\nconsumer_filter = ev_extra1 = '%(base)s'", ""),
    ],
)
def test_mistakes_are_told_with_file_and_line(write: Any, lines: str, said: str) -> None:
    path = write(f"[consumer]\n{MAILER}{lines}\n")
    if not said:
        loaded(path)
        return
    with pytest.raises(ConfigError) as refused:
        loaded(path)
    assert said.format(path=path) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no consumer is configured here, there is no section"),
        ("[pgqd]\n", "there is [pgqd]"),
        ("x = 1\n", ":1: 'x = 1' stands before the first [section]"),
        ("[consumer]\nqueue_name\n", ":2: expected `key = value`"),
        ("[consumer\n", ":1: a section is written [name]"),
        ("[consumer]\n[simple_consumer3]\n", "[consumer] and [simple_consumer3] are both consumers. Name one"),
        ("[consumer]\nsrc_db = dbname=a\n", "[consumer] lacks queue_name."),
        ("[simple_consumer3]\nsrc_db = dbname=a\nqueue_name = q\ndst_query = x\n", "lacks dst_db"),
        ("[simple_consumer3]\ndst_query = select '%%d'\n", ":2: dst_query has a %"),
        ("[simple_consumer3]\ndst_query = select %%s\n", ":2: dst_query has a %"),
        (
            "[simple_local_consumer3]\nsrc_db=dbname=a\ndst_db=dbname=b\nqueue_name=q\ndst_query=x\n"
            "local_tracking_file=/there/is/none\n",
            "local_tracking_file: path does not exist: /there/is.",
        ),
    ],
)
def test_a_file_that_configures_no_consumer_is_refused(write: Any, text: str, said: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as refused:
        loaded(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_section_of_any_name_is_taken_when_it_is_asked_for(write: Any) -> None:
    path = write(f"[consumer]\nx = 1\n[my mailer]\n{MAILER}")
    config = loaded(path, "loop_delay=0", section="my mailer")
    assert (config.kind, config.section, config.settings.loop_delay) == (Kind.CLASS, "my mailer", 0)
    with pytest.raises(ConfigError, match=r"there is no section \[mine\]"):
        loaded(path, section="mine")


def test_a_password_is_never_in_a_complaint(write: Any) -> None:
    path = write("[consumer]\nsrc_db = host=a password=geheim oops\n")
    with pytest.raises(ConfigError) as refused:
        loaded(path)
    assert "geheim" not in str(refused.value)
    assert f"{path}:2: src_db" in str(refused.value)


def test_old_habits_are_accepted_with_a_warning(write: Any) -> None:
    path = write(f"[consumer]\n{MAILER}loop_delay = 2 ; seconds\nloop_delay = 3\nconsumer_filter = a like 'x%'\n")
    config, warnings = load(path)
    assert config.settings.loop_delay == 3
    assert config.settings.consumer_filter == "a like 'x%'"
    assert [warning.removeprefix(f"{path}:")[0] for warning in warnings] == ["5", "6", "7"]


def test_braces_name_keys_where_the_format_is_2(write: Any) -> None:
    path = write(
        "[DEFAULT]\nconfig_format = 2\nhost = db1\n[other]\nport = 5433\n"
        f"[consumer]\n{MAILER}dst_db = host=${{host}} port=${{other:port}} password=a$$b%\n"
    )
    config, warnings = load(path)
    assert config.dst_db == "host=db1 port=5433 password=a$b%"
    assert warnings == ()


def test_settings_of_the_command_line_stand_above_the_file(write: Any) -> None:
    path = write(f"[consumer]\n{MAILER}")
    config = loaded(path, "queue_name = a=b", "consumer_name=[/x]", "exception_sleep=0.5")
    assert (config.settings.queue_name, config.settings.consumer_name) == ("a=b", "[/x]")
    assert config.settings.exception_sleep == 0.5
    with pytest.raises(ConfigError, match="--set: unknown key x in"):
        loaded(path, "x=1")
    with pytest.raises(ConfigError, match="--set: loop_delay must be"):
        loaded(path, "loop_delay=x")


def test_more_of_a_connection_string_is_appended(write: Any) -> None:
    path = write(f"[consumer]\n{MAILER}src_db_extra_connstr = sslmode=require user='a b'\n")
    assert loaded(path).src_db == "dbname=app user='a b' sslmode=require"


def test_options_and_the_place_of_a_class_are_read(write: Any, tmp_path: Path) -> None:
    config = loaded(write(f"[consumer]\n{MAILER}consumer_path = ., /opt/x\n[consumer options]\nsmtp = a:b\n"))
    assert config.options == {"smtp": "a:b"}
    assert config.consumer_path == (tmp_path, Path("/opt/x"))


def test_a_signal_needs_only_the_keys_of_the_process(write: Any) -> None:
    path = write("[consumer]\npidfile = /tmp/x.pid\n")
    assert load(path, for_work=False)[0].pidfile == Path("/tmp/x.pid")


@pytest.mark.parametrize("section", SECTIONS)
def test_the_sample_is_a_file_that_is_accepted(write: Any, section: str, tmp_path: Path) -> None:
    text = sample_ini(section, ["queue_name=other"])
    assert "\nqueue_name = other\n" in text
    for key in KEYS[SECTIONS[section]]:
        assert f"\n#{key.name} =" in text
    lines = [
        line.removeprefix("#") if line[:1] == "#" and line[1:2] not in ("", " ") else line for line in text.split("\n")
    ]
    text = "\n".join(lines).replace("~/state/", f"{tmp_path}/").replace("pgq_autocommit = 0", "")
    config, _ = load(write(text))
    assert config.section == section


def test_the_wait_before_another_try_grows_to_its_cap() -> None:
    assert [SqlRetry(True).seconds(tries) for tries in (1, 2, 20)] == [6, 11, 60]


# The class of the user's


@pytest.fixture
def made(write: Any, tmp_path: Path) -> Any:
    """Makes the consumer of a configuration whose class is in the module shop.py with this text."""

    def make(module: str, lines: str = "", name: str = "shop:Mailer") -> Any:
        (tmp_path / "shop.py").write_text("from skyconsole.engine.queue import *\n" + module)
        text = MAILER.replace("shop:Mailer", name)
        return make_consumer(loaded(write(f"[consumer]\n{text}consumer_path = .\n{lines}")))

    yield make
    sys.path[:] = [folder for folder in sys.path if folder != str(tmp_path)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def test_a_class_is_found_by_its_import_path_and_given_its_options(made: Any) -> None:
    text = (
        "class Mailer(Consumer):\n"
        "    def __init__(self, dsn, settings, *, smtp='localhost'):\n"
        "        super().__init__(dsn, settings)\n"
        "        self.smtp = smtp\n"
        "    def process_event(self, db, event): pass\n"
    )
    mailer = made(text, "[consumer options]\nsmtp = relay\n")
    assert (type(mailer).__name__, mailer.smtp, mailer.settings.queue_name) == ("Mailer", "relay", "orders")


@pytest.mark.parametrize(
    ("module", "lines", "name", "said"),
    [
        ("", "", "nowhere:Mailer", "There is no module nowhere. Set consumer_path"),
        ("", "", "shop.deeper:Mailer", "There is no module shop.deeper."),
        (
            "import does_not_exist\n",
            "",
            "shop:Mailer",
            "shop.py:2: ModuleNotFoundError: No module named 'does_not_exist'",
        ),
        ("x = 1 / 0\n", "", "shop:Mailer", "shop.py:2: ZeroDivisionError: division by zero."),
        ("x = = 1\n", "", "shop:Mailer", "shop.py:2: SyntaxError"),
        ("raise SystemExit(3)\n", "", "shop:Mailer", "SystemExit: 3."),
        ("class Other(Consumer): pass\n", "", "shop:Mailer", "There is no Mailer in the module shop"),
        ("class Other(Consumer): pass\n", "", "shop:Mailer", "Its consumers are: Other."),
        ("class Mailer: pass\n", "", "shop:Mailer", "No consumer is Mailer in the module shop"),
        ("def Mailer(): pass\n", "", "shop:Mailer", "There is no consumer in it."),
        ("class Mailer(RemoteConsumer): pass\n", "", "shop:Mailer", "works in another database. Set dst_db."),
        ("class Mailer(LocalConsumer): pass\n", "", "shop:Mailer", "Set local_tracking_file."),
        ("class Mailer(CoopConsumer): pass\n", "", "shop:Mailer", "Set subconsumer_name."),
        (
            "class Mailer(Consumer): pass\n",
            "[consumer options]\nsmtp = a\n",
            "shop:Mailer",
            "takes no argument smtp, set in [consumer options]. Its own are: none.",
        ),
        (
            "class Mailer(Consumer):\n    def __init__(self, dsn, settings, smtp): pass\n",
            "",
            "shop:Mailer",
            "shop:Mailer cannot be made: missing a required argument: 'smtp'. Set what it needs in [consumer options].",
        ),
        ("class Mailer(Consumer): pass\n", "", "shop:Mailer", "has no handler"),
    ],
)
def test_a_class_that_cannot_be_had_is_told_in_a_sentence(
    made: Any, module: str, lines: str, name: str, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        made(module, lines, name)
    assert said in str(refused.value)


# Watching it


class _Time:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> Any:
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self.seconds, UTC)


def test_errors_are_told_quietly_only_while_the_trouble_is_young(write: Any) -> None:
    config = loaded(
        write(f"[consumer]\n{MAILER}exception_quiet = OSError, X\nexception_grace = 10\nexception_reset = 100\n")
    )
    clock = _Time()
    trouble = Trouble(config.quiet, clock)
    assert not trouble.failed("a", ValueError())
    assert trouble.failed("b", ConnectionResetError())
    clock.seconds += 5
    assert trouble.lasts_for(4)
    trouble.passed()
    assert not trouble.lasts_for(0)
    assert trouble.failed("b", OSError())
    clock.seconds += 6
    assert not trouble.failed("b", OSError())
    trouble.passed()
    assert not trouble.failed("b", OSError())
    clock.seconds += 100
    trouble.passed()
    assert trouble.failed("b", OSError())


def test_the_status_follows_the_batches(write: Any) -> None:
    service = ConsumerService(loaded(write(f"[consumer]\n{MAILER}")), _Time())
    assert service.status()["state"] == "idle"
    service.on_step(Step.OPENED, 7)
    assert (service.status()["state"], service.status()["batch_id"]) == ("working", 7)
    service.on_step(Step.COMMITTED, 7)
    service.report(BatchStatistics(7, 10, 0.5, 1.0, retries=2))
    service.report(BatchStatistics(None, 0, 0.0, 5.0))
    status = service.status()
    assert (status["batches"], status["events"], status["retries"], status["state"]) == (1, 10, 2, "idle")
    assert status["last_batch"] == {"count": 10, "duration": 0.5, "idle": 1.0, "retry-events": 2}
    assert service.summary() == "idle, 1 batches, 10 events"
    text = render({**status, "consumer_name": 'a"b\\\n'})
    labels = 'queue="orders",consumer="a\\"b\\\\\\n",subconsumer="",job="job"'
    assert f"skyconsole_consumer_events_total{{{labels}}} 10\n" in text
    assert text.count("# TYPE ") == 7


def test_a_full_log_is_renamed_and_so_many_are_kept(write: Any, tmp_path: Path) -> None:
    config = loaded(write(f"[consumer]\n{MAILER}logfile = {tmp_path / 'job.log'}\nlog_size = 1K\nlog_count = 2\n"))
    log = DaemonLog("skyconsole.test_rotation", verbose=-1, quiet=True)
    log.configure(config)
    for number in range(50):
        log.logger.info("unsaid")
        log.logger.warning("line %d %s", number, "x" * 100)
    log.close()
    files = [tmp_path / name for name in ("job.log.2", "job.log.1", "job.log")]
    said = "".join(file.read_text() for file in files)
    assert sorted(tmp_path.glob("job.log*")) == sorted(files)
    assert all(1024 <= file.stat().st_size < 1300 for file in files[:2])
    numbers = [int(line.split()[6]) for line in said.splitlines()]
    assert numbers == list(range(50 - len(numbers), 50))
    assert len(numbers) > 12
