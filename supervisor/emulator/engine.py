"""What an engine is, and the two that need no recogniser: words read from numbered audio, and a wobble put on any.

An engine gives one ear to each connection, so nothing is known of what an earlier connection heard: audio that begins
in the middle of a word is that much of a word. All times are sample frames since the connection's first audio.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from ..core.audio import AudioFormat
from .numbered import CERTAIN, Run
from .speech import Speech, Spoken, heard


class Heard(NamedTuple):
    """One recognised word."""

    word: str
    written: str
    start: int
    end: int
    confidence: float = 0.98


class Ear(Protocol):
    """What hears one connection. Its words are those after the last cut, in order."""

    def feed(self, audio: bytes) -> None:
        """Whole sample frames, as they come."""

    def words(self, channel: int, upto: int) -> Sequence[Heard]:
        """The words that have ended by then; they may still change, until they are cut."""

    def speaking(self, channel: int, upto: int) -> int | None:
        """The start of a word that has begun by then and not ended."""

    def flush(self, channel: int, upto: int) -> None:
        """No more is waited for: a word that is being spoken is recognised from what is there, or not at all."""

    def cut(self, channel: int, at: int) -> None:
        """The words that start before are final, and are not told again."""


class Engine(Protocol):
    name: str

    def refuses(self, audio: AudioFormat) -> str:
        """Why it cannot hear such audio, for the answer to the opening handshake; empty where it can."""

    def listen(self, audio: AudioFormat, runs: list[Run]) -> Ear:
        """An ear for a new connection; `runs` grows with what its audio turns out to be."""


class NumberedEngine:
    """Recognises numbered audio, and nothing else, without an error and at no cost."""

    name = "numbered"

    def refuses(self, audio: AudioFormat) -> str:
        del audio
        return ""

    def listen(self, audio: AudioFormat, runs: list[Run]) -> Ear:
        return NumberedEar(audio, runs)


class _Channel:
    """How far one channel has been read."""

    def __init__(self) -> None:
        self.run = 0
        self.words: Iterator[Spoken] = iter(())  # of this run
        self.word: Spoken | None = None  # the next of them
        self.floor = 0  # what is before has been flushed
        self.heard: list[Heard] = []


class NumberedEar:
    def __init__(self, audio: AudioFormat, runs: list[Run]) -> None:
        self._audio = audio
        self._runs = runs
        self._channels = [_Channel() for _ in range(audio.channels)]
        self._speech: dict[tuple[int, int], Speech] = {}

    def feed(self, audio: bytes) -> None:
        """The runs say it all."""

    def words(self, channel: int, upto: int) -> Sequence[Heard]:
        self._read(channel, upto, final=False)
        return self._channels[channel].heard

    def speaking(self, channel: int, upto: int) -> int | None:
        state = self._channels[channel]
        if state.word is None or state.run >= len(self._runs):
            return None
        at, begin, end = self._frames(self._runs[state.run], state.floor)
        start = max(state.word.start, begin)
        return at + start - begin if start < end and at + start - begin < upto else None

    def flush(self, channel: int, upto: int) -> None:
        self._read(channel, upto, final=True)
        self._channels[channel].floor = upto

    def cut(self, channel: int, at: int) -> None:
        words = self._channels[channel].heard
        words[:] = [word for word in words if word.start >= at]

    def _read(self, channel: int, upto: int, final: bool) -> None:
        state = self._channels[channel]
        while state.run < len(self._runs):
            run = self._runs[state.run]
            # What has just ended may go on: as long as that depends on how the audio was cut, it is not looked at.
            last = state.run == len(self._runs) - 1 or run.at + run.length + CERTAIN > upto * self._audio.frame_bytes
            if run.numbered:
                at, begin, end = self._frames(run, state.floor)
                if state.word is None:
                    speech = self._speech_of(run.salt, channel)
                    state.words = speech.words(speech.at(begin))
                    state.word = next(state.words)
                word = state.word
                whole = word.end <= end
                if word.start < end and (whole or not last or final):
                    start, stop = at + max(word.start, begin) - begin, at + min(word.end, end) - begin
                    if stop > upto:
                        return
                    if heard(word, begin, end):
                        confidence = 0.9 + word.number % 10 / 100
                        state.heard.append(Heard(word.word, word.written, start, stop, confidence))
                    elif final and last and not whole:
                        return  # the rest of it may be enough
                    state.word = next(state.words)
                    continue
            if last:
                return
            state.run += 1
            state.word = None

    def _frames(self, run: Run, floor: int) -> tuple[int, int, int]:
        """Where a run lies in the connection, and which frames of the call it holds."""
        size = self._audio.frame_bytes
        at, begin = run.at // size, run.position // size
        end = (run.position + run.length) // size
        late = max(0, floor - at)
        return at + late, begin + late, end

    def _speech_of(self, salt: int, channel: int) -> Speech:
        return self._speech.setdefault((salt, channel), Speech(salt, self._audio.sample_rate, channel))


class Wobble:
    """An ear that hears the same audio a little differently in each session.

    All its words come later by up to 0.12 s, and of twenty words one is another, or runs into the one before it.
    """

    LONGEST = 0.12

    def __init__(self, ear: Ear, audio: AudioFormat, rng: random.Random) -> None:
        self._ear = ear
        self._rng = rng
        self._shift = audio.frames(rng.uniform(0, self.LONGEST))
        self._near = audio.frames(0.2)
        self._fate: dict[tuple[int, int], str] = {}
        self._flushed: dict[int, int] = {}

    def feed(self, audio: bytes) -> None:
        self._ear.feed(audio)

    def words(self, channel: int, upto: int) -> Sequence[Heard]:
        return self._changed(channel, self._ear.words(channel, upto - self._shift), upto)

    def speaking(self, channel: int, upto: int) -> int | None:
        start = self._ear.speaking(channel, upto - self._shift)
        return None if start is None else start + self._shift

    def flush(self, channel: int, upto: int) -> None:
        self._ear.flush(channel, upto)
        self._flushed[channel] = upto

    def cut(self, channel: int, at: int) -> None:
        # What was flushed is told in full, with what the shift would have put after the end.
        self._ear.cut(channel, at if self._flushed.get(channel) == at else at - self._shift)

    def _changed(self, channel: int, words: Sequence[Heard], upto: int) -> list[Heard]:
        changed: list[Heard] = []
        for word in words:
            fate = self._fate.get((channel, word.start)) or self._draw(channel, word.start)
            start, end = min(word.start + self._shift, upto - 1), min(word.end + self._shift, upto)
            if fate == "merged" and changed and start - changed[-1].end < self._near:
                before = changed.pop()
                changed.append(
                    Heard(before.word + word.word, before.written + word.word, before.start, end, word.confidence)
                )
            elif fate == "whole":
                changed.append(Heard(word.word, word.written, start, end, word.confidence))
            else:
                changed.append(Heard(word.word + "x", word.written + "x", start, end, 0.4))
        return changed

    def _draw(self, channel: int, start: int) -> str:
        chance = self._rng.random()
        fate = "whole" if chance >= 0.05 else "other" if chance >= 0.025 else "merged"
        return self._fate.setdefault((channel, start), fate)
