"""The `:` pane, driven by keys on a host that has nothing but the pane."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from skyconsole.console.prompt.history import History
from skyconsole.console.prompt.lexer import SkyLexer
from skyconsole.console.prompt.overlays import CompletionMenu, HintLine
from skyconsole.console.prompt.pane import PromptPane
from skyconsole.console.prompt.ptk import SkyCompleter
from skyconsole.engine.language.commands import EVERY, CreateQueue, Help, ShowConsumer, ShowQueue
from skyconsole.engine.language.names import Names
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Static

NAMES = Names(("orders", "billing", "[/x]", "MyQ"), {"orders": ("mailer",)})


class Host(App[None]):
    BINDINGS = [("colon", "prompt", "Prompt"), ("q", "leave", "Leave")]  # noqa: RUF012
    CSS = "Static.rows { height: 1fr; }"

    def __init__(self, *texts: str) -> None:
        super().__init__()
        history = History()
        for text in texts:
            history.append(text)
        self.pane = PromptPane(history, names=NAMES)
        self.said: list[object] = []
        self.left = False

    def compose(self) -> ComposeResult:
        yield Static("rows", classes="rows")
        yield self.pane

    def action_prompt(self) -> None:
        self.pane.open()

    def action_leave(self) -> None:
        self.left = True

    def on_prompt_pane_submitted(self, message: PromptPane.Submitted) -> None:
        self.said.append(message.commands)

    def on_prompt_pane_closed(self, message: PromptPane.Closed) -> None:
        self.said.append("closed")


async def keys(pilot: Pilot[None], *presses: str) -> None:
    """Presses keys; a press of several letters that is no key's name is typed."""
    for press in presses:
        await pilot.press(*(press if " " in press or press.endswith(";") else [press]))
    await pilot.pause()


def screen_of(app: App[None]) -> str:
    """What is on the screen, as text."""
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def test_a_colon_opens_it_enter_runs_and_closes_it() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        await keys(pilot, "colon", "show consumer * on orders;", "enter")
        assert app.said == [(ShowConsumer(EVERY, "orders"),), "closed"]
        assert (app.pane.text, app.pane.is_open) == ("", False)


async def test_several_statements_are_submitted_together() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await keys(pilot, "colon", "create queue a; show queue a;", "enter")
        assert app.said[0] == (CreateQueue("a"), ShowQueue("a"))


async def test_escape_leaves_and_keeps_the_text() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await keys(pilot, "colon", "drop queue ", "escape")
        assert (app.said, app.pane.text, app.pane.is_open) == (["closed"], "drop queue ", False)
        await keys(pilot, "q")
        assert app.left
        await keys(pilot, "colon", "x")
        assert app.pane.text == "drop queue x"


async def test_the_keyboard_goes_back_to_where_it_was() -> None:
    app = Host()
    async with app.run_test() as pilot:
        rows = app.query_one(".rows", Static)
        rows.can_focus = True
        rows.focus()
        await keys(pilot, "colon", "show queue;", "enter")
        assert app.focused is rows


async def test_while_closed_no_key_goes_into_it() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await keys(pilot, "tab", "x", "tab")
        assert (app.pane.text, app.focused) == ("", None)


async def test_tab_completes_a_single_way_at_once() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await keys(pilot, "colon", "d", "tab", "tab", "o", "tab")
        assert app.pane.text == "drop queue orders "


async def test_tab_lists_and_tab_again_chooses() -> None:
    app = Host()
    async with app.run_test(size=(60, 16)) as pilot:
        await keys(pilot, "colon", "drop queue ", "tab")
        menu = app.query_one(CompletionMenu)
        assert menu.is_open
        assert "[/x]" in screen_of(app)
        assert "MyQ" in screen_of(app)
        await keys(pilot, "tab", "enter")
        assert (app.pane.text, menu.is_open) == ("drop queue billing ", False)


async def test_the_menu_follows_what_is_typed() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await keys(pilot, "colon", "drop queue ", "tab", "m")
        assert [one.label for one in app.query_one(CompletionMenu).suggestions] == ["MyQ"]
        await keys(pilot, "escape")
        assert app.pane.is_open
        await keys(pilot, "tab")
        assert app.pane.text == 'drop queue "MyQ" '


async def test_the_line_above_says_what_may_come_and_what_is_destroyed() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        await keys(pilot, "colon", "drop queue ")
        assert "<queue> [force | if empty]" in screen_of(app)
        assert "destroys" in screen_of(app)


async def test_an_error_stands_above_and_nothing_is_submitted() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        await keys(pilot, "colon", "show quue;", "enter")
        assert (app.said, app.pane.text) == ([], "show quue;")
        assert app.query_one(HintLine).has_class("-error")
        assert "Did you mean queue?" in screen_of(app)


async def test_enter_on_an_unfinished_statement_offers_its_rest() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await keys(pilot, "colon", "alter queue orders", "enter")
        assert app.said == []
        assert [one.text for one in app.query_one(CompletionMenu).suggestions] == ["set "]


async def test_ghost_text_from_the_history_is_taken_by_right() -> None:
    app = Host("show queue;", "show consumer * on orders;")
    async with app.run_test(size=(80, 24)) as pilot:
        await keys(pilot, "colon", "s", "h")
        assert ": show consumer * on orders;" in screen_of(app)
        assert app.pane.text == "sh"
        await keys(pilot, "right")
        assert app.pane.text == "show consumer * on orders;"


async def test_up_and_down_walk_the_history_and_come_back() -> None:
    app = Host("create queue a;", "show queue;", "show consumer;")
    async with app.run_test() as pilot:
        await keys(pilot, "colon", "s", "up", "up")
        assert app.pane.text == "show queue;"
        await keys(pilot, "up", "down", "down")
        assert app.pane.text == "s"


async def test_ctrl_r_searches_the_history() -> None:
    app = Host("create queue a;", "show queue a;", "show consumer;")
    async with app.run_test(size=(80, 24)) as pilot:
        await keys(pilot, "colon", "ctrl+r", "u", "e")
        assert app.pane.text == "show queue a;"
        await keys(pilot, "ctrl+r")
        assert app.pane.text == "create queue a;"
        assert "2 of 2" in screen_of(app)
        await keys(pilot, "enter", "enter")
        assert app.said[0] == (CreateQueue("a"),)


async def test_ctrl_o_grows_it_and_ctrl_j_breaks_the_line() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.pane.size.height == 1
        await keys(pilot, "colon", "create queue a;", "ctrl+j")
        assert app.pane.outer_size.height == 2
        await keys(pilot, "ctrl+o")
        assert app.pane.outer_size.height == 12
        await keys(pilot, "show queue a;", "enter")
        assert app.said == [(CreateQueue("a"), ShowQueue("a"))]
        assert app.pane.is_open


async def test_f1_explains_the_statement() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await keys(pilot, "colon", "drop queue ", "f1")
        assert app.said == [(Help("drop queue"),)]
        assert app.pane.text == "drop queue "


async def test_names_are_drawn_whole_and_never_as_markup() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        await keys(pilot, "colon")
        app.pane.open('show queue "[/x]";')
        await pilot.pause()
        assert ': show queue "[/x]";' in screen_of(app)


def test_the_history_is_prompt_toolkits_and_holds_no_password(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history"
    history = History(path)
    for text in (
        "show queue;",
        "create queue\n a;",
        "connect password = 'x';",
        "connect 'postgres://u:secret@h/d';",
        " ",
    ):
        history.append(text)
    again = History(path)
    again.load()
    assert again.texts == ("show queue;", "create queue\n a;")
    assert list(FileHistory(str(path)).load_history_strings()) == ["create queue\n a;", "show queue;"]
    FileHistory(str(path)).store_string("show help;")
    later = History(path)
    later.load()
    assert later.texts[-1] == "show help;"
    assert path.stat().st_mode & 0o077 == 0


def test_a_history_that_cannot_be_written_goes_on_in_memory(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.load()
    history.append("show queue;")
    assert history.texts == ("show queue;",)
    assert "cannot be" in history.problem


@pytest.mark.parametrize("text", ["show queue orders; -- x", "foo 'bar", "\n\n show"])
def test_the_lexer_gives_back_the_whole_text(text: str) -> None:
    assert "".join(value for _, _, value in SkyLexer().get_tokens_unprocessed(text)) == text


def test_the_prompt_toolkit_face_offers_the_same() -> None:
    from prompt_toolkit.completion import CompleteEvent

    found = SkyCompleter(lambda: NAMES).get_completions(Document("drop queue m"), CompleteEvent())
    assert [(one.text, one.start_position) for one in found] == [('"MyQ" ', -1)]
