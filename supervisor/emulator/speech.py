"""The words that numbered audio speaks: a word's name is its number, so the words delivered prove what was heard.

Time is divided into slots of 0.3 s, and slots into groups of 32. In each group two sentences end with a pause of two
to four slots, which together are six: so every group has 26 words, and a word's number gives its place. Between the
words of a sentence is a silence of at least 0.05 s. Midpoints of neighbours are at least 0.26 s apart.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

SLOTS = 32
WORDS = 26


class Spoken(NamedTuple):
    """One word; its times are sample frames of the call."""

    number: int
    word: str
    written: str  # with a capital and a full stop where they belong
    start: int
    end: int

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2


class Speech:
    """All the words of one channel of one call.

    >>> [word.written for word in Speech(salt=7, sample_rate=8000).between(0, 8000 * 5)]
    ['A0', 'a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', 'a8', 'a9.', 'A10', 'a11', 'a12', 'a13', 'a14']
    """

    def __init__(self, salt: int, sample_rate: int, channel: int = 0) -> None:
        self._salt = salt
        self._channel = channel
        self._letter = "abcdefghijklmnopqrstuvwxyz"[channel % 26]
        self._tick = sample_rate / 100
        self._group = SLOTS * sample_rate * 3 // 10

    def at(self, frame: int) -> int:
        """The number of the first word that ends after a frame of the call."""
        first = max(0, frame // self._group - 1) * WORDS
        for word in self.words(first):
            if word.end > frame:
                return word.number
        raise AssertionError("words never end")

    def words(self, number: int = 0) -> Iterator[Spoken]:
        """All words from one on, for ever."""
        while True:
            group = self._words_of(number // WORDS)
            yield from group[number % WORDS :]
            number += WORDS - number % WORDS

    def between(self, start: int, end: int) -> list[Spoken]:
        """The words of which at least half is spoken between two frames of the call."""
        found: list[Spoken] = []
        for word in self.words(self.at(start)):
            if word.start >= end:
                return found
            if heard(word, start, end):
                found.append(word)
        return found

    def _words_of(self, group: int) -> list[Spoken]:
        seed = zlib.crc32(b"%d %d %d" % (self._salt, self._channel, group))
        pause = 2 + seed % 3
        first = 6 + (seed >> 4) % 6
        second = 22 + (seed >> 8) % 5
        quiet = {*range(first, first + pause), *range(second, second + 6 - pause)}
        slots = [slot for slot in range(SLOTS) if slot not in quiet]
        words = []
        for place, slot in enumerate(slots):
            shape = seed >> place % 16
            begins = slot == first + pause or slot == second + 6 - pause or (group == 0 and slot == 0)
            ends = slot in (first - 1, second - 1)
            number = group * WORDS + place
            start = group * self._group + round((slot * 30 + 3 + shape % 3) * self._tick)
            name = f"{self._letter}{number}"
            written = (name.capitalize() if begins else name) + ("." if ends else "")
            words.append(Spoken(number, name, written, start, start + round((20 + shape % 4) * self._tick)))
        return words


def heard(word: Spoken, start: int, end: int) -> bool:
    """Whether so much of a word lies between two frames that it is recognised; of two halves the second one counts."""
    within = 2 * (min(word.end, end) - max(word.start, start)) - (word.end - word.start)
    return within > 0 or (within == 0 and word.end <= end)
