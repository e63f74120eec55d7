"""The recogniser of the demo: the reading comes out word for word, from wherever one begins to listen."""

from __future__ import annotations

import json
import random
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import soundfile

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Problem
from supervisor.emulator import sphinx
from supervisor.emulator.sphinx import SphinxEngine
from tests.simulation import transcribe

SPEECH = Path(sphinx.__file__).parents[1] / "demo" / "speech"
FORMAT = AudioFormat("linear16", 16000, 1)
TEXT = (SPEECH / "text.txt").read_text().split()
UNDISTURBED = json.loads((SPEECH / "reading.json").read_text())["words"]
STEP = 1600

try:
    import pocketsphinx  # noqa: F401
except ImportError:
    recognises = pytest.mark.skip(reason="pocketsphinx is not installed: it has wheels for Python 3.11 and 3.13 only")
else:
    recognises = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def reading() -> bytes:
    samples, rate = soundfile.read(SPEECH / "reading.flac", dtype="int16")
    assert rate == 16000
    return samples.tobytes()


def heard(audio, *, audio_format=FORMAT, message=STEP, cuts=(), channel=0):
    """Each word an ear tells of some audio: looked at every 100 ms, cut where told, flushed at the end."""
    ear = SphinxEngine().listen(audio_format, [])
    size = audio_format.frame_bytes
    frames = len(audio) // size
    told, fed, cuts = [], 0, list(cuts)
    for position in range(STEP, frames + 1, STEP):
        while fed < position:
            ear.feed(audio[fed * size : (fed + message) * size])
            fed += message
        words = ear.words(channel, position)
        if cuts and position >= cuts[0]:
            at = cuts.pop(0)
            told += [word for word in words if word.start < at]
            ear.cut(channel, at)
    ear.flush(channel, frames)
    return told + list(ear.words(channel, frames))


def names(words):
    return [word.word for word in words]


@recognises
def test_the_whole_reading_is_recognised_without_an_error_and_where_it_was_spoken(reading):
    words = heard(reading)

    assert names(words) == TEXT
    for expected, word in zip(UNDISTURBED, words, strict=True):
        assert abs(expected["start"] - word.start / 16000) <= 0.05
        assert abs(expected["end"] - word.end / 16000) <= 0.05


@recognises
@pytest.mark.parametrize("start", random.Random(20).sample(range(len(UNDISTURBED) * 6000), 10))
def test_whoever_starts_anywhere_hears_the_text_from_there_but_for_a_word_at_the_edge(reading, start):
    """A replay begins in mid-sentence, and in mid-word."""
    words = names(heard(reading[2 * start :]))
    rest = [word["word"] for word in UNDISTURBED if word["end"] * 16000 > start]
    wholly = [word["word"] for word in UNDISTURBED if word["start"] * 16000 >= start]

    assert wholly[1:] == words[len(words) - len(wholly) + 1 :]
    assert len(wholly) - 1 <= len(words) <= len(rest) + 1


@recognises
@pytest.mark.parametrize("message", [320, 1234, 1600, 5000])
def test_words_do_not_depend_on_how_the_audio_was_cut_into_messages(reading, message):
    part = reading[: 2 * 6 * 16000]

    assert heard(part) == heard(part, message=message)


@recognises
def test_a_word_once_told_is_not_taken_back(reading):
    """What is final must have been told before, or an interim would know better than its final."""
    ear = SphinxEngine().listen(FORMAT, [])
    told = []
    for position in range(STEP, len(reading) // 2 + 1, STEP):
        ear.feed(reading[2 * (position - STEP) : 2 * position])
        words = list(ear.words(0, position))

        assert told == words[: len(told)]
        told = words
        assert all(word.end <= position for word in words)
        speaking = ear.speaking(0, position)
        assert speaking is None or (words[-1].end if words else 0) <= speaking < position


@recognises
def test_no_word_is_told_on_both_sides_of_a_cut_or_on_neither(reading):
    """Cuts anywhere, also in the middle of words."""
    rng = random.Random(3)
    for _ in range(2):
        cuts = sorted(rng.sample(range(16000, len(reading) // 2), 6))

        assert names(heard(reading, cuts=cuts)) == TEXT


@recognises
@pytest.mark.parametrize("at", random.Random(9).sample(range(30, 250), 4))
def test_when_no_more_is_waited_for_all_that_has_ended_is_told_and_at_most_one_word_is_mistaken(reading, at):
    """What a client asks for with Finalize, in the middle of speech. Half a word is no word: it is told when it is done."""
    at *= STEP
    ear = SphinxEngine().listen(FORMAT, [])
    ear.feed(reading[: 2 * at])
    ear.flush(0, at)
    first = list(ear.words(0, at))
    ended = sum(word["end"] * 16000 <= at - 0.1 * 16000 for word in UNDISTURBED)

    assert ended <= len(first) <= ended + 2
    assert all(word.end <= at for word in first)

    ear.cut(0, at)
    ear.feed(reading[2 * at :])
    frames = len(reading) // 2
    ear.flush(0, frames)
    rest = list(ear.words(0, frames))
    steps = SequenceMatcher(None, TEXT, names(first + rest), autojunk=False).get_opcodes()

    assert sum(max(j - i, m - k) for kind, i, j, k, m in steps if kind != "equal") <= 1
    assert all(word.start >= at for word in rest)


@recognises
def test_silence_before_between_and_after_has_no_words_and_moves_them_exactly(reading):
    """Injected silence, digital and long; the second half begins another utterance of the recogniser."""
    pause = round((UNDISTURBED[21]["end"] + 0.3) * 16000)
    ahead, between = 16000 * 7, 16000 * 40
    words = heard(
        bytes(2 * ahead) + reading[: 2 * pause] + bytes(2 * between) + reading[2 * pause :] + bytes(2 * ahead),
        cuts=[ahead + pause + between],
    )

    assert names(words) == TEXT
    for expected, word in zip(UNDISTURBED, words, strict=True):
        shift = ahead + (between if expected["start"] * 16000 > pause else 0)
        assert abs(expected["start"] * 16000 + shift - word.start) <= 0.1 * 16000


@recognises
def test_a_long_connection_costs_no_more_in_the_end_than_in_the_beginning(reading):
    """The recogniser is given a new utterance at a pause: its guess, which is read every 100 ms, stays short."""
    ear = SphinxEngine().listen(FORMAT, [])
    told, position = [], 0
    for start in list(range(0, len(reading), 2 * STEP)) * 2:
        piece = reading[start : start + 2 * STEP]
        ear.feed(piece)
        position += len(piece) // 2
        words = ear.words(0, position)
        if words and ear.speaking(0, position) is None:
            told += names(words)
            ear.cut(0, position)
    ear.flush(0, position)
    told += names(ear.words(0, position))

    assert 2 * len(TEXT) == len(told)
    assert sum(said != spoken for said, spoken in zip(told, TEXT * 2, strict=True)) <= 1  # at the joins
    guess = list(sphinx.segments(ear._channels[0]._recogniser))
    assert len([word for word, _, _ in guess if word]) < 1.8 * len(TEXT)


@recognises
def test_each_channel_has_a_recogniser_of_its_own(reading):
    frames = 16000 * 8
    mixed = bytearray(4 * frames)
    for byte in (0, 1):
        mixed[byte::4] = reading[byte : 2 * frames : 2]
        mixed[byte + 2 :: 4] = reading[2 * 16000 * 10 + byte : 2 * 16000 * 10 + 2 * frames : 2]
    stereo = AudioFormat("linear16", 16000, 2)

    for channel, alone in enumerate((reading[: 2 * frames], reading[2 * 16000 * 10 :][: 2 * frames])):
        assert heard(alone) == heard(bytes(mixed), audio_format=stereo, channel=channel)


@recognises
@pytest.mark.parametrize("audio_format", [AudioFormat(), AudioFormat("linear16", 8000), AudioFormat("linear32", 16000)])
def test_audio_that_it_was_not_made_for_is_silence_to_it(audio_format):
    """Not an error: a connection that an engine cannot serve is no reason for the emulator to end."""
    ear = SphinxEngine().listen(audio_format, [])
    ear.feed(b"\x01\x02\x03\x04" * 8000)
    ear.flush(0, 8000)

    assert ear.words(0, 8000) == []
    assert ear.speaking(0, 8000) is None
    assert "16000 Hz only" in SphinxEngine().refuses(audio_format)


@recognises
def test_audio_that_it_cannot_hear_is_refused_in_the_opening_handshake():
    """Rather than transcribed as silence, which would leave its sender to wonder."""
    refused = transcribe(engine=SphinxEngine(), seconds=3.0)

    assert (refused.ended.outcome, refused.result.exit_code) == ("aborted", 78)
    assert "linear16 at 16000 Hz only" in refused.closures[0].dg_error


def test_a_python_without_the_recogniser_is_told_the_way_on(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pocketsphinx", None)
    with pytest.raises(Problem, match="pocketsphinx is not installed: install") as caught:
        SphinxEngine()

    assert "\n" not in str(caught.value)
