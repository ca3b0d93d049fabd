"""The language for prompt_toolkit: completion, validation, ghost text and the line below the prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.validation import ValidationError, Validator

from ...engine.language.complete import complete, hint
from ...engine.language.errors import LanguageError
from ...engine.language.names import Names
from ...engine.language.parse import parse
from .history import History


class SkyCompleter(Completer):
    """Completes from the names that exist now; asks no server."""

    def __init__(self, names: Callable[[], Names]) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        for one in complete(document.text, document.cursor_position, self._names()):
            start = one.start - document.cursor_position
            yield Completion(one.text, start_position=start, display=one.label, display_meta=one.meta)


class SkyValidator(Validator):
    """Refuses what is not in the language, with the cursor at the place; what is only unfinished may be typed on."""

    def __init__(self, names: Callable[[], Names]) -> None:
        self._names = names

    def validate(self, document: Document) -> None:
        try:
            parse(document.text, self._names())
        except LanguageError as error:
            raise ValidationError(error.position, str(error)) from error


class SkySuggest(AutoSuggest):
    """Ghost text from the history."""

    def __init__(self, history: History) -> None:
        self._history = history

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        ghost = self._history.ghost(document.text)
        return Suggestion(ghost) if ghost else None


def bottom_line(document: Document) -> str:
    """The grammar of the position, for prompt_toolkit's bottom toolbar."""
    return hint(document.text, document.cursor_position)
