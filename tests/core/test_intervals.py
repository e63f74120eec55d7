"""Intervals against a plain set of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.intervals import Intervals

POSITIONS = st.integers(0, 60)
SPANS = st.lists(st.tuples(POSITIONS, POSITIONS), max_size=20)


def numbers(spans: object) -> set[int]:
    return {n for a, b in spans for n in range(a, b)}  # type: ignore[attr-defined]


@given(SPANS, POSITIONS, POSITIONS)
def test_intervals_are_a_set(spans: list[tuple[int, int]], start: int, end: int) -> None:
    intervals, model = Intervals(), set()
    for a, b in spans:
        new = set(range(a, b)) - model

        assert len(new) == intervals.add(a, b)

        model |= new
    wanted = set(range(start, end))

    assert model == numbers(intervals.spans)
    assert len(model & wanted) == intervals.count(start, end)
    assert model & wanted == numbers(intervals.within(start, end))
    assert wanted - model == numbers(intervals.missing(start, end))
    prefix = intervals.prefix(start)
    assert set(range(start, prefix)) <= model
    assert prefix not in model
    intervals.forget(start)
    assert {n for n in model if n >= start} == {n for n in numbers(intervals.spans) if n >= start}


@given(SPANS)
def test_spans_are_as_few_as_can_be(spans: list[tuple[int, int]]) -> None:
    """Sorted, none empty, and no two that touch: a long call with small losses does not grow a long list."""
    intervals = Intervals()
    for a, b in spans:
        intervals.add(a, b)

    assert all(a < b for a, b in intervals.spans)
    assert all(b < c for (_, b), (c, _) in zip(intervals.spans, intervals.spans[1:], strict=False))


@pytest.mark.parametrize(
    "before, left", [(0, [(2, 4), (6, 9)]), (3, [(2, 4), (6, 9)]), (4, [(2, 4), (6, 9)]), (5, [(6, 9)]), (99, [])]
)
def test_what_lies_wholly_before_is_forgotten(before: int, left: list[tuple[int, int]]) -> None:
    """A span that ends at the position is kept: what is added next may touch it."""
    intervals = Intervals([(2, 4), (6, 9)])

    intervals.forget(before)

    assert left == intervals.spans
