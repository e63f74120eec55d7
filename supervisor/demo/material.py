"""What the demo plays and knows by heart: the reading, or numbered audio where no recogniser can be had."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from ..core.audio import AudioFormat
from ..core.problem import Problem
from ..emulator.engine import Engine, NumberedEngine
from ..emulator.numbered import numbered
from ..emulator.speech import Speech
from ..emulator.sphinx import RATE, SPEECH, SphinxEngine
from ..sources.memory import Speaker

FORMAT = AudioFormat("linear16", RATE, 1)
SALT = 2811  # of the numbered audio
LENGTH = 26.0  # seconds of it
PAUSE = 0.5  # seconds between two numbered words that are a pause


class Word(NamedTuple):
    """A word of the undisturbed run; times are seconds of the call."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Material:
    """Audio, and all that is said in it."""

    label: str
    about: Sequence[str]  # a line each: what is heard, and what its recogniser is
    audio: Callable[[int, int], bytes]  # so many bytes of it, from one on
    frames: int
    words: Sequence[Word]
    pauses: Sequence[tuple[float, float]]
    engine: Engine

    @property
    def seconds(self) -> float:
        return FORMAT.seconds(self.frames)

    def source(self) -> Speaker:
        """It is spoken now, and does not wait."""
        return Speaker(FORMAT, self.audio, self.seconds, label=self.label)


def material() -> Material:
    """The reading, if its recogniser is there."""
    try:
        return reading(SphinxEngine())
    except Problem as problem:
        return numbers(problem.cause)


def reading(engine: Engine) -> Material:
    """The reading, with the word times that one recogniser had which nobody interrupted."""
    import soundfile

    known: Mapping[str, list[Mapping[str, float]]] = json.loads((SPEECH / "reading.json").read_text())
    with soundfile.SoundFile(SPEECH / "reading.flac") as file:
        audio = bytes(file.buffer_read(dtype="int16"))
    return Material(
        label="file:reading.flac",
        about=(
            'A LibriVox reading of "Sense and Sensibility" by Jane Austen, played as it was spoken.',
            "Its recogniser is pocketsphinx with a language model of that text: word error rate 0 %, measured.",
        ),
        audio=lambda at, length: audio[at : at + length],
        frames=len(audio) // FORMAT.frame_bytes,
        words=[Word(str(each["word"]), each["start"], each["end"]) for each in known["words"]],
        pauses=[(each["start"], each["end"]) for each in known["pauses"]],
        engine=engine,
    )


def numbers(why: str) -> Material:
    """Audio in which each word is its number."""
    frames = FORMAT.frames(LENGTH)
    spoken = Speech(SALT, RATE).between(0, frames)
    words = [Word(each.word, FORMAT.seconds(each.start), FORMAT.seconds(each.end)) for each in spoken]
    gaps = [(one.end, other.start) for one, other in pairwise(words)]
    return Material(
        label="numbered audio",
        about=(
            f"{why}: instead of the reading you see numbered audio, which proves the same.",
            "Each word is its number, and each byte says where in the call it is.",
        ),
        audio=partial(numbered, SALT),
        frames=frames,
        words=words,
        pauses=[(start, end) for start, end in gaps if end - start >= PAUSE],
        engine=NumberedEngine(),
    )
