"""Dead letters: given up with a reason, listed, handed back, purged; each once, whoever asks at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from skyconsole.engine.postgres.modules import install


def _value(conn: psycopg.Connection[Any], query: str, *args: Any) -> Any:
    row = conn.execute(query.encode(), args or None).fetchone()
    assert row is not None
    return row[0]


def _open_batch(queue: Any, *datas: str, consumer: str = "c") -> int:
    for data in datas:
        queue.insert(data)
    queue.tick()
    batch: int = queue.next_batch(consumer)
    assert batch is not None
    return batch


def _ids(queue: Any, batch: int) -> list[int]:
    return [row[0] for row in queue.conn.execute("select ev_id from pgq.get_batch_events(%s)", [batch])]


def _dead(conn: psycopg.Connection[Any], batch: int | None, event: int, reason: str | None = "why") -> int:
    return int(_value(conn, "select pgq.event_dead(%s, %s, %s)", batch, event, reason))


def _letters(queue: Any, *arguments: Any) -> list[tuple[Any, ...]]:
    marks = ", ".join(["%s"] * len(arguments)) or "null, null"
    query = f"select dl_id, queue_name, consumer_name, dl_reason, ev_id, ev_data from pgq.get_dead_letters({marks})"
    rows: list[tuple[Any, ...]] = queue.conn.execute(query, arguments or None).fetchall()
    return rows


def test_an_event_is_given_up_with_its_reason_and_does_not_come_again(each_pgq_database: str, drive_of: Any) -> None:
    queue = drive_of(each_pgq_database, 'a"b')
    batch = _open_batch(queue, "good", "bad")
    good, bad = _ids(queue, batch)
    assert _dead(queue.conn, batch, bad, "ValueError: [/x]") == 1
    assert _dead(queue.conn, batch, bad, "again") == 0
    queue.finish(batch)
    assert queue.tick_and_drain() == []
    assert _letters(queue) == [(1, 'a"b', "c", "ValueError: [/x]", bad, "bad")]
    query = "select queue_name, consumer_name, letters, oldest = newest from pgq.get_dead_letter_counts()"
    assert queue.conn.execute(query).fetchall() == [('a"b', "c", 1, True)]
    assert good == bad - 1


def test_the_whole_event_is_kept(queue: Any) -> None:
    queue.conn.execute("select pgq.insert_event('q', 'type', 'data', 'one', null, '', 'four')")
    queue.tick()
    batch = queue.next_batch()
    columns = "ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4"
    event = queue.conn.execute(f"select {columns} from pgq.get_batch_events(%s)", [batch]).fetchall()
    assert _dead(queue.conn, batch, event[0][0], None) == 1
    assert queue.conn.execute(f"select {columns} from pgq.get_dead_letters('q', 'c')").fetchall() == event
    query = "select dl_batch_id, dl_reason, now() - dl_time < '1 minute' from pgq.get_dead_letters('q', 'c')"
    assert queue.conn.execute(query).fetchall() == [(batch, None, True)]


def test_it_belongs_to_the_transaction_of_the_caller(queue: Any) -> None:
    batch = _open_batch(queue, "a", "b")
    first, second = _ids(queue, batch)
    conn = queue.sessions.open(autocommit=False)
    assert _dead(conn, batch, first) == 1
    with conn.transaction(force_rollback=True):
        assert _dead(conn, batch, second) == 1
    assert _letters(queue) == []
    conn.commit()
    assert [letter[4] for letter in _letters(queue)] == [first]


def test_unknown_batches_and_events_are_refused_as_by_event_retry(queue: Any) -> None:
    batch = _open_batch(queue, "a")
    for which, event in ((batch, 999), (batch + 1, 1), (None, 1)):
        with pytest.raises(psycopg.errors.RaiseException, match="event not found"):
            _dead(queue.conn, which, event)
    queue.finish(batch)
    with pytest.raises(psycopg.errors.RaiseException, match="event not found"):
        _dead(queue.conn, batch, 1)


def test_two_sessions_that_give_up_the_same_event_make_one_letter(queue: Any) -> None:
    batch = _open_batch(queue, "a")
    (event,) = _ids(queue, batch)
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert _dead(first, batch, event) == 1
    waiting = queue.sessions.start(second, "select pgq.event_dead(%s, %s, 'too')", batch, event)
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    assert waiting.result(20) == 0
    assert len(_letters(queue)) == 1


def test_the_same_event_of_two_consumers_makes_two_letters(queue: Any) -> None:
    queue.register("d")
    batch = _open_batch(queue, "a")
    other = queue.next_batch("d")
    (event,) = _ids(queue, batch)
    assert (_dead(queue.conn, batch, event), _dead(queue.conn, other, event)) == (1, 1)
    assert [letter[2] for letter in _letters(queue)] == ["c", "d"]


def test_a_letter_that_is_replayed_comes_again_to_its_consumer_alone_and_can_die_again(queue: Any) -> None:
    queue.register("d")
    batch = _open_batch(queue, "a")
    (event,) = _ids(queue, batch)
    _dead(queue.conn, batch, event)
    queue.finish(batch)
    assert queue.drain("d") == ["a"]
    assert _value(queue.conn, "select pgq.replay_dead_letter(1)") == 1
    assert _value(queue.conn, "select pgq.replay_dead_letter(1)") == 0
    assert _letters(queue) == []
    assert _value(queue.conn, "select pgq.maint_retry_events()") == 1
    queue.tick()
    again = queue.next_batch()
    query = "select ev_id, ev_retry, ev_data from pgq.get_batch_events(%s)"
    assert queue.conn.execute(query, [again]).fetchall() == [(event, 1, "a")]
    assert queue.drain("d") == []
    assert _dead(queue.conn, again, event, "again") == 1
    assert [letter[:1] + letter[3:] for letter in _letters(queue)] == [(2, "again", event, "a")]


def test_two_sessions_that_replay_a_letter_hand_it_back_once(queue: Any) -> None:
    batch = _open_batch(queue, "a")
    _dead(queue.conn, batch, _ids(queue, batch)[0])
    first, second = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert _value(first, "select pgq.replay_dead_letter(1)") == 1
    waiting = queue.sessions.start(second, "select pgq.replay_dead_letter(1)")
    queue.sessions.wait_blocked(second, queue.conn)
    first.commit()
    assert waiting.result(20) == 0
    assert _value(queue.conn, "select count(*) from pgq.retry_queue") == 1


def test_a_letter_stays_when_its_event_waits_in_the_retry_queue_already(queue: Any) -> None:
    batch = _open_batch(queue, "a")
    (event,) = _ids(queue, batch)
    _dead(queue.conn, batch, event)
    queue.conn.execute("select pgq.event_retry(%s, %s, 60)", [batch, event])
    with pytest.raises(psycopg.errors.UniqueViolation, match="waits in the retry queue already"):
        queue.conn.execute("select pgq.replay_dead_letter(1)")
    assert len(_letters(queue)) == 1


def test_letters_of_an_unregistered_consumer_stay_with_its_name_until_it_is_back(queue: Any) -> None:
    batch = _open_batch(queue, "a")
    (event,) = _ids(queue, batch)
    _dead(queue.conn, batch, event)
    queue.conn.execute("select pgq.unregister_consumer('q', 'c')")
    assert _letters(queue, "q", "c") == [(1, "q", "c", "why", event, "a")]
    assert queue.conn.execute("select consumer_name, letters from pgq.get_dead_letter_counts()").fetchall() == [
        ("c", 1)
    ]
    with pytest.raises(psycopg.errors.RaiseException, match="consumer not registered"):
        queue.conn.execute("select pgq.replay_dead_letter(1)")
    assert len(_letters(queue)) == 1
    queue.register("c")
    assert _value(queue.conn, "select pgq.replay_dead_letter(1)") == 1
    assert _value(queue.conn, "select pgq.maint_retry_events()") == 1
    assert queue.tick_and_drain() == ["a"]


def test_who_unregisters_during_a_replay_takes_the_event_along(queue: Any) -> None:
    batch = _open_batch(queue, "a")
    _dead(queue.conn, batch, _ids(queue, batch)[0])
    replayer, admin = queue.sessions.open(autocommit=False), queue.sessions.open()
    assert _value(replayer, "select pgq.replay_dead_letter(1)") == 1
    leaving = queue.sessions.start(admin, "select pgq.unregister_consumer('q', 'c')")
    queue.sessions.wait_blocked(admin, queue.conn)
    replayer.commit()
    assert leaving.result(20) == 1
    assert _value(queue.conn, "select count(*) from pgq.retry_queue") == 0
    assert _value(queue.conn, "select pgq.drop_queue('q')") == 1


def test_letters_of_a_dropped_queue_go_with_it(queue: Any) -> None:
    queue.conn.execute("select pgq.create_queue('other')")
    batch = _open_batch(queue, "a")
    _dead(queue.conn, batch, _ids(queue, batch)[0])
    queue.conn.execute("select pgq.drop_queue('q', true)")
    assert _value(queue.conn, "select count(*) from pgq.dead_letter") == 0


def test_lists_are_by_queue_and_consumer_oldest_first_and_in_pages(queue: Any) -> None:
    queue.register("d")
    for consumer, count in (("c", 5), ("d", 2)):
        batch = _open_batch(queue, *(str(n) for n in range(5)), consumer=consumer)
        for event in _ids(queue, batch)[:count]:
            _dead(queue.conn, batch, event)
    every = _letters(queue)
    assert [letter[0] for letter in every] == [1, 2, 3, 4, 5, 6, 7]
    assert _letters(queue, "q", "d") == every[5:]
    assert _letters(queue, None, "c", 2) == every[:2]
    assert _letters(queue, "q", None, 2, 4) == every[4:6]
    assert _letters(queue, "q", None, None, 5) == every[5:]
    assert _letters(queue, "nope", None) == []
    counts = queue.conn.execute("select consumer_name, letters from pgq.get_dead_letter_counts()").fetchall()
    assert counts == [("c", 5), ("d", 2)]


def test_a_purge_removes_what_is_named_and_old_enough(queue: Any) -> None:
    queue.register("d")
    batch = _open_batch(queue, "a", "b")
    other = queue.next_batch("d")
    for event in _ids(queue, batch):
        _dead(queue.conn, batch, event)
        _dead(queue.conn, other, event)
    queue.conn.execute("update pgq.dead_letter set dl_time = now() - interval '2 days' where dl_id in (1, 2)")
    assert _value(queue.conn, "select pgq.purge_dead_letters('q', 'c', '3 days')") == 0
    assert _value(queue.conn, "select pgq.purge_dead_letters('q', 'c', '1 day')") == 1
    assert _value(queue.conn, "select pgq.purge_dead_letters('nope', null)") == 0
    assert _value(queue.conn, "select pgq.purge_dead_letters(null, 'd')") == 2
    assert _value(queue.conn, "select pgq.purge_dead_letters(null, null)") == 1
    assert _letters(queue) == []


def test_a_letter_of_a_worker_belongs_to_the_group(queue: Any, pgq_database: str) -> None:
    async def add() -> None:
        async with await psycopg.AsyncConnection.connect(pgq_database, autocommit=True) as conn:
            await install(conn, "pgq_coop")

    asyncio.run(add())
    queue.conn.execute("select pgq_coop.register_subconsumer('q', 'group', 'worker')")
    queue.insert("a")
    queue.tick()
    batch = _value(queue.conn, "select pgq_coop.next_batch('q', 'group', 'worker')")
    (event,) = _ids(queue, batch)
    assert _dead(queue.conn, batch, event) == 1
    _value(queue.conn, "select pgq_coop.finish_batch(%s)", batch)
    assert [letter[2] for letter in _letters(queue)] == ["group"]
    assert _value(queue.conn, "select pgq.replay_dead_letter(1)") == 1
    assert _value(queue.conn, "select pgq.maint_retry_events()") == 1
    queue.tick()
    again = _value(queue.conn, "select pgq_coop.next_batch('q', 'group', 'worker')")
    assert queue.events(again) == ["a"]


def test_readers_give_up_list_and_replay_admins_purge_and_everybody_may_count(queue: Any) -> None:
    batch = _open_batch(queue, "a")
    (event,) = _ids(queue, batch)
    reader, writer = queue.sessions.open(role="pgq_reader"), queue.sessions.open(role="pgq_writer")
    admin = queue.sessions.open(role="pgq_admin")
    for query in ("select pgq.event_dead(1, 1, 'x')", "select pgq.replay_dead_letter(1)",
                  "select pgq.purge_dead_letters(null, null)", "select * from pgq.get_dead_letters(null, null)",
                  "select * from pgq.dead_letter"):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute(query)
    assert _dead(reader, batch, event) == 1
    assert _value(writer, "select letters from pgq.get_dead_letter_counts()") == 1
    assert _value(reader, "select count(*) from pgq.get_dead_letters('q', 'c')") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("select pgq.purge_dead_letters(null, null)")
    assert _value(reader, "select pgq.replay_dead_letter(1)") == 1
    assert _value(admin, "select pgq.purge_dead_letters(null, null)") == 0
