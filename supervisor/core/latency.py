"""How far results trail the audio that was sent: a histogram, so that a call of any length has its percentiles."""

from __future__ import annotations

import msgspec

STEP = 0.05  # seconds of audio


class Latencies(msgspec.Struct):
    """Counts of latencies in steps of 50 ms.

    >>> latencies = Latencies()
    >>> for n in range(100): latencies.add(n / 100)
    >>> latencies.percentile(0.5), latencies.percentile(0.95), Latencies().percentile(0.5)
    (0.5, 0.95, None)
    """

    counts: dict[int, int] = msgspec.field(default_factory=dict)

    def add(self, seconds: float) -> None:
        step = max(0, int(seconds / STEP + 1e-9))
        self.counts[step] = self.counts.get(step, 0) + 1

    def percentile(self, share: float) -> float | None:
        """The latency that so large a share of results stayed within, to the step."""
        wanted = share * sum(self.counts.values())
        seen = 0
        for step, count in sorted(self.counts.items()):
            seen += count
            if seen >= wanted:
                return round((step + 1) * STEP, 3)
        return None
