"""Text from elsewhere, made fit for a terminal without losing a letter of any language."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.terminal import columns, cut, fitted, shown

ANY_TEXT = st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from("\x1b[]P\\\x07\x9b\x9d\x9c\n\r\t;mHJK0123 ")))
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@given(ANY_TEXT)
def test_nothing_is_left_that_a_terminal_would_obey(text: str) -> None:
    assert not OBEYED.search(shown(text))
    assert not OBEYED.search(shown(text, lines=True).replace("\n", ""))


@given(ANY_TEXT)
def test_it_is_done_once_and_for_all(text: str) -> None:
    assert shown(shown(text)) == shown(text)
    shown(text).encode()


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs"))))
def test_letters_marks_numbers_and_signs_stay(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b1;31mred\x9bm", "red"),
        ("\x1b]0;title\x07word", "word"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9d0;title\x9cword", "word"),
        ("\x1bPq#0\x1b\\word", "word"),
        ("\x1b]0;never ended, but a word", "0;never ended, but a word"),
        ("\x1bcword", "word"),
        ("\x1b(Bword", "word"),
        ("word\x1b", "word"),
        ("\x1b[1", "1"),
        ("a\r\nb\tc\x0bd\u2028e", "a b c d e"),
        ("\x00\x08a\x7f", "a"),
        ("\u202eevil\u202c", "evil"),
        ("\ud800", "\N{REPLACEMENT CHARACTER}"),
        ("👩\u200d👩\u200d👧 \u0645\u06cc\u200c\u0631\u0648\u0645", "👩\u200d👩\u200d👧 \u0645\u06cc\u200c\u0631\u0648\u0645"),
    ],
)
def test_sequences_go_whole_and_words_stay(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_message_of_megabytes_takes_no_time_to_speak_of() -> None:
    """Each introducer without an end would be a new search to the end of the text."""
    for evil in ("\x1b]" * 50_000, "\x1b[" * 50_000, "\x9b" * 100_000, "\x1bP" * 50_000, "\x90" * 100_000):
        assert "\x1b" not in shown(evil)


@given(ANY_TEXT, st.integers(0, 30))
def test_as_much_of_a_text_as_fits(text: str, width: int) -> None:
    text = shown(text)
    found = fitted(text, width)

    assert text.startswith(found)
    assert not found or columns(found)[-1] <= width
    assert found == text or columns(text)[len(found)] > width


@given(st.text(), st.integers(1, 20))
def test_what_is_cut_says_so(text: str, longest: int) -> None:
    found = cut(text, longest)

    assert len(found) <= longest
    assert found == text or found == text[: longest - 1] + "…"
