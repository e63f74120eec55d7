"""The ledger against a model that never forgets: one entry for each frame, with its bytes and its fate in each channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.audio import AudioFormat
from supervisor.core.ledger import Ledger, Lost, Reader

FORMATS = st.builds(
    AudioFormat, st.sampled_from(["mulaw", "alaw", "linear16"]), st.integers(1, 6), st.integers(1, 3)
)  # at most six frames a second, so that a segment is short and there are many
POSITIONS = st.integers(0, 60)
WHO = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.binary(max_size=20)),
        st.tuples(st.just("write"), st.binary(min_size=20, max_size=60)),
        st.tuples(st.just("fill"), st.integers(0, 5)),
        st.tuples(st.just("withhold"), st.integers(0, 5)),
        st.tuples(st.just("withhold_audio"), st.binary(max_size=20)),
        st.tuples(st.just("pass_over"), st.integers(0, 5)),
        st.tuples(st.just("peek"), WHO, st.integers(-1, 12)),
        st.tuples(st.just("read"), WHO, st.integers(0, 12), st.integers(0, 12)),
        st.tuples(st.just("read"), WHO, st.just(12), st.just(12)),
        st.tuples(st.just("final"), st.integers(0, 2), st.integers(1, 12)),
        st.tuples(st.just("final"), st.integers(0, 2), st.just(60)),
        st.tuples(st.just("acknowledge"), st.integers(0, 2), POSITIONS, POSITIONS),
        st.tuples(st.just("lose"), st.sampled_from([None, 0, 1, 2]), POSITIONS, POSITIONS),
        st.tuples(st.just("let_go"), st.integers(0, 10), st.booleans()),
        st.tuples(st.just("release"), st.integers(0, 5)),
        st.tuples(st.just("reconnect"), WHO, st.integers(0, 5)),
    ),
    min_size=10,
    max_size=60,
)


@dataclass
class Frame:
    audio: bytes | None  # None: withheld or passed over
    fates: list[str]  # of each channel: a, l, w, or nothing yet
    sent: bool = False


@dataclass
class Model:
    ledger: Ledger
    frames: list[Frame] = field(default_factory=list)
    torn: bytes = b""
    sent: int = 0
    replayed: int = 0
    filled: int = 0
    floor: int = 0
    readers: list[Reader] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size, self.channels = self.ledger.format.frame_bytes, self.ledger.format.channels
        self.readers = [self.ledger.reader(0), self.ledger.reader(0)]

    def append(self, audio: bytes | None, frames: int, fate: str = "") -> None:
        for n in range(frames):
            piece = None if audio is None else audio[n * self.size : (n + 1) * self.size]
            self.frames.append(Frame(piece, [fate] * self.channels))

    def write(self, audio: bytes) -> None:
        self.torn += audio
        whole = len(self.torn) // self.size

        assert self.ledger.write(audio) == whole
        self.append(self.torn, whole)
        self.torn = self.torn[whole * self.size :]

    def fill(self, frames: int) -> None:
        self.ledger.fill(frames)
        self.append(self.ledger.format.silence(frames), frames)
        self.filled += frames

    def withhold(self, frames: int) -> None:
        self.ledger.withhold(frames)
        self.append(None, frames, "w")

    def withhold_audio(self, audio: bytes) -> None:
        """What is not a whole frame goes on being a part of one, and nothing else of it stays."""
        whole, torn = divmod(len(self.torn) + len(audio), self.size)

        assert self.ledger.withhold_audio(audio) == whole
        self.append(None, whole, "w")
        self.torn = bytes(torn)

    def pass_over(self, frames: int) -> None:
        self.ledger.pass_over(frames)
        self.append(None, frames, "a")
        self.filled += frames

    def peek(self, who: int, frames: int) -> int:
        """What is shown is what was written there, in one piece; nothing is shown only where nothing is left."""
        reader, before = self.readers[who], self.readers[who].position
        audio = reader.peek(frames)
        count, at = len(audio) // self.size, reader.position
        expected = self.frames[at : at + count]

        assert audio == b"".join(frame.audio or b"" for frame in expected)
        assert len(audio) == count * self.size <= max(0, frames) * self.size
        assert all(frame.audio is not None for frame in expected)
        assert before <= at
        end = max((n + 1 for n in range(self.floor, len(self.frames)) if self.frames[n].audio is not None), default=0)
        assert reader.backlog == max(0, end - max(at, self.floor))
        over = range(max(before, self.floor), at)
        assert all(self.frames[n].audio is None for n in over)  # it moves on only over what was given up
        if frames > 0:
            held = [n for n in range(max(before, self.floor), len(self.frames)) if self.frames[n].audio is not None]
            assert bool(audio) == bool(held)
            following = at + count
            if held and count < frames and following < len(self.frames):
                assert self.frames[following].audio is None  # a hole, which ends what can be sent in one piece
        return count

    def read(self, who: int, frames: int, take: int) -> None:
        take = min(take, self.peek(who, frames))
        at = self.readers[who].position
        self.readers[who].advance(take)
        self.replayed += len(range(at, min(at + take, self.sent)))
        for frame in self.frames[at : at + take]:
            frame.sent = True
        self.sent = max(self.sent, at + take)

    def settle(self, positions: Iterable[int], channels: Iterable[int], fate: str) -> set[int]:
        fresh = set()
        for position in positions:
            for channel in channels:
                if not self.frames[position].fates[channel]:
                    self.frames[position].fates[channel] = fate
                    fresh.add(position)
        return fresh

    def acknowledge(self, channel: int, start: int, end: int) -> None:
        channel %= self.channels
        before = self.ledger.at.acknowledged
        moved = self.ledger.acknowledge(channel, start, end)

        assert moved == self.ledger.at.acknowledged - before
        self.settle(range(start, min(end, self.sent)), [channel], "a")

    def final(self, channel: int, frames: int) -> None:
        watermark = self.ledger.at.watermarks[channel % self.channels]
        self.acknowledge(channel, watermark, watermark + frames)

    def lose(self, channel: int | None, start: int, end: int) -> None:
        channel = None if channel is None else channel % self.channels
        which = range(self.channels) if channel is None else [channel]

        self.check_lost(self.ledger.lose(start, end, channel), range(start, min(end, len(self.frames))), which)

    def check_lost(self, told: list[Lost], positions: range, channels: Iterable[int]) -> None:
        """Each frame of each channel is told of once: as every channel's where that is so, else as its own."""
        expected = {
            (position, channel)
            for position in positions
            for channel in channels
            if not self.frames[position].fates[channel]
        }
        self.settle(positions, channels, "l")
        found = [
            (position, channel)
            for start, end, only in told
            for position in range(start, end)
            for channel in (range(self.channels) if only is None else [only])
        ]
        assert len(found) == len(set(found))
        assert set(found) == expected
        for start, end, only in told:
            alone = [{each for at, each in expected if at == position} for position in range(start, end)]
            assert all((only is None) == (len(each) == self.channels) for each in alone)

    def let_go(self, frames: int, sent: bool) -> None:
        """The oldest that is kept goes first; what is on its way is not lost by that."""
        oldest = max(self.floor, self.ledger.at.acknowledged)
        on_its_way = max(oldest, self.sent if sent else 0)
        end = min(oldest + frames, len(self.frames))
        told = self.ledger.let_go(frames, self.sent if sent else 0)

        self.check_lost(told, range(on_its_way, end), range(self.channels))
        if end > oldest:
            self.floor = max(self.floor, end)

    def release(self, margin: int) -> None:
        self.ledger.release(self.ledger.at.acknowledged - margin)
        self.floor = max(self.floor, self.ledger.at.acknowledged - margin)

    def reconnect(self, who: int, margin: int) -> None:
        self.readers[who] = self.ledger.reader(max(0, self.ledger.at.acknowledged - margin))

    def check(self) -> None:
        at, frames = self.ledger.at, self.frames
        watermarks = [
            next((n for n, frame in enumerate(frames) if not frame.fates[channel]), len(frames))
            for channel in range(self.channels)
        ]
        done = min(watermarks)
        lost = sum("l" in frame.fates for frame in frames)
        withheld = sum("w" in frame.fates for frame in frames)
        acknowledged = sum("l" not in frame.fates and "w" not in frame.fates for frame in frames[:done])
        unfinished = sum("l" not in frame.fates and "w" not in frame.fates for frame in frames[done:])

        assert (at.watermarks, at.acknowledged) == (watermarks, done)
        assert (at.written, at.heard_frames) == (len(frames), len(frames))
        assert (at.lost_frames, at.withheld_frames, at.acknowledged_frames) == (lost, withheld, acknowledged)
        assert self.ledger.unfinished() == unfinished
        assert at.heard_frames == acknowledged + lost + withheld + unfinished
        assert (at.sent, at.replayed_frames, at.filled_frames) == (self.sent, self.replayed, self.filled)
        assert self.ledger.unacknowledged == len(frames) - done
        assert self.ledger.unsettled == sum("" in frame.fates for frame in frames)
        assert self.ledger.kept <= min(len(frames) - max(done, self.floor), self.ledger.size // self.size)
        assert self.ledger.floor == self.floor
        held = sum(frame.audio is not None for frame in frames[self.floor :])
        assert held * self.size <= self.ledger.size <= (held + self.ledger.format.sample_rate) * self.size
        for frame in frames:
            assert frame.sent or "a" not in frame.fates or frame.audio is None or "l" in frame.fates


def numbers(spans: list[tuple[int, int]]) -> set[int]:
    return {n for a, b in spans for n in range(a, b)}


@settings(max_examples=500)
@given(FORMATS, STEPS)
def test_any_history_adds_up(audio_format, steps):
    """heard = acknowledged + lost + withheld + unfinished after each step, and each reader sees what was written."""
    model = Model(Ledger(audio_format))
    for step, *arguments in steps:
        getattr(model, step)(*arguments)
        model.check()
