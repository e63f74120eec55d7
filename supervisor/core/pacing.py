"""How much audio may go out: never more than a steady rate and one small burst, over any stretch of time.

Deepgram throttles what comes faster than 1.25 times real time, so a backlog sent faster only makes results late.
"""

from __future__ import annotations

RATE = 1.25  # times real time
BURST = 0.25  # seconds of audio


class Pacer:
    """A bucket of audio. Over any T seconds it lets at most `rate * T + burst` seconds of audio through.

    It belongs to the call, so the bound holds across its sessions too.

    >>> pacer = Pacer(sample_rate=1000, rate=1.25, burst=0.25)
    >>> pacer.allowance(now=0.0), pacer.take(250), pacer.allowance(now=0.1), pacer.allowance(now=60.0)
    (250, None, 125, 250)
    """

    def __init__(self, sample_rate: int, rate: float = RATE, burst: float = BURST) -> None:
        self._rate = rate * sample_rate
        self._burst = burst * sample_rate
        self._level = self._burst
        self._at: float | None = None

    def allowance(self, now: float) -> int:
        """Frames that may go out now."""
        since = now if self._at is None else self._at
        self._at = max(now, since)
        self._level = min(self._burst, self._level + (self._at - since) * self._rate)
        return int(self._level + 1e-6)

    def take(self, frames: int) -> None:
        self._level -= frames
