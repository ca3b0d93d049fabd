"""Reading events' rows as fast as the driver can."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types.numeric import Int8BinaryLoader


def read_raw_times(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> None:
    """Let this cursor give times as the number the server sends; Event reads it when somebody asks for the time.

    Most handlers never do, and a time is the dearest column to read.
    """
    cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)
