"""What a consumer needs: the role pgq_reader at its queue, pgq_writer where it works remotely, and no more."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from skyconsole.engine.queue import Consumer, CoopConsumer, Event, RemoteConsumer, RetryPolicy, SerialConsumer

INSERT = "insert into done values (%s, %s)"
ROLE = "consumer_of_tests"


@pytest.fixture
def reader(place: Any) -> str:
    """A connection string of a role that may consume."""
    _role(place.conn, "pgq_reader")
    return make_conninfo(place.dsn, user=ROLE)


def _role(connection: psycopg.Connection, granted: str) -> None:
    connection.execute(
        f"""
        do $$ begin create role {ROLE} login; exception when duplicate_object then null; end $$;
        grant {granted} to {ROLE};
        grant all on done to {ROLE};
        """.encode()
    )


class Writer(Consumer):
    """Writes, and hands back or sets aside what it is told to."""

    def process_event(self, db: psycopg.Connection, event: Event) -> None:
        db.execute(INSERT, (event.ev_id, event.ev_data))
        if event.ev_data == "again":
            event.retry(0)
        if event.ev_data == "dead":
            event.dead("why")


class Member(CoopConsumer):
    """Writes."""

    def process_event(self, db: psycopg.Connection, event: Event) -> None:
        db.execute(INSERT, (event.ev_id, event.ev_data))


def test_a_reader_consumes_in_every_way(place: Any, reader: str) -> None:
    expected = place.insert("again", "dead") + place.fill(4, 20)
    for settings in (place.settings(lazy_fetch=7, retry=RetryPolicy()),):
        Writer(reader, settings).run()
    assert place.done() == expected
    place.one("select pgq_coop.register_subconsumer(%s, 'group', 'm')", place.queue)
    more = place.fill(2, 3)
    Member(reader, place.settings(consumer_name="group", subconsumer_name="m", subconsumer_timeout="1 hour")).run()
    assert place.done() == expected + more


@pytest.mark.parametrize("kind", [RemoteConsumer, SerialConsumer])
def test_a_writer_works_remotely(
    place: Any, reader: str, target: psycopg.Connection, kind: type[RemoteConsumer]
) -> None:
    class Remote(kind):  # type: ignore[valid-type, misc]
        def process_remote_event(self, db: Any, event: Event, dst: psycopg.Connection) -> None:
            dst.execute(INSERT, (event.ev_id, event.ev_data))

    _role(target, "pgq_writer")
    expected = place.fill(3, 3)
    remote_dsn = make_conninfo(place.dsn, user=ROLE, dbname=target.info.dbname)
    consumer = Remote(reader, place.settings(), remote_dsn=remote_dsn)
    consumer.run()
    found = [row[0] for row in target.execute("select event_id from done order by event_id")]
    assert found == expected
    assert "nothing was changed" in consumer.resync()
