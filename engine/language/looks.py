"""What the commands that only look have in common: no risk, no question."""

from __future__ import annotations

from .model import Risk


class Looks:
    """Base of the commands that change nothing (design: risk 0)."""

    __slots__ = ()

    @property
    def risk(self) -> Risk:
        return Risk.LOOK

    @property
    def reason(self) -> str:
        return ""

    @property
    def confirm_name(self) -> str:
        return ""
