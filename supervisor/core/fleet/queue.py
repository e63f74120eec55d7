"""Whose turn it is: running calls in the order they asked, then new ones."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass


@dataclass(slots=True)
class _Waiting:
    turn: tuple[bool, int]  # new after running, then as they came
    expected: float  # when it will ask again


class Queue:
    """Calls that ask again and again; one that does not come back in time has lost its turn.

    >>> queue = Queue()
    >>> queue.rank("new", running=False, now=0.0), queue.rank("old", running=True, now=0.0)
    (0, 0)
    >>> queue.rank("new", running=False, now=0.1)
    1
    """

    PATIENCE = 1.0  # seconds after it was expected

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._turns: list[tuple[bool, int, str]] = []  # in order
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._turns)

    def rank(self, call_id: str, *, running: bool, now: float) -> int:
        """How many are before this one, which takes its place at the end if it has none."""
        self._forget(now)
        waiting = self._waiting.get(call_id)
        if waiting is None:
            self._tickets += 1
            waiting = self._waiting[call_id] = _Waiting((not running, self._tickets), now)
            insort(self._turns, (*waiting.turn, call_id))
        return bisect_left(self._turns, (*waiting.turn, call_id))

    def expect(self, call_id: str, at: float) -> None:
        """It was told to ask again then."""
        self._waiting[call_id].expected = at

    def leave(self, call_id: str) -> None:
        waiting = self._waiting.pop(call_id, None)
        if waiting:
            del self._turns[bisect_left(self._turns, (*waiting.turn, call_id))]

    def _forget(self, now: float) -> None:
        """Whoever is first and does not come holds up all others."""
        while self._turns and self._waiting[self._turns[0][2]].expected + self.PATIENCE < now:
            self.leave(self._turns[0][2])
