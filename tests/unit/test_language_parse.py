"""From text to commands: every sentence of spec/qadmin.md that is seeded, and what is wrong with the others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skyconsole.engine.errors import UsageError
from skyconsole.engine.language.captures import FORMS, table_name
from skyconsole.engine.language.commands import (
    EVERY,
    AlterQueue,
    CompileCapture,
    CreateQueue,
    DropQueue,
    Help,
    PurgeDeadLetters,
    RegisterConsumer,
    RegisterSubconsumer,
    ReplayDeadLetters,
    ShowCapture,
    ShowConsumer,
    ShowDeadLetters,
    ShowQueue,
    ShowRetry,
    ShowSubconsumers,
    UncompileCapture,
    UnregisterConsumer,
    UnregisterSubconsumer,
)
from skyconsole.engine.language.errors import LanguageError
from skyconsole.engine.language.grammar import RULES
from skyconsole.engine.language.model import Command
from skyconsole.engine.language.names import Names
from skyconsole.engine.language.parse import parse, statements

ODD = ["[/x]", 'a"b', "x.y", "Ünï", "📦", "n" * 63, "", "a\nb", "on", "queue", "*", ";", "--", "'", "\\", " "]
NAME = st.one_of(
    st.sampled_from(ODD), st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=70)
)
SCOPE = st.one_of(NAME, st.just(EVERY))
SHOWN = ("queue", "consumer", "help", "dead", "retry", "subconsumers", "capture")
LETTERS = st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=4).map(tuple)
MAYBE = st.one_of(st.none(), NAME)
MAYBE_SCOPE = st.one_of(st.none(), SCOPE)
INTERVALS = st.sampled_from(["3 seconds", "1:00", "it's", "5", "a\\b", "-1 day"])
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "max_count": st.integers(-(2**31), 2**31),
        "max_lag": INTERVALS,
        "idle_period": INTERVALS,
        "rotation_period": INTERVALS,
        "paused": st.booleans(),
        "external_ticker": st.booleans(),
        "disable_insert": st.booleans(),
        "per_tx_limit": st.one_of(st.none(), st.integers(-1, 1000)),
    },
).filter(bool)
COMMANDS = st.one_of(
    st.builds(ShowQueue, st.one_of(st.none(), SCOPE)),
    st.builds(ShowConsumer, SCOPE, SCOPE),
    st.builds(CreateQueue, NAME),
    st.builds(DropQueue, NAME, force=st.booleans()),
    st.builds(DropQueue, NAME, if_empty=st.booleans()),
    st.builds(lambda queue, values: AlterQueue.of(queue, **values), SCOPE, SETTINGS),
    st.builds(
        RegisterConsumer, NAME, st.one_of(st.none(), NAME), st.one_of(st.none(), st.integers(0, 2**63 - 1)),
        st.one_of(st.none(), NAME),
    ),
    st.builds(UnregisterConsumer, SCOPE, st.one_of(st.none(), NAME)),
    st.builds(ShowDeadLetters, MAYBE_SCOPE, MAYBE),
    st.builds(ShowRetry, MAYBE_SCOPE, MAYBE),
    st.builds(ReplayDeadLetters, LETTERS),
    st.builds(ReplayDeadLetters, st.just(()), MAYBE_SCOPE, MAYBE),
    st.builds(PurgeDeadLetters, LETTERS),
    st.builds(PurgeDeadLetters, st.just(()), MAYBE_SCOPE, MAYBE, st.one_of(st.none(), INTERVALS)),
    st.builds(ShowSubconsumers, MAYBE, MAYBE_SCOPE),
    st.builds(RegisterSubconsumer, NAME, NAME, MAYBE),
    st.builds(UnregisterSubconsumer, SCOPE, NAME, MAYBE, st.booleans()),
    st.builds(ShowCapture, st.one_of(st.none(), NAME)),
    st.builds(CompileCapture, NAME, NAME, st.sampled_from(FORMS)),
    st.builds(CompileCapture, NAME, st.builds(table_name, NAME, NAME)),
    st.builds(UncompileCapture, NAME, NAME),
    st.builds(Help, st.sampled_from(["", "show", "create queue", "help"])),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("show queue;", ShowQueue()),
        ("SHOW Queue *;", ShowQueue(EVERY)),
        ('show queue "*";', ShowQueue("*")),
        ("show queue MyQ;", ShowQueue("myq")),
        ('show queue "MyQ";', ShowQueue("MyQ")),
        ("show queue 'MyQ';", ShowQueue("MyQ")),
        ("show consumer;", ShowConsumer()),
        ("show consumer on;", ShowConsumer("on")),
        ("show consumer on on on;", ShowConsumer("on", "on")),
        ("show consumer on q;", ShowConsumer(EVERY, "q")),
        ("show consumer * on q;", ShowConsumer(EVERY, "q")),
        ("show consumer c in *;", ShowConsumer("c")),
        ("show dead letters;", ShowDeadLetters()),
        ("show dead letter for MAILER on *;", ShowDeadLetters(EVERY, "mailer")),
        ("show retry in orders for mailer;", ShowRetry("orders", "mailer")),
        ("replay dead letter 17,18;", ReplayDeadLetters((17, 18))),
        ("replay dead letters on orders;", ReplayDeadLetters((), "orders")),
        ("purge dead letters;", PurgeDeadLetters()),
        ("purge dead letters on * older than '1 day';", PurgeDeadLetters((), EVERY, None, "1 day")),
        ("register subconsumer 'W 1' for c on q;", RegisterSubconsumer("W 1", "c", "q")),
        ("register subconsumer 1 on q for c;", RegisterSubconsumer("1", "c", "q")),
        ("unregister subconsumer * for c from q close;", UnregisterSubconsumer(EVERY, "c", "q", close=True)),
        ("unregister subconsumer w1 for c close batch;", UnregisterSubconsumer("w1", "c", close=True)),
        ("show capture;", ShowCapture()),
        ('show capture on crm."Order Lines";', ShowCapture('crm."Order Lines"')),
        ("compile capture Cap on public.orders as row;", CompileCapture("cap", "public.orders", "row")),
        ('uncompile capture "Cap" on orders;', UncompileCapture("Cap", "orders")),
        ("show help;", Help()),
        ("help alter Queue", Help("alter queue")),
        ("create queue MyQ;", CreateQueue("myq")),
        ("create queue queue;", CreateQueue("queue")),
        ('create queue Foo."Bar";', CreateQueue("Foo.Bar")),
        ("drop queue force;", DropQueue("force")),
        ("drop queue q force", DropQueue("q", force=True)),
        ("drop queue q if empty", DropQueue("q", if_empty=True)),
        ("alter queue * set max_lag='5 sec',max_count=7;", AlterQueue.of(EVERY, max_lag="5 sec", max_count=7)),
        ("alter queue q set paused=true, max_lag=5", AlterQueue.of("q", paused=True, max_lag="5")),
        ("alter queue q set max_count='5', per_tx_limit = null", AlterQueue.of("q", max_count=5, per_tx_limit=None)),
        ("alter queue q set max_count=1, max_count=2", AlterQueue.of("q", max_count=2)),
        ("register consumer on on q;", RegisterConsumer("on", "q")),
        ("register consumer c at 5 on q at 6 copy d;", RegisterConsumer("c", "q", 6, "d")),
        ("unregister consumer * from q;", UnregisterConsumer(EVERY, "q")),
        ("unregister consumer c on q;", UnregisterConsumer("c", "q")),
    ],
)
def test_a_sentence_is_its_command(text: str, command: Command) -> None:
    assert parse(text) == [command]


@settings(max_examples=400)
@given(COMMANDS)
def test_a_command_written_out_reads_as_itself(command: Command) -> None:
    assert parse(command.text()) == [command]


@given(st.lists(COMMANDS, max_size=5))
def test_a_script_reads_as_its_commands(commands: list[Command]) -> None:
    assert parse("\n".join(one.text() for one in commands)) == commands


@pytest.mark.parametrize(
    ("text", "position", "expected", "incomplete"),
    [
        ("show quue;", 5, SHOWN, False),
        ("show", 4, SHOWN, True),
        ("drop; show queue", 4, ("queue",), False),
        ("drop queue q a;", 13, ("force", "if", ";"), False),
        ("alter queue q set max_count=5,", 30, (), True),
        ("alter queue q set max_lag=soon;", 26, (), False),
        ("alter queue q set paused='maybe';", 25, (), False),
        ("register consumer c at 99999999999999999999;", 23, (), False),
        ("show consumer 5;", 14, ("*", "<consumer>", "on", ";"), False),
        ("show queue;\n  foo", 14, (), False),
    ],
)
def test_an_error_has_its_place_and_what_is_expected(
    text: str, position: int, expected: tuple[str, ...], incomplete: bool
) -> None:
    with pytest.raises(LanguageError) as caught:
        parse(text)
    assert (caught.value.position, caught.value.incomplete) == (position, incomplete)
    if expected:
        assert caught.value.expected == expected


def test_an_error_tells_line_and_column_and_the_near_word() -> None:
    with pytest.raises(LanguageError) as caught:
        parse("show queue;\n  shw queue;")
    assert (caught.value.line, caught.value.column) == (2, 3)
    assert caught.value.hint == "Did you mean show?"


def error_of(text: str) -> LanguageError | None:
    """What is wrong with the text; None when nothing is."""
    try:
        parse(text)
    except LanguageError as error:
        return error
    return None


@settings(max_examples=500)
@given(st.text(max_size=60))
def test_a_random_text_raises_only_an_error_with_a_place(text: str) -> None:
    error = error_of(text)
    assert error is None or 0 <= error.position <= len(text)


WORDS = [
    *(
        "show",
        "queue",
        "consumer",
        "help",
        "create",
        "alter",
        "drop",
        "register",
        "unregister",
        "set",
        "max_lag",
        "null",
    ),
    *("on", "from", "at", "copy", "force", "if", "empty", "Q", "*", "=", ",", ";", "5", "'1 s'", '"', "'", "-", "\n"),
]


@settings(max_examples=1000)
@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_random_words_of_the_language_raise_only_an_error_with_a_place(words: list[str]) -> None:
    text = " ".join(words)
    error = error_of(text)
    if error is not None:
        assert 0 <= error.position <= len(text)
        return
    for command in parse(text):
        assert parse(command.text()) == [command]


def test_an_unquoted_name_is_tried_as_typed_then_in_lower_case() -> None:
    names = Names(("MyQ", "Both", "both"), {"MyQ": ("Mailer",)})
    assert parse("drop queue MyQ", names) == [DropQueue("MyQ")]
    assert parse("drop queue MYQ", names) == [DropQueue("myq")]
    assert parse("register consumer Mailer on MyQ", names) == [RegisterConsumer("Mailer", "MyQ")]
    assert parse("create queue MyQ", names) == [CreateQueue("myq")]


def test_a_name_that_could_mean_two_is_noticed() -> None:
    (statement,) = statements("show queue Both", Names(("Both", "both")))
    assert statement.command == ShowQueue("Both")
    assert statement.notices == ('There are queues "Both" and "both": "Both" was taken.',)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_has_an_example_of_its_own_risk(rule: object) -> None:
    from skyconsole.engine.language.nodes import Rule

    assert isinstance(rule, Rule)
    (statement,) = statements(rule.example)
    assert statement.rule is rule
    assert (statement.command.risk, statement.command.reason) == (rule.risk, rule.reason)
    assert statement.command.text() == rule.example


def test_a_command_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(UsageError):
        DropQueue("q", force=True, if_empty=True)
    with pytest.raises(UsageError):
        AlterQueue("q", (("colour", "red"),))
