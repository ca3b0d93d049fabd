"""What every screen with a table has: title, totals, alarm, table, detail, filter, log, prompt and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.timer import Timer

from ...engine.monitor.explain import Evidence
from ...engine.monitor.model import Part, Phase
from ...engine.monitor.picture import Picture, Totals
from ..columns import Column, Kind
from ..lines import Line
from ..view import EMPTY, Request, View, ViewState, World, held, neighbour, sorted_by
from ..widgets.command_log import CommandLog
from ..widgets.detail import DetailPane, detail_lines
from ..widgets.filter import FilterBar
from ..widgets.header import title_line
from ..widgets.key_bar import KeyBar
from ..widgets.line_widget import LineWidget
from ..widgets.snapshot_table import SnapshotTable
from ..widgets.states import alarm, all_filtered, connecting, no_pgq
from ..widgets.totals import totals_line

if TYPE_CHECKING:
    from ..app import SkyConsole

HOLD_SECONDS = 1.0
"""After a key the rows keep their order for so long."""
DETAIL_FROM = 120
"""Columns from which the detail pane is shown without being asked for."""
DETAIL_DELAY = 0.15


class TableScreen(Screen[None]):
    """A screen that shows rows of one source. Subclasses say which rows, which columns, and what enter does."""

    NEEDS: ClassVar[frozenset[Part]] = frozenset({Part.SERVER, Part.QUEUES, Part.CONSUMERS})
    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    SORT: ClassVar[tuple[str, bool]] = ("level", True)
    EMPTY_HINT: ClassVar[tuple[Line, ...]] = ()
    CSS_PATH = None
    AUTO_FOCUS = "SnapshotTable"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="screen.filter"),
        Binding("escape", "escape", "Back", show=False, id="screen.back"),
        Binding(
            "less_than_sign",
            "sort_column(-1)",
            "Sort by the column to the left",
            show=False,
            key_display="<",
            id="screen.sort-left",
        ),
        Binding(
            "greater_than_sign",
            "sort_column(1)",
            "Sort by the column to the right",
            show=False,
            key_display=">",
            id="screen.sort-right",
        ),
        Binding("o", "flip", "Turn the order around", show=False, id="screen.flip"),
        Binding("s", "sort_menu", "Sort by …", show=False, id="screen.sort"),
        Binding("Z", "detail", "Detail pane", show=False, id="screen.detail"),
        Binding("e", "explain", "Explain", id="screen.explain"),
        Binding("D", "problem", "Details of a failure", show=False, id="screen.problem"),
    ]

    DEFAULT_CSS = """
    TableScreen { layout: vertical; background: $background; }
    TableScreen > #alarm { display: none; }
    TableScreen > #body { height: 1fr; }
    TableScreen DetailPane { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = SnapshotTable(self.COLUMNS, id="table")
        self.view: View = EMPTY
        self._state = ViewState(*self.SORT)
        self._request: Request | None = None
        self._wants_detail: bool | None = None
        self._detail_timer: Timer | None = None
        self._hold_timer: Timer | None = None

    # What a subclass says

    def selector(self) -> Callable[[World], Sequence[Any]]:
        """A function of the world that gives the rows, unsorted. It runs in the engine's thread: pure, no widgets."""
        raise NotImplementedError

    @property
    def title_crumbs(self) -> tuple[str, ...]:
        """Where this screen is, outermost first; names as they are in the database."""
        raise NotImplementedError

    @property
    def source(self) -> str:
        """The name of the source it shows."""
        return self.console.current_source

    def why(self, row: Any) -> Sequence[Evidence]:
        """Why a row is late."""
        return self.console.explanation(row, self.picture)

    # What it offers

    @property
    def console(self) -> SkyConsole:
        return cast("SkyConsole", self.app)

    @property
    def picture(self) -> Picture | None:
        return self.console.pictures.get(self.source)

    @property
    def request(self) -> Request:
        """What it shows, for whoever arranges it; the same object as long as nothing changed."""
        if self._request is None or self._request.state != self._state:
            self._request = Request(self.selector(), self.COLUMNS, self._state)
        return self._request

    def export_rows(self) -> tuple[tuple[str, ...], tuple[tuple[object, ...], ...]]:
        """Titles, and the rows as they are shown now, with plain values."""
        columns = [column for column in self.COLUMNS if column.kind is not Kind.TREND]
        rows = tuple(
            tuple(
                column.plain(row) if column.kind in {Kind.TEXT, Kind.LEVEL} else column.value(row) for column in columns
            )
            for row in self.table.rows
        )
        return tuple(column.id for column in columns), rows

    # Building

    def compose(self) -> ComposeResult:
        self.table.glyphs = self.console.glyphs
        yield LineWidget(id="title")
        yield LineWidget(id="totals")
        yield LineWidget(id="alarm")
        with Horizontal(id="body"):
            yield self.table
            yield DetailPane(id="detail")
        yield FilterBar(id="filter")
        yield CommandLog(self.console)
        yield from self.console.compose_prompt()
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.rearrange()

    def on_screen_resume(self) -> None:
        self.console.screen_shown(self)
        self._request = None
        self.rearrange()

    def on_resize(self, event: events.Resize) -> None:
        self._place_detail(event.size.width)
        self.query_one(CommandLog).fit(event.size.height)
        self.call_after_refresh(self.draw)

    # Drawing

    def arrived(self, world: World, request: Request | None, view: View | None) -> None:
        """A picture came; `view` was arranged ahead for `request`."""
        if view is None or request is not self._request:
            view = self.request.arrange(world)
        if self.console.seconds_since_key < HOLD_SECONDS and self.view.state == view.state and self.view.rows:
            view = self._hold(view)
        self.show_view(view)

    def rearrange(self) -> None:
        """Arrange the world as it is now and draw it."""
        self.show_view(self.request.arrange(self.console.world))

    def show_view(self, view: View) -> None:
        if not self.app.is_running:  # the program ends, and the widgets before it
            return
        self.view = view
        self.table.show(view.rows, view.state.sort, view.state.descending)
        self.query_one(FilterBar).show(view)
        self.draw()

    def _hold(self, view: View) -> View:
        kept = held(self.view.rows, view)
        if self._hold_timer is None:
            self._hold_timer = self.set_timer(HOLD_SECONDS, self._release)
        return kept

    def _release(self) -> None:
        self._hold_timer = None
        if self.is_current:
            self.rearrange()

    def draw(self) -> None:
        """Everything but the rows: title, totals, alarm, state, detail."""
        if not self.is_mounted or not self.app.is_running:
            return
        console, picture, room, glyphs = self.console, self.picture, self.app.size.width, self.console.glyphs
        now = console.clock.now()
        ground = console.tint_of(self.source) or "title"
        title = title_line(
            self.title_crumbs,
            picture,
            now=now,
            started=console.started,
            read_only=console.read_only,
            room=room,
            glyphs=glyphs,
        )
        self.query_one("#title", LineWidget).draw([title], ground)
        self.query_one("#totals", LineWidget).draw(
            [totals_line(self.totals, remarks=self._remarks(), room=room, glyphs=glyphs)], "totals"
        )
        strip = self.query_one("#alarm", LineWidget)
        alarm_line = alarm(picture, room, glyphs)
        strip.display = bool(alarm_line)
        strip.draw([alarm_line], "alarm")
        dimmed = picture is not None and picture.snapshot.phase in {Phase.STALE, Phase.LOST}
        message = self._message(picture)
        self.table.set_state(
            dimmed=dimmed, waiting=picture is None or picture.snapshot.phase is Phase.CONNECTING, message=message
        )
        self._draw_detail()

    @property
    def totals(self) -> Totals | None:
        """What the line below the title counts; None: nothing is known yet."""
        picture = self.picture
        if picture is None or (picture.snapshot.phase in {Phase.CONNECTING, Phase.NO_PGQ} and not picture.queues):
            return None
        return picture.totals

    def _remarks(self) -> tuple[str, ...]:
        marked = len(self.table.marks)
        remarks = (f"{marked} marked",) if marked else ()
        return (*remarks, "sort held") if self._hold_timer is not None else remarks

    def _message(self, picture: Picture | None) -> tuple[Line, ...]:
        """What stands where rows would, if there are none."""
        if self.table.rows:
            return ()
        console = self.console
        if picture is None or (picture.snapshot.phase is Phase.CONNECTING and not picture.queues):
            ready = sum(1 for one in console.pictures.values() if one.snapshot.phase is Phase.LIVE)
            return connecting(self.source, picture, now=console.clock.now(), started=console.started, ready=ready)
        if picture.snapshot.phase is Phase.NO_PGQ:
            server = picture.snapshot.server
            return no_pgq(self.source, server is not None and not console.read_only)
        if self.view.total and self.view.state.filter:
            return all_filtered(self.view.total, self.view.state.filter)
        return self.empty_message(picture)

    def empty_message(self, picture: Picture) -> tuple[Line, ...]:
        return self.EMPTY_HINT

    def tick(self) -> None:
        """Once a second: ages and the clock."""
        self.draw()

    # The detail pane

    def _place_detail(self, room: int) -> None:
        pane = self.query_one(DetailPane)
        pane.display = room >= DETAIL_FROM if self._wants_detail is None else self._wants_detail
        if pane.display:
            pane.styles.width = max(34, min(64, room * 37 // 100))

    def _draw_detail(self) -> None:
        pane = self.query_one(DetailPane)
        if not pane.display:
            return
        room = max(20, pane.size.width - 3) if pane.size.width else 46
        pane.show(self.detail(room), dimmed=self.table.dimmed)

    def detail(self, room: int) -> tuple[Line, ...]:
        row = self.table.row
        return detail_lines(
            row,
            self.picture,
            why=self.why(row),
            now=self.console.clock.now(),
            thresholds=self.console.thresholds_of(self.source),
            room=room,
            glyphs=self.console.glyphs,
        )

    def on_snapshot_table_moved(self, event: SnapshotTable.Moved) -> None:
        if self._detail_timer is not None:
            self._detail_timer.stop()
        self._detail_timer = self.set_timer(DETAIL_DELAY, self._draw_detail)

    def on_snapshot_table_marks_changed(self, event: SnapshotTable.MarksChanged) -> None:
        self.draw()

    # Order

    def _put_state(self, state: ViewState) -> None:
        if state != self._state:
            self._state = state
            self.rearrange()
            self.table.scroll_cursor_into_sight()

    def on_snapshot_table_heading_clicked(self, event: SnapshotTable.HeadingClicked) -> None:
        self._put_state(sorted_by(self._state, event.column))

    def action_sort_column(self, step: int) -> None:
        self._put_state(neighbour(self._state, self.COLUMNS, step))

    def action_flip(self) -> None:
        self._put_state(replace(self._state, descending=not self._state.descending))

    def action_sort_menu(self) -> None:
        from .sort_menu import SortMenu

        def chosen(column: Column | None) -> None:
            if column is not None:
                self._put_state(sorted_by(self._state, column))

        self.app.push_screen(SortMenu(self.COLUMNS, self._state), chosen)

    # Filter

    def action_filter(self) -> None:
        self.query_one(FilterBar).begin()

    def action_filter_level(self, word: str) -> None:
        """Show rows of this level only; again: all."""
        text = f"level={word}"
        self.query_one(FilterBar).put("" if self._state.filter == text else text)

    def action_clear_filter(self) -> None:
        self.query_one(FilterBar).put("")
        self.table.focus()

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        self._put_state(replace(self._state, filter=event.text))

    def on_filter_bar_left(self, event: FilterBar.Left) -> None:
        self.table.focus()
        self.query_one(FilterBar).show(self.view)

    # Ways out

    def action_escape(self) -> None:
        """Back: the filter first, then the marks, then the screen."""
        if not self.table.has_focus:
            self.table.focus()
        elif self._state.filter:
            self.action_clear_filter()
        elif self.table.marks:
            self.table.action_clear_marks()
        else:
            self.console.go_back()

    def action_detail(self) -> None:
        pane = self.query_one(DetailPane)
        self._wants_detail = not pane.display
        self._place_detail(self.app.size.width)
        self.call_after_refresh(self._draw_detail)

    def action_explain(self) -> None:
        from .text_dialog import LinesDialog

        if self.table.row is not None:
            self.app.push_screen(LinesDialog("explain", self.detail))

    def action_problem(self) -> None:
        from ..widgets.states import first_problem, problem_lines
        from .text_dialog import LinesDialog

        problem = first_problem(self.picture)
        if problem is not None:
            self.app.push_screen(LinesDialog("what failed", lambda room: problem_lines(problem, self.source, room)))

    def on_prompt_pane_closed(self) -> None:
        self.table.focus()
