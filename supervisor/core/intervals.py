"""A set of whole numbers kept as disjoint, sorted, half-open spans."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import msgspec


class Intervals(msgspec.Struct):
    """Spans of positions. Touching spans are one.

    >>> some = Intervals()
    >>> some.add(10, 20), some.add(15, 25), some.add(25, 30), some.spans
    (10, 5, 5, [(10, 30)])
    >>> some.count(0, 12), some.prefix(10), some.prefix(5), list(some.missing(0, 40))
    (2, 30, 5, [(0, 10), (30, 40)])
    """

    spans: list[tuple[int, int]] = msgspec.field(default_factory=list)

    def add(self, start: int, end: int) -> int:
        """Cover [start, end); return how many positions were not covered before."""
        if end <= start:
            return 0
        new = end - start - self.count(start, end)
        first = bisect_left(self.spans, start, key=_end)
        last = bisect_right(self.spans, end, key=_start)
        if first < last:
            start, end = min(start, self.spans[first][0]), max(end, self.spans[last - 1][1])
        self.spans[first:last] = [(start, end)]
        return new

    def count(self, start: int, end: int) -> int:
        """How many positions of [start, end) are covered."""
        return sum(b - a for a, b in self.within(start, end))

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The covered parts of [start, end), in order."""
        for index in range(bisect_right(self.spans, start, key=_end), len(self.spans)):
            a, b = self.spans[index]
            if a >= end or start >= end:
                return
            yield max(a, start), min(b, end)

    def missing(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of [start, end) that are not covered, in order."""
        for a, b in list(self.within(start, end)):
            if start < a:
                yield start, a
            start = b
        if start < end:
            yield start, end

    def prefix(self, start: int) -> int:
        """Where the coverage that begins at start ends; start itself where it is not covered."""
        index = bisect_right(self.spans, start, key=_start) - 1
        return max(start, self.spans[index][1]) if index >= 0 else start

    def forget(self, before: int) -> None:
        """Drop the spans that end before a position: nobody will ask about them again."""
        del self.spans[: bisect_left(self.spans, before, key=_end)]


def _start(span: tuple[int, int]) -> int:
    return span[0]


def _end(span: tuple[int, int]) -> int:
    return span[1]
