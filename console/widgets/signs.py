"""Text with signs such as ■ and ✓, which become ASCII on terminals that have only that."""

from __future__ import annotations

from textual.app import App
from textual.content import Content
from textual.visual import VisualType
from textual.widgets import Static

from ..glyphs import ASCII

_TO_ASCII = str.maketrans("●▲■○·✓⏎…→›↑↓←—", "o!#--*<~>>^v<-")


def only_ascii(app: App[object]) -> bool:
    """Whether the application draws with ASCII signs."""
    return getattr(app, "glyphs", None) is ASCII


def in_ascii(content: Content) -> Content:
    """The content with its signs in ASCII; each stays one cell, so the styles stay in place."""
    return Content(content.plain.translate(_TO_ASCII), spans=list(content.spans))


def text_in_ascii(text: str) -> str:
    """The text with its signs in ASCII."""
    return text.translate(_TO_ASCII)


class SignText(Static):
    """A Static that is never read as markup and whose signs suit the terminal."""

    def __init__(self, content: Content | str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(content, id=id, classes=classes, markup=False)

    def render(self) -> VisualType:
        made = super().render()
        return in_ascii(made) if isinstance(made, Content) and only_ascii(self.app) else made
