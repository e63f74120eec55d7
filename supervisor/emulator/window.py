"""One channel of one connection: its audio since the last final, and what is told of it when.

Everything is driven by positions of the audio, in steps of a tenth of an interim, never by time and never by how the
audio was cut into messages: the same audio and the same chance give the same messages.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .engine import Ear, Heard
from .habits import Habits
from .results import Teller


class Told(NamedTuple):
    """A message, and the span of the channel's audio that it makes final."""

    text: bytes
    channel: int
    final: tuple[int, int] | None = None
    interim: bool = False


@dataclass(slots=True)
class Orders:
    """What a client asked for, and what a fault took away."""

    interims: bool = False
    endpointing: float | None = 0.01  # seconds; None = off
    utterance_end: float | None = None
    vad_events: bool = False
    no_finals: bool = False
    no_word_end: bool = False  # UtteranceEnd says -1


class Window:
    def __init__(
        self, channel: int, ear: Ear, teller: Teller, orders: Orders, habits: Habits, rng: random.Random
    ) -> None:
        self._channel = channel
        self._ear = ear
        self._teller = teller
        self._orders = orders
        self._habits = habits
        self._rng = rng
        self._since = 0  # the end of the last final
        self._spoken = 0  # the end of the last word
        self._talking = False
        self._utterance = False  # words since the last UtteranceEnd
        self._hole = 0
        self._draw()

    def _draw(self) -> None:
        """Where the next final should end, and what must have been heard before it is told."""
        self._aim = self._since + self._frames(self._rng.uniform(*self._habits.finals))
        self._due = self._aim + self._frames(self._rng.uniform(0, 0.5))

    def _frames(self, seconds: float) -> int:
        return round(seconds * self._teller.sample_rate)

    def hole(self, seconds: float) -> None:
        """So much audio after the next final will be in no final."""
        self._hole = self._frames(seconds)

    def step(self, position: int, interim: bool) -> list[Told]:
        """What is told when the audio has come to a position; `interim` = a whole step of it."""
        words = self._ear.words(self._channel, position)
        speaking = self._ear.speaking(self._channel, position)
        told: list[Told] = []
        self._listen(words, speaking, told)
        if position <= self._since:
            return told
        if interim and self._orders.interims:
            told.append(self._results(position, words, final=False, speech=False, asked=False))
        quiet = position - self._spoken if speaking is None else 0
        pause = max(self._orders.endpointing or 0, self._habits.pause)
        if self._talking and quiet >= self._frames(pause):
            self._talking = False
            if self._orders.endpointing is not None:
                self._final(position, words, told, speech=True)
        elif words:
            if interim and position >= self._due:
                self._final(self._gap(words, speaking, position), words, told, speech=False)
        elif speaking is None and position - self._since >= self._frames(self._habits.empty_final):
            self._final(position, words, told, speech=self._orders.endpointing is not None)
        self._end_utterance(position - self._spoken if speaking is None else 0, told)
        return told

    def _end_utterance(self, quiet: int, told: list[Told]) -> None:
        asked = self._orders.utterance_end
        if asked is not None and self._utterance and quiet >= self._frames(asked):
            self._utterance = False
            end = None if self._orders.no_word_end else self._spoken
            told.append(Told(self._teller.utterance_end(self._channel, end), self._channel))

    def flush(self, position: int, asked: bool, tail: float = 0.0) -> list[Told]:
        """All that was heard becomes final, but for a tail that is forgotten."""
        told: list[Told] = []
        if position > self._since and not self._orders.no_finals:
            self._ear.flush(self._channel, position)
            words = self._ear.words(self._channel, position)
            self._listen(words, None, told)
            end = max(self._since, position - self._frames(tail))
            if end > self._since:
                self._final(end, words, told, speech=self._orders.endpointing is not None, asked=asked)
        return told

    def unfinished(self, position: int) -> int:
        return position - self._since

    def _listen(self, words: Sequence[Heard], speaking: int | None, told: list[Told]) -> None:
        last = words[-1].end if words else 0
        if not self._talking and (last > self._spoken or speaking is not None):
            start = next((word.start for word in words if word.end > self._spoken), speaking)
            self._talking = self._utterance = True
            if self._orders.vad_events and start is not None:
                told.append(Told(self._teller.speech_started(self._channel, start), self._channel))
        self._spoken = max(self._spoken, last)

    def _gap(self, words: Sequence[Heard], speaking: int | None, position: int) -> int:
        """The place nearest to the aim that is in no word and at most 1.5 s back."""
        earliest = max(self._since + 1, position - self._frames(1.5))
        starts = [word.start for word in words]
        ends = [word.end for word in words]
        gaps = zip([self._since, *ends], [*starts, position if speaking is None else speaking], strict=True)
        best = None
        for begin, end in gaps:
            begin, end = max(begin, earliest), min(end, position)
            if begin <= end:
                edge = min((end - begin) // 2, self._frames(0.1))
                place = min(max(self._aim, begin + edge), end - edge)
                if best is None or abs(place - self._aim) < abs(best - self._aim):
                    best = place
        return position if best is None else best

    def _final(
        self, end: int, words: Sequence[Heard], told: list[Told], *, speech: bool, asked: bool = False
    ) -> None:
        if self._orders.no_finals:
            return
        told.append(self._results(end, words, final=True, speech=speech, asked=asked))
        self._since = end + self._hole
        self._hole = 0
        self._ear.cut(self._channel, self._since)
        self._draw()

    def _results(self, end: int, words: Sequence[Heard], *, final: bool, speech: bool, asked: bool) -> Told:
        within = [_up_to(end, word) for word in words if word.start < end] if final else words
        text = self._teller.results(
            self._channel, self._since, end, within, final=final, speech=speech, asked=asked
        )
        return Told(text, self._channel, (self._since, end) if final else None, not final)


def _up_to(end: int, word: Heard) -> Heard:
    return word if word.end <= end else word._replace(end=end)
