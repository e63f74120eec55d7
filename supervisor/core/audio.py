"""Raw audio: what a sample frame is, how many there are in a second, and what silence is made of.

Everywhere in the core a *position* and a *length* are whole sample frames (one sample of every channel), so
that nothing is ever cut inside a sample and no clock drifts. Seconds appear only at the edges.
"""

from __future__ import annotations

from dataclasses import dataclass

SAMPLE_BYTES = {"linear16": 2, "linear32": 4, "mulaw": 1, "alaw": 1}
# Silence is not zero in G.711: mu-law zero is 0xFF, and A-law toggles every other bit of its zero, which gives 0xD5.
SILENCE = {"linear16": b"\x00", "linear32": b"\x00", "mulaw": b"\xff", "alaw": b"\xd5"}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Headerless audio, as Deepgram's `encoding`, `sample_rate` and `channels` describe it.

    >>> AudioFormat("linear16", 16000, 2).frame_bytes
    4
    >>> AudioFormat().silence(3)
    b'\\xff\\xff\\xff'
    """

    encoding: str = "mulaw"
    sample_rate: int = 8000
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in SAMPLE_BYTES or self.sample_rate < 1 or self.channels < 1:
            raise ValueError(f"no such raw audio: {self}")

    @property
    def frame_bytes(self) -> int:
        """The bytes of one sample frame."""
        return SAMPLE_BYTES[self.encoding] * self.channels

    def frames(self, seconds: float) -> int:
        """The whole number of sample frames nearest to so many seconds."""
        return round(seconds * self.sample_rate)

    def seconds(self, frames: int) -> float:
        return frames / self.sample_rate

    def silence(self, frames: int) -> bytes:
        return SILENCE[self.encoding] * (frames * self.frame_bytes)
