"""The words of the command language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skyconsole.engine.language.errors import LanguageError
from skyconsole.engine.language.literal import fill, literal
from skyconsole.engine.language.tokens import Kind, quote_name, scan, tokens

NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=80)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("orders", Kind.NAME, "orders"),
        ('"a""b"', Kind.NAME, 'a"b'),
        ('""', Kind.NAME, ""),
        ('Foo."Bar"', Kind.NAME, "Foo.Bar"),
        ("a.b", Kind.NAME, "a.b"),
        ("Ünï", Kind.NAME, "Ünï"),
        ("'it''s'", Kind.STRING, "it's"),
        (r"E'a\n\x41\'\\'", Kind.STRING, "a\nA'\\"),
        ("$t$a'b$$c$t$", Kind.STRING, "a'b$$c"),
        ("10.0.0.1", Kind.NUMBER, "10.0.0.1"),
        (";", Kind.SYMBOL, ";"),
    ],
)
def test_a_word_is_read_with_what_it_means(text: str, kind: Kind, value: str) -> None:
    (token,) = scan(text)
    assert (token.kind, token.value, token.text) == (kind, value, text)


def test_comments_are_left_out_and_places_are_kept() -> None:
    found = tokens("show -- all; of them\n/* the */ queue")
    assert [(token.text, token.start) for token in found] == [("show", 0), ("queue", 31)]


@pytest.mark.parametrize("text", ['drop "x', "set 'x", "$a$ x", "/* x", "show `x`", "'a\x00'", "E'\\U00110000'"])
def test_what_is_no_word_is_told_with_its_place(text: str) -> None:
    with pytest.raises(LanguageError) as caught:
        tokens(text)
    assert 0 <= caught.value.position < len(text)


@given(st.text(max_size=200))
def test_any_text_is_cut_into_pieces_that_do_not_overlap(text: str) -> None:
    end = 0
    for token in scan(text):
        assert token.start >= end
        assert text[token.start : token.end] == token.text
        assert not text[end : token.start].strip()
        end = token.end
    assert not text[end:].strip()


@given(NAMES)
def test_a_quoted_name_means_itself(name: str) -> None:
    (token,) = tokens(quote_name(name))
    assert (token.kind, token.value) == (Kind.NAME, name)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (-5, "-5"),
        (1.5, "1.5"),
        (float("nan"), "'nan'"),
        ("it's", "'it''s'"),
        ("a\\b", "E'a\\\\b'"),
        (["a", "b'"], "array['a', 'b''']"),
        (b"\x00\xff", "E'\\\\x00ff'::bytea"),
    ],
)
def test_a_value_is_shown_as_the_literal_it_is(value: object, written: str) -> None:
    assert literal(value) == written


def test_a_statement_is_shown_with_its_values() -> None:
    assert fill("select f(%s) where a like '%%x' and b = %s", ("%s", 1)) == "select f('%s') where a like '%x' and b = 1"
