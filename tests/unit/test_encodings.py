"""What capture triggers write, read back."""

from __future__ import annotations

import random
import timeit
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skyconsole.engine.queue.encodings import (
    EncodingError,
    RowChange,
    RowForm,
    RowOperation,
    db_urldecode,
    db_urlencode,
    decode,
    parse_logtriga_sql,
    parse_sqltriga_sql,
    python_codec,
)

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NAMES = TEXTS.filter(bool)
ROWS = st.dictionaries(NAMES, st.none() | TEXTS, max_size=8)


@dataclass(frozen=True)
class Stored:
    """The fields of an event that `decode` reads."""

    ev_type: str | None
    ev_data: str | None
    ev_extra1: str | None = "public.t"
    ev_extra2: str | None = None


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("", {}),
        ("a=1&b&c=&&d=%c3%b5+x", {"a": "1", "b": None, "c": "", "d": "õ x"}),
        ("a=1&a=2", {"a": "2"}),
        ("a=b=c", {"a": "b=c"}),
        ("q%22+q=%2b%25%26%3D", {'q" q': "+%&="}),
        ("ü=ö%c3%a4", {"ü": "öä"}),
        ("%3d=1&b", {"=": "1", "b": None}),
    ],
)
def test_url_encoded_rows_are_read(text: str, row: dict[str, str | None]) -> None:
    assert db_urldecode(text) == row


def test_every_byte_is_written_as_the_triggers_write_it() -> None:
    plain = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-"
    for byte in range(1, 256):
        text = chr(byte)
        wanted = text if text in plain else "+" if text == " " else f"%{byte:02x}"
        assert db_urlencode({"v": text}, "iso8859-1") == f"v={wanted}"
    assert db_urlencode({"a b": "õ~/", "n": None, "e": ""}) == "a+b=%c3%b5%7e%2f&n&e="


@given(ROWS)
def test_a_row_survives_url_encoding(row: dict[str, str | None]) -> None:
    assert db_urldecode(db_urlencode(row)) == row
    assert list(db_urldecode(db_urlencode(row))) == list(row)


@given(st.dictionaries(NAMES, st.none() | TEXTS), st.sampled_from(["iso8859-1", "koi8-r", "euc_jp", "cp1252"]))
def test_a_row_survives_in_the_encoding_of_its_database_or_is_refused(
    row: dict[str, str | None], encoding: str
) -> None:
    try:
        text = db_urlencode(row, encoding)
    except EncodingError:
        with pytest.raises(UnicodeEncodeError):
            "".join([*row, *(value or "" for value in row.values())]).encode(encoding)
    else:
        assert db_urldecode(text, encoding) == row


@pytest.mark.parametrize(
    ("text", "position"),
    [("100%", 3), ("a=%zz", 2), ("abc=x%f5y", 5), ("a=1&b=%c3%b5%f5", 12), ("a=\ud800%20", 2), ("%c3%b5=1&%ff", 9)],
)
def test_broken_url_encoding_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(EncodingError) as refused:
        db_urldecode(text)
    assert refused.value.position == position
    assert str(refused.value).endswith(f"(at character {position}).")


def _literal(value: str | None, rng: random.Random) -> str:
    if value is None:
        return rng.choice(["null", "NULL", "Null"])
    doubled = value.replace("'", "''")
    return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in value else f"'{doubled}'"


def _name(name: str) -> str:
    bare = name.isidentifier() and name.isascii() and name == name.lower() and name not in ("where", "and")
    return name if bare else '"' + name.replace('"', '""') + '"'


@given(ROWS, ROWS.filter(bool), st.randoms(use_true_random=False))
def test_partial_sql_of_any_row_is_read(
    row: dict[str, str | None], key: dict[str, str | None], rng: random.Random
) -> None:
    names, values = ",".join(map(_name, row)), ",".join(_literal(value, rng) for value in row.values())
    assert parse_sqltriga_sql("I", f"({names}) values ({values})") == row
    where = " and ".join(f"{_name(name)}={_literal(value, rng)}" for name, value in key.items())
    assert parse_sqltriga_sql("D", where, splitkeys=True) == (key, {})
    if row:
        assignments = ",".join(f"{_name(name)}={_literal(value, rng)}" for name, value in row.items())
        assert parse_logtriga_sql("U", f"{assignments} where {where}", splitkeys=True) == (key, row)
        assert parse_logtriga_sql("U", f"{assignments} where {where}") == {**row, **key}


def test_partial_sql_in_its_odd_forms() -> None:
    assert parse_logtriga_sql("I", "() values ()") == {}
    assert parse_logtriga_sql("U", "a='9' where ", splitkeys=True) == ({}, {"a": "9"})
    assert parse_logtriga_sql("D", "") == {}
    assert parse_logtriga_sql("I", r"(a, b) VALUES (e'\n\101\x41\u00f5\'''', -1.5e3)") == {
        "a": "\nAAõ''",
        "b": "-1.5e3",
    }
    assert parse_logtriga_sql("U", "a='1', b='2'\nwhere k = 'x' AND \"and\" = NULL", splitkeys=True) == (
        {"k": "x", "and": None},
        {"a": "1", "b": "2"},
    )


@pytest.mark.parametrize(
    ("op", "sql", "position"),
    [
        ("I", "(a,b) values ('1')", 17),
        ("I", "(a) values ('1','2')", 15),
        ("D", "k='1' or b='2'", 6),
        ("U", "a='1'", 5),
        ("D", "k='x", 2),
        ("D", "k=E'\\U00110000'", 4),
        ("X", "", 0),
    ],
)
def test_broken_partial_sql_is_refused_with_its_position(op: str, sql: str, position: int) -> None:
    with pytest.raises(EncodingError) as refused:
        parse_logtriga_sql(op, sql)
    assert refused.value.position == position


def test_the_three_triggers_give_the_same_change() -> None:
    row = {"id": "1", "a b": "x", "n": None}
    url = decode(Stored("U:id", "id=1&a+b=x&n", "s.t", "id=1&a+b=y&n"))
    json = decode(
        Stored(
            '{"op":"UPDATE","table":["s","t"],"pkey":["id"]}',
            '{"id":1,"a b":"x","n":null}',
            "s.t",
            '{"id":1,"a b":"y","n":null}',
        )
    )
    sql = decode(Stored("U", "\"a b\"='x',n=NULL where id='1'", "s.t", "id=1&a+b=y&n"))
    for change, form in ((url, RowForm.URL), (json, RowForm.JSON), (sql, RowForm.SQL)):
        assert change == RowChange(RowOperation.UPDATE, "s", "t", ("id",), row, {**row, "a b": "y"}, form)


def test_what_events_of_single_operations_hold() -> None:
    inserted = decode(Stored("I", "(id,v) values ('1',null)"))
    assert inserted is not None
    assert (inserted.keys, inserted.values, inserted.old) == ((), {"id": "1", "v": None}, None)
    moved = decode(Stored("U", "id='2' where id='1'"))
    assert moved is not None
    assert (moved.keys, moved.values, moved.old) == (("id",), {"id": "2"}, {"id": "1"})
    deleted = decode(Stored("D:a,b", "a=1&b=2", "s.t.u"))
    assert deleted is not None
    assert (deleted.op, deleted.schema, deleted.table, deleted.keys) == (RowOperation.DELETE, "s", "t.u", ("a", "b"))
    emptied = decode(Stored("R", ""))
    assert emptied == RowChange(RowOperation.TRUNCATE, "public", "t", (), {}, None, RowForm.SQL)
    typed = decode(
        Stored('{"op":"INSERT","table":["s.x","t"],"pkey":[]}', '{"b":true,"f":false,"n":12345678901234567890}')
    )
    assert typed is not None
    assert (typed.schema, typed.values) == ("s.x", {"b": "t", "f": "f", "n": "12345678901234567890"})


@pytest.mark.parametrize(
    "event",
    [
        Stored(None, "a=1"),
        Stored("", "a=1"),
        Stored("Invoice", "a=1"),
        Stored("X", "a=1"),
        Stored("I:id", None),
        Stored("I:id", "id=1", None),
        Stored('{"op":"MERGE","table":["s","t"],"pkey":[]}', "{}"),
        Stored('{"op":"INSERT","table":["s"],"pkey":[]}', "{}"),
        Stored('{"kind":"mine"}', "{}"),
        Stored('{"', "{}"),
        Stored("pgq.tick-id", "5"),
        Stored("EXECUTE", "create table x()"),
    ],
)
def test_an_event_that_is_no_row_change_is_none(event: Stored) -> None:
    assert decode(event) is None


def test_an_expression_of_the_users_own_beside_the_row_is_no_old_row() -> None:
    for event in (
        Stored("U:id", "id=1&v=2", ev_extra2="some text"),
        Stored("U:id", "id=1&v=2", ev_extra2="100%"),
        Stored("U:id", "id=1&v=2", ev_extra2="id=1"),
        Stored("I:id", "id=1&v=2", ev_extra2="id=1&v=1"),
        Stored('{"op":"UPDATE","table":["s","t"],"pkey":[]}', '{"id":1}', ev_extra2="[1]"),
    ):
        change = decode(event)
        assert change is not None
        assert change.old is None


@given(
    st.sampled_from(["I", "U", "D", "I:id", "U:", "D:a,b", '{"op":"UPDATE","table":["s","t"],"pkey":[]}']),
    st.text(st.sampled_from("ab=&%+'\"\\E,(){}[]:01 nulvesw\n\ud800é")) | st.text(),
    st.none() | st.text(),
)
@settings(max_examples=300)
def test_nothing_but_our_error_with_a_position_comes_of_any_data(kind: str, data: str, backup: str | None) -> None:
    try:
        change = decode(Stored(kind, data, ev_extra2=backup))
    except EncodingError as error:
        position = error.position
    else:
        assert change is not None
        position = 0
    assert 0 <= position <= len(data)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ('{"op":"INSERT","table":["s","t"],"pkey":[]}', "[" * 200_000),
        ('{"op":"INSERT","table":["s","t"],"pkey":[]}', '{"a":{"b":1}}'),
        ('{"op":"INSERT","table":["s","t"],"pkey":[]}', "5"),
        ("D", "a='" + "''" * 1_000_000),
    ],
)
def test_data_that_no_trigger_writes_are_refused(kind: str, data: str) -> None:
    with pytest.raises(EncodingError):
        decode(Stored(kind, data))


def test_server_encodings_have_their_codec_and_others_are_refused() -> None:
    assert db_urldecode("v=%f5", python_codec("LATIN1")) == {"v": "õ"}
    assert db_urldecode("v=%a4", python_codec("LATIN9")) == {"v": "€"}
    with pytest.raises(Exception, match="MULE_INTERNAL"):
        python_codec("MULE_INTERNAL")


def test_decoding_takes_microseconds() -> None:
    event = Stored(
        "U:id", "id=42&name=some+name&price=10.50&note=a%2fb+c%3a&gone&made=2026-11-22+10%3a00%3a00%2b00", "s.t"
    )
    best = min(timeit.repeat(lambda: decode(event), number=2000, repeat=5)) / 2000
    assert best < 0.0002
