"""What is offered at a place in the text, and how its words are painted."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skyconsole.engine.language.complete import about, complete, hint
from skyconsole.engine.language.errors import LanguageError
from skyconsole.engine.language.highlight import Role, highlight
from skyconsole.engine.language.names import Names
from skyconsole.engine.language.parse import parse

NAMES = Names(
    ("orders", "billing", "MyQ", 'a"b', "[/x]", "x.y", "Ünï", "📦", "", "a\nb"),
    {"orders": ("mailer", "audit"), "MyQ": ("Mine",)},
    {"orders": (12, 10)},
    subconsumers=("w1", "w2"),
)


def offered(text: str, names: Names = NAMES) -> list[str]:
    """The completions at the bar, or at the end."""
    cursor = text.index("|") if "|" in text else len(text)
    return [one.text for one in complete(text.replace("|", ""), cursor, names)]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("", ["show ", "help ", "create ", "alter ", "drop ", "register ", "unregister "]),
        ("S", ["show "]),
        ("show ", ["queue ", "consumer ", "help "]),
        ("show q", ["queue "]),
        ("show q| ; drop", ["queue "]),
        ("show queue; DR", ["drop "]),
        ("drop queue o", ["orders "]),
        ("drop queue MYQ", ['"MyQ" ']),
        ('drop queue "m', ['"MyQ" ']),
        ('drop queue "a"', ['"a\nb" ', '"a""b" ']),
        ("drop queue 'x", ["'x.y' ", "'[/x]' "]),
        ("drop queue illing", ["billing "]),
        ("drop queue blg", ["billing "]),
        ("drop queue orders ", ["force ", "if ", ";"]),
        ("drop queue orders if ", ["empty "]),
        ("alter queue orders set max", ["max_count = ", "max_lag = '"]),
        ("alter queue orders set paused = ", ["1", "0"]),
        ("alter queue orders set paused = 1 ", [", ", ";"]),
        ("register consumer x on orders copy ", ["audit ", "mailer "]),
        ("register consumer x on orders at ", ["12 ", "10 "]),
        ("register consumer x on orders at 1", ["12 ", "10 "]),
        ("unregister consumer m", ["mailer ", '"Mine" ']),
        ("show dead letters ", ["on ", "for ", ";"]),
        ("show retry for ", ["audit ", "mailer ", '"Mine" ']),
        ("replay d", ["dead "]),
        ("replay dead letters on o", ["orders "]),
        ("purge dead letters on orders ", ["on ", "for ", "older ", ";"]),
        ("unregister subconsumer ", ["* ", "w1 ", "w2 "]),
        ("unregister subconsumer w1 for ", ["audit ", "mailer "]),
        ("compile capture x on t as ", ["row ", "statement ", "auto "]),
        ("foo ", []),
        ("show -- que", []),
    ],
)
def test_what_is_offered_fits_the_place(text: str, texts: list[str]) -> None:
    assert offered(text)[: len(texts) or None] == texts


def test_the_consumers_of_the_default_queue_come_alone() -> None:
    names = Names(NAMES.queues, NAMES.consumers, NAMES.ticks, default_queue="orders")
    assert offered("unregister consumer ", names)[:3] == ["* ", "audit ", "mailer "]


def error_of(text: str) -> LanguageError | None:
    """What is wrong with the text; None when nothing is."""
    try:
        parse(text, NAMES)
    except LanguageError as error:
        return error
    return None


PREFIXES = st.sampled_from(
    ["", "show ", "show queue ", "show consumer ", "show consumer * on ", "create queue z", "drop queue ",
     "drop queue o", "drop queue orders ", "drop queue orders if ", "alter queue ", "alter queue orders ",
     "alter queue orders set ",
     "alter queue * set paused = ", "alter queue * set paused = 1 ", "alter queue orders set max_lag = '1s', ",
     "register consumer ", "register consumer a ", "register consumer a on ", "register consumer a on orders at ",
     "register consumer a on orders copy ", "unregister consumer ", "unregister consumer * ", "help", "help "]
)  # fmt: skip


@settings(max_examples=300)
@given(PREFIXES, st.integers(0, 12), st.data())
def test_a_completion_taken_leads_to_a_text_that_can_go_on(text: str, cut: int, data: st.DataObject) -> None:
    text = text[: max(0, len(text) - cut)]
    found = complete(text, len(text), NAMES)
    if not found:
        return
    one = data.draw(st.sampled_from(found))
    taken = text[: one.start] + one.text
    error = error_of(taken)
    assert error is None or error.incomplete, (text, one, error.message)


def test_ten_thousand_names_are_searched_in_five_milliseconds() -> None:
    queues = tuple(f"queue_{number}" for number in range(1000))
    many = Names(queues, {queue: tuple(f"{queue}_consumer_{n}" for n in range(10)) for queue in queues})
    texts = ["show consumer ", "show consumer queue_5", "show consumer 99_", "show consumer zzz", "show consumer q9c9"]
    for text in texts:
        complete(text, len(text), many)
    for text in texts:
        best = min(_seconds(text, many) for _ in range(7))
        assert best < 0.015, text  # 5 ms on a quiet machine


def _seconds(text: str, names: Names) -> float:
    started = time.perf_counter()
    complete(text, len(text), names)
    return time.perf_counter() - started


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", "show · help · create · alter · drop · register · unregister · replay · purge · compile · uncompile"),
        ("sh", "show queue | consumer | help | dead | retry | subconsumers | capture"),
        ("show ", "queue · consumer · help · dead · retry · subconsumers · capture"),
        ("drop queue ", "<queue> [force | if empty]"),
        ("register consumer x ", "[on <queue> | at <tick> | copy <consumer>]…"),
        ("alter queue q set ", "<setting> = <value>[, …]"),
        ("foo ", ""),
    ],
)
def test_the_line_of_grammar_is_that_of_the_place(text: str, form: str) -> None:
    assert hint(text, len(text)) == form


def test_the_statement_is_explained_once_it_is_clear() -> None:
    assert about("drop ", 5) == "drops the queue"
    assert about("show ", 5) == ""


def test_words_are_painted_by_their_part() -> None:
    text = "drop queue orders; show consumer nobody on MyQ -- all\nset"
    painted = [(text[span.start : span.end], span.role) for span in highlight(text, NAMES)]
    assert painted == [
        ("drop", Role.VERB),
        ("queue", Role.OBJECT),
        ("orders", Role.KNOWN),
        (";", Role.SIGN),
        ("show", Role.VERB),
        ("consumer", Role.OBJECT),
        ("nobody", Role.NEW),
        ("on", Role.KEYWORD),
        ("MyQ", Role.KNOWN),
        ("-- all", Role.COMMENT),
        ("set", Role.WRONG),
    ]


def test_a_word_that_is_being_typed_is_not_wrong_yet() -> None:
    assert highlight("sho", NAMES, cursor=3)[0].role is Role.VERB
    assert highlight("sho ", NAMES, cursor=4)[0].role is Role.WRONG
    assert highlight('drop queue "or', NAMES, cursor=14)[-1].role is not Role.WRONG


@given(st.text(max_size=60), st.integers(0, 60))
def test_any_text_can_be_completed_painted_and_explained(text: str, cursor: int) -> None:
    cursor = min(cursor, len(text))
    for one in complete(text, cursor, NAMES):
        assert 0 <= one.start <= cursor
    end = 0
    for span in highlight(text, NAMES, cursor=cursor):
        assert end <= span.start < span.end <= len(text)
        end = span.end
    hint(text, cursor)
    about(text, cursor)
