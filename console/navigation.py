"""Where a person is and where the keys lead: modes, the way back, the way from a change to what it is about."""

from __future__ import annotations

from typing import Any

from ..engine.language.tokens import quote_name
from ..engine.monitor.picture import Change, ConsumerRow, DatabaseRow, QueueRow
from .aside_columns import CaptureRow
from .running import CommandRunner
from .screens.captures import CapturesScreen
from .screens.dead_letters import DeadLettersScreen
from .screens.listed import ListedScreen
from .screens.members import MembersScreen
from .screens.table_screen import TableScreen
from .screens.waiting import WaitingScreen
from .shown import shown
from .view import World


class Navigator(CommandRunner):
    """An application with modes that each keep their stack of screens. The console's application is one."""

    world: World
    _place_before = "overview"

    def choose_source(self, name: str) -> None:
        """Make this the source that the screens show."""
        raise NotImplementedError

    def open_prompt(self, text: str = "", at: int | None = None) -> None:
        """Give the keyboard to the prompt, with a text in it and the cursor behind so many characters."""
        raise NotImplementedError

    def command_done(self) -> None:
        screen = self.table_screen
        if isinstance(screen, ListedScreen):
            screen.action_read()

    @property
    def table_screen(self) -> TableScreen | None:
        """The topmost screen with a table, below any dialog."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, TableScreen)), None)

    def selected_row(self) -> object | None:
        """The row under the cursor of the active screen."""
        screen = self.table_screen
        return screen.table.row if screen is not None else None

    def marked_rows(self) -> tuple[object, ...]:
        """The marked rows of the active screen."""
        screen = self.table_screen
        return screen.table.marked if screen is not None else ()

    def action_show_mode(self, mode: str) -> None:
        """Go to a mode; to the base screen of the mode that is shown already."""
        if mode != self.current_mode:
            self._place_before = self.current_mode
            self.switch_mode(mode)
        elif len(self.screen_stack) > 1 and isinstance(self.screen, TableScreen):
            self.action_leave_screens(len(self.screen_stack) - 1)

    def action_last_place(self) -> None:
        self.action_show_mode(self._place_before)

    def action_leave_screens(self, steps: int) -> None:
        """Leave so many screens of this mode."""
        for _ in range(min(steps, len(self.screen_stack) - 1)):
            self.pop_screen()

    def go_back(self) -> None:
        self.action_leave_screens(1)

    def action_leave(self) -> None:
        """To the overview; from there, out."""
        if self.current_mode != "overview":
            self.action_show_mode("overview")
        else:
            self.leave()

    def action_open_row(self) -> None:
        screen = self.table_screen
        if screen is not None:
            screen.table.action_open()

    def action_open_batch(self) -> None:
        row = self.selected_row()
        if isinstance(row, ConsumerRow):
            self.open_events(self.current_source, row)

    def open_events(self, source: str, row: ConsumerRow) -> None:
        """The consumer's open batch, or the newest events of its queue when it has none."""
        from .screens.batch_events import EventsScreen

        facts = row.facts
        if facts.batch_id is None:
            self.push_screen(EventsScreen(source, facts.queue))
        else:
            self.push_screen(EventsScreen(source, facts.queue, facts.name, facts.batch_id))

    def open_consumer(self, source: str, row: ConsumerRow) -> None:
        """The members of a group; else what the consumer works on."""
        facts, picture = row.facts, self.world.pictures.get(source)
        rows = picture.consumers if picture is not None else ()
        if any(one.facts.main == facts.name and one.facts.queue == facts.queue for one in rows):
            self.push_screen(MembersScreen(source, facts.queue, facts.name))
        else:
            self.open_events(source, row)

    def action_open_members(self) -> None:
        row = self.action_row()
        if isinstance(row, ConsumerRow) and not isinstance(self.table_screen, MembersScreen):
            self.push_screen(MembersScreen(self._source_of(row), row.facts.queue, row.facts.main or row.facts.name))

    def action_add_member(self) -> None:
        """The prompt with the statement that lets one more worker share the consumer's batches."""
        row, screen = self.action_row(), self.table_screen
        queue = main = None
        if isinstance(row, ConsumerRow):
            queue, main = row.facts.queue, row.facts.main or row.facts.name
        elif isinstance(screen, MembersScreen):
            queue, main = screen.queue, screen.main
        if queue is not None and main is not None:
            self.open_prompt(f"register subconsumer  for {quote_name(main)} on {quote_name(queue)};", at=21)

    def action_open_letters(self) -> None:
        self._open_aside(DeadLettersScreen)

    def action_open_waiting(self) -> None:
        self._open_aside(WaitingScreen)

    def action_open_captures(self) -> None:
        row = self.action_row()
        if isinstance(row, CaptureRow):
            screen = self.table_screen
            if not isinstance(screen, CapturesScreen) or screen.relation is None:
                self.push_screen(CapturesScreen(self._source_of(row), None, row.capture.relation))
        elif not isinstance(self.table_screen, CapturesScreen):
            self.push_screen(CapturesScreen(self._source_of(row), getattr(self.table_screen, "queue", None)))

    def _open_aside(self, screen: type[DeadLettersScreen | WaitingScreen]) -> None:
        """What stands aside of the row: of its consumer or queue; of the database where the row is of neither."""
        if isinstance(self.table_screen, screen):
            return
        row = self.action_row()
        queue: str | None = None
        consumer: str | None = None
        match row:
            case ConsumerRow():
                queue, consumer = row.facts.queue, row.facts.main or row.facts.name
            case QueueRow():
                queue = row.facts.name
            case _:
                queue = getattr(self.table_screen, "queue", None)
                consumer = getattr(self.table_screen, "consumer", None)
        self.push_screen(screen(self._source_of(row), queue, consumer))

    def _source_of(self, row: object) -> str:
        """The source that a row belongs to: a row of the overview is one, others are of the source that is shown."""
        if isinstance(row, DatabaseRow):
            self.choose_source(row.source)
            return row.source
        screen = self.table_screen
        return screen.source if screen is not None else self.current_source

    def go_to(self, change: Change) -> None:
        """Show the queue or consumer that a change is about."""
        picture = self.world.pictures.get(change.source)
        if picture is None:
            return
        self.choose_source(change.source)
        for mode, rows in (("queues", picture.queues), ("consumers", picture.consumers)):
            for row in rows:
                if change.subject == _subject(row):
                    self.action_show_mode(mode)
                    self.call_after_refresh(self._put_cursor, row.key)
                    return
        self.notify("There is nothing more to show of it.", title=shown(change.subject), markup=False)

    def _put_cursor(self, key: Any) -> None:
        screen = self.table_screen
        if screen is not None:
            screen.table.put_cursor(key)


def _subject(row: Any) -> str:
    facts = row.facts
    return f"consumer {facts.name} on {facts.queue}" if isinstance(row, ConsumerRow) else f"queue {facts.name}"
