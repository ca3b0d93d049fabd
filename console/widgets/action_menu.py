"""The menu of actions for the row under the cursor: key, risk, and why an action is disabled."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...engine.language.model import Risk
from ..actions import Action, Offer
from ..format import fit
from ..shown import shown
from .confirm import MARKS
from .dialog import Dialog, paragraph
from .signs import in_ascii, only_ascii

RISK_WORDS: dict[Risk, str] = {
    Risk.LOOK: "looks",
    Risk.REVERSIBLE: "can be undone",
    Risk.COSTLY: "asks first",
    Risk.DESTROYS: "destroys",
}


class MenuList(OptionList, can_focus=True):
    """A list for dialogs: plain ground, j and k move too."""

    DEFAULT_CSS = """
    MenuList {
        height: auto;
        border: none;
        padding: 0;
        text-wrap: nowrap;
        text-overflow: ellipsis;
        background: transparent;
        background-tint: transparent;
        &:focus { border: none; background-tint: transparent; }
        & > .option-list--option { padding: 0; }
        & > .option-list--option-highlighted { background: $primary 35%; color: $foreground; text-style: none; }
        &:focus > .option-list--option-highlighted { background: $primary 35%; color: $foreground; text-style: none; }
        &:nocolor > .option-list--option-highlighted { text-style: reverse; }
    }
    """

    def on_mount(self) -> None:
        if only_ascii(self.app):
            for index, option in enumerate(self.options):
                if isinstance(option.prompt, Content):
                    self.replace_option_prompt_at_index(index, in_ascii(option.prompt))

    BINDINGS = [("j", "cursor_down"), ("k", "cursor_up"), ("g", "first"), ("G", "last")]  # noqa: RUF012


class ActionMenu(Dialog[Action]):
    """Lists the offers; the answer is the action that was chosen, by Enter, click or its own key."""

    DEFAULT_CSS = """
    ActionMenu #dialog { max-width: 72; }
    ActionMenu #menu-help { margin-top: 1; color: $foreground-muted; min-height: 2; }
    ActionMenu.-low #menu-help { margin-top: 0; min-height: 1; }
    """

    def __init__(
        self, subject: str, offers: Sequence[Offer], source: str, *, count: int = 1, production: bool = False
    ) -> None:
        super().__init__("actions", source, production=production)
        self._subject = f"{count} marked rows" if count > 1 else subject
        self._offers = list(offers)

    def compose_body(self) -> ComposeResult:
        yield paragraph(Content.styled(shown(self._subject) or "no row", "bold"))
        yield MenuList(
            *[
                Option(_line(offer), id=str(number), disabled=not offer.enabled)
                for number, offer in enumerate(self._offers)
            ],
            markup=False,
            id="menu",
        )

    def compose_foot(self) -> ComposeResult:
        yield paragraph("", widget_id="menu-help")

    def on_mount(self) -> None:
        menu = self.query_one(MenuList)
        menu.focus()
        menu.action_first()

    @on(OptionList.OptionHighlighted)
    def _explain(self, event: OptionList.OptionHighlighted) -> None:
        self.query_one("#menu-help", Static).update(self._offers[event.option_index].action.help)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._offers[event.option_index].action)

    def on_key(self, event: events.Key) -> None:
        named = [
            offer
            for offer in self._offers
            if event.key not in {"enter", "escape"} and _pressed(event) == offer.action.key
        ]
        if not named:
            return
        event.stop()
        event.prevent_default()
        offer = next((one for one in named if one.enabled), named[0])
        if offer.enabled:
            self.dismiss(offer.action)
        else:
            self.app.notify(offer.reason, title=offer.action.title, severity="warning", markup=False)


def key_text(key: str) -> str:
    """A key as it is shown to people."""
    return {"enter": "⏎", "escape": "esc", "space": "space"}.get(key, key.replace("ctrl+", "^"))


def _pressed(event: events.Key) -> str:
    return event.character if event.is_printable and event.character else event.key


def _line(offer: Offer) -> Content:
    action = offer.action
    glyph, style = MARKS[action.risk]
    if not offer.enabled:
        return Content.assemble(
            (f"{key_text(action.key):>3}  ", "$foreground-disabled"),
            (f"{glyph} {fit(action.title, 24)}", "$foreground-disabled"),
            (offer.reason, "italic $foreground-muted"),
        )
    return Content.assemble(
        (f"{key_text(action.key):>3}  ", "bold $text-accent"),
        (f"{glyph} ", style),
        fit(action.title, 24),
        (RISK_WORDS[action.risk], "$foreground-muted"),
    )
