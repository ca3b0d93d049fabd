"""The help of `?`: every key that works here and now, the actions of the row, and why some are disabled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from ..actions import Offer
from ..format import fit, width, wrap
from ..shown import shown
from .action_menu import key_text
from .confirm import MARKS
from .dialog import Dialog, paragraph

_NOT_OURS = frozenset({"screen.copy_text"})
_HEADING = "bold $text-accent"
_LEGEND = "● can be undone  ▲ asks first  ■ destroys: the name must be typed  · only looks"


@dataclass(frozen=True, slots=True)
class HelpLine:
    """One key and what it does."""

    keys: str
    text: str
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class HelpSection:
    """Keys that belong together."""

    title: str
    lines: tuple[HelpLine, ...]


class HelpPanel(Dialog[None]):
    """Made from the active bindings and the action registry, so that it cannot be out of date."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,q,enter", "cancel", "Close", show=False),
        Binding("j,down", "lines(1)", show=False),
        Binding("k,up", "lines(-1)", show=False),
        Binding("space", "scroll_body(1)", show=False),
        Binding("home,g", "edge(0)", show=False),
        Binding("end,G", "edge(1)", show=False),
    ]

    DEFAULT_CSS = """
    HelpPanel #dialog { max-width: 100; }
    """

    def __init__(
        self, place: str, subject: str, offers: Sequence[Offer], sections: Sequence[HelpSection], about: str = ""
    ) -> None:
        super().__init__("help", place)
        self._subject = subject
        self._offers = tuple(offers)
        self._sections = tuple(sections)
        self._about = about

    def compose_body(self) -> ComposeResult:
        yield paragraph("", widget_id="help-text")

    def on_mount(self) -> None:
        self._write()

    def on_resize(self, event: events.Resize) -> None:
        self._write()

    def action_lines(self, count: int) -> None:
        self.query_one("#dialog-body", VerticalScroll).scroll_relative(y=count, animate=False)

    def action_edge(self, end: int) -> None:
        body = self.query_one("#dialog-body", VerticalScroll)
        (body.scroll_end if end else body.scroll_home)(animate=False)

    def _write(self) -> None:
        room = min(100, self.app.size.width * 9 // 10) - 6
        text = help_text(self._subject, self._offers, self._sections, self._about, room=room)
        self.query_one("#help-text", Static).update(text)


def sections_of(screen: Screen[object], skip: Iterable[str] = ()) -> tuple[HelpSection, ...]:
    """The active bindings of a screen, grouped by where they come from; keys in `skip` are left out."""
    left_out = set(skip)
    groups: dict[str, dict[tuple[str, str], list[ActiveBinding]]] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if binding.system or not binding.description or key in left_out or binding.action in _NOT_OURS:
            continue
        title = _place(active, screen)
        groups.setdefault(title, {}).setdefault((binding.action, binding.description), []).append(active)
    order = ["this screen", "everywhere"]
    titles = sorted(groups, key=lambda title: (order.index(title) if title in order else -1, title))
    return tuple(
        HelpSection(
            title,
            tuple(
                HelpLine(
                    " ".join(dict.fromkeys(screen.app.get_key_display(one.binding) for one in found)),
                    found[0].tooltip or description,
                    any(one.enabled for one in found),
                )
                for (_, description), found in groups[title].items()
            ),
        )
        for title in titles
    )


def help_text(
    subject: str, offers: Sequence[Offer], sections: Sequence[HelpSection], about: str = "", *, room: int = 72
) -> Content:
    """The whole text of the panel, for lines of `room` cells."""
    blocks: list[Content] = [Content("\n".join(wrap(shown(about), room)))] if about else []
    if offers:
        title = f"actions for {shown(subject)}" if subject else "actions"
        lines = [Content.styled("\n".join(wrap(title, room)), _HEADING)]
        lines += [_offer_line(offer, room) for offer in offers]
        blocks.append(Content("\n").join(lines))
    for section in sections:
        lines = [Content.styled(section.title, _HEADING), *_in_columns(section.lines, room)]
        blocks.append(Content("\n").join(lines))
    blocks.append(Content.styled("\n".join(wrap(_LEGEND, room)), "$foreground-muted"))
    return Content("\n\n").join(blocks)


def _place(active: ActiveBinding, screen: Screen[object]) -> str:
    if active.node is screen.app:
        return "everywhere"
    if active.node is screen:
        return "this screen"
    return "in the table"


def _offer_line(offer: Offer, room: int) -> Content:
    glyph, style = MARKS[offer.action.risk]
    narrow = room < 60
    indent = 7 if narrow else 32
    words = wrap(offer.action.help if offer.enabled else offer.reason, room - indent)
    text = "\n".join(" " * indent + line for line in words)
    text = "\n" + text if narrow else text.lstrip()
    head, title = f"  {key_text(offer.action.key):<5}", fit(offer.action.title, 23)
    if not offer.enabled:
        return Content.assemble((f"{head}{glyph} {title}", "$foreground-disabled"), (text, "italic $text-warning"))
    return Content.assemble((head, "bold"), (f"{glyph} ", style), title, (text, "$foreground-muted"))


def _in_columns(lines: Sequence[HelpLine], room: int) -> list[Content]:
    """The lines in two columns where they fit side by side, else in one."""
    keys = max((width(line.keys) for line in lines), default=0) + 4
    made = [
        Content.assemble(
            (fit(f"  {line.keys}", keys), "bold" if line.enabled else "$foreground-disabled"),
            (shown(line.text), "" if line.enabled else "$foreground-disabled"),
        )
        for line in lines
    ]
    half = (len(made) + 1) // 2
    first = max((one.cell_length for one in made[:half]), default=0) + 2
    second = max((one.cell_length for one in made[half:]), default=0)
    if first + second > room:
        return made
    right = made[half:] + [Content("")] * (2 * half - len(made))
    return [left.pad_right(first - left.cell_length) + other for left, other in zip(made[:half], right, strict=True)]
