"""Foreign text cannot move a cursor, break a line or fill a screen."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.plain import plain


@given(st.text(), st.integers(4, 300))
def test_what_is_left_is_one_printable_line_of_bounded_length(text: str, longest: int) -> None:
    line = plain(text, longest)

    assert line.isprintable()
    assert len(line) <= longest
    assert line == line.strip()


def test_marks_that_turn_the_direction_of_writing_are_gone() -> None:
    assert plain("user\u202egpj.exe\u2066") == "user gpj.exe"


def test_words_that_fit_are_left_alone() -> None:
    assert plain("Größe: 12 µs") == "Größe: 12 µs"
