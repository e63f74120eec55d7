"""What a call sees of the fleet, and the fleet that lets everybody go.

A call asks `lease` before each dial, and says when the dial has become a session and how that ended. Every policy over
many calls (how many dials at once, a limit the server has named, a circuit breaker) is behind these methods, and time is
an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..closure import Closure


@dataclass(frozen=True, slots=True)
class Party:
    """Whom a dial is to; limits belong to parts of it."""

    key: str = ""  # the name of the place where the key is, never the key
    endpoint: str = ""  # scheme://host:port
    model: str = ""


class Fleet(Protocol):
    def lease(self, call_id: str, party: Party, now: float, *, running: bool) -> float:
        """Seconds to stay away before asking again; 0 = dial now, and the dial's place is taken.

        `running`: the call has had a session before. Such calls go before new ones.
        """
        ...

    def opened(self, call_id: str, now: float) -> None:
        """The dial that was leased has become a session."""
        ...

    def report(self, call_id: str, closure: Closure, now: float) -> None:
        """A session has ended, or the dial that was leased has failed."""
        ...

    def leave(self, call_id: str, now: float) -> None:
        """The call will not ask again; what it held, and has not reported, is free, or lingers."""
        ...

    def restart(self, now: float) -> None:
        """The key or the config is another one: what was refused may be tried again, at once."""
        ...

    @property
    def epoch(self) -> int:
        """Another one once whoever backs off by itself may ask again at once."""
        ...


class OpenFleet:
    """Every call dials when it likes, but for the time that a server asked everybody to stay away.

    >>> fleet = OpenFleet()
    >>> fleet.report("a", Closure(status=429, retry_after=7.0), now=100.0)
    >>> fleet.lease("b", Party(), now=101.0, running=False), fleet.lease("b", Party(), now=107.0, running=False)
    (6.0, 0.0)
    """

    epoch = 0

    def __init__(self, longest: float = 60.0) -> None:
        self._longest = longest  # seconds that a server is obeyed for
        self._closed_until = 0.0

    def lease(self, call_id: str, party: Party, now: float, *, running: bool) -> float:
        del call_id, party, running
        return max(0.0, self._closed_until - now)

    def opened(self, call_id: str, now: float) -> None:
        """It counts nothing."""

    def report(self, call_id: str, closure: Closure, now: float) -> None:
        del call_id
        if closure.retry_after and closure.status is not None:
            self._closed_until = max(self._closed_until, now + min(closure.retry_after, self._longest))

    def leave(self, call_id: str, now: float) -> None:
        """It remembers nobody."""

    def restart(self, now: float) -> None:
        """It refuses nobody."""
