"""What a connection is called, what is never told of it, and how long to wait for the next try."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skyconsole.engine.errors import UsageError
from skyconsole.engine.postgres.connect import Backoff, describe, redact, resolve_dsn, services
from skyconsole.engine.postgres.services import hidden_service

NAMES = ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("skyconsole.engine.postgres.services._SYSTEM_FOLDERS", (str(tmp_path / "etc"),))


@pytest.fixture
def service_file(tmp_path: Path) -> Path:
    file = tmp_path / ".pg_service.conf"
    file.write_text("# ours\n[prod]\nhost=db1\npassword=s3cret\n\n[test db]\nport=5433\n[prod]\nhost=other\n", "utf-8")
    return file


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        ("host=db1 dbname=orders", "orders@db1"),
        ("host=db1 port=5433 dbname=orders password=s3cret", "orders@db1:5433"),
        ("postgresql://me:s3cret@db1/orders?sslmode=disable", "orders@db1"),
        ("host=/var/run/postgresql dbname=orders", "orders@local"),
        ("dbname='a \"b\" [/x]' host=h", 'a "b" [/x]@h'),
        ("user=ann host=h", "ann@h"),
        ("service=prod password=s3cret", "prod"),
    ],
)
def test_a_database_is_called_by_its_name_and_place(dsn: str, name: str) -> None:
    assert describe(dsn) == name


def test_what_the_dsn_leaves_out_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db7")
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATABASE", "stock")
    assert describe("") == "stock@db7:6000"


def test_nothing_a_dsn_a_uri_and_a_service_are_understood(service_file: Path) -> None:
    assert services() == ("prod", "test db")
    assert resolve_dsn(None) == resolve_dsn("  ") == ""
    assert resolve_dsn(" host=a dbname=b ") == "host=a dbname=b"
    assert resolve_dsn("postgresql:///b") == "postgresql:///b"
    assert resolve_dsn("prod") == "service=prod"
    assert resolve_dsn("test db") == "service='test db'"


def test_an_unknown_service_is_told_with_those_there_are(service_file: Path) -> None:
    with pytest.raises(UsageError, match=r'no service "porduction".*prod, test db'):
        resolve_dsn("porduction")


def test_a_service_of_the_systems_file_is_found_though_libpq_does_not_look_there(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "pg_service.conf").write_text("[stock]\nhost=db9\n", "utf-8")
    assert services() == ("stock",)
    assert hidden_service("stock") == {"host": "db9"}
    assert hidden_service("prod") is None


@pytest.mark.parametrize(
    "dsn",
    [
        "host=h password=open s3cret",
        "password=s3cret oops=1",
        "postgresql://u:s3cret@x@h/db",
        "password='s3cret",
    ],
)
def test_a_dsn_that_can_not_be_read_is_refused_without_repeating_it(dsn: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_dsn(dsn)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    "text",
    [
        "host=h password=s3cret port=1",
        "password = 's3cret \\' s3cret' x",
        'could not parse "postgresql://u:s3cret@h/db"',
        "postgres://u:s3cret@h/db?sslpassword=s3cret&x=1",
        "PGPASSWORD=s3cret psql",
        "postgresql://h/db?password=s3cret",
        "oauth_client_secret=s3cret",
    ],
)
def test_a_password_is_cut_out_of_any_text(text: str) -> None:
    redacted = redact(text)
    assert "s3cret" not in redacted
    assert "***" in redacted


def test_a_text_without_a_password_stays_as_it_is() -> None:
    text = 'FATAL: password authentication failed for user "x" at postgresql://h:5432/db'
    assert redact(text) == text


@given(st.integers())
def test_waits_double_up_to_the_cap_and_are_jittered_downwards_only(seed: int) -> None:
    backoff = Backoff(first=0.5, cap=10.0, rng=random.Random(seed))
    for full in (0.5, 1, 2, 4, 8, 10, 10):
        assert full / 2 <= backoff.next() <= full
    backoff.reset()
    assert backoff.next() <= 0.5


def test_two_clients_do_not_wait_in_step() -> None:
    assert len({Backoff(rng=random.Random(n)).next() for n in range(20)}) == 20


@pytest.mark.parametrize("dsn", ["postgresql://user:S3cret", "postgresql://user:S3cret/db", "host=h port=S3cret"])
def test_a_password_that_reads_as_a_port_is_refused_without_being_told(dsn: str) -> None:
    for reader in (describe, resolve_dsn):
        with pytest.raises(UsageError) as refused:
            reader(dsn)
        assert "port" in str(refused.value)
        assert "S3cret" not in str(refused.value)
