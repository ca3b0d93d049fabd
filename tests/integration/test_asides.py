"""Dead letters, waiting events, groups and capture triggers on real servers: read, replayed, purged, undone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
from skyconsole.engine.errors import SkyError
from skyconsole.engine.language.executor import Executor
from skyconsole.engine.language.model import Context, Outcome
from skyconsole.engine.language.parse import parse
from skyconsole.engine.monitor.asides import PAYLOAD_CHARACTERS, NotThereError
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.picture import Level
from skyconsole.engine.monitor.postgres_source import PostgresSource
from skyconsole.engine.postgres.connect import connect
from skyconsole.engine.postgres.modules import install
from skyconsole.engine.queue.encodings import RowOperation, decode

Run = Callable[..., Awaitable[list[Outcome]]]
SHOP = ("orders", 'Ünï "q" [/x]')


def batch_of(conn: psycopg.Connection, queue: str, consumer: str) -> int:
    """A batch with what was inserted, whatever the ticker's settings."""
    conn.execute("select pgq.force_tick(%s)", (queue,))
    conn.execute("select pgq.ticker(%s)", (queue,))
    row = conn.execute("select pgq.next_batch(%s, %s)", (queue, consumer)).fetchone()
    assert row is not None
    return int(row[0])


def given_up(dsn: str, queue: str = "orders", consumer: str = "mailer", events: int = 3) -> None:
    """A queue whose consumer gave all events of a batch up."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("select pgq.create_queue(%s)", (queue,))
        conn.execute("select pgq.register_consumer(%s, %s)", (queue, consumer))
        for number in range(events):
            conn.execute("select pgq.insert_event(%s, 'new', %s)", (queue, json.dumps({"number": number})))
        batch = batch_of(conn, queue, consumer)
        conn.execute(
            "select pgq.event_dead(%s, ev_id, 'KeyError: ''x''') from pgq.get_batch_events(%s)", (batch, batch)
        )
        conn.execute("select pgq.finish_batch(%s)", (batch,))


@pytest.fixture
def run() -> Run:
    """Runs the text on a database, its statements in order, and gives their outcomes."""

    async def run_text(dsn: str, text: str, *, dry: bool = False) -> list[Outcome]:
        executor = Executor(lambda: connect(dsn, application_name="test"))
        try:
            perform = executor.dry_run if dry else executor.run
            return [await perform(command, Context()) for command in parse(text)]
        finally:
            await executor.close()

    return run_text


@pytest.fixture
async def source(pgq_database: str) -> AsyncIterator[PostgresSource]:
    made = PostgresSource(pgq_database, "shop")
    yield made
    await made.close()


async def test_dead_letters_are_counted_judged_and_listed(pgq_database: str, source: PostgresSource) -> None:
    for queue in SHOP:
        given_up(pgq_database, queue)
    picture = derive(None, await source.read())
    for row in picture.queues:
        assert (row.facts.dead_count, row.level, row.note) == (3, Level.WARN, "3 dead letters")
    assert [(row.facts.dead_count, row.level, row.behind) for row in picture.consumers] == [
        (3, Level.WARN, Level.OK)
    ] * 2
    letters = await source.dead_letters(SHOP[1], "mailer", 2)
    assert [(one.queue, one.consumer, one.reason, one.event.ev_data) for one in letters] == [
        (SHOP[1], "mailer", "KeyError: 'x'", json.dumps({"number": number})) for number in range(2)
    ]
    assert len(await source.dead_letters(None, None, 100)) == 6


async def test_counts_that_do_not_change_keep_the_facts(pgq_database: str, source: PostgresSource) -> None:
    given_up(pgq_database)
    first, second = await source.read(), await source.read()
    assert first.consumers[0].dead_count == 3
    assert first.consumers[0] is second.consumers[0]
    assert first.queues[0] is second.queues[0]


async def test_a_huge_payload_is_read_in_part_and_says_so(pgq_database: str, source: PostgresSource) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('orders')")
        conn.execute("select pgq.insert_event('orders', 'big', repeat('ü', 300000))")
        conn.execute("select pgq.insert_event('orders', 'small', repeat('ü', 9000))")
    events = {one.ev_type: one for one in await source.peek_queue("orders", 10)}
    big, small = events["big"], events["small"]
    assert (big.cut, big.data_bytes, len(big.ev_data or "")) == (True, 600_000, PAYLOAD_CHARACTERS)
    assert (small.cut, len(small.ev_data or "")) == (False, 9000)


async def test_what_waits_is_listed_with_its_owner_due_first(pgq_database: str, source: PostgresSource) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('orders')")
        conn.execute("select pgq.register_consumer('orders', 'mailer')")
        for number in range(2):
            conn.execute("select pgq.insert_event('orders', 'new', %s)", (str(number),))
        batch = batch_of(conn, "orders", "mailer")
        conn.execute(
            "select pgq.event_retry(%s, ev_id, 1000 - 100 * ev_data::int) from pgq.get_batch_events(%s)", (batch, batch)
        )
        conn.execute("select pgq.finish_batch(%s)", (batch,))
        conn.execute("select pgq.insert_event_at('orders', now() + interval '1 minute', 'later', 'x')")
    waiting = await source.waiting("orders", None, 10)
    assert [(one.consumer, one.delayed, one.event.ev_data, one.event.ev_retry) for one in waiting] == [
        (None, True, "x", None),
        ("mailer", False, "1", 1),
        ("mailer", False, "0", 1),
    ]
    assert len(await source.waiting("orders", "mailer", 10)) == 2
    assert await source.waiting("orders", "nobody", 10) == ()
    snapshot = await source.read()
    assert (snapshot.queues[0].retry_count, snapshot.consumers[0].retry_count) == (2, 2)


async def test_a_letter_is_replayed_and_comes_again(pgq_database: str, source: PostgresSource, run: Run) -> None:
    given_up(pgq_database)
    first = (await source.dead_letters(None, None, 1))[0]
    outcomes = await run(pgq_database, f"replay dead letter {first.dl_id};")
    assert [(one.ok, one.word) for one in outcomes] == [(True, "REPLAY")]
    assert [one.dl_id for one in await source.dead_letters(None, None, 9)] == [first.dl_id + 1, first.dl_id + 2]
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.maint_retry_events()")
        batch = batch_of(conn, "orders", "mailer")
        rows = conn.execute("select ev_id, ev_retry from pgq.get_batch_events(%s)", (batch,)).fetchall()
    assert rows == [(first.event.ev_id, 1)]


async def test_a_letter_that_is_gone_is_told_and_nothing_is_changed(pgq_database: str, run: Run) -> None:
    given_up(pgq_database)
    outcomes = await run(pgq_database, "purge dead letter 1, 999;")
    assert (outcomes[0].ok, outcomes[0].error) == (False, "A dead letter is not there any more.")
    shown = await run(pgq_database, "show dead letters on orders for mailer;")
    assert [row[0] for row in shown[0].rows] == [1, 2, 3]


async def test_purging_tries_without_a_trace_and_deletes_what_is_meant(pgq_database: str, run: Run) -> None:
    for queue in SHOP:
        given_up(pgq_database, queue)
    tried = await run(pgq_database, "purge dead letters on orders;", dry=True)
    assert tried[0].changes == ("delete 3 rows from pgq.dead_letter",)
    done = await run(
        pgq_database, "purge dead letters on orders older than '1 day'; purge dead letters on orders for nobody;"
    )
    assert [one.rows for one in done] == [((0,),), ((0,),)]
    done = await run(pgq_database, "purge dead letters on orders; show dead letters;")
    assert done[0].rows == ((3,),)
    assert {row[1] for row in done[1].rows} == {SHOP[1]}


async def test_letters_of_a_queue_are_replayed_together(pgq_database: str, run: Run) -> None:
    given_up(pgq_database)
    done = await run(pgq_database, "replay dead letters on orders for mailer; show retry on orders; show dead letters;")
    assert [one.ok for one in done] == [True, True, True]
    assert [row[1] for row in done[1].rows] == ["mailer"] * 3
    assert done[2].rows == ()


async def test_members_of_a_group_are_told_from_their_consumer(
    pgq_database: str, source: PostgresSource, run: Run
) -> None:
    conn = await psycopg.AsyncConnection.connect(pgq_database, autocommit=True)
    async with conn:
        await install(conn, "pgq_coop")
        await conn.execute("select pgq.create_queue('orders')")
    done = await run(
        pgq_database,
        "register consumer c on orders; register subconsumer 'w 1' for c on orders;"
        " register subconsumer w2 for c on orders; register subconsumer w2 for c on orders;",
    )
    assert [one.ok for one in done] == [True, True, True, False]
    assert done[3].error == "Subconsumer already registered."
    assert done[1].plan.inverse is not None
    assert done[1].plan.inverse.text() == 'unregister subconsumer "w 1" for c from orders;'
    with psycopg.connect(pgq_database, autocommit=True) as sync:
        sync.execute("select pgq.insert_event('orders', 'a', 'b')")
        sync.execute("select pgq.force_tick('orders')")
        sync.execute("select pgq.ticker('orders')")
        batch = sync.execute("select pgq_coop.next_batch('orders', 'c', 'w2')").fetchone()
    picture = derive(None, await source.read())
    assert [(row.facts.name, row.facts.main, row.facts.batch_id) for row in picture.consumers] == [
        ("c", None, None),
        ("c.w 1", "c", None),
        ("c.w2", "c", batch[0] if batch else None),
    ]
    assert picture.consumers[2].batch_since == picture.consumers[2].facts.last_seen
    done = await run(
        pgq_database,
        "show subconsumers; unregister subconsumer w2 for c from orders;"
        " unregister subconsumer w2 for c from orders close batch; unregister subconsumer * for c from orders;",
    )
    assert [row[2] for row in done[0].rows] == ["w 1", "w2"]
    assert [(one.ok, one.error) for one in done[1:]] == [
        (False, "subconsumer has active batch"),
        (True, ""),
        (True, ""),
    ]
    assert done[2].plan.inverse is None
    assert [one.name for one in (await source.read()).consumers] == ["c"]


async def test_registering_the_first_member_of_a_group_is_undone_with_the_group(pgq_database: str, run: Run) -> None:
    conn = await psycopg.AsyncConnection.connect(pgq_database, autocommit=True)
    async with conn:
        await install(conn, "pgq_coop")
        await conn.execute("select pgq.create_queue('orders')")
    done = await run(pgq_database, "register subconsumer w1 for c on orders;")
    assert done[0].plan.inverse is not None
    await run(pgq_database, done[0].plan.inverse.text())
    with psycopg.connect(pgq_database) as sync:
        assert sync.execute("select count(*) from pgq.subscription").fetchone() == (0,)


async def test_without_pgq_coop_a_subconsumer_is_refused_in_a_sentence(pgq_database: str, run: Run) -> None:
    done = await run(pgq_database, "register subconsumer w1 for c on orders;")
    assert (done[0].ok, done[0].error) == (False, "pgq_coop is not installed in this database.")


async def test_a_capture_trigger_is_listed_compiled_and_taken_back(
    pgq_database: str, source: PostgresSource, run: Run
) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('orders')")
        conn.execute('create table "Order Lines" (id int primary key, name text)')
        conn.execute(
            'create trigger cap after insert or update or delete on "Order Lines" for each row'
            " execute function pgq.logutriga('orders', 'ignore=name')"
        )
    (capture,) = await source.captures()
    assert (capture.relation, capture.trigger, capture.queue) == ("public.Order Lines", "cap", "orders")
    assert (capture.kind, capture.form, capture.state) == ("logutriga", "generic", "current")
    assert capture.arguments == ("ignore=name",)
    done = await run(pgq_database, 'compile capture cap on public."Order Lines"; show capture on "Order Lines";')
    assert [one.error for one in done] == ["", ""]
    assert done[0].plan.inverse is not None
    assert (await source.captures())[0].form in {"row", "statement"}
    assert done[1].rows[0][:3] == ("public", "Order Lines", "cap")
    done = await run(pgq_database, done[0].plan.inverse.text())
    assert done[0].ok
    assert (await source.captures())[0].form == "generic"
    done = await run(pgq_database, "show capture on nowhere;")
    assert done[0].error == "There is no table nowhere."


async def test_an_event_of_a_capture_trigger_is_decoded(pgq_database: str, source: PostgresSource) -> None:
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('orders')")
        conn.execute("create table customers (id int primary key, name text, note text)")
        conn.execute(
            "create trigger cap after insert on customers for each row execute function pgq.logutriga('orders')"
        )
        conn.execute("insert into customers values (1, 'Grüße & co', null)")
    change = decode((await source.peek_queue("orders", 5))[0])
    assert change is not None
    assert (change.op, change.table, change.keys) == (RowOperation.INSERT, "customers", ("id",))
    assert change.values == {"id": "1", "name": "Grüße & co", "note": None}


@pytest.mark.peer
async def test_the_original_says_what_it_lacks_and_shows_what_it_has(original_database: str, run: Run) -> None:
    with psycopg.connect(original_database, autocommit=True) as conn:
        conn.execute("select pgq.create_queue('orders ü')")
        conn.execute("create table t (id int primary key)")
        conn.execute(
            "create trigger cap before insert or delete on t for each row"
            " execute procedure pgq.sqltriga('orders ü', 'when=ä')"
        )
    source = PostgresSource(original_database, "original")
    try:
        snapshot = await source.read()
        assert snapshot.server is not None
        assert not snapshot.server.keeps_dead_letters
        assert snapshot.queues[0].dead_count is None
        assert snapshot.problems == ()
        with pytest.raises(NotThereError, match="keeps no dead letters"):
            await source.dead_letters(None, None, 5)
        assert await source.waiting(None, None, 5) == ()
        (capture,) = await source.captures()
    finally:
        await source.close()
    assert (capture.table, capture.kind, capture.queue, capture.arguments, capture.events) == (
        "t", "sqltriga", "orders ü", ("when=ä",), "before insert or delete",
    )  # fmt: skip
    done = await run(original_database, "show capture; show retry; show dead letters; compile capture cap on t;")
    assert [one.error for one in done] == [
        "",
        "",
        "The PgQ of this database keeps no dead letters.",
        "The PgQ of this database compiles no capture triggers.",
    ]
    assert done[0].rows[0][3:6] == ("orders ü", "sqltriga", "generic")


async def test_a_guest_is_told_which_right_is_missing(pgq_database: str, source: PostgresSource) -> None:
    given_up(pgq_database)
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("create role asides_guest login")
        try:
            guest = PostgresSource(psycopg.conninfo.make_conninfo(pgq_database, user="asides_guest"), "guest")
            try:
                with pytest.raises(SkyError) as letters:
                    await guest.dead_letters(None, None, 5)
                with pytest.raises(SkyError) as retries:
                    await guest.waiting(None, None, 5)
                assert await guest.captures() == ()
                assert (await guest.read()).queues[0].dead_count == 3
            finally:
                await guest.close()
        finally:
            conn.execute("drop role asides_guest")
    assert "pgq_reader" in letters.value.hint
    assert "pgq_admin" in retries.value.hint
