"""Random tables with capture triggers and statements that fire them, and how several installations answer to these.

A case is one statement that fires a trigger of a random set-up. All contenders are databases of one server version;
the first one is the measure of the others. A contender may be prepared once the trigger is there, as by compiling it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psycopg

Outcome = dict[str, Any]

KINDS = ["logutriga", "sqltriga", "jsontriga"]
STATEMENTS_OF_A_SETUP = 12
TYPES = """
    create type mood as enum ('sad', 'o k', 'ha''ppy');
    create domain dint as int;
    create domain dbool as bool;
    create domain dtext as text check (value <> 'forbidden');
    create domain dnum as numeric;
    create domain dtwice as dnum;
    create domain darr as int[];
    create domain ddate as date;
    create type comp as (a int, b text, n numeric);
    create type compj as (a int, j json);
    create type nested as (c comp, a text[]);
    create domain dcomp as comp;
    create type trange as range (subtype = text);
    -- On a server without ICU a set-up that draws it fails everywhere alike, and has no cases.
    do $$ begin
        create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    exception when feature_not_supported then null;
    end $$;
"""
TEXTS = [
    *[
        "",
        " ",
        "a",
        "A",
        "b",
        "plain",
        "two words",
        "o'clock",
        'say "hi"',
        "back\\slash",
        "100%",
        "a=b&c",
        "x+y",
        "~/tmp",
    ],
    *[
        "õäöü",
        "€uro",
        "日本語",
        "😀 smile",
        "line\nbreak",
        "tab\there",
        "\x01\x1f\x7f",
        "null",
        "NULL",
        "(1,2)",
        "{a,b}",
    ],
    *[
        "<a href='x'>",
        "\\N",
        "a,b",
        ",",
        "''",
        '""',
        "\\'",
        "long " * 40,
        "mixed õ & \\ ' \" \n end",
        "-_.",
        "`|^[]{}*;:@!?#$",
    ],
]
NUMERICS = ["0", "-0.0", "1", "1.0", "1.00", "10.50", "-3.14159", "1e20", "1e-7", "NaN", "12345678901234567890.123"]
FLOATS = ["0", "-0", "1", "1.5", "0.1", "1e20", "1e-300", "NaN", "Infinity", "-Infinity", "3.14159265358979"]
VALUES: dict[str, list[str]] = {
    "boolean": ["t", "f"],
    "smallint": ["0", "1", "-32768", "7"],
    "integer": ["0", "1", "2", "3", "2147483647", "-5"],
    "bigint": ["0", "1", "2", "-9223372036854775808"],
    "oid": ["0", "99", "4000000000"],
    "real": FLOATS[:5] + FLOATS[7:],
    "double precision": FLOATS,
    "numeric": NUMERICS,
    "numeric(10,2)": ["0", "1", "1.5", "-3.14", "NaN"],
    "money": ["1.50", "-3", "1000000"],
    "text": TEXTS,
    "varchar(20)": [text[:20] for text in TEXTS],
    "char(6)": ["", "a", "ab cd", "õä", "x'y"],
    '"char"': ["", "a", "'"],
    "name": ["", "a", "b c", "õ"],
    "text collate ci": ["a", "A", "b", "õ", "Õ", ""],
    "bytea": ["", "\\x00ff", "abc", "\\\\", "\\x5c27"],
    "date": ["2020-01-02", "infinity", "0044-03-15 BC", "99999-01-01"],
    "time": ["03:04:05.6", "00:00", "24:00"],
    "timetz": ["03:04:05+02", "03:04:05.6-03:30"],
    "timestamp": ["2020-01-02 03:04:05.678", "infinity", "0044-03-15 12:00 BC"],
    "timestamptz": ["2020-07-02 03:04:05+02", "-infinity", "2020-10-25 00:30:00+00", "2020-10-25 01:30:00+00"],
    "interval": ["1 day", "24 hours", "1 year 2 mons -3 days 04:05:06.7", "0"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"],
    "inet": ["10.0.0.1", "10.0.0.0/8", "::1"],
    "cidr": ["10.0.0.0/8", "10.1.0.0/16"],
    "macaddr": ["08:00:2b:01:02:03"],
    "bit(3)": ["101", "000"],
    "varbit": ["1", "10101", ""],
    "json": ['{"a": 1}', '{"a":1}', "null", '"s"', "[1, 2]"],
    "jsonb": ['{"a": 1}', '{"a":1.0}', "null", '"s\\n"', "[1,2]"],
    "xml": ["<a/>", "<b>x</b>"],
    "point": ["(1,2)", "(1,3)"],
    "box": ["(0,0),(2,2)", "(0,0),(1,4)"],
    "circle": ["<(0,0),1>", "<(1,1),1>"],
    "tsvector": ["'a' 'b'", "'b':2 'a':1"],
    "pg_lsn": ["0/0", "16/B374D848"],
    "regclass": ["pg_class", "pg_type"],
    "xid": ["1", "7"],
    "int4range": ["[1,5)", "[1,4]", "empty", "(,)"],
    "int4multirange": ["{}", "{[1,3),[5,7)}"],
    "trange": ["[a,b]", '(,"x y")'],
    "numrange": ["[1.0,2]", "[1,2.0]"],
    "integer[]": ["{}", "{1,2,NULL}", "[0:1]={1,2}", "{{1},{2}}"],
    "text[]": ["{}", '{a,"b c",NULL,""}', '{"it\'s","q\\"q","b\\\\b"}'],
    "boolean[]": ["{t,f}"],
    "numeric[]": ["{1.0}", "{1.00}"],
    "oidvector": ["1 2", "3"],
    "int2vector": ["1 2", "3"],
    "mood": ["sad", "o k", "ha'ppy"],
    "dint": ["1", "7"],
    "dbool": ["t", "f"],
    "dtext": TEXTS[:12],
    "dnum": NUMERICS[:6],
    "dtwice": NUMERICS[:6],
    "darr": ["{1,2}", "{}"],
    "ddate": ["2020-01-02", "infinity"],
    "comp": ['(1,"x y",1.0)', '(1,"x y",1.00)', "(,,)", "(2,,)", '(1,"q""\\\\",3)'],
    "compj": ['(1,"{""a"": 1}")', '(1,"{""a"":1}")', "(,)"],
    "nested": ['("(1,x,1.0)","{a,b}")', '("(1,x,1.00)","{a,b}")', "(,)"],
    "dcomp": ['(1,"x y",1.0)', '(1,"x y",1.00)', "(,,)"],
    "comp[]": ['{"(1,x,1.0)"}', "{}"],
    "mood[]": ['{sad,"o k"}'],
}
COMMON = [
    *["integer", "bigint", "text", "varchar(20)", "boolean", "numeric", "timestamptz", "date", "jsonb"],
    *["uuid", "char(6)"],
]
KEYS = [
    *["integer", "integer", "bigint", "text", "numeric", "uuid", "mood", "dint", "char(6)"],
    *["text collate ci", "boolean", "double precision", "timestamptz", "bytea", "comp", "int4range"],
    *["integer[]", "numeric(10,2)", "varchar(20)"],
]
NAMES = [
    *["a", "b", "n", "val", "Id", "select", "b&c", "We ird", "ünï", "x.y", 'q"q', "a,b", "text", "e5"],
    *["it's", "back\\", "%s", "long_name_long_name_long_name_long_name_long_name_long_name_", "$1", "new"],
    *["old", "plan", "checked", "😀", "tab\t"],
]
MAGIC = ["_pgq_ev_type", "_pgq_ev_data", "_pgq_ev_extra1", "_pgq_ev_extra2", "_pgq_ev_extra3", "_pgq_ev_extra4"]
SETTINGS = [
    *["datestyle = 'SQL, DMY'", "datestyle = 'German'", "datestyle = 'Postgres, MDY'"],
    *["timezone = 'America/St_Johns'", "timezone = 'Europe/Tallinn'", "intervalstyle = 'iso_8601'"],
    *["intervalstyle = 'sql_standard'", "extra_float_digits = 0", "extra_float_digits = -6"],
    *["extra_float_digits = 3", "bytea_output = 'escape'", "standard_conforming_strings = off"],
    *["search_path = s, other, public, pg_catalog", "search_path = s, pg_temp"],
    *["default_transaction_isolation = 'serializable'", "session_replication_role = local"],
    *["session_replication_role = replica", "xmloption = document"],
]
EXPRESSIONS = [
    *["COL", "COL", "COL", "COL::varchar", "(COL)", "coalesce(COL, COL)", "'lit'", "null", "", "1", "true"],
    *["COL is null", "1/0", "count(*) from TABLE", "'a' || 'COL' || $x$ COL $x$", "COL /* COL */ -- COL"],
    *["E'\\'' || 'x'", "nosuch", "'x'::char(5)", "generate_series(1, 3)", "1 where false", "1, 2"],
    *["row(COL, 1)", "array[COL]", "(select COL)", "case when true then COL end", "'open", '"COL"', "õ"],
    *["/* /* x */", "$x$ y", "COL;", "1e5", ".5", "COL.x", "NEW.COL", "TABLE.COL", "upper('x')", "COL COL"],
    *["'2020-01-02'::date", "'10.0.0.1'::inet", "1.50", "now() is null", "concat(COL, 'x')"],
    *["md5(COL::varchar)", "x'1F'", "$1"],
]
CONDITIONS = [
    *["true", "false", "null::bool", "COL is null", "COL is not null", "COL", "1", "true, 1", "COL = COL"],
    *["'t'::dbool"],
]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    generated: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    """A table with its trigger, and the statements that fire it."""

    ddl: list[str]
    table: str
    trigger: str
    settings: list[str]
    statements: list[str]


@dataclass(frozen=True, slots=True)
class Difference:
    contender: str
    seed: str
    ddl: list[str]
    settings: list[str]
    statement: str
    expected: Outcome
    actual: Outcome


@dataclass
class Contender:
    """A database with a pgq, and what is done to it once the table `s.TABLE` has its trigger."""

    name: str
    conn: psycopg.Connection[Any]
    prepare: Callable[[psycopg.Connection[Any], str, str], None] | None = None
    last_event: int = field(default=0, init=False)

    def begin(self, setup: Setup) -> Outcome:
        """A set-up takes the place of the one before."""
        self.conn.execute("reset all")
        for setting in ("timezone = 'UTC'", "search_path = s, public", "client_min_messages = error"):
            self.conn.execute(f"set {setting}".encode())
        self.conn.execute("drop schema if exists s cascade")
        self.conn.execute("create schema s")
        self.conn.execute(TYPES)
        for statement in setup.ddl:
            outcome = self._execute(statement)
            if "error" in outcome:
                return outcome
        if self.prepare is not None:
            self.prepare(self.conn, setup.table, setup.trigger)
        for setting in setup.settings:
            self.conn.execute(f"set {setting}".encode())
        return {}

    def answer(self, statement: str) -> Outcome:
        """What the statement said and which events it made."""
        outcome = self._execute(statement)
        events = self.conn.execute(
            "select ev_id, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4"
            " from pgq.event_template where ev_id > %s order by ev_id",
            [self.last_event],
        ).fetchall()
        self.last_event = events[-1][0] if events else self.last_event
        return outcome | {"events": [event[1:] for event in events]}

    def _execute(self, statement: str) -> Outcome:
        try:
            return {"status": self.conn.execute(statement.encode()).statusmessage}
        except psycopg.Error as error:
            # The oid of a type of the set-up's own is another one in each database.
            return {"error": [error.sqlstate, re.sub(r"got=\d{5,}", "got=OID", error.diag.message_primary or "")]}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str | None) -> str:
    """A literal that means the same whatever standard_conforming_strings says."""
    if text is None:
        return "null"
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def setup_of(random: Random) -> Setup:
    """A random set-up; what it holds depends on nothing but the state of `random`."""
    return _Maker(random).setup()


class _Maker:
    def __init__(self, random: Random) -> None:
        self.random = random
        names = random.sample(NAMES, random.randint(1, 7))
        self.columns = [Column(name, self._type()) for name in names]
        self.key = [column.name for column in self.columns if column.type in KEYS and random.random() < 0.5][:3]
        self.kind = random.choice(KINDS)
        self.table = random.choice(["t", "t", "t", "Ta ble", "ü.x", 'q"q'])
        self.form = random.choices(["table", "partitioned", "view"], [10, 1, 1])[0]

    def _type(self) -> str:
        random = self.random
        return random.choice(COMMON if random.random() < 0.4 else KEYS if random.random() < 0.3 else list(VALUES))

    def setup(self) -> Setup:
        random = self.random
        name = quoted(self.table)
        ddl = self._table(name)
        timing = "instead of" if self.form == "view" else random.choices(["after", "before"], [4, 1])[0]
        if self.form == "partitioned":
            timing = "after"
        arguments = ", ".join(literal(argument) for argument in self._arguments(timing))
        function = f"pgq.{self.kind}({arguments})"
        ddl.append(
            f"create trigger tg {timing} insert or update or delete on {name} for each row execute function {function}"
        )
        if self.form == "table" and random.random() < 0.3:
            ddl.append(f"create trigger tt {timing} truncate on {name} for each statement execute function {function}")
        if random.random() < 0.15:
            ddl.append(f"alter table {name} enable always trigger tg" if self.form == "table" else "select 1")
        settings = random.sample(SETTINGS, random.choice([0, 0, 1, 2]))
        return Setup(ddl, self.table, "tg", settings, [self._statement(name) for _ in range(STATEMENTS_OF_A_SETUP)])

    def _table(self, name: str) -> list[str]:
        random = self.random
        base = quoted(self.table + "_base") if self.form == "view" else name
        parts = [f"{quoted(column.name)} {column.type}" for column in self.columns]
        dropped = random.random() < 0.2
        if dropped:
            parts.insert(random.randint(0, len(parts)), "gone integer")
        if random.random() < 0.12:
            magic = random.choice([*MAGIC, *MAGIC, "_pgq_ev_nosuch"])
            column = Column(magic, random.choice(["text", "integer", "boolean"]))
            self.columns.append(column)
            parts.append(f"{magic} {column.type}")
        if random.random() < 0.15:
            self.columns.append(Column("gen", "text", generated=True))
            parts.append(f"gen text generated always as ({random.choice(['1::text', self._generated()])}) stored")
        self.key = self.key or [column.name for column in self.columns if column.type in KEYS][: random.randint(0, 1)]
        ddl = []
        if self.form == "partitioned":
            parts.append("part integer not null default 1")
            self.columns.append(Column("part", "integer"))
            self.key = [*self.key, "part"] if self.key else []
        if self.key:
            include = random.random() < 0.1
            others = [column.name for column in self.columns if column.name not in self.key and not column.generated]
            covered = f" include ({quoted(others[0])})" if include and others and self.form == "table" else ""
            parts.append(f"primary key ({', '.join(map(quoted, self.key))}){covered}")
        ddl.append(
            f"create table {base} ({', '.join(parts)})" + " partition by list (part)" * (self.form == "partitioned")
        )
        if self.form == "partitioned":
            ddl += [f"create table p{n} partition of {name} for values in ({', '.join(map(str, v))})"
                    for n, v in enumerate([(0, 1), (2, 3), (-5, 2147483647)])]  # fmt: skip
        if dropped:
            ddl.append(f"alter table {base} drop column gone")
        if self.form == "view":
            ddl.append(f"create view {name} as select * from {base}")
        renamed = self.columns[0]
        if self.form == "table" and random.random() < 0.05 and not any(column.generated for column in self.columns):
            ddl.append(f"alter table {base} rename {quoted(renamed.name)} to renamed")
            self.columns[0] = Column("renamed", renamed.type)
        return ddl

    def _generated(self) -> str:
        integers = [column for column in self.columns if column.type in ("integer", "bigint")]
        return f"({quoted(integers[0].name)} % 5)::text" if integers else "'x'"

    def _arguments(self, timing: str) -> list[str]:
        random = self.random
        arguments = ["nosuch" if random.random() < 0.02 else "q"]
        names = [column.name for column in self.columns]

        def listed(count: int) -> str:
            return random.choice([",", ", ", " "]).join(random.sample(names, min(count, len(names))))

        if random.random() < 0.25:
            arguments.append("ignore=" + listed(random.randint(0, 3)))
        if random.random() < (0.8 if self.form == "view" else 0.2):
            arguments.append("pkey=" + random.choice([listed(random.randint(1, 2)), listed(1), "zz", ""]))
        if random.random() < 0.25:
            arguments.append("backup")
        if random.random() < (0.15 if timing == "after" else 0.4):
            arguments.append(random.choices(["SKIP", "skip", "deny"], [6, 1, 1])[0] if timing != "after" else
                             random.choice(["deny", "nonsense", "SKIP", "Backup"]))  # fmt: skip
        if random.random() < 0.3:
            for _ in range(random.randint(1, 3)):
                target = random.choice(["ev_type", "ev_data", "ev_extra1", "ev_extra2", "ev_extra3", "ev_extra4"])
                arguments.append(f"{target}={self._expression(EXPRESSIONS)}")
        if random.random() < 0.15:
            arguments.append("when=" + self._expression(CONDITIONS))
        head, tail = arguments[:1], arguments[1:]
        random.shuffle(tail)
        return head + tail

    def _expression(self, templates: list[str]) -> str:
        column = self.random.choice(self.columns)
        return self.random.choice(templates).replace("COL", column.name).replace("TABLE", self.table)

    def _value(self, column: Column) -> str:
        random = self.random
        if random.random() < 0.02:
            return "default"
        if random.random() < (0.02 if column.name in self.key else 0.15):
            return "null"
        return literal(random.choice(VALUES[column.type]))

    def _statement(self, name: str) -> str:
        random = self.random
        columns = [column for column in self.columns if not column.generated]
        kind = random.choices(["insert", "many", "update", "delete", "truncate", "upsert"], [6, 1, 8, 2, 0.3, 0.7])[0]
        if kind in ("insert", "many", "upsert"):
            rows = [
                f"({', '.join(self._value(column) for column in columns)})" for _ in range(3 if kind == "many" else 1)
            ]
            names = ", ".join(quoted(column.name) for column in columns)
            conflict = (
                " on conflict do nothing" if self.form != "view" and (kind == "many" or random.random() < 0.5) else ""
            )
            if kind == "upsert" and self.key and self.form == "table":
                changed = random.choice(columns)
                keys = ", ".join(quoted(key) for key in self.key)
                conflict = (
                    f" on conflict ({keys}) do update set {quoted(changed.name)} = excluded.{quoted(changed.name)}"
                )
            return f"insert into {name} ({names}) values {', '.join(rows)}{conflict}"
        if kind == "delete":
            return f"delete from {name}{self._where(columns)}"
        if kind == "truncate":
            return f"truncate {name}" if self.form != "view" else f"delete from {name}"
        free = [column for column in columns if column.name not in self.key]
        pool = columns if random.random() < 0.15 or not free else free
        changes = []
        for column in random.sample(pool, min(len(pool), random.choice([1, 1, 2, 3]))):
            value = quoted(column.name) if random.random() < 0.2 else self._value(column)
            changes.append(f"{quoted(column.name)} = {value}")
        return f"update {name} set {', '.join(changes)}{self._where(columns)}"

    def _where(self, columns: list[Column]) -> str:
        column = self.random.choice(columns)
        if self.random.random() < 0.7:
            return ""
        return f" where {quoted(column.name)} is {self.random.choice(['', 'not '])}null"


def differences(contenders: list[Contender], seed: int, cases: int) -> Iterator[tuple[int, list[Difference]]]:
    """The differences from the first contender, a set-up at a time, with the number of cases that it had."""
    done = number = 0
    while done < cases:
        number += 1
        name = f"{seed}/{number}"
        setup = setup_of(Random(name))
        found: list[Difference] = []
        measure, *others = contenders
        outcome = measure.begin(setup)
        begun = {contender.name: contender.begin(setup) for contender in others}
        found += [
            Difference(contender, name, setup.ddl, setup.settings, "(set-up)", outcome, actual)
            for contender, actual in begun.items()
            if actual != outcome
        ]
        if not outcome:
            for statement in setup.statements:
                expected = measure.answer(statement)
                for contender in others:
                    actual = contender.answer(statement)
                    if actual != expected:
                        found.append(
                            Difference(contender.name, name, setup.ddl, setup.settings, statement, expected, actual)
                        )
                done += 1
        yield len(setup.statements) if not outcome else 0, found
