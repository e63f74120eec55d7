"""What one session hears, put on the call's clock, with what an earlier session had already delivered cut away.

The seam. A session after a reconnect starts a margin before the watermark, so that no word is cut in two, and so says
the last words again: a little earlier or later than before, now and then as another word. What counts is decided word
by word. The delivered words wait in order to be repeated; a repetition is the same word within 0.3 s, and each can be
repeated once. Any other word is new if its middle lies after the watermark; a little before it, only if it can be no
repetition: it follows that of the very last word delivered, or comes later than that word could be repeated.

A final is never taken back, and what was reported lost stays lost, whatever arrives later.
"""

from __future__ import annotations

from dataclasses import dataclass

from .ledger import Ledger
from .messages import Results, SpeechStarted, UtteranceEnd
from .state import CallState, ChannelState, Spoken
from .timeline import Timeline

SAME = 0.3  # seconds that a word may move from one session to the next
HOLE = 0.5  # seconds between two finals that are more than a breath
REMEMBERED = 12  # words delivered last, more than a margin's worth


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word on the call's clock, in sample frames."""

    word: str
    start: int
    end: int
    confidence: float
    punctuated_word: str | None
    speaker: int | None


@dataclass(frozen=True, slots=True)
class Said:
    """A transcript on the call's clock. `seq` is set for finals only."""

    channel: int
    segment: int
    seq: int | None
    start: int
    end: int
    text: str
    confidence: float
    words: tuple[PlacedWord, ...]
    is_final: bool
    speech_final: bool
    replayed: bool


@dataclass(frozen=True, slots=True)
class Skipped:
    """Audio that the server passed over between two finals."""

    channel: int | None  # None where there is but one
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An utterance is over; `at` is where its last word ended, if the server knows."""

    channel: int
    at: int | None
    synthesized: bool = False


class Hearing:
    """One session's results, in; what is new for the call, out. It settles what is final in the call's ledger."""

    def __init__(self, state: CallState, ledger: Ledger, timeline: Timeline) -> None:
        self._state = state
        self._ledger = ledger
        self._timeline = timeline
        self._sent_before = ledger.at.sent  # what an earlier session was sent
        self._again = [list(channel.recent) for channel in state.channels]  # delivered, and not yet said again
        self._met = [False] * len(state.channels)  # the last of them was said again
        self._last = [channel.recent[-1].middle if channel.recent else float("-inf") for channel in state.channels]
        self._same = ledger.format.frames(SAME)
        self._hole = ledger.format.frames(HOLE)

    def results(self, results: Results) -> list[Said | Skipped]:
        """What a Results message adds to the call. A message for a channel that does not exist adds nothing."""
        index = results.channel_index[0]
        if index >= len(self._state.channels):
            return []
        return self._final(index, results) if results.is_final else self._interim(index, results)

    def _interim(self, index: int, results: Results) -> list[Said | Skipped]:
        channel = self._state.channels[index]
        watermark = self._ledger.at.watermarks[index]
        words, cut, _ = self._cut(index, results)
        text = self._text(results, words, cut=cut)
        if not text and not channel.interim_told:
            return []
        channel.interim_told = True
        channel.utterance_open = channel.utterance_open or bool(text)
        start = max(self._timeline.start(results.start), watermark)
        return [self._said(index, results, words, text, start, None, cut=cut)]

    def _final(self, index: int, results: Results) -> list[Said | Skipped]:
        state, at, channel = self._state, self._ledger.at, self._state.channels[index]
        told: list[Said | Skipped] = []
        start, end = self._timeline.start(results.start), self._timeline.end(results.end)
        if start > at.watermarks[index] + self._hole:
            skipped = self._ledger.lose(at.watermarks[index], start, index)
            told += [Skipped(each.channel, each.start, each.end) for each in skipped]
            channel.skipped_to = start
        watermark = at.watermarks[index]
        words, cut, (again, met) = self._cut(index, results)
        self._again[index], self._met[index] = again, met
        text = self._text(results, words, cut=cut)
        at.duplicate_frames += max(0, min(end, watermark) - start)
        self._ledger.acknowledge(index, watermark, end)
        channel.final_start = max(channel.final_start, min(start, end))
        channel.final_end = max(channel.final_end, end)
        for word in words:
            channel.recent.append(Spoken(normal(word.word), word.start, word.end))
            channel.word_end = max(channel.word_end or 0, word.end)
        del channel.recent[:-REMEMBERED]
        if text or results.speech_final or channel.interim_told:
            told.append(self._said(index, results, words, text, max(start, watermark), state.seq, cut=cut))
            channel.segment += 1
            state.seq += 1
        channel.interim_told = False
        if text or results.speech_final:
            channel.utterance_open = not results.speech_final
        return told

    def _said(
        self, index: int, results: Results, words: list[PlacedWord], text: str, start: int, seq: int | None, *, cut: bool
    ) -> Said:
        end = max(self._timeline.end(results.end), start)
        confidence = results.best.confidence
        if cut and words:  # what is left of it is what those words are, and it never begins before what was told
            end = max(start, max(word.end for word in words))
            start = max(start, min(word.start for word in words))
            confidence = sum(word.confidence for word in words) / len(words)
        return Said(
            channel=index,
            segment=self._state.channels[index].segment,
            seq=seq,
            start=start,
            end=end,
            text=text,
            confidence=confidence,
            words=tuple(words),
            is_final=results.is_final,
            speech_final=results.speech_final,
            replayed=self._timeline.start(results.start) < self._sent_before,
        )

    def _cut(self, index: int, results: Results) -> tuple[list[PlacedWord], bool, tuple[list[Spoken], bool]]:
        """The words of a message that are new; whether any was not; and what may still be said again after it."""
        watermark, channel = self._ledger.at.watermarks[index], self._state.channels[index]
        told_until, skipped_to = channel.final_end, channel.skipped_to
        again, met, kept, cut = self._again[index], self._met[index], [], False
        for word, middle, before_a_jump in self._placed(results):
            repeated = self._repetition(again, word, (middle, before_a_jump))
            if repeated is not None:
                met = met or repeated == len(again) - 1
                again = again[repeated + 1 :]
                cut = True
            elif middle > watermark or (
                max(told_until - self._same, skipped_to) < middle <= told_until
                and (met or middle > self._last[index] + self._same)
            ):
                kept.append(word)
            else:
                cut = True
        return kept, cut, (again, met)

    def _repetition(self, again: list[Spoken], word: PlacedWord, middles: tuple[int, int]) -> int | None:
        """Which of the delivered words this one says again: of the same ones within reach, the nearest."""
        if not again or min(middles) - again[-1].middle > self._same:
            return None
        spoken = normal(word.word)
        same = [
            (min(abs(each.middle - middle) for middle in middles), number)
            for number, each in enumerate(again)
            if each.word == spoken
        ]
        distance, nearest = min(same, default=(self._same + 1, 0))
        return nearest if distance <= self._same else None

    def _placed(self, results: Results) -> list[tuple[PlacedWord, int, int]]:
        """The words on the call's clock, without those that were heard in silence of our own.

        A word across a jump of the clock lies on the side where its middle was heard, and is no longer than it was heard.
        With each comes its middle, and where that would be had the clock not jumped shortly before: for a word that was
        being said again when its audio was lost, and that the server places a little late.
        """
        placed = []
        for word in results.best.words:
            start, end = self._timeline.start(word.start), self._timeline.end(word.end)
            if word.end < word.start or (end <= start and word.end > word.start):
                continue
            heard = (word.start + word.end) / 2
            back = min(heard, SAME)
            middle = self._timeline.start(heard)
            before_a_jump = self._timeline.start(heard - back) + self._ledger.format.frames(back)
            half = self._ledger.format.frames((word.end - word.start) / 2) + 1
            start, end = max(start, middle - half), min(end, middle + half)
            end = min(max(end, start + 1), self._ledger.at.written)
            there = PlacedWord(word.word, start, end, word.confidence, word.punctuated_word, word.speaker)
            placed.append((there, middle, before_a_jump))
        return placed

    def _text(self, results: Results, words: list[PlacedWord], *, cut: bool) -> str:
        best = results.best
        if not best.words:  # a server that gives no words: all or nothing
            middle = (self._timeline.start(results.start) + self._timeline.end(results.end)) / 2
            return best.transcript if middle > self._ledger.at.watermarks[results.channel_index[0]] else ""
        if not cut and len(words) == len(best.words):
            return best.transcript
        return " ".join(word.punctuated_word or word.word for word in words)

    def utterance_end(self, message: UtteranceEnd) -> Ended | None:
        channel = self._channel(message.channel[0])
        if channel is None:
            return None
        at = self._timeline.end(message.last_word_end) if message.last_word_end >= 0 else None
        if (at is not None and at <= channel.utterance_told) or (at is None and not channel.utterance_open):
            return None
        channel.utterance_told = max(channel.utterance_told, at or 0)
        channel.utterance_open = False
        return Ended(message.channel[0], at)

    def speech_started(self, message: SpeechStarted) -> int | None:
        """Where in the call speech began, if that is news."""
        index = message.channel[0]
        channel = self._channel(index)
        if channel is None:
            return None
        at = self._timeline.start(message.timestamp)
        if at <= channel.speech_told or at < self._ledger.at.watermarks[index]:
            return None
        channel.speech_told = at
        channel.utterance_open = True
        return at

    def abandoned(self) -> list[Ended]:
        """The session is dead: the utterances that it leaves open end here, so that nobody waits for them."""
        ended = []
        for index, channel in enumerate(self._state.channels):
            if channel.utterance_open:
                news = channel.word_end is not None and channel.word_end > channel.utterance_told
                ended.append(Ended(index, channel.word_end if news else None, synthesized=True))
                channel.utterance_told = max(channel.utterance_told, channel.word_end or 0)
            channel.utterance_open = False
        return ended

    def _channel(self, index: int) -> ChannelState | None:
        return self._state.channels[index] if index < len(self._state.channels) else None


def normal(word: str) -> str:
    """A word as it compares: without case and punctuation.

    >>> normal("Don't,"), normal("...")
    ("don't", '...')
    """
    bare = "".join(letter for letter in word.casefold() if letter.isalnum() or letter == "'")
    return bare or word
