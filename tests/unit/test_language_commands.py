"""What a command plans, seen from the picture: risk, effect, guards, inverse; and what is kept and shown of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from skyconsole.engine.errors import UsageError
from skyconsole.engine.language.commands import (
    EVERY,
    AlterQueue,
    CreateQueue,
    DropQueue,
    Help,
    RegisterConsumer,
    ShowQueue,
    UnregisterConsumer,
)
from skyconsole.engine.language.errors import LanguageError
from skyconsole.engine.language.journal import Journal
from skyconsole.engine.language.model import Command, Context, Outcome, Risk
from skyconsole.engine.language.names import Names
from skyconsole.engine.language.output import outcome_json, render_error, render_outcome, render_table
from skyconsole.engine.language.parse import parse
from skyconsole.engine.monitor.model import ConsumerFacts, Phase, QueueFacts, Snapshot
from skyconsole.engine.monitor.picture import ConsumerRow, DatabaseRow, Level, Picture, QueueRow, Totals

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
QUEUE = QueueFacts(
    1, "orders", 3, 0, 7200.0, NOW, False, False, False, False, 500, 3.0, 60.0, None, 40, NOW, 1000, 1037
)  # fmt: skip
CONSUMERS = (
    ConsumerFacts("orders", "audit", 11, False, 40, NOW, 1000, NOW, None, None),
    ConsumerFacts("orders", "mailer", 12, False, 12, NOW, 688, NOW, 77, 13),
)
PICTURE = Picture(
    Snapshot("shop", NOW, NOW, Phase.LIVE, None, (QUEUE,), CONSUMERS),
    DatabaseRow("shop", Level.OK, Phase.LIVE, 1, 2, 0.0, None, "ok", (), ""),
    (QueueRow(QUEUE, Level.OK, 2, 0, None, 37, 0.4, None, (), ""),),
    tuple(
        ConsumerRow(facts, Level.OK, 1.0, 1.0, 1000 - (facts.last_tick_seq or 0), None, None, (), "")
        for facts in CONSUMERS
    ),
    (), (), Totals(), (),
)  # fmt: skip
SEEN = Context(PICTURE)
BLIND = Context()


def sql_of(command: Command, context: Context = BLIND) -> list[str]:
    return [step.preview() for step in command.plan(context).steps]


@pytest.mark.parametrize(
    ("command", "risk", "confirm"),
    [
        (ShowQueue(), Risk.LOOK, ""),
        (CreateQueue("q"), Risk.REVERSIBLE, ""),
        (AlterQueue.of("q", paused=True), Risk.REVERSIBLE, ""),
        (AlterQueue.of(EVERY, paused=True), Risk.COSTLY, ""),
        (RegisterConsumer("c", "q"), Risk.REVERSIBLE, ""),
        (UnregisterConsumer("c", "q"), Risk.COSTLY, ""),
        (UnregisterConsumer(EVERY, "q"), Risk.DESTROYS, "q"),
        (DropQueue("q"), Risk.DESTROYS, "q"),
        (DropQueue("q", if_empty=True), Risk.REVERSIBLE, ""),
    ],
)
def test_each_command_knows_its_risk(command: Command, risk: Risk, confirm: str) -> None:
    assert (command.risk, command.confirm_name, bool(command.reason)) == (risk, confirm, risk > Risk.LOOK)


def test_the_sql_is_shown_with_its_values() -> None:
    assert sql_of(DropQueue("it's", force=True)) == ["select pgq.drop_queue('it''s', true);"]
    assert sql_of(AlterQueue.of("q", paused=True, per_tx_limit=None)) == [
        "select pgq.set_queue_config('q', 'ticker_paused', '1');",
        "update pgq.queue\nset queue_per_tx_limit = null::integer\nwhere queue_name = 'q';",
    ]
    assert sql_of(RegisterConsumer("c", at=5), Context(default_queue="q")) == [
        "select pgq.register_consumer_at('q', 'c', 5);"
    ]


def test_dropping_says_what_is_destroyed() -> None:
    forced = DropQueue("orders", force=True).plan(SEEN)
    assert forced.effect == (
        "destroys 3 event tables and 2 registrations:",
        "audit, mailer",
        "mailer still has 312 unread events",
    )
    assert forced.inverse is None
    assert DropQueue("orders").plan(SEEN).effect[0] == "is refused: 2 consumers still attached"


def test_altering_says_old_and_new_and_can_go_back() -> None:
    plan = AlterQueue.of("orders", max_lag="5 seconds", per_tx_limit=9).plan(SEEN)
    assert plan.effect == ("max_lag: 3 seconds → 5 seconds", "per_tx_limit: any → 9")
    assert plan.inverse == AlterQueue.of("orders", max_lag="3 seconds", per_tx_limit=None)


def test_unregistering_can_go_back_to_the_tick() -> None:
    plan = UnregisterConsumer("mailer", "orders").plan(SEEN)
    assert plan.inverse == RegisterConsumer("mailer", "orders", at=12)
    assert "its open batch 77 is dropped" in plan.effect
    assert UnregisterConsumer("mailer", "orders").plan(BLIND).inverse is None


def test_a_name_that_is_nearly_right_is_pointed_out() -> None:
    (guard,) = AlterQueue.of("order", paused=True).plan(SEEN).guards
    assert (guard.otherwise, guard.hint) == ('Queue "order" not found.', "Did you mean orders?")


def test_help_is_a_table_of_the_grammar() -> None:
    plan = Help("drop").plan(BLIND)
    assert [row[0] for row in plan.rows] == ["drop queue <queue> [force | if empty];"]
    with pytest.raises(UsageError):
        Help("nonsense").plan(BLIND)


def test_the_names_are_those_of_the_picture() -> None:
    names = Names.of(PICTURE)
    assert (names.queues, names.consumers, names.ticks) == (
        ("orders",), {"orders": ("audit", "mailer")}, {"orders": (40, 12)},
    )  # fmt: skip


def done(text: str, inverse: str = "", *, ok: bool = True) -> Outcome:
    (command,) = parse(text)
    back = parse(inverse)[0] if inverse else None
    return Outcome(
        command, replace(command.plan(BLIND), inverse=back), ok, "DONE" if ok else "", error="" if ok else "no"
    )


def test_the_log_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "state dir" / "log.jsonl"
    journal = Journal(path, target="shop")
    journal.record(done('create queue "a\u2028b\n";', 'drop queue "a\u2028b\n" if empty;'))
    journal.record(done("show queue;"))
    journal.record(done("drop queue z;", ok=False))
    again = Journal(path, target="shop")
    assert again.entries == journal.entries
    assert again.undo() == DropQueue("a\u2028b\n", if_empty=True)
    assert Journal(path, target="other").undo() is None
    assert path.stat().st_mode & 0o077 == 0


def test_undone_commands_can_be_done_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    journal = Journal(path)
    journal.record(done("create queue a;", "drop queue a if empty;"))
    assert journal.undo() == DropQueue("a", if_empty=True)
    journal.record(done("drop queue a if empty;", "create queue a;"))
    again = Journal(path)
    assert again.undo() is None
    assert again.redo() == CreateQueue("a")


def test_a_failed_undo_stays_due_and_a_new_command_forgets_the_redo() -> None:
    journal = Journal()
    journal.record(done("create queue a;", "drop queue a if empty;"))
    journal.undo()
    journal.record(done("drop queue a if empty;", ok=False))
    assert journal.undo() == DropQueue("a", if_empty=True)
    journal.record(done("drop queue a if empty;", "create queue a;"))
    journal.record(done("create queue b;", "drop queue b if empty;"))
    assert journal.redo() is None


def test_what_cannot_be_undone_is_not_passed_over() -> None:
    journal = Journal()
    journal.record(done("create queue a;", "drop queue a if empty;"))
    journal.record(done("drop queue z;"))
    assert journal.undo() is None


def test_lines_that_are_no_entries_are_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Journal(path).record(done("create queue a;"))
    with path.open("a") as file:
        file.write('{"time": 5}\nnonsense\n')
    again = Journal(path)
    assert (len(again.entries), "no entries" in again.problem) == (1, True)


def test_a_log_that_cannot_be_written_goes_on_in_memory(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.record(done("create queue a;", "drop queue a if empty;"))
    assert journal.undo() is not None
    assert "cannot be" in journal.problem


def test_a_table_has_the_original_layout() -> None:
    rows = (("[/x]", None, True), ("a\nb", timedelta(seconds=3), False))
    assert render_table("Queue:", ("queue_name", "lag", "paused"), rows, compat=True) == (
        "Queue:\n"
        "queue_name  lag         paused\n"
        "----------  ----------  ----------\n"
        "[/x]        None        True\n"
        "a\\nb        0:00:03     False\n\n"
    )


def test_a_table_wider_than_the_screen_is_written_one_value_a_line() -> None:
    assert render_table("", ("a", "longer"), (("x", "y"),), 12) == "-[ 1 ]----------\na       x\nlonger  y\n\n"


def test_an_outcome_is_a_word_an_error_or_a_json_object() -> None:
    assert render_outcome(done("create queue a;")) == "DONE\n"
    assert render_outcome(done("drop queue z;", ok=False)) == "ERROR: no\n"
    assert json.loads(outcome_json(done("create queue a;"))) == {
        "statement": "create queue a;", "ok": True, "word": "DONE",
    }  # fmt: skip


def test_an_error_marks_the_word() -> None:
    with pytest.raises(LanguageError) as caught:
        parse("show queue;\nshow quue;")
    assert render_error(caught.value, "a.sky").splitlines() == [
        "a.sky:2:6: error: quue cannot stand here: "
        "queue, consumer, help, dead, retry, subconsumers or capture is expected.",
        "  show quue;",
        "       ^^^^",
        "HINT: Did you mean queue?",
    ]
