"""The commands on the triggers that write a table's changes into queues. Source: spec/pgq.md 8."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from ..postgres.sql import queries
from .literal import quote_string
from .looks import Looks
from .model import Command, Context, Guard, Plan, Risk, Row, Step, Undo
from .tokens import Kind, quote_name, scan

_FILE = "language/aside.sql"
FORMS = ("auto", "row", "statement")
"""What a capture trigger can be compiled to; 'auto': what is faster for it."""


def table_name(schema: str, table: str) -> str:
    """A table as SQL names it, each part quoted where it must be."""
    return f"{quote_name(schema)}.{quote_name(table)}"


def write_table(table: str) -> str:
    """The table as the language writes it: its SQL name, or that between single quotes where it is no name."""
    found = scan(table)
    plain = len(found) == 1 and found[0].kind is Kind.NAME and found[0].text == table
    return table if plain else quote_string(table)


def _has_table(table: str) -> Guard:
    return Guard(Step(queries(_FILE)["table_exists"], (table,)), f"There is no table {table}.")


@dataclass(frozen=True, slots=True)
class ShowCapture(Looks):
    """Lists the capture triggers of the database or of a table."""

    table: str | None = None
    """As SQL names it; None: every table."""

    def text(self) -> str:
        return "show capture;" if self.table is None else f"show capture on {write_table(self.table)};"

    def plan(self, context: Context) -> Plan:
        sql = queries(_FILE)
        steps = (
            Step(sql["captures"], (self.table,), only_if=sql["tells_captures"]),
            Step(sql["trigger_captures"], (self.table, self.table), only_if=sql["tells_no_captures"]),
        )
        guards = () if self.table is None else (_has_table(self.table),)
        return Plan(steps, "", title=f"Capture triggers on {self.table or 'every table'}:", guards=guards)


def _compiles() -> Guard:
    return Guard(
        Step(queries(_FILE)["compiles"]),
        "The PgQ of this database compiles no capture triggers.",
        "skyconsole's own PgQ does: `skyconsole install pgq --dsn DSN`.",
    )


def _form(table: str, trigger: str) -> Step:
    return Step(queries(_FILE)["form"], (table, trigger))


@dataclass(frozen=True, slots=True)
class CompileCapture:
    """Puts a function made for this very table behind a capture trigger: the same events, faster."""

    trigger: str
    table: str
    """As SQL names it."""
    form: str = "auto"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UsageError(f"There is no form {self.form}.", f"Forms: {', '.join(FORMS)}.")

    @property
    def risk(self) -> Risk:
        return Risk.REVERSIBLE

    @property
    def reason(self) -> str:
        return "replaces the trigger; waits for a lock on the table"

    @property
    def confirm_name(self) -> str:
        return ""

    def text(self) -> str:
        ending = "" if self.form == "auto" else f" as {self.form}"
        return f"compile capture {quote_name(self.trigger)} on {write_table(self.table)}{ending};"

    def plan(self, context: Context) -> Plan:
        return Plan(
            (Step(queries(_FILE)["compile"], (self.table, self.trigger, self.form)),),
            "COMPILE",
            guards=(_compiles(), _has_table(self.table)),
            effect=(f"{self.trigger} on {self.table} gets a function made for its columns; its events stay the same",),
            inverse=UncompileCapture(self.trigger, self.table),
            undo=Undo(_form(self.table, self.trigger), self._inverse),
        )

    def _inverse(self, rows: tuple[Row, ...]) -> Command | None:
        """A trigger that was compiled before is made anew: there is nothing to go back to."""
        if not rows:
            return None
        before = str(rows[0][0])
        return UncompileCapture(self.trigger, self.table) if before == "generic" else None


@dataclass(frozen=True, slots=True)
class UncompileCapture:
    """Puts the generic function behind a capture trigger again."""

    trigger: str
    table: str
    """As SQL names it."""

    @property
    def risk(self) -> Risk:
        return Risk.REVERSIBLE

    @property
    def reason(self) -> str:
        return "replaces the trigger; waits for a lock on the table"

    @property
    def confirm_name(self) -> str:
        return ""

    def text(self) -> str:
        return f"uncompile capture {quote_name(self.trigger)} on {write_table(self.table)};"

    def plan(self, context: Context) -> Plan:
        return Plan(
            (Step(queries(_FILE)["uncompile"], (self.table, self.trigger)),),
            "UNCOMPILE",
            guards=(_compiles(), _has_table(self.table)),
            effect=(f"{self.trigger} on {self.table} gets the generic function; its events stay the same",),
            inverse=CompileCapture(self.trigger, self.table),
            undo=Undo(_form(self.table, self.trigger), self._inverse),
        )

    def _inverse(self, rows: tuple[Row, ...]) -> Command | None:
        before = str(rows[0][0]) if rows else ""
        return CompileCapture(self.trigger, self.table, before) if before in FORMS else None
