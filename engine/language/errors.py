"""What is said when a text is not in the language."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError


class LanguageError(UsageError):
    """A text that is not in the language, with the place where it stops being so and what could stand there."""

    def __init__(
        self,
        text: str,
        position: int,
        message: str,
        *,
        expected: Sequence[str] = (),
        hint: str = "",
        incomplete: bool = False,
        length: int = 1,
    ) -> None:
        super().__init__(message, hint)
        self.text = text
        self.position = position
        """Characters from the beginning of the text."""
        self.length = length
        """Characters of the offending word."""
        self.expected = tuple(expected)
        self.incomplete = incomplete
        """The text only ends too early: more of it could be right."""

    @property
    def line(self) -> int:
        """The line of the place, counted from 1."""
        return self.text.count("\n", 0, self.position) + 1

    @property
    def column(self) -> int:
        """The column of the place, counted from 1."""
        return self.position - (self.text.rfind("\n", 0, self.position) + 1) + 1
