"""A trouble that repeats is told a few times, and then counted; no line vanishes without being counted."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.repeats import Left, Repeats

STUCK = ("sink_stuck", "error")
A, B = (("sink", "a"),), (("sink", "b"),)


def test_a_few_are_let_through_and_the_rest_is_told_with_the_next():
    repeats = Repeats(each=3, window=10.0)
    told = [repeats.admit(STUCK, A, now) for now in (0, 1, 2, 3, 4, 9.9, 10, 11)]

    assert told == [0, 0, 0, None, None, None, 3, 0]


def test_one_things_trouble_is_not_anothers_nor_is_another_event():
    repeats = Repeats(each=1)
    first = [repeats.admit(STUCK, A, 0), repeats.admit(STUCK, B, 0), repeats.admit(("sink_stuck", "warning"), A, 0)]

    assert first == [0, 0, 0]
    assert repeats.admit(STUCK, A, 1) is None


def test_one_trouble_of_many_is_limited_too():
    repeats = Repeats(each=5, together=100)
    told = [repeats.admit(STUCK, (("sink", str(n)),), n / 1000) for n in range(500)]

    assert told == [0] * 100 + [None] * 400
    assert repeats.due(9.9) == []
    assert repeats.due(10.5) == [Left(STUCK, None, 400)]


def test_what_no_other_line_tells_is_due_once_when_the_window_has_ended():
    repeats = Repeats(each=1)
    for now in (0, 1, 2):
        repeats.admit(STUCK, A, now)

    assert (repeats.wait(2.0), repeats.due(9.0)) == (8.0, [])
    assert repeats.wait(12.0) == 0.0
    assert repeats.due(10.0) == [Left(STUCK, A, 2)]
    assert (repeats.wait(10.0), repeats.due(100.0)) == (None, [])


def test_where_nothing_is_left_out_there_is_nothing_to_wait_for():
    repeats = Repeats()
    repeats.admit(STUCK, A, 0)

    assert (repeats.wait(0.0), repeats.due(100.0)) == (None, [])


def test_at_the_end_all_is_told():
    repeats = Repeats(each=1)
    for _ in range(3):
        repeats.admit(STUCK, A, 0)

    assert repeats.due(float("inf")) == [Left(STUCK, A, 2)]


def test_what_a_stranger_makes_up_takes_no_room():
    repeats = Repeats(each=1, most=50)
    for number in range(10_000):
        repeats.admit((f"made-up {number}", "warning"), A, 0)
        repeats.admit(STUCK, (("problem", str(number)),), 0)
        assert len(repeats._windows) <= 50


def test_a_window_that_has_to_make_room_is_told_before_it_is_forgotten():
    repeats = Repeats(each=1, most=4)
    repeats.admit(STUCK, A, 0)
    repeats.admit(STUCK, A, 0)
    for number in range(4):
        repeats.admit((str(number), "info"), B, 1)

    assert repeats.wait(1.0) == 0.0
    assert repeats.due(1.0) == [Left(STUCK, A, 1)]


def test_one_that_has_to_make_room_for_the_line_that_tells_it_is_told_once():
    repeats = Repeats(each=1, together=2, window=10.0, most=3)
    lines = [(STUCK, A, 0), (STUCK, B, 5), (STUCK, (), 6), (STUCK, B, 10), (("other", "info"), A, 11), (STUCK, (("sink", "c"),), 12)]
    told = [repeats.admit(*line) for line in lines]

    assert told.count(None) == 2
    assert sum(filter(None, told)) + sum(left.lines for left in repeats.due(float("inf"))) == 2


LINES = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.floats(0, 4), st.booleans()), max_size=60)


@given(LINES, st.integers(1, 3), st.integers(1, 5), st.integers(2, 9))
def test_each_line_is_let_through_or_counted_once(lines, each, together, most):
    """However small the room; and where there is enough of it, no window holds more than it may."""
    repeats = Repeats(each=each, together=together, window=10.0, most=most)
    now, admitted, told = 0.0, [], 0
    for event, about, later, looks in lines:
        now += later
        left = repeats.admit((event, "info"), (("call_id", about),), now)
        if left is not None:
            admitted.append((now, event, about))
            told += left
        if looks:
            told += sum(each.lines for each in repeats.due(now))
    told += sum(each.lines for each in repeats.due(float("inf")))

    assert len(admitted) + told == len(lines)
    if most >= 8:
        for began, _, _ in admitted:  # fixed windows: two of them may touch
            within = [(event, about) for at, event, about in admitted if began <= at < began + 10]
            assert all(count <= 2 * each for count in Counter(within).values())
            assert all(count <= 2 * together for count in Counter(event for event, _ in within).values())
