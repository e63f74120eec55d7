"""How late the loop is, measured by a task that wants nothing else: the first sign of a process that has too much to do.

The same task feeds systemd's watchdog. It does so only while the loop turns: one that is blocked feeds nobody, and one
that is late by a good part of the watchdog's own time is as good as blocked, for every call is as late as this task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from .notify import Notifier

EVERY = 0.25  # seconds between two looks
REMEMBERED = 10.0  # seconds that the worst one is told for


class Lag:
    """Run it for as long as the process does."""

    def __init__(self, notifier: Notifier, observe: Callable[[float], None] = lambda _: None) -> None:
        self._notifier = notifier
        self._observe = observe
        self._seen: deque[float] = deque([0.0], maxlen=round(REMEMBERED / EVERY))

    @property
    def worst(self) -> float:
        """Seconds: the most that the loop was late in the last ten."""
        return max(self._seen)

    async def run(self) -> None:
        interval = self._notifier.watchdog_interval  # half of what systemd allows; 0 = nobody watches
        fed = -float("inf")
        while True:
            due = trio.current_time() + EVERY
            await trio.sleep(EVERY)
            late = max(0.0, trio.current_time() - due)
            self._seen.append(late)
            self._observe(late)
            if interval and due - fed >= interval / 2 and late < interval / 2:
                self._notifier.watchdog()
                fed = due
