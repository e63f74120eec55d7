"""How many sessions a key may have at once: what the server has let us find out, and one more every while.

The limit is the server's to know. A 429 tells that it has been reached, so the sessions that are open then are what it
allows; it counts a session that broke for some time after we know that it is gone. Where it had allowed many more than
it does at the moment, as it may when all of them come back at once, the way up is by doubling.
"""

from __future__ import annotations

from collections import deque

NEWS = 5.0  # seconds in which several 429s are one


class Governor:
    """`sessions` is always passed in: dials and open sessions of the key, which somebody else counts.

    >>> governor = Governor(raise_every=10.0, linger=15.0)
    >>> governor.free(100, now=0.0)
    inf
    >>> governor.limited(7, now=0.0), governor.free(7, now=0.0), governor.free(7, now=10.0), governor.limit
    (None, 0.0, 1.0, 8)
    """

    def __init__(self, raise_every: float, linger: float) -> None:
        self._every = raise_every
        self._linger = linger
        self.limit: int | None = None
        self._raised = 0.0
        self._limited = 0.0  # when a 429 last was news
        self._most = 0  # sessions that the server has allowed, as far as is known
        self._lingering: deque[float] = deque()  # until when each is counted

    def limited(self, opened: int, now: float) -> None:
        """A 429 came while so many sessions were open."""
        if self.limit is not None and now - self._limited > NEWS:
            self._most = opened  # it was tried again, and this is what came of it
        if self.limit is None or now - self._limited > NEWS:
            self._limited = now
        self.limit, self._raised = max(1, opened), now

    def has(self, opened: int) -> None:
        """So many sessions are open."""
        self._most = max(self._most, opened)

    def broke(self, now: float) -> None:
        """A session has ended in a way that the server may not have seen."""
        self._lingering.append(now + self._linger)

    def lingering(self, now: float) -> int:
        """Sessions that the server may still count."""
        while self._lingering and self._lingering[0] <= now:
            self._lingering.popleft()
        return len(self._lingering)

    def free(self, sessions: int, now: float) -> float:
        """How many more sessions may be opened; may be negative, for none is closed because of a limit."""
        lingering = self.lingering(now)
        if self.limit is None:
            return float("inf")
        while now - self._raised >= self._every:
            self.limit = max(self.limit + 1, min(self.limit * 2, self._most))
            self._raised += self._every
        return float(self.limit - sessions - lingering)

    def wait(self, now: float) -> float:
        """Seconds until there may be room for one more."""
        due = [self._raised + self._every, *list(self._lingering)[:1]]
        return max(0.0, min(due) - now)

    def lift(self, wanted: int) -> bool:
        """Forget a limit that nobody comes near any more; whether there was one."""
        if self.limit is None or self.limit <= wanted:
            return False
        self.limit = None
        return True
