"""The audio of a call that may still be needed, and an account of all that was heard.

    acknowledged <= sent <= written

`written` moves as the source speaks. Each channel has a set of *settled* positions (acknowledged by a final result,
lost, or withheld); its *watermark* is the end of what is settled without a hole since the call began, and the call's
own is the least of them. `sent` belongs to a `Reader`, one for each session, so a reconnect is a new reader that
starts a little before the watermark.

The account never computes one figure from the others: `heard` is counted as audio is written, `acknowledged` as the
watermark passes, `lost` and `withheld` as their ranges are settled, and `unfinished` by walking what is left. So

    heard = acknowledged + lost + withheld + unfinished

is a check, and a test holds it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from .audio import AudioFormat
from .intervals import Intervals


class Positions(msgspec.Struct):
    """Where a call's audio stands, in sample frames since the call began: all that a successor would need to know."""

    settled: list[Intervals]  # for each channel: acknowledged, lost and withheld
    watermarks: list[int]  # for each channel: the prefix of the above
    lost: Intervals = msgspec.field(default_factory=Intervals)  # in any channel, from the watermark on
    withheld: Intervals = msgspec.field(default_factory=Intervals)
    remainder: bytes = b""  # less than a sample frame, waiting for its other half
    written: int = 0
    acknowledged: int = 0  # the least watermark
    sent: int = 0  # the furthest that any session was sent
    heard_frames: int = 0
    filled_frames: int = 0
    acknowledged_frames: int = 0
    lost_frames: int = 0
    withheld_frames: int = 0
    replayed_frames: int = 0
    injected_frames: int = 0
    duplicate_frames: int = 0

    @classmethod
    def beginning(cls, channels: int) -> Positions:
        return cls(settled=[Intervals() for _ in range(channels)], watermarks=[0] * channels)


class Lost(NamedTuple):
    """A range of frames that will not be transcribed, in one channel or (None) in all of them."""

    start: int
    end: int
    channel: int | None


@dataclass(slots=True)
class Segment:
    position: int  # of its first frame
    frames: int
    audio: bytearray


class Ledger:
    """A log of audio in segments of about a second, forgotten from the front.

    >>> ledger = Ledger(AudioFormat())
    >>> ledger.write(b"abcdef")
    6
    >>> reader = ledger.reader(0)
    >>> reader.peek(4), reader.advance(4), reader.peek(4), reader.position
    (b'abcd', None, b'ef', 4)
    >>> ledger.acknowledge(0, 0, 2), ledger.at.acknowledged
    (2, 2)
    >>> ledger.reader(ledger.at.acknowledged).peek(9)       # a reconnect
    b'cdef'
    >>> ledger.lose(2, 3), ledger.at.acknowledged, ledger.at.acknowledged_frames
    ([Lost(start=2, end=3, channel=None)], 3, 2)
    """

    def __init__(self, format: AudioFormat, at: Positions | None = None) -> None:  # noqa: A002 - it is what it is called
        self.format = format
        self.at = at or Positions.beginning(format.channels)  # of what results come in; the server may mix them
        self.floor = self.at.written  # the oldest position still held
        self._segments: deque[Segment] = deque()
        self._first = 0  # the serial number of the first segment held
        self._longest = format.sample_rate
        self.size = 0  # bytes of audio held in memory

    @property
    def unacknowledged(self) -> int:
        """Frames between the watermark and the last one written."""
        return self.at.written - self.at.acknowledged

    @property
    def unsettled(self) -> int:
        """Frames of which some channel still waits for a final result."""
        at, missing = self.at, Intervals()
        for settled, watermark in zip(at.settled, at.watermarks, strict=True):
            for start, end in settled.missing(watermark, at.written):
                missing.add(start, end)
        return sum(end - start for start, end in missing.spans)

    @property
    def kept(self) -> int:
        """Frames in memory that are not acknowledged."""
        return min(self.at.written - max(self.floor, self.at.acknowledged), self.size // self.format.frame_bytes)

    @property
    def end(self) -> int:
        """Where the last audio that is held ends: what was written since is not for sending."""
        last = self._segments[-1] if self._segments else None
        return last.position + last.frames if last else self.floor

    def write(self, audio: bytes) -> int:
        """Append audio of any length; return the whole frames that became. What is left of a frame waits for the rest."""
        at = self.at
        if at.remainder:
            audio, at.remainder = at.remainder + audio, b""
        if torn := len(audio) % self.format.frame_bytes:
            audio, at.remainder = audio[:-torn], audio[-torn:]
        frames = len(audio) // self.format.frame_bytes
        if frames:
            self._append(audio, frames)
        return frames

    def fill(self, frames: int) -> None:
        """Append silence for time that the source knows has passed."""
        self._append(self.format.silence(frames), frames)
        self.at.filled_frames += frames

    def pass_over(self, frames: int) -> None:
        """Let the clock go on over silence that the source knows has passed, and that nobody needs to be sent."""
        self.at.filled_frames += frames
        self._skip(frames)

    def withhold(self, frames: int) -> None:
        """Let the clock go on over audio that is neither kept nor sent."""
        at = self.at
        at.withheld_frames += at.withheld.add(at.written, at.written + frames)
        self._skip(frames)

    def withhold_audio(self, audio: bytes) -> int:
        """The same for audio of any length, of which nothing stays; return its whole frames."""
        at, size = self.at, self.format.frame_bytes
        frames, torn = divmod(len(at.remainder) + len(audio), size)
        at.remainder = bytes(torn)
        self.withhold(frames)
        return frames

    def _skip(self, frames: int) -> None:
        at = self.at
        at.heard_frames += frames
        at.written += frames
        for settled in at.settled:
            settled.add(at.written - frames, at.written)
        self._settle()

    def _append(self, audio: bytes, frames: int) -> None:
        at, size = self.at, self.format.frame_bytes
        self.size += len(audio)
        at.heard_frames += frames
        done = 0
        while done < frames:
            last = self._segments[-1] if self._segments else None
            if last is None or last.frames >= self._longest or last.position + last.frames != at.written:
                last = Segment(at.written, 0, bytearray())
                self._segments.append(last)
            part = min(frames - done, self._longest - last.frames)
            last.audio += audio[done * size : (done + part) * size]
            last.frames += part
            at.written += part
            done += part

    def acknowledge(self, channel: int, start: int, end: int) -> int:
        """Settle [start, end) of a channel as finally transcribed; return by how much the call's watermark moved.

        Nothing that was never sent can be acknowledged, whatever a server says.
        """
        self.at.settled[channel].add(start, min(end, self.at.sent))
        return self._settle()

    def lose(self, start: int, end: int, channel: int | None = None) -> list[Lost]:
        """Settle [start, end) as lost, in one channel or in all; return the ranges that nothing had settled before."""
        at, end = self.at, min(end, self.at.written)
        fresh = [
            list(settled.missing(max(start, watermark), end)) if channel in (None, number) else []
            for number, (settled, watermark) in enumerate(zip(at.settled, at.watermarks, strict=True))
        ]
        everywhere = Intervals(fresh[0])
        for spans in fresh[1:]:
            everywhere = Intervals([part for a, b in spans for part in everywhere.within(a, b)])
        lost = [Lost(a, b, None) for a, b in everywhere.spans]
        for number, spans in enumerate(fresh):
            lost += [Lost(*part, number) for a, b in spans for part in everywhere.missing(a, b)]
            for a, b in spans:
                at.settled[number].add(a, b)
                at.lost_frames += at.lost.add(a, b)
        self._settle()
        return sorted(lost, key=lambda each: each.start)

    def let_go(self, frames: int, on_its_way: int = 0) -> list[Lost]:
        """Forget so many of the oldest frames that are kept and not acknowledged; return what is lost by that.

        `on_its_way`: a session has been sent all before this position. It may still be transcribed, so it is only
        forgotten; it is lost (`lose` up to `floor`) when that session ends without having told of it.
        """
        oldest = max(self.floor, self.at.acknowledged)
        unsent, end = max(oldest, on_its_way), min(oldest + frames, self.at.written)
        if end <= oldest:
            return []  # what is held is only there to be replayed, and a word that it holds may not be told yet
        self.release(min(end, unsent))
        lost = self.lose(unsent, end) if end > unsent else []
        self.release(end)
        return lost

    def _settle(self) -> int:
        at = self.at
        for channel, settled in enumerate(at.settled):
            at.watermarks[channel] = settled.prefix(at.watermarks[channel])
            settled.forget(at.watermarks[channel])
        before, at.acknowledged = at.acknowledged, min(at.watermarks)
        moved = at.acknowledged - before
        if moved:
            given_up = at.lost.count(before, at.acknowledged) + at.withheld.count(before, at.acknowledged)
            at.acknowledged_frames += moved - given_up
            at.lost.forget(at.acknowledged)
            at.withheld.forget(at.acknowledged)
        return moved

    def unfinished(self) -> int:
        """Frames heard that are neither acknowledged nor lost nor withheld."""
        at = self.at
        rest = Intervals()
        for spans in (at.lost.spans, at.withheld.spans):
            for a, b in spans:
                rest.add(a, b)
        return sum(b - a for a, b in rest.missing(at.acknowledged, at.written))

    def release(self, before: int) -> None:
        """Forget the audio before a position: no session will ask for it again."""
        self.floor = max(self.floor, min(before, self.at.written))
        while self._segments and self._segments[0].position + self._segments[0].frames <= self.floor:
            self.size -= len(self._segments.popleft().audio)
            self._first += 1

    def reader(self, position: int) -> Reader:
        """Read from a position on, or from the oldest audio still held."""
        return Reader(self, position)

    def _find(self, position: int) -> int:
        """The serial number of the first segment that ends after a position."""
        for index, segment in enumerate(self._segments):
            if segment.position + segment.frames > position:
                return self._first + index
        return self._first + len(self._segments)

    def _segment(self, serial: int) -> Segment | None:
        index = serial - self._first
        return self._segments[index] if 0 <= index < len(self._segments) else None


class Reader:
    """One session's place in the ledger: what it has been sent ends at `position`."""

    def __init__(self, ledger: Ledger, position: int) -> None:
        self._ledger = ledger
        self.position = max(position, ledger.floor)
        self._serial = ledger._find(self.position)

    def _locate(self) -> Segment | None:
        """Step over what has been lost or withheld since; the segment to read from, if there is one."""
        ledger = self._ledger
        if self.position < ledger.floor or self._serial < ledger._first:
            self.position = max(self.position, ledger.floor)
            self._serial = ledger._find(self.position)
        segment = ledger._segment(self._serial)
        if segment and self.position >= segment.position + segment.frames:
            following = ledger._segment(self._serial + 1)
            if following is None:
                return None
            self._serial += 1
            segment = following
        if segment:
            self.position = max(self.position, segment.position)
        return segment

    def peek(self, frames: int) -> bytes:
        """At most so many of the next frames, without a hole between them; empty when there are none.

        `position` is theirs: it may have moved over audio that was given up.
        """
        segment = self._locate()
        if segment is None or frames <= 0:
            return b""
        size = self._ledger.format.frame_bytes
        offset = (self.position - segment.position) * size
        audio = bytes(segment.audio[offset : offset + frames * size])
        serial = self._serial
        while missing := frames - len(audio) // size:
            following = self._ledger._segment(serial + 1)
            if following is None or following.position != segment.position + segment.frames:
                break
            audio += bytes(following.audio[: missing * size])
            serial, segment = serial + 1, following
        return audio

    def advance(self, frames: int) -> None:
        """What was peeked is on the wire."""
        at = self._ledger.at
        at.replayed_frames += max(0, min(self.position + frames, at.sent) - self.position)
        self.position += frames
        at.sent = max(at.sent, self.position)
        segment = self._ledger._segment(self._serial)
        while segment and self.position > segment.position + segment.frames:
            self._serial += 1
            segment = self._ledger._segment(self._serial)

    @property
    def backlog(self) -> int:
        """Frames held that this session has not been sent; a hole that lies among them counts."""
        return max(0, self._ledger.end - max(self.position, self._ledger.floor))
