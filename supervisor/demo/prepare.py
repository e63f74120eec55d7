"""Makes the files in `speech/` from the five clips of Debian's pocketsphinx-testdata; run by hand when they change.

    python -m supervisor.demo.prepare /usr/share/pocketsphinx/test/data/librivox

The clips are joined by pauses of the reader's own room: the quiet end of the clip before, forwards and backwards.
"""

from __future__ import annotations

import json
import re
import sys
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import soundfile

from supervisor.demo.language import language_model
from supervisor.emulator.sphinx import RATE, SPEECH, decoder, segments

PAUSE = 0.4  # seconds added between two clips
QUIET = 0.18, 0.02  # seconds before a clip's end: where its quiet is taken from
# The reader says "for 'em", which the dictionary does not know.
SPOKEN = {"them": ["AH M"]}


def main(clips: Path) -> None:
    sentences = (SPEECH / "text.txt").read_text().splitlines()
    audio = joined([_read(path) for path in sorted(clips.glob("*.wav"))])
    with soundfile.SoundFile(
        SPEECH / "reading.flac", "w", RATE, 1, subtype="PCM_16", format="FLAC", compression_level=1.0
    ) as file:
        file.buffer_write(audio.tobytes(), dtype="int16")
    (SPEECH / "language.arpa").write_text(language_model(sentences))
    (SPEECH / "pronunciation.dict").write_text("".join(f"{line}\n" for line in pronunciations(sentences)))
    reading = undisturbed(audio.tobytes(), sentences)
    (SPEECH / "reading.json").write_text(json.dumps(reading, indent=1) + "\n")


def joined(clips: Sequence[array[int]]) -> array[int]:
    """The clips, one after another, with a pause between two."""
    whole = array("h")
    for clip in clips:
        if whole:
            forwards = whole[-round(QUIET[0] * RATE) : -round(QUIET[1] * RATE)]
            there_and_back = forwards + forwards[::-1]
            frames = round(PAUSE * RATE)
            whole += (there_and_back * (frames // len(there_and_back) + 1))[:frames]
        whole += clip
    return whole


def pronunciations(sentences: Sequence[str]) -> Iterator[str]:
    """The lines of the recogniser's own dictionary that these sentences need: the whole of it takes six seconds to load."""
    from pocketsphinx import get_model_path

    wanted = {word for sentence in sentences for word in sentence.split()}
    known: dict[str, list[str]] = {}
    for line in Path(get_model_path("en-us/cmudict-en-us.dict")).read_text().splitlines():
        word, _, phones = line.partition(" ")
        if (word := re.sub(r"\(\d+\)$", "", word)) in wanted:
            known.setdefault(word, []).append(phones)
    for word in sorted(wanted):
        for number, phones in enumerate(known[word] + SPOKEN.get(word, []), 1):
            yield f"{word} {phones}" if number == 1 else f"{word}({number}) {phones}"


def undisturbed(audio: bytes, sentences: Sequence[str]) -> dict[str, Any]:
    """What one recogniser makes of the whole reading; raises ValueError where that is not the text."""
    words = list(_recognised(audio))
    if [word["word"] for word in words] != " ".join(sentences).split():
        raise ValueError(f"the reading is not recognised as its text: {' '.join(word['word'] for word in words)}")
    pauses = []
    last = 0
    for sentence in sentences[:-1]:
        last += len(sentence.split())
        pauses.append({"start": words[last - 1]["end"], "end": words[last]["start"]})
    return {"sample_rate": RATE, "frames": len(audio) // 2, "pauses": pauses, "words": words}


def _recognised(audio: bytes) -> Iterator[dict[str, Any]]:
    recogniser = decoder()
    recogniser.start_utt()
    recogniser.process_raw(audio)
    recogniser.end_utt()
    for word, start, end in segments(recogniser):
        if word:
            yield {"word": word, "start": start / 100, "end": end / 100}


def _read(path: Path) -> array[int]:
    with soundfile.SoundFile(path) as file:
        if (file.samplerate, file.channels) != (RATE, 1):
            raise ValueError(f"{path} is not {RATE} Hz mono")
        return array("h", bytes(file.buffer_read(dtype="int16")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
