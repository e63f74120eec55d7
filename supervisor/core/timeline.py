"""From a session's clock to the call's.

A session counts the audio it was sent from zero. The two clocks part wherever a session starts late, skips audio that
was lost, or is sent silence that the caller never made. Each parting is one mark: (frames the session had by then,
position in the call, does the call's clock go on from here).

Deepgram's times are float32 seconds: at one hour they are blurred by 0.24 ms, several sample frames. So a time that is
within that blur of a mark is taken to mean the mark; and at a mark a start means what comes after it, an end what came
before.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

KEPT = 60.0  # seconds before a final that are still asked about: by another channel's, or by the end of an utterance
FLOAT32 = 2.0**-23  # a start plus a duration, each rounded to float32, is wrong by at most so much of itself


class Timeline:
    """One session's marks.

    >>> timeline = Timeline(sample_rate=100)
    >>> timeline.sent(position=800, frames=100)     # the session starts 8 s into the call
    >>> timeline.silence(frames=50)
    >>> timeline.sent(position=950, frames=100)     # half a second was lost meanwhile
    >>> [timeline.start(t) for t in (0, 0.99, 1.2, 1.5, 2.5)]
    [800, 899, 900, 950, 1050]
    >>> [timeline.end(t) for t in (0.99, 1.2, 1.5, 2.5, 99)]
    [899, 900, 900, 1050, 1050]
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.heard = 0  # frames this session was sent, silence included
        self._marks: list[tuple[int, int, bool]] = []
        self._next = -1  # the position that would go on without a mark

    def sent(self, position: int, frames: int) -> None:
        """Call audio from `position` on went out."""
        if position != self._next:
            self._marks.append((self.heard, position, True))
        self.heard += frames
        self._next = position + frames

    def silence(self, frames: int) -> None:
        """Silence that is no part of the call went out."""
        if not self._marks or self._marks[-1][2]:
            self._marks.append((self.heard, self._position(self.heard, len(self._marks) - 1), False))
        self.heard += frames
        self._next = -1

    def start(self, seconds: float) -> int:
        """Where in the call something begins that the session says begins then."""
        heard, blur = self._frames(seconds)
        return self._position(heard, bisect_right(self._marks, heard + blur, key=_heard) - 1)

    def end(self, seconds: float) -> int:
        """Where in the call something ends that the session says ends then; never later than what was sent."""
        heard, blur = self._frames(seconds)
        index = max(0, bisect_left(self._marks, heard - blur, key=_heard) - 1)
        position = self._position(heard, index)
        if index + 1 < len(self._marks) and heard + blur >= self._marks[index + 1][0]:
            position = self._position(self._marks[index + 1][0], index)  # exactly at the next mark
        return position

    def forget(self, before: float) -> None:
        """A final ends here: let the marks go that lie so far before it that nobody will ask about their times."""
        heard, _ = self._frames(before - KEPT)
        keep = bisect_right(self._marks, heard, key=_heard) - 2  # one more, for an end at the very mark
        if keep > 0:
            del self._marks[:keep]

    def _frames(self, seconds: float) -> tuple[int, int]:
        heard = seconds * self.sample_rate
        blur = round(heard * FLOAT32)
        return min(max(round(heard), 0), self.heard), blur

    def _position(self, heard: int, index: int) -> int:
        if not self._marks:
            return 0
        start, position, advances = self._marks[max(0, index)]
        return position + (max(0, heard - start) if advances else 0)


def _heard(mark: tuple[int, int, bool]) -> int:
    return mark[0]
