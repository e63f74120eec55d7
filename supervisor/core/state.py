"""A call's state as one value that can be written down and taken up elsewhere: it holds no task, socket or clock."""

from __future__ import annotations

import msgspec

from .audio import AudioFormat
from .latency import Latencies
from .ledger import Positions


class Spoken(msgspec.Struct, frozen=True):
    """A word as it was delivered: normalised, with its place in the call in sample frames."""

    word: str
    start: int
    end: int

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


class ChannelState(msgspec.Struct):
    """What has been told of one channel."""

    segment: int = 0  # finals delivered
    recent: list[Spoken] = msgspec.field(default_factory=list)  # the last words delivered, which a replay may repeat
    final_start: int = 0  # where the last final began
    final_end: int = 0  # and ended
    skipped_to: int = 0  # where what the server passed over last ended
    word_end: int | None = None  # where the last word delivered ended
    interim_told: bool = False  # an interim of the next segment is out, and must be replaced
    utterance_open: bool = False
    utterance_told: int = -1  # the last utterance_end
    speech_told: int = -1  # the last speech_started


class CallState(msgspec.Struct):
    """Everything a successor needs to go on with a call, except the audio itself."""

    call_id: str
    session_id: str  # what we call all its sessions together, to Deepgram
    encoding: str
    sample_rate: int
    at: Positions
    channels: list[ChannelState]
    seq: int = 0  # finals delivered
    sessions: int = 0
    complaints: int = 0  # messages that were errors, or that nobody understood
    billed: float = 0.0
    latencies: Latencies = msgspec.field(default_factory=Latencies)

    @classmethod
    def beginning(
        cls, call_id: str, session_id: str, format: AudioFormat, channels: int | None = None  # noqa: A002 - it is what it is called
    ) -> CallState:
        """`channels` that results come in, where those are not the audio's own: a server may mix them."""
        channels = channels or format.channels
        return cls(
            call_id=call_id,
            session_id=session_id,
            encoding=format.encoding,
            sample_rate=format.sample_rate,
            at=Positions.beginning(channels),
            channels=[ChannelState() for _ in range(channels)],
        )

    def replay_from(self, margin: int, *, whole_finals: bool) -> int:
        """Where a new session starts: a little before what is still unsaid.

        `whole_finals`: at the start of the last final, because redaction needs to hear a number from its beginning.
        """
        starts = [
            min(channel.final_start, watermark) if whole_finals else watermark - margin
            for channel, watermark in zip(self.channels, self.at.watermarks, strict=True)
        ]
        return max(0, min(starts))
