"""`--check`: whether a configured consumer could work now, without doing anything."""

from __future__ import annotations

import sys

import psycopg

from ...engine.errors import ExitCode, UnreachableError
from ...engine.postgres.connect import connect_sync, describe
from ...engine.postgres.sql import queries
from .config import ConsumerConfig
from .loading import make_consumer

_SQL = queries("queue/check.sql")


def check(config: ConsumerConfig) -> int:
    """Tell line by line what was looked at, and what is wrong; returns the exit code. Raises SkyError."""
    made = make_consumer(config)
    _say(f"class: {type(made).__module__}:{type(made).__name__}")
    try:
        wrong = _check_queue(config)
        if config.dst_db:
            with connect_sync(config.dst_db, application_name=config.settings.consumer_name):
                _say(f"dst_db: {describe(config.dst_db)} answers")
    except psycopg.Error as error:
        wrong = f"src_db: {str(error).splitlines()[0]}"
    except UnreachableError as error:
        _say(f"wrong: {error}")
        return int(ExitCode.UNREACHABLE)
    if wrong:
        _say(f"wrong: {wrong}")
        return int(ExitCode.FAILED)
    _say("ready")
    return int(ExitCode.DONE)


def _check_queue(config: ConsumerConfig) -> str:
    """What is wrong with the queue or the subscription; empty: nothing."""
    settings = config.settings
    with connect_sync(config.src_db, application_name=settings.consumer_name) as connection:
        row = connection.execute(_SQL["version"]).fetchone()
        if row is None or row[0] is None:
            return f"src_db: {describe(config.src_db)} has no pgq. Run: skyconsole install pgq."
        _say(f"src_db: {describe(config.src_db)} answers, pgq is there")
        if connection.execute(_SQL["queue"], (settings.queue_name,)).fetchone() is None:
            return f'there is no queue "{settings.queue_name}".'
        _say(f"queue: {settings.queue_name}")
        found = connection.execute(_SQL["consumer"], (settings.queue_name, settings.consumer_name)).fetchone()
    if found is None and config.settings.local_tracking_file is None:
        return f'the consumer "{settings.consumer_name}" is not registered. Run with --register.'
    waiting = ", lag {}, {} events wait".format(*found) if found else ", not registered yet"
    _say(f"consumer: {settings.consumer_name}{waiting}")
    return ""


def _say(line: str) -> None:
    sys.stdout.write("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line) + "\n")
