"""What is measured while calls run, where an event would come too late or say too much."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    def dialled(self, seconds: float, answer: str) -> None:
        """An attempt to open a session has ended after so long: "101", another HTTP status, or "none"."""
        ...

    def result(self, latency: float) -> None:
        """An interim came so many seconds after the audio it ends with was sent."""
        ...

    def recovered(self, seconds: float) -> None:
        """So long after a session had ended unasked, the watermark moved again."""
        ...


class NoMeter:
    """Measures nothing."""

    def dialled(self, seconds: float, answer: str) -> None:
        pass

    def result(self, latency: float) -> None:
        pass

    def recovered(self, seconds: float) -> None:
        pass
