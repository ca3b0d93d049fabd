"""The `:` pane at the bottom of any screen: a line for the command language, that grows when it is asked to.

It knows nothing of the application: it is given names, and posts what was typed.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Offset
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static, TextArea

from ...engine.language.commands import Help
from ...engine.language.complete import Suggestion, about, complete, hint, place
from ...engine.language.errors import LanguageError
from ...engine.language.model import Command, Risk
from ...engine.language.names import NO_NAMES, Names
from ...engine.language.parse import parse
from ..widgets.signs import SignText
from .area import PromptArea
from .history import History
from .overlays import CompletionMenu, HintLine

GROWN = 12
"""Lines of the pane after ctrl+o."""
_REST = "— Tab complete · ↑ history · F1 grammar"


class PromptPane(Widget):
    """One line by default; ctrl+o makes it twelve.

    Enter runs what is complete, Tab completes, → takes the ghost text, ↑ ↓ walk the history, ctrl+r searches it,
    ctrl+j breaks the line, F1 explains the statement, esc leaves and keeps the text.
    """

    DEFAULT_CSS = """
    PromptPane {
        height: 1; width: 100%; background: $surface; color: $foreground;
        & > Horizontal { height: 1fr; padding: 0 1; }
        & .prompt-sign { width: 2; height: 1; color: $foreground-muted; text-style: bold; }
        & .prompt-rest { width: auto; height: 1; color: $foreground-muted; }
        &.-open { background: $panel; }
        &.-open .prompt-sign { color: $accent; }
        &.-open .prompt-rest { display: none; }
        &.-empty PromptArea { display: none; }
        &.-open PromptArea { display: block; }
        &.-grown { border-top: solid $primary; }
    }
    """

    @dataclass
    class Submitted(Message):
        """Enter was pressed on complete statements."""

        pane: PromptPane
        commands: tuple[Command, ...]
        text: str

        @property
        def control(self) -> PromptPane:
            return self.pane

    @dataclass
    class Closed(Message):
        """The pane gave the keyboard back; its text stays unless it was run."""

        pane: PromptPane

        @property
        def control(self) -> PromptPane:
            return self.pane

    def __init__(
        self,
        history: History | None = None,
        *,
        names: Names = NO_NAMES,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._history = history if history is not None else History()
        self._area = PromptArea(self._key)
        self._area.names = names
        self._area.can_focus = False
        self._hint = HintLine()
        self._menu = CompletionMenu()
        self._walk: list[str] = []
        self._step = -1
        self._draft = ""
        self._search: str | None = None
        self._own_edit = False
        self._before: Widget | None = None
        self.add_class("-empty")

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(":", classes="prompt-sign", markup=False)
            yield self._area
            yield SignText(_REST, classes="prompt-rest")
        yield self._hint
        yield self._menu

    # What the application calls

    @property
    def names(self) -> Names:
        """The names that are completed and recognised."""
        return self._area.names

    @names.setter
    def names(self, names: Names) -> None:
        self._area.names = names

    @property
    def text(self) -> str:
        return self._area.text

    @property
    def is_open(self) -> bool:
        """It has the keyboard."""
        return self.has_class("-open")

    def open(self, text: str = "", at: int | None = None) -> None:
        """Takes the keyboard; with a text, that replaces what was typed before, the cursor behind `at` characters."""
        if text:
            self._put(text)
            if at is not None:
                self._area.move_cursor((0, at))
        self.add_class("-open")
        if not self._area.has_focus:
            self._before = self.screen.focused
        # Only an open prompt takes part in the focus: the tab key never lands in it.
        self._area.can_focus = True
        self._area.focus()
        self._update()

    def close(self) -> None:
        """Gives the keyboard back and keeps the text."""
        if not self.is_open:
            return
        self.remove_class("-open", "-grown")
        self._menu.close()
        self._hint.display = False
        self._search = None
        self._area.ghost = ""
        self._fit()
        if self._area.has_focus:
            before = self._before
            self.screen.set_focus(before if before is not None and before.is_attached and before.focusable else None)
        self._area.can_focus = False
        self.post_message(self.Closed(self))

    # Keys

    async def _key(self, event: events.Key) -> bool:
        """Whether the key is the prompt's own; anything else is the text's."""
        if self._search is not None:
            return self._key_in_search(event)
        match event.key:
            case "enter":
                self._enter()
            case "ctrl+j" | "shift+enter":
                self._area.insert("\n")
            case "tab" | "shift+tab":
                self._tab(-1 if event.key == "shift+tab" else 1)
            case "up" | "down":
                return self._up_or_down(-1 if event.key == "up" else 1)
            case "right" | "end" | "ctrl+e" if self._area.ghost and self._area.at_end:
                self._put(self.text + self._area.ghost)
            case "escape":
                if self._menu.is_open:
                    self._menu.close()
                else:
                    self.close()
            case "ctrl+o":
                self.toggle_class("-grown")
                self._fit()
                self.call_after_refresh(self._update)
            case "ctrl+r":
                self._begin_search()
            case "f1":
                self._explain()
            case _:
                return False
        return True

    def _enter(self) -> None:
        chosen = self._menu.chosen
        if chosen is not None:
            self._accept(chosen)
            return
        text = self.text
        if not text.strip():
            self.close()
            return
        try:
            commands = tuple(parse(text, self.names))
        except LanguageError as error:
            self._refuse(error)
            return
        if not commands:
            return
        self._history.append(text)
        self._put("")
        self.post_message(self.Submitted(self, commands, text))
        if not self.has_class("-grown"):
            self.close()

    def _refuse(self, error: LanguageError) -> None:
        """Says what is wrong; a text that only lacks its end goes on in the next line, or is completed."""
        if error.incomplete and (self.has_class("-grown") or "\n" in self.text):
            self._area.insert("\n")
            return
        if error.incomplete and error.expected:
            self._area.move_cursor(self._area.location_at(len(self.text)))
            if not self.text[-1].isspace():
                self._area.insert(" ")
            self._open_menu()
            return
        self._area.move_cursor(self._area.location_at(error.position))
        self._show_error(error)

    def _tab(self, step: int) -> None:
        if self._menu.is_open:
            self._menu.move(step)
            return
        found = complete(self.text, self._area.offset_of_cursor, self.names)
        if len(found) == 1:
            self._accept(found[0])
        elif found:
            common = _common(found, self.text, self._area.offset_of_cursor)
            if common:
                self._area.insert(common)
            self._open_menu()

    def _up_or_down(self, step: int) -> bool:
        if self._menu.is_open:
            self._menu.move(step)
            return True
        row = self._area.cursor_location[0]
        last = self._area.document.line_count - 1
        if (step < 0 and row > 0) or (step > 0 and row < last and self._step < 0):
            return False
        self._walk_history(-step)
        return True

    def _walk_history(self, older: int) -> None:
        if self._step < 0:
            self._draft = self.text
            self._walk = self._history.starting(self._draft)
        step = min(len(self._walk) - 1, max(-1, self._step + older))
        if step == self._step:
            return
        self._put(self._walk[step] if step >= 0 else self._draft)
        self._step = step

    def _explain(self) -> None:
        """Help on the statement at the cursor."""
        at = place(self.text, self._area.offset_of_cursor)
        names = list(dict.fromkeys(path.rule.name for path in at.paths))
        first = {name.partition(" ")[0] for name in names}
        topic = names[0] if len(names) == 1 else first.pop() if len(first) == 1 else ""
        command = Help(topic)
        self.post_message(self.Submitted(self, (command,), command.text()))

    # The search in the history

    def _begin_search(self) -> None:
        self._draft, self._search, self._step = self.text, "", 0
        self._menu.close()
        self._area.ghost = ""
        self._show_search()

    def _key_in_search(self, event: events.Key) -> bool:
        search = self._search or ""
        match event.key:
            case "escape" | "ctrl+c" | "ctrl+g":
                self._end_search(self._draft)
            case "ctrl+r" | "up":
                self._step += 1
                self._show_search()
            case "down":
                self._step = max(0, self._step - 1)
                self._show_search()
            case "backspace":
                self._search, self._step = search[:-1], 0
                self._show_search()
            case _ if event.is_printable and event.character:
                self._search, self._step = search + event.character, 0
                self._show_search()
            case "enter" | "tab" | "right" | "end":
                self._end_search(self.text)
            case _:
                return False
        return True

    def _show_search(self) -> None:
        found = list(self._history.search(self._search or ""))
        self._step = min(self._step, max(0, len(found) - 1))
        self._put(found[self._step] if found else self._draft, keep_walk=True)
        count = f"{self._step + 1} of {len(found)}" if found else "nothing found"
        left = Content.assemble(("history: ", "$accent"), (self._search or "", "bold $foreground"), ("▏", "$accent"))
        self._place_hint(left, Content(f"{count} · ctrl+r older · Enter takes · esc"), error=not found)

    def _end_search(self, text: str) -> None:
        self._search = None
        self._put(text)
        self._update()

    # What is drawn

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.set_class(not self.text, "-empty")
        if self._search is not None:
            return
        if self._own_edit:
            self._own_edit = False
        else:
            self._step = -1
        self._fit()
        self._update()
        if self._menu.is_open:
            self._open_menu()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        if self.is_open and self._search is None and not self._hint.has_class("-error"):
            self._update()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        if event.widget is self._area and self.app.app_focus:
            self.close()

    def on_resize(self, event: events.Resize) -> None:
        if self.is_open:
            self.call_after_refresh(self._update)

    def on_click(self, event: events.Click) -> None:
        if not self.is_open:
            self.open()

    def _put(self, text: str, *, keep_walk: bool = False) -> None:
        """Replaces the text without taking it for something typed."""
        if text != self.text:
            self._own_edit = True
            self._area.put(text)
        if not keep_walk:
            self._step = -1

    def _accept(self, one: Suggestion) -> None:
        """Puts a completion at its place; the blank it brings is not doubled."""
        cursor = self._area.offset_of_cursor
        text = one.text
        if text.endswith(" ") and self.text[cursor : cursor + 1] == " ":
            text = text[:-1]
        self._menu.close()
        self._area.replace(text, self._area.location_at(one.start), self._area.location_at(cursor))

    def _open_menu(self) -> None:
        cursor = self._area.offset_of_cursor
        found = complete(self.text, cursor, self.names)
        if not found:
            self._menu.close()
            return
        column = self._area.cursor_screen_offset.x - (cursor - found[0].start)
        self._menu.show(found, Offset(column, self.region.y - 1), self.screen.size.width)

    def _update(self) -> None:
        """The ghost text and the line of grammar, as the text and the cursor now stand."""
        if not self.is_open or self._search is not None:
            return
        cursor = self._area.offset_of_cursor
        self._area.ghost = self._history.ghost(self.text) if self._area.at_end else ""
        at = place(self.text, cursor)
        if at.wrong is not None:
            try:
                parse(self.text, self.names)
            except LanguageError as error:
                self._show_error(error)
            return
        meaning = Content(about(self.text, cursor))
        rules = {path.rule for path in at.paths}
        if len(rules) == 1 and (risk := next(iter(rules)).risk) >= Risk.COSTLY:
            word = "destroys" if risk is Risk.DESTROYS else "costly"
            meaning = Content.assemble(meaning, (f" · {word}", "$text-error"))
        self._place_hint(Content(hint(self.text, cursor)), meaning)

    def _show_error(self, error: LanguageError) -> None:
        self._place_hint(Content(error.message), Content(error.hint), error=True)

    def _place_hint(self, left: Content, right: Content, *, error: bool = False) -> None:
        self._hint.show(left, right, Offset(self.region.x, self.region.y - 1), error=error)

    def _fit(self) -> None:
        """As many lines as the text has, between one and twelve; twelve when it was grown."""
        lines = GROWN if self.has_class("-grown") else max(1, min(GROWN, self._area.document.line_count))
        self.styles.height = lines


def _common(found: list[Suggestion], text: str, cursor: int) -> str:
    """What all completions have in common behind the cursor, when all of them go on from what is typed."""
    typed = text[found[0].start : cursor]
    if not typed or any(one.start != found[0].start or not one.text.startswith(typed) for one in found):
        return ""
    first, last = min(one.text for one in found), max(one.text for one in found)
    length = next((index for index, letter in enumerate(first) if letter != last[index : index + 1]), len(first))
    return first[len(typed) : length].rstrip() if length > len(typed) else ""
