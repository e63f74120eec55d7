"""Real words: pocketsphinx, with a language model of the one text that the demo reads aloud.

The recogniser's latest guess ends wherever the audio does, in the middle of a word that it takes for another. So a word
is told only once it is settled: 0.7 s of audio have followed it, or 0.3 s of silence. Of 60 starts at random places in
the reading none took back a word that was settled so. It is then kept here, whatever the recogniser thinks of it later.

Audio is decoded in pieces of 100 ms, and no further than anybody asks for: a piece takes about 3 ms, which no watchdog
notices, and the words depend on the audio alone, not on how it was cut into messages.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..core.audio import AudioFormat
from ..core.problem import Exit, Problem
from .engine import Ear, Heard
from .numbered import Run

SPEECH = Path(__file__).parent.parent / "demo" / "speech"
RATE = 16000  # samples a second, as the acoustic model was trained
HOP = RATE // 100  # samples in one of the recogniser's own frames
PIECE = RATE // 10  # samples decoded at a time
SETTLED = 70  # hops of anything after a word
SILENT = 30  # hops of silence after it
ENOUGH = RATE // 2  # samples of zeros that end what was being said; more of them would only mislead the recogniser
LONG = 30 * RATE  # samples after which a silence begins another utterance, for a long one costs ever more


def decoder() -> Any:
    """A recogniser of the reading, which takes about 10 ms to make; raises Problem where pocketsphinx is missing."""
    try:
        from pocketsphinx import Decoder
    except ImportError:
        raise Problem(
            "pocketsphinx is not installed",
            "install stream-supervisor[demo] on Python 3.11 or 3.13, for which it has wheels, or do without real words",
            Exit.USAGE,
        ) from None
    return Decoder(
        lm=str(SPEECH / "language.arpa"),
        dict=str(SPEECH / "pronunciation.dict"),
        lw=10.0,
        fwdflat=False,
        bestpath=False,
        loglevel="FATAL",
    )


def segments(recogniser: Any) -> Iterator[tuple[str, int, int]]:
    """The latest guess: words, and silences without a name, with the hops between which each lies."""
    for piece in recogniser.seg() or ():
        name = piece.word
        yield "" if name[0] in "<[" else name.partition("(")[0], piece.start_frame, piece.end_frame + 1


class SphinxEngine:
    """Recognises the reading; of other speech it makes the nearest words of that text.

    It hears linear16 at 16 kHz. Any other audio is refused, and silence to it where it comes in a container.
    """

    name = "pocketsphinx"

    def __init__(self) -> None:
        decoder()  # what is missing is missed now, not when a connection comes

    def refuses(self, audio: AudioFormat) -> str:
        heard = (audio.encoding, audio.sample_rate) == ("linear16", RATE)
        return "" if heard else f"This emulator's recogniser hears linear16 at {RATE} Hz only."

    def listen(self, audio: AudioFormat, runs: list[Run]) -> Ear:
        del runs
        return SphinxEar(audio, deaf=bool(self.refuses(audio)))


class SphinxEar:
    """A recogniser for each channel."""

    def __init__(self, audio: AudioFormat, *, deaf: bool = False) -> None:
        self._deaf = deaf
        self._channels = [_Channel() for _ in range(audio.channels)]

    def feed(self, audio: bytes) -> None:
        if not self._deaf:
            samples = array("h", audio)
            for index, channel in enumerate(self._channels):
                channel.waiting += samples[index :: len(self._channels)]

    def words(self, channel: int, upto: int) -> Sequence[Heard]:
        return self._channels[channel].read(upto)

    def speaking(self, channel: int, upto: int) -> int | None:
        return self._channels[channel].speaking(upto)

    def flush(self, channel: int, upto: int) -> None:
        self._channels[channel].read(upto, final=True)

    def cut(self, channel: int, at: int) -> None:
        self._channels[channel].cut(at)


class _Channel:
    """One channel's samples and words. A sample is a sample frame, so one kind of position serves for both."""

    def __init__(self) -> None:
        self.waiting = array("h")  # not decoded yet
        self._recogniser = decoder()
        self._recogniser.start_utt()
        self._begun = 0  # where the recogniser's utterance began
        self._decoded = 0
        self._zeros = 0  # in a row, up to there
        self._settled: list[Heard] = []  # and not cut
        self._known = 0  # where the last settled word ended
        self._cut = 0  # what is told from now on starts here at the earliest

    def read(self, upto: int, *, final: bool = False) -> list[Heard]:
        """The words that are settled by then; `final` settles what there is."""
        while (size := min(PIECE, upto - self._decoded, len(self.waiting))) == PIECE or (final and size > 0):
            piece = self.waiting[:size]
            del self.waiting[:size]
            self._decode(piece)
        self._settle(upto, final=final)
        return self._settled

    def _decode(self, piece: array[int]) -> None:
        self._decoded += len(piece)
        self._zeros = 0 if any(piece) else self._zeros + len(piece)
        if self._zeros <= ENOUGH:
            self._recogniser.process_raw(piece.tobytes())
        elif self._begun < self._decoded - len(piece):
            self._settle(self._decoded, final=True)
            self._begin_again()
        else:
            self._begun = self._decoded

    def _begin_again(self) -> None:
        self._recogniser.end_utt()
        self._recogniser.start_utt()
        self._begun = self._decoded

    def _settle(self, upto: int, *, final: bool) -> None:
        guess = self._guess()
        if final and guess and guess[-1][0]:
            guess.pop()  # it is being spoken, and is told when it is done, if it ever is: half a word is another one
        for index, (word, start, end) in enumerate(guess):
            if word and not (final or self._is_settled(guess, index)):
                return
            if word:
                start = max(start, self._known, self._cut)
                self._settled.append(Heard(word, word, start, max(min(end, upto), start + 1)))
                self._known = end

    def speaking(self, upto: int) -> int | None:
        start = next((max(start, self._known, self._cut) for word, start, _ in self._guess() if word), None)
        return start if start is not None and start < upto else None

    def cut(self, at: int) -> None:
        self._settled = [word for word in self._settled if word.start >= at]
        self._cut = at
        quiet = not self._settled and self.speaking(self._decoded) is None
        if quiet and self._decoded - self._begun >= LONG:
            self._begin_again()

    def _guess(self) -> list[tuple[str, int, int]]:
        """What the rest is taken for. A word's ends may still move a little, so a word is new if its middle is."""
        return [
            (word, self._begun + start * HOP, self._begun + end * HOP)
            for word, start, end in segments(self._recogniser)
            if 2 * self._begun + (start + end) * HOP > 2 * self._known
        ]

    def _is_settled(self, guess: Sequence[tuple[str, int, int]], index: int) -> bool:
        end = silent = guess[index][2]
        for word, _, until in guess[index + 1 :]:
            if word:
                break
            silent = until
        return self._decoded - end >= SETTLED * HOP or silent - end >= SILENT * HOP
