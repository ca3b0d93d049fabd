"""What the facts mean: rates, levels, notes, trends, changes, and which rows stay the same object."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skyconsole.engine.monitor.ages import rounded
from skyconsole.engine.monitor.derive import derive
from skyconsole.engine.monitor.model import (
    ConsumerFacts,
    Part,
    Phase,
    Problem,
    QueueFacts,
    ServerFacts,
    SessionFacts,
    Snapshot,
)
from skyconsole.engine.monitor.picture import Level, Picture
from skyconsole.engine.monitor.thresholds import Limits, Thresholds

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SERVER = ServerFacts(180001, "shop", "postgres", False, "1.0.0", "skyconsole", True, started=NOON)
ALL = frozenset(Part)


def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


QUEUE = QueueFacts(
    queue_id=1,
    name="orders",
    ntables=3,
    cur_table=0,
    rotation_period=7200.0,
    switch_time=ago(600),
    rotating=False,
    external_ticker=False,
    paused=False,
    disable_insert=False,
    max_count=500,
    max_lag=3.0,
    idle_period=60.0,
    per_tx_limit=None,
    last_tick_id=100,
    last_tick_time=ago(1),
    last_tick_seq=5000,
    event_seq=5010,
    retry_count=0,
)
CONSUMER = ConsumerFacts("orders", "mailer", 1, False, 100, ago(1), 5000, ago(1), None, None)


def reading(
    at: datetime = NOON,
    queues: tuple[QueueFacts, ...] = (QUEUE,),
    consumers: tuple[ConsumerFacts, ...] = (CONSUMER,),
    sessions: tuple[SessionFacts, ...] = (),
) -> Snapshot:
    return Snapshot(
        "shop", at, at, Phase.LIVE, SERVER, queues, consumers, sessions, parts=ALL, times=dict.fromkeys(ALL, at)
    )


def behind(seconds: float, *, seen: float = 0.0, batch: int | None = 7) -> ConsumerFacts:
    """A consumer that has finished nothing for so long, many ticks ago."""
    return replace(
        CONSUMER, last_tick_id=10, last_tick_time=ago(seconds), last_tick_seq=100, last_seen=ago(seen), batch_id=batch
    )


def level_of(consumer: ConsumerFacts, before: Picture | None = None, queue: QueueFacts = QUEUE) -> Level:
    return derive(before, reading(queues=(queue,), consumers=(consumer,))).consumers[0].level


class TestRates:
    def test_the_first_reading_has_none(self) -> None:
        row = derive(None, reading()).queues[0]
        assert row.ev_per_sec is None

    def test_the_second_reading_gives_events_by_seconds(self) -> None:
        first = derive(None, reading())
        moved = replace(QUEUE, event_seq=QUEUE.event_seq + 200)
        assert derive(first, reading(after(2), (moved,))).queues[0].ev_per_sec == pytest.approx(100.0)

    def test_a_rate_fades_and_ends_at_nothing(self) -> None:
        picture = derive(None, reading())
        moved = replace(QUEUE, event_seq=QUEUE.event_seq + 200)
        rates = []
        for step in range(1, 60):
            picture = derive(picture, reading(after(2 * step), (moved,)))
            rates.append(picture.queues[0].ev_per_sec)
        assert rates[0] == pytest.approx(100.0)
        assert rates == sorted(rates, reverse=True)  # type: ignore[type-var]
        assert rates[-1] == 0.0

    def test_a_queue_made_anew_under_its_name_starts_anew(self) -> None:
        first = derive(None, reading())
        again = replace(QUEUE, queue_id=2, event_seq=1)
        assert derive(first, reading(after(2), (again,))).queues[0].ev_per_sec is None

    def test_a_part_that_was_not_read_keeps_its_rates(self) -> None:
        first = derive(None, reading())
        second = derive(first, reading(after(2), (replace(QUEUE, event_seq=QUEUE.event_seq + 200),)))
        rate = second.queues[0].ev_per_sec
        unread = replace(second.snapshot, server_time=after(4), taken=after(4), parts=frozenset({Part.SERVER}))
        assert derive(second, unread).queues[0].ev_per_sec == rate

    def test_time_that_stands_still_changes_no_rate(self) -> None:
        first = derive(None, reading())
        assert derive(first, reading(NOON, (replace(QUEUE, event_seq=9000),))).queues[0].ev_per_sec is None

    def test_a_consumer_knows_when_it_will_have_caught_up(self) -> None:
        picture = derive(None, reading(consumers=(behind(1000),)))
        finished = replace(behind(1000), last_tick_id=20, last_tick_seq=2100, last_tick_time=ago(600))
        moved = replace(QUEUE, event_seq=QUEUE.event_seq + 20)
        row = derive(picture, reading(after(2), (moved,), (finished,))).consumers[0]
        assert row.ev_per_sec == pytest.approx(1000.0)
        assert row.pending == 2900
        assert row.catches_up == pytest.approx(2900 / 990, abs=0.1)
        assert row.note == "catches up in 2s"


class TestLateness:
    def test_a_consumer_that_finished_the_newest_tick_is_not_late_however_old_the_tick(self) -> None:
        old = replace(QUEUE, last_tick_time=ago(55), event_seq=5000)
        assert level_of(replace(CONSUMER, last_tick_time=ago(55)), queue=old) is Level.OK

    def test_one_tick_behind_it_is_late_since_that_tick(self) -> None:
        facts = replace(CONSUMER, last_tick_id=99, last_tick_time=ago(61))
        row = derive(None, reading(consumers=(facts,))).consumers[0]
        assert (row.level, row.lag) == (Level.OK, 61.0)

    @pytest.mark.parametrize(
        ("seconds", "level"), [(29, Level.OK), (31, Level.WARN), (299, Level.WARN), (301, Level.CRIT)]
    )
    def test_many_ticks_behind_the_lag_decides(self, seconds: float, level: Level) -> None:
        assert level_of(behind(seconds)) is level

    @pytest.mark.parametrize(
        ("first", "then", "level"),
        [(31, 25, Level.WARN), (31, 23, Level.OK), (301, 245, Level.CRIT), (301, 239, Level.WARN), (20, 29, Level.OK)],
    )
    def test_a_level_is_left_only_a_fifth_below_its_limit(self, first: float, then: float, level: Level) -> None:
        before = derive(None, reading(consumers=(behind(first),)))
        assert level_of(behind(then), before) is level

    def test_a_consumer_whose_tick_is_gone_is_critical(self) -> None:
        row = derive(None, reading(consumers=(replace(CONSUMER, last_tick_id=3, last_tick_time=None),))).consumers[0]
        assert (row.level, row.lag, row.note) == (Level.CRIT, None, "tick 3 is gone")

    def test_an_idle_subconsumer_is_fine(self) -> None:
        idle = ConsumerFacts("orders", "mailer.1", 1, True, None, None, None, ago(9000), None, None)
        row = derive(None, reading(consumers=(CONSUMER, idle))).consumers[1]
        assert (row.level, row.lag, row.pending, row.note) == (Level.OK, None, None, "idle")

    def test_an_open_batch_that_does_not_move_is_stalled_and_no_batch_for_days_is_dead(self) -> None:
        stalled, dead = behind(761, seen=761), behind(300000, seen=300000, batch=None)
        rows = derive(None, reading(consumers=(stalled, replace(dead, name="z", sub_id=2)))).consumers
        assert [row.note for row in rows] == ["stalled 12m", "not seen 3d"]

    def test_limits_of_a_single_consumer_hold_for_it_alone(self) -> None:
        thresholds = Thresholds(consumers={("orders", "mailer"): Limits(lag_warn=1000.0, lag_crit=2000.0)})
        other = replace(behind(500), name="other", sub_id=2)
        picture = derive(None, reading(consumers=(behind(500), other)), thresholds)
        assert [row.level for row in picture.consumers] == [Level.OK, Level.CRIT]


class TestQueues:
    def note_of(self, queue: QueueFacts, *consumers: ConsumerFacts) -> tuple[Level, str]:
        row = derive(None, reading(queues=(queue,), consumers=consumers)).queues[0]
        return row.level, row.note

    def test_one_stalled_consumer_is_named(self) -> None:
        assert self.note_of(QUEUE, behind(761, seen=761)) == (Level.CRIT, "mailer stalled 12m")

    def test_several_late_ones_are_counted(self) -> None:
        others = tuple(replace(CONSUMER, name=f"z{n}", sub_id=n + 10) for n in range(2))
        late = (behind(40), replace(behind(50), name="n", sub_id=5))
        assert self.note_of(QUEUE, *late, *others) == (Level.WARN, "2 of 4 behind")

    def test_a_paused_queue_is_off(self) -> None:
        paused = replace(QUEUE, paused=True, last_tick_time=ago(11520))
        assert self.note_of(paused, replace(CONSUMER, last_tick_time=ago(11520))) == (Level.OFF, "ticker paused")

    def test_no_consumers_is_said(self) -> None:
        assert self.note_of(QUEUE) == (Level.OK, "no consumers")

    def test_rotation_names_the_consumer_that_blocks_it(self) -> None:
        stuck = replace(QUEUE, switch_time=ago(7200 + 560))
        slow = behind(8000)
        level, note = self.note_of(stuck, slow)
        assert level is Level.CRIT
        assert note.endswith("rotation blocked 9m by mailer")

    def test_rotation_that_nobody_blocks_is_overdue(self) -> None:
        stuck = replace(QUEUE, switch_time=ago(7200 + 560))
        assert self.note_of(stuck, CONSUMER) == (Level.WARN, "rotation 9m overdue")

    def test_events_that_wait_too_long_for_a_tick_show_a_silent_ticker(self) -> None:
        picture = derive(None, reading())
        levels = []
        for step in range(1, 20):
            picture = derive(picture, reading(after(2 * step), (replace(QUEUE, event_seq=5010 + step),), ()))
            levels.append(picture.queues[0].ticker)
        assert levels[1] is Level.OK
        assert levels[3] is Level.WARN
        assert levels[-1] is Level.CRIT
        assert picture.queues[0].note == "no tick for 39s"
        assert picture.daemons[0].state == "silent"
        assert picture.overview.ticker == "silent 39s"

    def test_a_tick_that_comes_ends_the_waiting(self) -> None:
        picture = derive(None, reading())
        for step in range(1, 20):
            picture = derive(picture, reading(after(2 * step)))
        assert picture.queues[0].ticker is Level.CRIT
        ticked = replace(QUEUE, last_tick_id=101, last_tick_time=after(40), last_tick_seq=5010)
        assert derive(picture, reading(after(40), (ticked,))).queues[0].ticker is Level.OK

    def test_an_idle_queue_may_tick_once_a_minute(self) -> None:
        idle = replace(QUEUE, last_tick_time=ago(59), event_seq=5000)
        assert derive(None, reading(queues=(idle,))).queues[0].level is Level.OK
        dead = replace(idle, last_tick_time=ago(700))
        assert derive(None, reading(queues=(dead,))).queues[0].ticker is Level.CRIT

    def test_a_queue_ticked_from_elsewhere_owes_no_tick(self) -> None:
        foreign = replace(QUEUE, external_ticker=True, last_tick_time=ago(7000))
        facts = replace(CONSUMER, last_tick_time=ago(7000))
        assert derive(None, reading(queues=(foreign,), consumers=(facts,))).queues[0].level is Level.OK


class TestIdentity:
    def test_a_row_that_would_be_drawn_the_same_is_the_same_object(self) -> None:
        paused = replace(QUEUE, paused=True, last_tick_time=ago(11520))
        quiet = replace(CONSUMER, last_tick_time=ago(11520), last_seen=ago(11520))
        first = derive(None, reading(queues=(paused,), consumers=(quiet,)))
        second = derive(first, reading(after(2), (paused,), (quiet,)))
        third = derive(second, reading(after(4), (paused,), (quiet,)))
        assert third.queues[0] is second.queues[0]
        assert third.consumers[0] is second.consumers[0]
        assert third.queues is second.queues

    def test_a_row_whose_age_grew_visibly_is_a_new_one(self) -> None:
        first = derive(None, reading())
        assert derive(first, reading(after(2))).consumers[0] is not first.consumers[0]

    def test_a_reading_that_failed_keeps_every_row(self) -> None:
        first = derive(None, reading())
        lost = replace(
            first.snapshot, phase=Phase.LOST, problems=(Problem("terminating connection"),), parts=frozenset()
        )
        second = derive(first, lost)
        assert second.queues is first.queues
        assert second.consumers is first.consumers
        assert (second.overview.level, second.overview.note) == (Level.CRIT, "terminating connection")

    @given(st.floats(0, 1e9))
    def test_ages_are_rounded_down_and_never_by_much(self, seconds: float) -> None:
        shown = rounded(seconds)
        assert shown <= seconds
        assert seconds - shown <= (0.1000001 if seconds < 10 else 1 if seconds < 3600 else 60)
        assert rounded(shown + 1e-9) == shown


class TestTrends:
    def test_a_trend_takes_a_value_every_five_seconds(self) -> None:
        picture = derive(None, reading())
        for second in range(1, 21):
            picture = derive(picture, reading(after(second)))
        assert len(picture.queues[0].trend) == 5
        assert picture.queues[0].trend[-1] == 21.0

    def test_a_pause_is_filled_so_that_the_width_is_true(self) -> None:
        picture = derive(derive(None, reading()), reading(after(60)))
        assert len(picture.consumers[0].trend) == 13

    def test_a_trend_holds_five_minutes(self) -> None:
        picture = derive(derive(None, reading()), reading(after(3600)))
        assert len(picture.consumers[0].trend) == 60


class TestChanges:
    def told(self, first: Snapshot, second: Snapshot) -> list[tuple[str, str]]:
        return [(one.subject, one.text) for one in derive(derive(None, first), second).changes]

    def test_nothing_new_tells_nothing(self) -> None:
        assert self.told(reading(), reading(after(1))) == []

    def test_queues_and_consumers_come_and_go(self) -> None:
        other = replace(QUEUE, queue_id=2, name="[/x]")
        new = replace(CONSUMER, queue="[/x]", name='a"b', sub_id=2)
        come = self.told(reading(), reading(after(1), (other, QUEUE), (new, CONSUMER)))
        assert come == [("queue [/x]", "created"), ('consumer a"b on [/x]', "registered")]
        gone = self.told(reading(NOON, (other, QUEUE), (new, CONSUMER)), reading(after(1)))
        assert gone == [("queue [/x]", "dropped"), ('consumer a"b on [/x]', "unregistered")]

    def test_settings_that_change_are_told_with_both_values(self) -> None:
        altered = replace(QUEUE, max_lag=5.0, paused=True, cur_table=1)
        assert self.told(reading(), reading(after(1), (altered,))) == [
            ("queue orders", "ticker paused"),
            ("queue orders", "rotated to table 1"),
            ("queue orders", "ticker_max_lag changed from 3s to 5s"),
        ]

    def test_a_server_that_restarted_or_was_promoted_is_told(self) -> None:
        standby = replace(reading(), server=replace(SERVER, in_recovery=True))
        assert self.told(standby, reading(after(1))) == [("server", "promoted: it accepts writes now")]
        later = replace(reading(after(1)), server=replace(SERVER, started=after(1)))
        assert self.told(reading(), later) == [("server", "restarted")]

    def test_losing_the_server_and_its_return_are_told_with_the_reason(self) -> None:
        first = derive(None, reading())
        lost = replace(first.snapshot, phase=Phase.LOST, problems=(Problem("no route"),), parts=frozenset())
        second = derive(first, lost)
        assert [one.text for one in second.changes] == ["lost: no route"]
        assert [one.text for one in derive(second, lost).changes] == []
        assert [one.text for one in derive(second, reading(after(4))).changes] == ["back again"]

    def test_a_flood_of_changes_is_counted(self) -> None:
        many = tuple(replace(QUEUE, queue_id=n, name=f"q{n:04}") for n in range(600))
        changes = derive(derive(None, reading(queues=(), consumers=())), reading(after(1), many, ())).changes
        assert len(changes) == 501
        assert changes[-1].text == "100 more changes"


def test_totals_count_every_queue_once() -> None:
    paused = replace(QUEUE, queue_id=2, name="paused", paused=True)
    picture = derive(None, reading(queues=(QUEUE, paused), consumers=(behind(400),)))
    totals = picture.totals
    assert (totals.queues, totals.ok, totals.warn, totals.crit, totals.off) == (2, 0, 0, 1, 1)
    assert picture.overview.level is Level.CRIT
    assert picture.overview.note.startswith("orders: mailer")


def test_sessions_of_ours_are_daemons_and_a_second_ticker_is_a_standby() -> None:
    ticker = SessionFacts(1, "skyconsole-ticker", "u", "idle", "", "", None, guards=True)
    spare = SessionFacts(2, "skyconsole-ticker", "u", "idle", "", "select pg_try_advisory_lock($1, $2)", None)
    worker = SessionFacts(4, "skyconsole-ticker", "u", "active", "", "vacuum pgq.tick", None)
    mover = SessionFacts(3, "skyconsole-mover", "u", "idle", "", "", None)
    picture = derive(None, reading(sessions=(spare, ticker, mover, worker)))
    assert [(row.name, row.state, row.pid) for row in picture.daemons] == [
        ("ticker", "ticking", 1),
        ("ticker", "standby", 2),
        ("mover", "idle", 3),
    ]


def test_without_pgq_there_is_nothing_to_judge() -> None:
    bare = Snapshot("shop", NOON, NOON, Phase.NO_PGQ, replace(SERVER, pgq_version=None, pgq_origin=""))
    picture = derive(derive(None, reading()), bare)
    assert (picture.queues, picture.consumers, picture.overview.note) == ((), (), "PgQ is not installed")
    assert [one.text for one in picture.changes] == ["PgQ is gone"]
