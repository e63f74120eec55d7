"""Time that has passed on a line without a frame, where the protocol has no timestamps to tell it.

A caller on hold sends nothing, and a sender that stalls sends nothing either; the difference shows when frames come
again. What was only delayed arrives faster than it was spoken, and a held call's audio just goes on. So after more than
a second without frames what follows is held back for up to two, until it is known how much of the silence was real.

How late the line is, is the least (arrival - audio so far) of its last seconds: the best frame of several tells it
better than any single one.
"""

from __future__ import annotations

from collections import deque

from .audio import AudioFormat

SILENT = 1.0  # seconds without frames from which on they may be missing
BURST = 2.0  # seconds in which what was delayed comes faster than it was spoken
CAUGHT_UP = 0.02  # seconds
RECENT = 2.0  # seconds that tell how late the line is


class Absence:
    """Audio passes through; where time is missing, its sample frames come first, as a number."""

    def __init__(self, format: AudioFormat) -> None:  # noqa: A002 - it is what it is called
        self._format = format
        self._bytes = 0  # of audio so far
        self._last: float | None = None  # when some came
        self._recent: deque[tuple[float, float]] = deque()  # when, and how late the line was
        self._before = 0.0  # how late it was before the silence
        self._since: float | None = None  # when frames came again, while it is not known what that means
        self._held: list[bytes] = []

    def came(self, now: float, audio: bytes) -> list[bytes | int]:
        """What may go on of all that has come: audio, and sample frames of time that passed without any."""
        out: list[bytes | int] = []
        if audio:
            if self._last is not None and now - self._last > SILENT:
                out += self.settle()  # a silence that is followed by another one
                self._before, self._since = self._lateness(), now
                self._recent.clear()
            self._last = now
            self._bytes += len(audio)
            self._note(now)
            if self._since is None:
                return [*out, audio]
            self._held.append(audio)
        if self._since is not None and (now - self._since >= BURST or self._lateness() - self._before <= CAUGHT_UP):
            out += self.settle()
        return out

    def _note(self, now: float) -> None:
        self._recent.append((now, now - self._bytes / (self._format.frame_bytes * self._format.sample_rate)))
        while self._recent[0][0] < now - RECENT:
            self._recent.popleft()

    def _lateness(self) -> float:
        return min(late for _, late in self._recent)

    def settle(self) -> list[bytes | int]:
        """What is still held back, if it cannot be waited any longer; the time that is missing is as much as is known of it."""
        if self._since is None:
            return []
        missing = self._format.frames(max(0.0, self._lateness() - self._before))
        held, self._held, self._since = self._held, [], None
        if missing <= self._format.frames(CAUGHT_UP):
            return list(held)
        # The line is as late as it is from now on: the time that passed is in the audio.
        self._bytes += missing * self._format.frame_bytes
        self._recent = deque((now, late - self._format.seconds(missing)) for now, late in self._recent)
        return [missing, *held]
