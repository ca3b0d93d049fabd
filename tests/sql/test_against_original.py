"""Random calls give the same on our SQL as on the original extension, and leave the same rows behind."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

Call = tuple[str, tuple[Any, ...]]

QUEUES = ["q", 'a"b', ""]
CONSUMERS = ["c", "d"]
PARAMETERS = [
    *[("ticker_max_lag", "0"), ("ticker_idle_period", "0"), ("rotation_period", "0"), ("ticker_max_count", "3")],
    *[("ticker_paused", "0"), ("ticker_paused", "0"), ("ticker_paused", "1")],
    *[("external_ticker", "0"), ("external_ticker", "0"), ("external_ticker", "1")],
    *[("nonsense", "1"), ("ticker_max_count", "many"), ("ticker_max_lag", None)],
]
MOVE: Call = ("select pgq.maint_retry_events()", ())
BEGINNING: list[Call] = [("select pgq.create_queue(%s)", (queue,)) for queue in QUEUES]
BEGINNING += [("select pgq.register_consumer(%s, %s)", (queue, "c")) for queue in QUEUES]
EVENTS_OF_OPEN_BATCHES = """
    select distinct e.ev_id
    from pgq.subscription s
    cross join lateral pgq.get_batch_events(s.sub_batch) e
    where s.sub_batch is not null
    order by 1
"""
STATE = {
    "queue": """
        select queue_id, queue_name, queue_cur_table, queue_switch_step2 is null, queue_external_ticker,
            queue_ticker_paused, queue_ticker_max_count, queue_ticker_max_lag, queue_rotation_period
        from pgq.queue order by 1
    """,
    "tick": "select tick_queue, tick_id, tick_event_seq from pgq.tick order by 1, 2",
    "consumer": "select co_id, co_name from pgq.consumer order by 1",
    "subscription": """
        select sub_id, sub_queue, sub_consumer, sub_last_tick, sub_batch, sub_next_tick
        from pgq.subscription order by 1, 2, 3
    """,
    "event": """
        select tableoid::regclass::text, ev_id, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra4
        from pgq.event_template order by 1, 2, 3, 4, 5, 6, 7, 8
    """,
    "retry": "select ev_queue, ev_id, ev_owner, ev_retry, ev_data from pgq.retry_queue order by 1, 2, 3",
}


class Calls:
    """A random stream of calls, sensible ones mostly."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self, batches: list[int], events: list[int]) -> Call:
        """The next call; most of those that need a batch or an event get one that there is."""
        pick = self.random
        queue: str | None = pick.choice(QUEUES) if pick.random() < 0.97 else pick.choice(["nope", None])
        consumer: str | None = pick.choice(CONSUMERS) if pick.random() < 0.97 else pick.choice(["nope", None])
        batch = pick.choice(batches) if batches and pick.random() < 0.95 else pick.randint(0, 99)
        event = pick.choice(events) if events and pick.random() < 0.9 else pick.randint(0, 30)
        calls: list[tuple[float, str, tuple[Any, ...]]] = [
            (4, "select pgq.create_queue(%s)", (queue,)),
            (0.5, "select pgq.drop_queue(%s)", (queue,)),
            (0.5, "select pgq.drop_queue(%s, %s)", (queue, pick.choice([True, False, None]))),
            (5, "select pgq.register_consumer(%s, %s)", (queue, consumer)),
            (3, "select pgq.register_consumer_at(%s, %s, %s)", (queue, consumer, pick.randint(1, 12))),
            (1, "select pgq.unregister_consumer(%s, %s)", (queue, consumer)),
            (25, "select pgq.insert_event(%s, 't', %s)", (queue, str(pick.randint(0, 99)))),
            (3, "select pgq.insert_event(%s, null, %s, 'x1', null, null, 'x4')", (queue, "e")),
            (2, "select pgq.insert_event_raw(%s, %s, null, null, null, 't', 'r', null, null, null, null)",
             (queue, pick.choice([None, event]))),
            (20, "select pgq.ticker(%s)", (queue,)),
            (5, "select pgq.ticker()", ()),
            (2, "select pgq.ticker(%s, %s, now(), %s)", (queue, pick.randint(1, 90), pick.randint(1, 90))),
            (2, "select pgq.force_tick(%s)", (queue,)),
            (15, "select pgq.next_batch(%s, %s)", (queue, consumer)),
            (5, "select batch_id, cur_tick_id, prev_tick_id, cur_tick_event_seq, prev_tick_event_seq"
             " from pgq.next_batch_custom(%s, %s, null, %s, null)", (queue, consumer, pick.choice([None, 0, 2, 9]))),
            (15, "select ev_id, ev_retry, ev_type, ev_data from pgq.get_batch_events(%s) order by 1, 2, 3, 4",
             (batch,)),
            (3, "select ev_id, ev_data from pgq.get_batch_cursor(%s, 'cur', %s, 'ev_id > 3')",
             (batch, pick.randint(-1, 5))),
            (15, "select pgq.finish_batch(%s)", (batch,)),
            (4, "select queue_name, consumer_name, prev_tick_id, tick_id, seq_start, seq_end"
             " from pgq.get_batch_info(%s)", (batch,)),
            (4, "select pgq.event_retry(%s, %s, 0)", (batch, event)),
            (3, "select pgq.batch_retry(%s, 0)", (batch,)),
            (1, "select pgq.event_retry_raw(%s, %s, now(), %s, now(), 1, 't', 'raw', null, null, null, null)",
             (queue, consumer, pick.choice([None, event]))),
            (5, *MOVE),
            (8, "select pgq.maint_rotate_tables_step1(%s)", (queue,)),
            (6, "select pgq.maint_rotate_tables_step2()", ()),
            (4, "select * from pgq.maint_operations()", ()),
            (3, "select pgq.current_event_table(%s)", (queue,)),
            (3, "select queue_name, queue_cur_table, ev_new, last_tick_id from pgq.get_queue_info(%s)", (queue,)),
            (4, "select queue_name, consumer_name, last_tick, current_batch, next_tick, pending_events"
             " from pgq.get_consumer_info(%s)", (queue,)),
            (4, "select pgq.set_queue_config(%s, %s, %s)", (queue, *pick.choice(PARAMETERS))),
        ]  # fmt: skip
        weights = [weight for weight, _, _ in calls]
        _, query, arguments = pick.choices(calls, weights)[0]
        return query, arguments


def _outcome(conn: psycopg.Connection[Any], call: Call) -> Any:
    notices: list[str] = []
    handler: Callable[[psycopg.errors.Diagnostic], None] = lambda notice: notices.append(str(notice.message_primary))  # noqa: E731
    conn.add_notice_handler(handler)
    try:
        rows = conn.execute(call[0].encode(), call[1] or None).fetchall()
        # Which ten of many events with one due time are moved first is anybody's choice: all of them, then.
        while call == MOVE and rows[-1] != (0,):
            rows += conn.execute(call[0].encode()).fetchall()
    except psycopg.Error as error:
        return error.sqlstate, re.sub(r"txid=\d+", "txid=N", str(error.diag.message_primary)), notices
    finally:
        conn.remove_notice_handler(handler)
    return rows, notices


def _prepare(conn: psycopg.Connection[Any]) -> None:
    """Time plays no part: everything is due at once."""
    for column in ("ticker_max_lag", "ticker_idle_period", "rotation_period"):
        conn.execute(f"alter table pgq.queue alter column queue_{column} set default '0'".encode())


def _holds_an_event_twice(conn: psycopg.Connection[Any], call: Call) -> bool:
    """A retried event and its copy in one batch: we retry the copy, the original neither."""
    query = "select count(*) > count(distinct ev_id) from pgq.get_batch_events(%s)"
    if "event_retry(" not in call[0] and "batch_retry(" not in call[0]:
        return False
    try:
        row = conn.execute(query, call[1][:1]).fetchone()
    except psycopg.Error:
        return False
    return bool(row and row[0])


@pytest.mark.peer
@pytest.mark.parametrize("seed", range(6))
def test_random_calls_give_the_same_on_both(original_database: str, pgq_database: str, seed: int) -> None:
    calls = Calls(seed)
    history: list[Call] = []
    answered = 0
    with (
        psycopg.connect(original_database, autocommit=True) as theirs,
        psycopg.connect(pgq_database, autocommit=True) as ours,
    ):
        _prepare(theirs)
        _prepare(ours)
        for number in range(500):
            batches = [row[0] for row in theirs.execute("select sub_batch from pgq.subscription") if row[0]]
            batches.sort()
            events = [row[0] for row in theirs.execute(EVENTS_OF_OPEN_BATCHES)]
            call = BEGINNING[number] if number < len(BEGINNING) else calls.one(batches, events)
            if _holds_an_event_twice(theirs, call):
                continue
            history.append(call)
            expected, actual = _outcome(theirs, call), _outcome(ours, call)
            assert actual == expected, (seed, number, call, history[-30:])
            answered += isinstance(actual[0], list)
            if number % 10 == 0:
                for name, query in STATE.items():
                    assert ours.execute(query).fetchall() == theirs.execute(query).fetchall(), (seed, number, name)
    assert answered > 250, "too many of the calls were refused to say much"
