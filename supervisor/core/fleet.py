"""Who may dial now: the decisions that calls of one process share.

A call asks `lease` before each dial and `report`s how each session ended. Every policy over many calls (how many dials
at once, a limit the server has named, a circuit breaker) is an object with these two methods, and time is an argument.
"""

from __future__ import annotations

from typing import Protocol

from .closure import Closure


class Fleet(Protocol):
    def lease(self, call_id: str, now: float) -> float:
        """Seconds to stay away before asking again; 0 = dial now."""
        ...

    def report(self, call_id: str, closure: Closure, now: float) -> None:
        """A session has ended: the dial that was leased is over."""
        ...


class OpenFleet:
    """Every call dials when it likes, but for the time that a server asked everybody to stay away.

    >>> fleet = OpenFleet()
    >>> fleet.report("a", Closure(status=429, retry_after=7.0), now=100.0)
    >>> fleet.lease("b", now=101.0), fleet.lease("b", now=107.0)
    (6.0, 0.0)
    """

    def __init__(self, longest: float = 60.0) -> None:
        self._longest = longest  # seconds that a server is obeyed for
        self._closed_until = 0.0

    def lease(self, call_id: str, now: float) -> float:
        del call_id
        return max(0.0, self._closed_until - now)

    def report(self, call_id: str, closure: Closure, now: float) -> None:
        del call_id
        if closure.retry_after and closure.status is not None:
            self._closed_until = max(self._closed_until, now + min(closure.retry_after, self._longest))
