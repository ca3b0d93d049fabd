"""The console's application: modes, the engine thread, the messages between them. It wires, it does not decide."""

from __future__ import annotations

import locale
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from ..engine.clock import Clock, SystemClock
from ..engine.errors import SkyError, UsageError
from ..engine.language.journal import Journal
from ..engine.language.names import Names
from ..engine.monitor.explain import Evidence, explain
from ..engine.monitor.model import Phase, Problem
from ..engine.monitor.picture import ConsumerRow, Picture, QueueRow
from ..engine.monitor.source import Source
from ..engine.monitor.thresholds import Thresholds
from ..engine.settings import Settings
from .engine_thread import EngineThread
from .format import period
from .glyphs import ASCII, UNICODE
from .navigation import Navigator
from .performing import Opens
from .polling import Readings
from .prompt.history import History
from .prompt.pane import PromptPane
from .role_styles import RoleStyles, own_defaults
from .screens.changes import ChangesScreen
from .screens.consumers import ConsumersScreen
from .screens.daemons import DaemonsScreen
from .screens.overview import OverviewScreen
from .screens.queues import QueuesScreen
from .screens.table_screen import TableScreen
from .shown import shown
from .themes import DEFAULT_THEME, shipped_themes, textual_theme
from .view import Request, View, World, with_picture
from .widgets.confirm import FailureDialog


class SkyConsole(Navigator):
    """The full-screen console on one or more sources."""

    TITLE = "skyconsole"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: $background; color: $foreground; }
    ModalScreen { background: $background 60%; }
    * {
        scrollbar-color: $secondary;
        scrollbar-color-hover: $primary;
        scrollbar-color-active: $primary;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
        scrollbar-corner-color: $background;
    }
    """
    MODES: ClassVar[dict[str, Any]] = {
        "overview": OverviewScreen,
        "queues": QueuesScreen,
        "consumers": ConsumersScreen,
        "daemons": DaemonsScreen,
        "events": ChangesScreen,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "show_mode('overview')", "Overview", show=False, id="app.overview"),
        Binding("2", "show_mode('queues')", "Queues", show=False, id="app.queues"),
        Binding("3", "show_mode('consumers')", "Consumers", show=False, id="app.consumers"),
        Binding("7", "show_mode('daemons')", "Daemons", show=False, id="app.daemons"),
        Binding("8", "show_mode('events')", "Events", show=False, id="app.events"),
        Binding("colon", "prompt", "Cmd", key_display=":", id="app.prompt"),
        Binding("p", "pause", "Pause", id="app.pause"),
        Binding("r", "refresh_now", "Refresh now", show=False, id="app.refresh"),
        Binding("plus", "interval(1)", "Read less often", show=False, key_display="+", id="app.slower"),
        Binding("underscore", "interval(-1)", "Read more often", show=False, key_display="_", id="app.faster"),
        Binding("minus", "last_place", "Last screen", show=False, key_display="-", id="app.last"),
        Binding("i", "install_pgq", "Install PgQ", show=False, id="app.install"),
        Binding("q", "leave", "Leave", show=False, id="app.leave"),
        Binding("ctrl+q", "quit", "Quit", show=False, id="app.quit"),
    ]

    @dataclass
    class PictureReady(Message):
        """A picture came in; `view` is what the active screen shows of it, arranged in the engine's thread."""

        picture: Picture
        request: Request | None = None
        view: View | None = None

    engine: EngineThread

    @dataclass
    class Installed(Message):
        """PgQ was installed into a database, or not."""

        source: str
        text: str
        problem: SkyError | None = None

    def __init__(
        self,
        sources: Sequence[Source],
        settings: Settings | None = None,
        clock: Clock | None = None,
        read_only: bool | None = None,
        theme: str | None = None,
        autostart: bool = True,
        *,
        interval: float = 2.0,
        ascii_only: bool = False,
        journal: Journal | None = None,
        history: History | None = None,
    ) -> None:
        chosen = settings or Settings()
        groups = [chosen.group_of(source.name) for source in sources]
        guarded = any(group is not None and group.read_only for group in groups)
        super().__init__(read_only=guarded if read_only is None else read_only)
        for colours in shipped_themes():
            self.register_theme(textual_theme(colours))
        if theme and theme not in self.available_themes:
            own = ", ".join(name for name in sorted(self.available_themes) if name.startswith("sky-"))
            raise UsageError(f'There is no theme "{theme}".', f"Ours are {own}; ctrl+p lists all.")
        self.theme = theme or DEFAULT_THEME
        self.clock = clock or SystemClock()
        self.started = self.clock.now()
        self.glyphs = ASCII if ascii_only or not _speaks_unicode() else UNICODE
        self.set_class(self.glyphs is ASCII, "-ascii")
        self.engine = EngineThread()
        self.world = World()
        self.settings = chosen
        self._sources = {source.name: source for source in sources}
        self._current = next(iter(self._sources), "")
        self.readings = Readings(self.engine, sources, self.clock, interval, self.receive)
        self.journal = journal or Journal(clock=self.clock)
        self.history = history or History()
        self._autostart = autostart
        self._request: Request | None = None
        self._last_key = -1e9
        self._told: set[tuple[str, Problem]] = set()
        self._styles: tuple[str, RoleStyles] | None = None

    # What others ask

    @property
    def pictures(self) -> Mapping[str, Picture]:
        """The newest picture of each source."""
        return self.world.pictures

    @property
    def picture(self) -> Picture | None:
        return self.world.pictures.get(self._current)

    @property
    def current_source(self) -> str:
        return self._current

    @property
    def source_names(self) -> tuple[str, ...]:
        return tuple(self._sources)

    def source_named(self, name: str) -> Source | None:
        return self._sources.get(name)

    @property
    def seconds_since_key(self) -> float:
        return self.clock.monotonic() - self._last_key

    def thresholds_of(self, source: str) -> Thresholds:
        return self.settings.thresholds_of(source)

    def tint_of(self, source: str) -> str:
        """'prod', 'test' or '': the ground of the title."""
        group = self.settings.group_of(source)
        if group is None:
            return ""
        return {"red": "prod", "green": "test"}.get(group.tint, group.name if group.name in {"prod", "test"} else "")

    def in_production(self, source: str) -> bool:
        return self.tint_of(source) == "prod"

    def explanation(self, row: object, picture: Picture | None) -> Sequence[Evidence]:
        """Why a queue or a consumer is late."""
        if picture is None or not isinstance(row, QueueRow | ConsumerRow):
            return ()
        return explain(picture, row)

    # Colours

    @property
    def role_styles(self) -> RoleStyles:
        """The styles of the present theme."""
        if self._styles is None or self._styles[0] != self.theme:
            self._styles = (self.theme, RoleStyles(self.get_css_variables(), self.no_color))
        return self._styles[1]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return own_defaults(self.current_theme.to_color_system().generate())

    # Life

    def on_mount(self) -> None:
        self.engine.start()
        self.switch_mode("overview" if len(self._sources) > 1 else "queues")
        self.set_interval(1.0, self._each_second)
        if self._autostart:
            self.readings.start({name: self.thresholds_of(name) for name in self._sources})

    def on_unmount(self) -> None:
        self.readings.stop()
        self.engine.stop()

    def compose_prompt(self) -> ComposeResult:
        """The prompt's line, for every screen; all of them share the history."""
        yield PromptPane(self.history)

    def action_prompt(self) -> None:
        self.open_prompt()

    def command_done(self) -> None:
        super().command_done()
        self.readings.force()

    def open_prompt(self, text: str = "", at: int | None = None) -> None:
        """Give the keyboard to the prompt of the active screen; with a text, that stands in it."""
        screen = self.table_screen
        if screen is None or screen is not self.screen:
            return
        pane = screen.query_one(PromptPane)
        pane.names = Names.of(self.picture)
        pane.open(text, at)

    def on_prompt_pane_submitted(self, message: PromptPane.Submitted) -> None:
        message.pane.names = Names.of(self.picture)
        self.run_commands(message.commands)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self._last_key = self.clock.monotonic()
        await super().on_event(event)

    def _each_second(self) -> None:
        screen = self.table_screen
        if screen is not None:
            screen.tick()

    # Pictures

    def receive(self, picture: Picture) -> None:
        """Take a picture in. Runs in the engine's thread (or in a test): it arranges, posts, and touches no widget."""
        self.world = world = with_picture(self.world, picture)
        request = self._request
        view = request.arrange(world) if request is not None else None
        if self._loop is not None and not self._loop.is_closed():
            self.post_message(self.PictureReady(picture, request, view))

    def on_sky_console_picture_ready(self, message: PictureReady) -> None:
        picture = message.picture
        if self.world.pictures.get(picture.snapshot.source) is not picture:
            return  # a newer one is on its way
        self._tell_refusals(picture)
        screen = self.table_screen
        if screen is not None:
            screen.arrived(self.world, message.request, message.view)
            self._request = screen.request

    def _tell_refusals(self, picture: Picture) -> None:
        """A part that may not be read is told once; the columns show `?`."""
        if picture.snapshot.phase is not Phase.LIVE:
            return
        for problem in picture.snapshot.problems:
            key = (picture.snapshot.source, problem)
            if key not in self._told:
                self._told.add(key)
                text = shown(f"{problem.message} {problem.hint}".rstrip())
                self.notify(text, title=shown(picture.snapshot.source), severity="warning", markup=False)

    def screen_shown(self, screen: TableScreen) -> None:
        """A screen came to the front: from now on its rows are arranged ahead."""
        self._request = screen.request
        self.readings.demand(screen.source, screen.NEEDS)

    def choose_source(self, name: str) -> None:
        if name in self._sources:
            self._current = name

    # Reading

    def action_pause(self) -> None:
        self.readings.pause(not self.readings.paused)

    def action_refresh_now(self) -> None:
        self.readings.force()

    def action_interval(self, step: int) -> None:
        seconds = self.readings.step(step)
        self.notify(f"a reading every {period(seconds)}", timeout=2, markup=False)

    def action_install_pgq(self) -> None:
        """Install PgQ into the present database, if it lacks it."""
        source, picture = self.source_named(self._current), self.picture
        if picture is None or picture.snapshot.phase is not Phase.NO_PGQ:
            return
        if self.read_only:
            self.notify("read-only: press R", title="not installed", severity="warning", markup=False)
        elif source is None or not hasattr(source, "open_connection"):
            self.notify("This source takes no commands.", title=self._current, severity="warning", markup=False)
        else:
            from .screens.install_pgq import ask_and_install

            ask_and_install(self, self._current, cast(Opens, source))

    def on_sky_console_installed(self, message: Installed) -> None:
        problem = message.problem
        if problem is None:
            self.notify(message.text, title=f"installed in {message.source}", markup=False)
            self.readings.force()
        else:
            self.push_screen(
                FailureDialog(
                    "install pgq", message.source, problem.message, hint=problem.hint, state="nothing was changed"
                )
            )

    def on_app_blur(self) -> None:
        self.readings.away(True)

    def on_app_focus(self) -> None:
        self.readings.away(False)


def _speaks_unicode() -> bool:
    return "utf" in locale.getpreferredencoding(False).lower()
