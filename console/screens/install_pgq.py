"""Installing PgQ into a database that lacks it: shows the SQL first, then runs it in one transaction."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Button

from ...engine.errors import SkyError
from ...engine.postgres.modules import InstallReport, Module, install, module_named
from ..performing import Opens
from ..shown import shown
from ..widgets.dialog import Dialog, button, paragraph

if TYPE_CHECKING:
    from ..app import SkyConsole

MODULE = "pgq"


class InstallDialog(Dialog[bool]):
    """The module's SQL, whole; the answer is whether it shall run."""

    def __init__(self, module: Module, source: str, *, production: bool = False) -> None:
        super().__init__(f"install {module.name} {module.version}", source, production=production)
        self._module = module

    def compose_body(self) -> ComposeResult:
        yield paragraph(f"{len(self._module.files)} files in one transaction; needs the right to create a schema.")
        for name in self._module.files:
            sql = self._module.folder.joinpath(name).read_text("utf-8")
            yield paragraph(Content.styled(f"\n-- {name}", "bold"))
            yield paragraph(Content.styled(shown(sql, keep_lines=True), "$foreground-muted"))

    def compose_buttons(self) -> ComposeResult:
        yield button("Cancel", "esc", "cancel", widget_id="install-no")
        yield button("Install", "⏎", "install", widget_id="install-yes")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#install-no", Button).focus()

    def action_install(self) -> None:
        self.dismiss(True)


async def installed(source: Opens) -> InstallReport:
    """Install the module over a connection of its own. Raises SkyError; the database is then as it was."""
    conn = await source.open_connection("skyconsole:install")
    try:
        return await install(conn, MODULE)
    finally:
        await conn.close()


def ask_and_install(console: SkyConsole, name: str, source: Opens) -> None:
    """Show the SQL, and install when it is wanted; what came of it is a message of the application's."""

    def over(future: Future[InstallReport]) -> None:
        """Runs in the engine's thread."""
        if future.cancelled():
            return
        failure = future.exception()
        if failure is None:
            report = future.result()
            console.post_message(console.Installed(name, f"{report.name} {report.version or ''}: {report.detail}"))
        elif isinstance(failure, SkyError):
            console.post_message(console.Installed(name, "", failure))
        else:
            console.post_message(console.Installed(name, "", SkyError(f"{type(failure).__name__}: {failure}")))

    def answered(wanted: bool | None) -> None:
        if wanted:
            console.engine.submit(installed(source)).add_done_callback(over)

    dialog = InstallDialog(module_named(MODULE), name, production=console.in_production(name))
    console.push_screen(dialog, answered)
