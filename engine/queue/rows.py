"""Reading what the server sent as fast as the driver can: binary, in one go, and times only when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.types.numeric import Int8BinaryLoader

from .requests import Received, Rows

Connection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]


class _Reader:
    """How values are read; the connection's own ways, but for times."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.adapters = AdaptersMap(connection.adapters)
        # The number that the server sends; Event makes it a time. Few handlers ask, and no column is dearer to read.
        self.adapters.register_loader("timestamptz", Int8BinaryLoader)


def received(connection: Connection, results: Sequence[PGresult]) -> Received:
    """The last of the results that has rows. Raises psycopg.Error when one of the statements failed."""
    last: PGresult | None = None
    for result in results:
        if result.status == ExecStatus.TUPLES_OK:
            last = result
        elif result.status != ExecStatus.COMMAND_OK:
            raise errors.error_from_result(result, encoding=connection.info.encoding)
    if last is None:
        raise psycopg.DatabaseError("None of the statements gave rows.")
    found = last

    def rows() -> Rows:
        transformer = Transformer(_Reader(connection))
        transformer.set_pgresult(found)
        return transformer.load_rows(0, found.ntuples, tuple)

    return Received(found.ntuples, rows)
