"""Which actions a row offers, with which reasons, and which commands they make."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from skyconsole.console import actions
from skyconsole.console.actions import ACTIONS, Row, Subject, available, commands_for, find, offer_for_key
from skyconsole.console.aside_columns import CaptureRow, LetterRow
from skyconsole.engine.language.model import Context, Risk
from skyconsole.engine.language.parse import parse
from skyconsole.engine.monitor.asides import Capture, DeadLetter, EventRow
from skyconsole.engine.monitor.model import ConsumerFacts, QueueFacts
from skyconsole.engine.monitor.picture import ConsumerRow, Level, QueueRow

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
QUEUE = QueueRow(
    facts=QueueFacts(
        queue_id=1,
        name="orders",
        ntables=3,
        cur_table=0,
        rotation_period=7200.0,
        switch_time=NOW,
        rotating=False,
        external_ticker=False,
        paused=False,
        disable_insert=False,
        max_count=500,
        max_lag=3.0,
        idle_period=60.0,
        per_tx_limit=None,
        last_tick_id=7,
        last_tick_time=NOW,
        last_tick_seq=100,
        event_seq=120,
    ),
    level=Level.OK,
    consumers=0,
    late=0,
    ev_per_sec=None,
    new=0,
    tick_age=None,
    worst_lag=None,
    trend=(),
    note="",
)
CONSUMER = ConsumerRow(
    facts=ConsumerFacts(
        queue="orders",
        name="mailer",
        sub_id=1,
        subconsumer=False,
        last_tick_id=7,
        last_tick_time=NOW,
        last_tick_seq=100,
        last_seen=NOW,
        batch_id=None,
        next_tick_id=None,
    ),
    level=Level.OK,
    lag=None,
    seen=0.0,
    pending=None,
    ev_per_sec=None,
    catches_up=None,
    trend=(),
    note="",
)
LETTER = LetterRow(
    DeadLetter(17, "orders", "mailer", NOW, "KeyError: 'id'", 3, EventRow(9, NOW, 1, 5, "I:id", "id=1", "public.t")),
    5.0,
)
CAPTURE = CaptureRow(
    Capture("public", "orders", "cap", "orders", "logutriga", "generic", "current", (), "after insert")
)
ASIDE = {"letters", "waiting", "captures"}
WRITES = Context()
LOOKS = Context(read_only=True)


def paused(row: QueueRow = QUEUE) -> QueueRow:
    return replace(row, facts=replace(row.facts, paused=True))


def reasons(row: Row, context: Context = WRITES) -> dict[str, str]:
    return {offer.action.id: offer.reason for offer in available(row, context)}


def test_a_queue_offers_its_own_actions_before_those_that_need_no_row() -> None:
    offered = [offer.action.subject for offer in available(QUEUE, WRITES)]
    assert offered == sorted(offered, key=lambda subject: subject is Subject.ANYTHING)
    own = {"open", "settings", "pause-ticker", "resume-ticker", "drop"}
    assert own | {"register", "create", *ASIDE} == set(reasons(QUEUE))


def test_without_a_row_a_queue_can_be_created_and_what_stands_aside_be_seen() -> None:
    assert reasons(None) == {"register": "choose a queue first", "create": "", **dict.fromkeys(ASIDE, "")}


def test_a_paused_queue_cannot_be_paused_and_says_so() -> None:
    assert reasons(paused())["pause-ticker"] == "paused already"
    assert reasons(paused())["resume-ticker"] == ""
    assert reasons(QUEUE)["resume-ticker"] == "not paused"


def test_one_key_pauses_and_resumes() -> None:
    pause, resume = offer_for_key("t", QUEUE, WRITES), offer_for_key("t", paused(), WRITES)
    assert pause is not None
    assert resume is not None
    assert (pause.action.id, resume.action.id) == ("pause-ticker", "resume-ticker")


def test_read_only_disables_everything_that_changes_and_names_the_key_to_leave() -> None:
    for row in (QUEUE, CONSUMER, None):
        for offer in available(row, LOOKS):
            assert offer.enabled or offer.action.risk > Risk.LOOK or offer.reason == "no batch is open"
            if offer.action.risk > Risk.LOOK:
                assert offer.reason, offer.action.id
    assert reasons(QUEUE, LOOKS)["drop"] == "read-only: press R"


def test_a_consumer_without_a_batch_has_none_to_show() -> None:
    busy = replace(CONSUMER, facts=replace(CONSUMER.facts, batch_id=3))
    assert reasons(CONSUMER)["batch"] == "no batch is open"
    assert reasons(busy)["batch"] == ""


def test_a_subconsumer_is_not_moved_by_itself_and_leaves_its_group_with_its_batch_only_if_that_is_closed() -> None:
    idle = replace(CONSUMER, facts=replace(CONSUMER.facts, name="mailer.w1", subconsumer=True, main="mailer"))
    busy = replace(idle, facts=replace(idle.facts, batch_id=7))
    leave = find("unregister", idle)
    assert leave.build is not None
    assert reasons(idle)["move"]
    assert leave.build(idle).text() == "unregister subconsumer w1 for mailer from orders;"
    assert leave.build(busy).text() == "unregister subconsumer w1 for mailer from orders close batch;"
    assert leave.build(busy).risk is Risk.DESTROYS


def test_one_key_compiles_and_takes_it_back_and_a_stale_one_can_be_compiled_again() -> None:
    def ids(form: str, state: str) -> list[str]:
        row = CaptureRow(replace(CAPTURE.capture, form=form, state=state))
        return [one.action.id for one in available(row, WRITES) if one.action.key == "c" and one.enabled]

    assert ids("generic", "current") == ["compile"]
    assert ids("row", "current") == ["uncompile"]
    assert ids("row", "stale") == ["compile", "uncompile"]


def test_marked_letters_are_replayed_and_purged_together() -> None:
    other = replace(LETTER, letter=replace(LETTER.letter, dl_id=18))
    for name, risk in (("replay", Risk.COSTLY), ("purge", Risk.DESTROYS)):
        commands = commands_for(find(name, LETTER), LETTER, (LETTER, other, QUEUE), WRITES)
        assert [command.text() for command in commands] == [f"{name} dead letter 17, 18;"]
        assert {command.risk for command in commands} == {risk}


@pytest.mark.parametrize("name", ["orders", "[/x]", 'a"b', "x.y", "Ünï", "🦄", "n" * 63, "", "a\nb", "select"])
def test_every_built_command_parses_back_and_has_the_risk_the_menu_shows(name: str) -> None:
    queue = replace(QUEUE, facts=replace(QUEUE.facts, name=name), consumers=2)
    consumer = replace(CONSUMER, facts=replace(CONSUMER.facts, queue=name, name=name))
    for action in ACTIONS:
        if action.build is None:
            continue
        letter, capture = LETTER, CaptureRow(replace(CAPTURE.capture, schema=name, table=name, trigger=name))
        row = {
            Subject.QUEUE: queue,
            Subject.CONSUMER: consumer,
            Subject.LETTER: letter,
            Subject.CAPTURE: capture,
        }[action.subject]
        command = action.build(row)
        assert parse(command.text()) == [command]
        assert command.risk is action.risk, action.id


def test_dropping_a_queue_with_consumers_is_forced_and_without_is_not() -> None:
    drop = find("drop", QUEUE)
    assert drop.build is not None
    assert drop.build(QUEUE).text() == "drop queue orders;"
    assert drop.build(replace(QUEUE, consumers=1)).text() == "drop queue orders force;"


def test_marked_rows_are_acted_on_together_and_those_that_do_not_fit_are_left_out() -> None:
    other = replace(QUEUE, facts=replace(QUEUE.facts, name="billing"))
    pause = find("pause-ticker", QUEUE)
    commands = commands_for(pause, QUEUE, (other, paused(), CONSUMER), WRITES)
    assert [command.text() for command in commands] == ["alter queue billing set paused = 1;"]
    assert len(commands_for(pause, QUEUE, (), WRITES)) == 1


def test_every_action_has_a_key_and_no_key_means_two_things_at_once() -> None:
    for key, found in actions.keys().items():
        assert key
        for subject in (Subject.QUEUE, Subject.CONSUMER, Subject.LETTER, Subject.CAPTURE):
            here = [action for action in found if action.subject in {subject, Subject.ANYTHING}]
            assert len(here) <= 2, key
            if len(here) == 2:
                pairs = ({"pause-ticker", "resume-ticker"}, {"compile", "uncompile"})
                assert {action.id for action in here} in pairs


def test_the_sql_that_shows_a_row_names_it_as_a_literal() -> None:
    odd = replace(QUEUE, facts=replace(QUEUE.facts, name="it's"))
    assert "'it''s'" in actions.sql_that_shows(odd)
    assert actions.sql_that_shows(None) == ""


def test_an_unknown_action_is_an_error() -> None:
    with pytest.raises(LookupError):
        find("unregister", QUEUE)
