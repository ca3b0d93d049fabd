"""A widget that draws ready-made lines: no layout, no markup, no children."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from ..format import width
from ..lines import Line

if TYPE_CHECKING:
    from ..glyphs import Glyphs
    from ..role_styles import RoleStyles


class Drawing(Widget):
    """What every widget that draws by role shares: the app's styles and signs."""

    @property
    def role_styles(self) -> RoleStyles:
        return cast("RoleStyles", self.app.role_styles)  # type: ignore[attr-defined]

    @property
    def glyphs(self) -> Glyphs:
        return cast("Glyphs", self.app.glyphs)  # type: ignore[attr-defined]


class LineWidget(Drawing):
    """Draws `lines` on a ground; a click on a span with an action runs it."""

    DEFAULT_CSS = """
    LineWidget { height: 1; width: 1fr; }
    """
    ALLOW_SELECT = False

    ground = "base"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.lines: Sequence[Line] = ()
        self.dimmed = False

    def draw(self, lines: Sequence[Line], ground: str | None = None, dimmed: bool = False) -> None:
        """Show these lines; only those that differ are painted again."""
        old, self.lines = self.lines, tuple(lines)
        changed_ground = ground is not None and ground != self.ground
        if changed_ground and ground is not None:
            self.ground = ground
        if changed_ground or dimmed is not self.dimmed or len(old) != len(self.lines):
            self.dimmed = dimmed
            self.refresh(layout=len(old) != len(self.lines))
            return
        for y, (before, now) in enumerate(zip(old, self.lines, strict=True)):
            if before != now:
                self.refresh(Region(0, y, self.size.width, 1))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self.lines))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        room = self.size.width
        return line_strip(
            self.lines[y] if y < len(self.lines) else (), room, self.role_styles, self.ground, self.dimmed
        )

    async def on_click(self, event: events.Click) -> None:
        action = action_at(self.lines, event.x, event.y)
        if action:
            event.stop()
            await self.run_action(action)


def line_strip(spans: Line, room: int, styles: RoleStyles, ground: str, dimmed: bool = False) -> Strip:
    """The spans as one strip of exactly `room` cells."""
    segments = [Segment(span.text, styles.get(span.role, ground, dimmed)) for span in spans]
    return Strip(segments).adjust_cell_length(room, styles.get("text", ground, dimmed))


def action_at(lines: Sequence[Line], x: int, y: int) -> str:
    """The action of the span at these cells; empty: none."""
    if not 0 <= y < len(lines):
        return ""
    for span in lines[y]:
        x -= width(span.text)
        if x < 0:
            return span.action
    return ""
