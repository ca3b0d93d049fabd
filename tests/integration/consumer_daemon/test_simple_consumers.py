"""The original's ready-made consumers: a statement for each row event, with their configuration files."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .conftest import CONSUMER, Shop, soon


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
    soon(lambda: "query parameter missing: note" in process.said(), "a missing column is told")
    assert "at event" in process.said()
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert shop.value("select name || coalesce(note, '!') from target where id = 1") == "õ '!"
    assert not local or tracking.read_text().strip() == "1"
    query = ini.read_text().replace("%%(note)s", "null")
    ini.write_text(query)
    process = shop.start(ini)
    soon(lambda: shop.value("select count(*) from target") == 2, "the batch comes again")
    shop.put("not a row", kind="mine")
    shop.put("id=2&name=b%5c&note=n", kind="U:id", extra1="public.source")
    soon(lambda: shop.value("select name from target where id = 2") == "b\\", "an update")
    assert shop.kept()[-1] == "U:id 100% id=2&name=b%5c&note=ntrue4-"
    assert not any("mine" in text for text in shop.kept())
    soon(lambda: not local or tracking.read_text().strip() == "4", "the position")
    process.send(signal.SIGINT)
    assert process.wait() == 0


def test_a_row_that_cannot_be_read_repeats_its_batch_or_is_set_aside(shop: Shop) -> None:
    ini = _copying(shop, "simple_consumer3")
    process = shop.start(ini)
    shop.put("id=1&name=%f5&note", "id=2&name=b&note", kind="I:id", extra1="public.source")
    soon(lambda: process.said().count("are no text in utf-8 (at character 10)") >= 2, "it is told, twice")
    assert "at event 1, type I:id" in process.said()
    assert shop.value("select count(*) from target") == 0
    ini.write_text(ini.read_text() + "on_error = dead_letter\n")
    process.send(signal.SIGHUP)
    soon(lambda: shop.value("select count(*) from target") == 1, "the other one")
    soon(lambda: shop.value("select dl_reason from pgq.dead_letter"), "the first is set aside")
    assert str(shop.value("select dl_reason from pgq.dead_letter")).startswith("EncodingError: The bytes are no text")


def test_a_table_filter_and_a_lost_target_of_a_simple_consumer(shop: Shop) -> None:
    lines = "table_filter = source\nsql_retry = 1\nsql_retry_formula_a = 0.1\nsql_retry_formula_b = 0"
    process = shop.start(_copying(shop, "simple_consumer3", lines))
    shop.put("id=1&name=a&note", kind="I:id", extra1="public.source")
    soon(lambda: shop.value("select count(*) from target") == 1, "a row")
    sessions = "from pg_stat_activity where application_name = %s and query like 'insert into target%%'"
    soon(lambda: shop.value(f"select count(*) {sessions}", CONSUMER) == 1, "a session in the target")
    shop.conn.execute(f"select pg_terminate_backend(pid) {sessions}".encode(), (CONSUMER,))
    soon(lambda: shop.value(f"select count(*) {sessions}", CONSUMER) == 0, "it is gone")
    shop.put("id=5&name=a&note", kind="I:id", extra1="public.other")
    shop.put("id=2&name=a&note", kind="I:id", extra1="public.source")
    soon(lambda: shop.value("select string_agg(id::text, ',' order by id) from target") == "1,2", "another row")
    assert "Traceback" not in process.said()
