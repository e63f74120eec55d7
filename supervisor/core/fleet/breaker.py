"""An endpoint that does not answer is tried by one call at a time, until it does (Nygard, Release It!, ch. 5)."""

from __future__ import annotations

from typing import Literal

from ..closure import Closure

LOST = 15.0  # seconds without an outcome after which a probe is taken for lost
State = Literal["closed", "half-open", "open"]


def failed(closure: Closure) -> bool | None:
    """Whether a dial failed for the endpoint's fault; None: it says nothing about the endpoint."""
    if closure.opened:
        return False
    if closure.status is None:
        return None if closure.unkeyed else True
    return closure.status >= 500


class Breaker:
    """Fed by dials alone: how a session ends that was open is not the endpoint's reachability.

    >>> breaker = Breaker(failures=2, probe=2.0)
    >>> [breaker.ended("a", True, now) for now in (0.0, 1.0)], breaker.state
    ([False, True], 'open')
    >>> breaker.wait(1.5), breaker.wait(3.0)
    (1.5, 0.0)
    >>> breaker.begun("b", 3.0), breaker.state, breaker.ended("b", False, 3.1), breaker.state
    (None, 'half-open', True, 'closed')
    """

    def __init__(self, failures: int, probe: float) -> None:
        self._most = failures
        self._every = probe
        self._failures = 0  # in a row
        self._open = False
        self._next = 0.0  # when somebody may try
        self._prober: str | None = None

    @property
    def state(self) -> State:
        return "closed" if not self._open else "open" if self._prober is None else "half-open"

    def wait(self, now: float) -> float:
        """Seconds until somebody may try; 0 = now. While a try is out nobody else may."""
        return max(0.0, self._next - now) if self._open else 0.0

    def begun(self, call_id: str, now: float) -> None:
        """A call dials."""
        if self._open:
            self._prober, self._next = call_id, now + LOST

    def ended(self, call_id: str, failure: bool | None, now: float) -> bool:
        """How a dial came out; returns whether that opened or closed the breaker."""
        if self._prober == call_id:
            self._prober = None
            if failure is not False:
                self._next = now + self._every
        if failure is None:
            return False
        if not failure:
            self._failures = 0
            was, self._open, self._prober = self._open, False, None
            return was
        self._failures += 1
        if self._open or self._failures < self._most:
            return False
        self._open, self._next = True, now + self._every
        return True
