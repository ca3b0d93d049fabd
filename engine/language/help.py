"""The command that explains the language."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from .looks import Looks
from .model import Context, Plan, Risk
from .nodes import syntax

_RISK_WORDS = {
    Risk.LOOK: "",
    Risk.REVERSIBLE: "can be undone",
    Risk.COSTLY: "costly",
    Risk.DESTROYS: "destroys",
}


@dataclass(frozen=True, slots=True)
class Help(Looks):
    """Shows the statements of the language, or those that begin with some words."""

    topic: str = ""
    """Words with single blanks between them, in lower case: `create queue`."""

    def text(self) -> str:
        return f"help {self.topic};" if self.topic else "show help;"

    def plan(self, context: Context) -> Plan:
        # The grammar names this class: it is complete only once both modules are read.
        from .grammar import RULES

        rules = [rule for rule in RULES if self.topic in rule.name or rule.name.startswith(self.topic)]
        if not rules:
            raise UsageError(f"There is no help on {self.topic}.", "`show help;` lists the statements.")
        rows = tuple(
            (
                f"{syntax(rule.form)};",
                rule.help,
                ": ".join(filter(None, (_RISK_WORDS[rule.risk], rule.reason))),
                rule.example,
            )
            for rule in rules
        )
        title = f"Help on {self.topic}:" if self.topic else "Statements:"
        return Plan((), "", title=title, columns=("statement", "what it does", "risk", "example"), rows=rows)
