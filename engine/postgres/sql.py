"""The texts of our SQL files, read once from the package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import LiteralString

from ..errors import SkyError

_ROOT = files(__package__.partition(".engine.")[0] + ".sql")
_NAME = re.compile(r"^-- name: *(\S+) *$", re.MULTILINE)


class SqlFileError(SkyError):
    """A SQL file of the program is missing or is not in the form we read."""


@cache
def sql_text(path: str) -> LiteralString:
    """The text of one file below sql/, such as "monitor/queues.sql".

    Literal for the type checker, because it comes with the program and never from a user. Raises SqlFileError.
    """
    try:
        text = _ROOT.joinpath(*path.split("/")).read_text("utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise SqlFileError(f"The program's SQL file {path} is missing.", "Install skyconsole again.") from error
    return text


@cache
def queries(path: str) -> Mapping[str, LiteralString]:
    """The named statements of one file: each begins with a line `-- name: xxx` and ends where the next begins.

    Raises SqlFileError when a name is given twice or when the file names nothing.
    """
    pieces = _NAME.split(sql_text(path))[1:]
    names, texts = pieces[0::2], pieces[1::2]
    if not names:
        raise SqlFileError(f"The SQL file {path} has no line `-- name: ...`.")
    found: dict[str, LiteralString] = {}
    for name, text in zip(names, texts, strict=True):
        if name in found:
            raise SqlFileError(f"The SQL file {path} names {name} twice.")
        found[name] = text.strip()
    return MappingProxyType(found)
