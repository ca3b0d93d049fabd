"""The frame every dialog stands in: centred, as small as its content, never larger than the screen."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from ..shown import shown
from .signs import SignText, in_ascii, only_ascii

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer]):
    """A modal screen with a title, a body that scrolls when it must, and a row of buttons that always shows.

    Live data goes on arriving behind it. Subclasses give `compose_body`, `compose_foot` and the buttons.
    """

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
        background: $background 55%;
        hatch: none;
        & #dialog {
            width: 90%;
            max-width: 92;
            height: auto;
            border: round $border;
            border-title-color: $foreground;
            border-title-style: bold;
            border-subtitle-color: $foreground-muted;
            background: $surface;
            padding: 0 1;
        }
        &.-production #dialog { border: round $error; border-subtitle-color: $text-error; }
        &.-ascii #dialog { border: ascii $border; }
        &.-ascii.-production #dialog { border: ascii $error; }
        & #dialog-body {
            height: auto;
            scrollbar-size-vertical: 1;
            scrollbar-background: $surface;
            scrollbar-color: $panel-lighten-2;
            scrollbar-background-hover: $surface;
            scrollbar-color-hover: $primary;
            & > Static { width: 1fr; height: auto; }
            & > .dialog-paragraph { height: auto; width: 1fr; }
            & .dialog-sign { width: 2; height: auto; }
            & .dialog-marked { width: 1fr; height: auto; }
        }
        & #dialog-foot { height: auto; }
        & #dialog-buttons { height: 1; margin-top: 1; }
        &.-low #dialog-buttons { margin-top: 0; }
        & #dialog-buttons Button {
            margin-right: 1;
            width: auto;
            min-width: 0;
            background: $panel;
            color: $foreground;
            text-style: none;
            &:focus { background: $primary; color: $background; text-style: bold; background-tint: transparent; }
            &:hover { background: $primary 50%; }
            &:disabled { color: $foreground-disabled; }
            &:nocolor:focus { text-style: bold underline; }
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="dialog.cancel"),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
        Binding("pagedown,ctrl+f", "scroll_body(1)", "Read on", show=False, id="dialog.down"),
        Binding("pageup,ctrl+b", "scroll_body(-1)", "Read back", show=False, id="dialog.up"),
    ]

    def __init__(self, title: str, subtitle: str = "", *, production: bool = False) -> None:
        super().__init__()
        self._heading = title
        self._subheading = subtitle
        self.set_class(production, "-production")

    def compose(self) -> ComposeResult:
        frame = Vertical(id="dialog")
        frame.border_title = _border_text(self._heading)
        frame.border_subtitle = _border_text(self._subheading) if self._subheading else None
        with frame:
            with VerticalScroll(id="dialog-body", can_focus=False):
                yield from self.compose_body()
            with Vertical(id="dialog-foot"):
                yield from self.compose_foot()
            with Horizontal(id="dialog-buttons"):
                yield from self.compose_buttons()

    def compose_body(self) -> ComposeResult:
        """What there is to read."""
        yield from ()

    def compose_foot(self) -> ComposeResult:
        """What always stays in sight between the body and the buttons."""
        yield from ()

    def compose_buttons(self) -> ComposeResult:
        """The ways out, most harmless first."""
        yield button("Close", "esc", "cancel")

    def on_mount(self) -> None:
        if only_ascii(self.app):
            self.add_class("-ascii")
            frame = self.query_one("#dialog", Vertical)
            frame.border_title = in_ascii(_border_text(self._heading))
            frame.border_subtitle = in_ascii(_border_text(self._subheading)) if self._subheading else None
            for one in self.query(Button):
                one.label = in_ascii(Content(str(one.label)))
        self._fit()

    def on_resize(self, event: events.Resize) -> None:
        self._fit()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.name:
            self.run_later(event.button.name)

    def run_later(self, action: str) -> None:
        """Runs one of this dialog's actions after the message that asked for it."""
        self.call_later(self.run_action, action)

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_scroll_body(self, pages: int) -> None:
        body = self.query_one("#dialog-body", VerticalScroll)
        body.scroll_relative(y=pages * max(1, body.size.height - 1), animate=False)

    def _fit(self) -> None:
        """Gives the body what the screen has left beside the frame, the foot and the buttons."""
        low = self.app.size.height < 20
        self.set_class(low, "-low")
        foot = self.query_one("#dialog-foot", Vertical)
        beside = sum(child.outer_size.height or 1 for child in foot.children if child.display)
        room = self.app.size.height - 2 - beside - (1 if low else 2) - (0 if low else 2)
        self.query_one("#dialog-body", VerticalScroll).styles.max_height = max(2, room)


def button(label: str, key: str, action: str, *, widget_id: str | None = None) -> Button:
    """A one-line button that shows its key and runs the dialog's action of this name."""
    made = Button(Content(f"{label} {key}"), name=action, id=widget_id, compact=True)
    made.active_effect_duration = 0
    return made


def paragraph(content: Content | str, *, widget_id: str | None = None, classes: str | None = None) -> Static:
    """Text in a dialog, wrapped, never read as markup."""
    text = Content(content) if isinstance(content, str) else content
    return SignText(text, id=widget_id, classes=classes)


def marked(glyph: str, style: str, content: Content | str, *, widget_id: str | None = None) -> Horizontal:
    """A paragraph behind a glyph; lines that wrap stay indented."""
    sign = SignText(Content.styled(glyph, style), classes="dialog-sign")
    return Horizontal(sign, paragraph(content, classes="dialog-marked"), id=widget_id, classes="dialog-paragraph")


def _border_text(text: str) -> Content:  # the border cuts what is too long, so the body names things too
    return Content(f" {shown(text)} ")
