"""The command language at a prompt: one line, one statement or more. Source: spec/qadmin.md, part 1."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory
from prompt_toolkit.lexers import PygmentsLexer
from psycopg import AsyncConnection

from ... import __version__
from ...engine.errors import ExitCode, SkyError
from ...engine.language.batch import read_names
from ...engine.language.errors import LanguageError
from ...engine.language.executor import Executor, application_name
from ...engine.language.model import Command, Context, Risk
from ...engine.language.names import NO_NAMES, Names
from ...engine.language.output import render_error, render_outcome
from ...engine.language.parse import statements
from ...engine.postgres.connect import connect
from .history import default_path, has_secret
from .lexer import SkyLexer
from .ptk import SkyCompleter, bottom_line

_LEAVE = ("exit", "exit;", "quit", "quit;", "\\q")


class SafeHistory(FileHistory):
    """The shared history; a line that names a password is not written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        super().__init__(str(path))

    def append_string(self, string: str) -> None:
        if string.strip() and not has_secret(string):
            super().append_string(string)


class Repl:
    """One person at one database."""

    def __init__(self, executor: Executor, context: Context, database: str, *, compat: bool) -> None:
        self._executor = executor
        self._context = context
        self._database = database
        self._compat = compat
        self._names: Names = NO_NAMES
        lexer = PygmentsLexer(SkyLexer)
        lexer.pygments_lexer = SkyLexer(lambda: self._names)
        self._session: PromptSession[str] = PromptSession(
            history=SafeHistory(default_path()), lexer=lexer, completer=SkyCompleter(lambda: self._names),
            bottom_toolbar=lambda: bottom_line(self._session.default_buffer.document), complete_while_typing=False,
        )  # fmt: skip

    async def run(self) -> None:
        """Until `exit` or the end of input."""
        while True:
            self._names = await read_names(self._executor, self._context.default_queue)
            try:
                text = await self._session.prompt_async(
                    f"{self._context.default_queue or '(noqueue)'}@{self._database}> "
                )
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if text.strip() in _LEAVE:
                return
            await self._line(text)

    async def _line(self, text: str) -> None:
        try:
            found = statements(text, self._names)
        except LanguageError as error:
            print(render_error(error), end="")  # noqa: T201
            return
        for one in found:
            for notice in one.notices:
                print(f"NOTICE: {notice}")  # noqa: T201
            if not await self._may_run(one.command):
                return
            outcome = await self._executor.run(one.command, self._context)
            width = self._session.output.get_size().columns
            print(render_outcome(outcome, width, compat=self._compat), end="")  # noqa: T201
            if not outcome.ok:
                return

    async def _may_run(self, command: Command) -> bool:
        """What destroys runs only when its name is typed."""
        if command.risk < Risk.DESTROYS:
            return True
        session: PromptSession[str] = PromptSession()
        try:
            typed = await session.prompt_async(f"{command.reason}. Type {command.confirm_name} to run it: ")
        except (KeyboardInterrupt, EOFError):
            typed = ""
        if typed == command.confirm_name:
            return True
        print("Nothing was run.")  # noqa: T201
        return False


async def interact(where: str, context: Context, *, compat: bool) -> ExitCode:
    """Greets, and runs what is typed."""

    async def open_connection() -> AsyncConnection:
        return await connect(where, application_name=application_name(), connect_timeout=15.0)

    executor = Executor(open_connection)
    try:
        connection = await executor.open()
        version = connection.info.parameter_status("server_version")
        print(f"qadmin (skyconsole {__version__}, server {version}), the PgQ interactive terminal")  # noqa: T201
        print('Type "show help;" for help.')  # noqa: T201
        await Repl(executor, replace(context), connection.info.dbname, compat=compat).run()
    except SkyError as error:
        print(f"{error.message}\n{error.hint}".rstrip())  # noqa: T201
        return error.exit_code
    finally:
        await executor.close()
    return ExitCode.DONE
