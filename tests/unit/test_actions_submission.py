"""How a submission is confirmed, what must be typed, what its preview says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from skyconsole.console.submission import Ask, how_to_ask, plan_all, refusal, title_of
from skyconsole.engine.errors import SkyError
from skyconsole.engine.language.commands import AlterQueue, CreateQueue, DropQueue, ShowQueue, UnregisterConsumer
from skyconsole.engine.language.model import Command, Context, Risk

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def phrase(*commands: Command) -> str:
    return plan_all(commands, Context(), "here", NOW).phrase


@pytest.mark.parametrize(
    ("risk", "careful", "previewed", "ask"),
    [
        (Risk.LOOK, True, False, Ask.NOTHING),
        (Risk.REVERSIBLE, False, False, Ask.NOTHING),
        (Risk.REVERSIBLE, True, False, Ask.ENTER),
        (Risk.REVERSIBLE, True, True, Ask.NOTHING),
        (Risk.COSTLY, False, True, Ask.DIALOG),
        (Risk.DESTROYS, False, True, Ask.TYPE),
        (Risk.DESTROYS, True, False, Ask.TYPE),
    ],
)
def test_the_risk_decides_how_a_person_is_asked(risk: Risk, careful: bool, previewed: bool, ask: Ask) -> None:
    assert how_to_ask(risk, careful=careful, previewed=previewed) is ask


def test_one_queue_is_dropped_by_typing_its_name() -> None:
    assert phrase(DropQueue("orders")) == "orders"
    assert phrase(DropQueue("[/x]")) == "[/x]"
    assert phrase(CreateQueue("x"), DropQueue("orders")) == "orders"


def test_many_queues_are_dropped_by_typing_their_count() -> None:
    assert phrase(DropQueue("a"), DropQueue("b"), CreateQueue("c")) == "2"


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1bb", " a", "\u202eabc"])
def test_a_name_that_cannot_be_typed_is_replaced_by_a_word(name: str) -> None:
    assert phrase(DropQueue(name)) == "destroy"


def test_nothing_is_typed_for_what_does_not_destroy() -> None:
    assert phrase(UnregisterConsumer("mailer", "orders"), AlterQueue.paused("orders", True)) == ""


def test_the_greatest_risk_counts() -> None:
    commands = (ShowQueue(), CreateQueue("a"), DropQueue("b"))
    assert plan_all(commands, Context(), "here", NOW).risk is Risk.DESTROYS


def test_the_preview_holds_every_statement_with_its_values() -> None:
    submission = plan_all((CreateQueue("it's"), AlterQueue.of("q", max_count=5)), Context(), "here", NOW)
    lines = submission.sql.split("\n")
    assert len(lines) == 2
    assert "'it''s'" in lines[0]
    assert lines[1].endswith(";")
    assert title_of(submission) == "2 commands"


def test_whether_it_can_be_undone_is_said() -> None:
    assert plan_all((CreateQueue("a"),), Context(), "here", NOW).undo_text == "u undoes it."
    assert plan_all((AlterQueue.paused("a", True),), Context(), "here", NOW).undo_text == "u may undo it."
    assert plan_all((DropQueue("a"),), Context(), "here", NOW).undo_text == "no undo."


def test_a_command_that_cannot_be_planned_stops_all() -> None:
    with pytest.raises(SkyError, match="No queue specified"):
        plan_all((CreateQueue("a"), UnregisterConsumer("mailer")), Context(), "here", NOW)


def test_read_only_refuses_what_changes_and_not_what_looks() -> None:
    assert refusal(Risk.LOOK, read_only=True) == ""
    assert "R" in refusal(Risk.REVERSIBLE, read_only=True)
    assert refusal(Risk.DESTROYS, read_only=False) == ""
