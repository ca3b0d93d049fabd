"""The language for pygments: the same walk through the grammar, told in pygments' words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pygments.lexer import Lexer
from pygments.token import Comment, Error, Keyword, Name, Number, Punctuation, String, Whitespace, _TokenType

from ...engine.language.highlight import Role, highlight
from ...engine.language.names import NO_NAMES, Names

TOKEN_OF_ROLE: Mapping[Role, _TokenType] = {
    Role.VERB: Keyword,
    Role.OBJECT: Keyword.Type,
    Role.KEYWORD: Keyword.Reserved,
    Role.KNOWN: Name.Entity,
    Role.NEW: Name,
    Role.NUMBER: Number,
    Role.STRING: String,
    Role.SIGN: Punctuation,
    Role.COMMENT: Comment,
    Role.WRONG: Error,
}


class SkyLexer(Lexer):
    """Colours the command language: keywords only where a keyword stands, known names apart from new ones."""

    name = "skyconsole"
    aliases = ["skyconsole", "sky"]  # noqa: RUF012
    filenames = ["*.sky"]  # noqa: RUF012

    def __init__(self, names: Callable[[], Names] | None = None, **options: Any) -> None:
        """`names` is asked at each painting for the names that exist now."""
        super().__init__(**options)
        self._names = names or (lambda: NO_NAMES)

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        at = 0
        for span in highlight(text, self._names()):
            if span.start > at:
                yield at, Whitespace, text[at : span.start]
            yield span.start, TOKEN_OF_ROLE[span.role], text[span.start : span.end]
            at = span.end
        if at < len(text):
            yield at, Whitespace, text[at:]
