"""Which words numbered audio speaks, and what is heard of them from any start, with and without a wobble."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.audio import AudioFormat
from supervisor.emulator.engine import NumberedEngine, Wobble
from supervisor.emulator.numbered import numbered
from supervisor.emulator.proof import Connection
from supervisor.emulator.speech import Speech, heard

RATE = 8000
PHONE = AudioFormat("mulaw", RATE)
FRAMES = st.integers(0, 3600 * RATE)


@given(st.integers(0, 100), FRAMES, st.integers(0, 25))
def test_words_are_numbered_in_order_and_never_overlap(salt, frame, channel):
    speech = Speech(salt, RATE, channel)
    words = speech.words(speech.at(frame))
    last = next(words)
    assert last.end > frame
    for _ in range(60):
        word = next(words)
        assert last.number + 1 == word.number
        assert word.start - last.end >= 0.05 * RATE
        assert word.middle - last.middle >= 0.26 * RATE
        assert 0.19 * RATE <= word.end - word.start <= 0.24 * RATE
        last = word


@given(FRAMES)
def test_the_first_word_that_ends_after_a_frame(frame):
    speech = Speech(7, RATE)
    number = speech.at(frame)

    assert next(speech.words(number)).end > frame
    assert number == 0 or next(speech.words(number - 1)).end <= frame


@given(FRAMES, st.integers(RATE // 4, 30 * RATE), st.integers(RATE // 4, 30 * RATE))
def test_two_halves_of_a_word_are_one_word(start, one, other):
    """Wherever audio is parted once within a word, that is in one of the parts and not in both."""
    speech, middle, end = Speech(7, RATE), start + one, start + one + other

    assert speech.between(start, middle) + speech.between(middle, end) == speech.between(start, end)


def test_words_have_pauses_between_sentences():
    words = Speech(7, RATE).between(0, 60 * RATE)
    pauses = [word.start - last.end for last, word in itertools.pairwise(words) if last.written.endswith(".")]

    assert len(pauses) >= 8
    assert all(0.6 * RATE <= pause <= 1.4 * RATE for pause in pauses)


def test_salts_and_channels_speak_differently():
    def pauses(salt, channel):
        return [word.start for word in Speech(salt, RATE, channel).between(0, 60 * RATE)]

    assert len({tuple(pauses(salt, channel)) for salt in range(4) for channel in range(2)}) >= 6
    assert next(Speech(7, RATE, 1).words()).word == "b0"


# What an ear hears


class Hearing:
    def __init__(self, audio=PHONE, wobble=None):
        self.audio = audio
        self.record = Connection(0, 0.0)
        self.record.hears(audio)
        self.ear = NumberedEngine().listen(audio, self.record.runs)
        if wobble is not None:
            self.ear = Wobble(self.ear, audio, random.Random(wobble))
        self.told = [[] for _ in range(audio.channels)]

    def feed(self, data, step=800, cut=4000):
        """As a window does: look at each step, and cut now and then where nobody speaks."""
        size = self.audio.frame_bytes
        for at in range(0, len(data), step * size):
            self.record.arrived(data[at : at + step * size], 0.0)
            self.ear.feed(data[at : at + step * size])
            position = self.record.frames
            for channel in range(self.audio.channels):
                words = self.ear.words(channel, position)
                assert all(word.end <= position for word in words)
                if self.ear.speaking(channel, position) is None and position % cut < step:
                    self.told[channel] += words
                    self.ear.cut(channel, position)
        return self

    def flush(self):
        for channel, told in enumerate(self.told):
            self.ear.flush(channel, self.record.frames)
            told += self.ear.words(channel, self.record.frames)
            self.ear.cut(channel, self.record.frames)
        return self


@given(st.integers(0, 600 * RATE), st.integers(1, 20 * RATE), st.integers(1, 20 * RATE), st.integers(100, 5000))
@settings(max_examples=50, deadline=None)
def test_from_any_start_the_words_heard_are_those_spoken_and_at_their_place(start, first, second, step):
    """Also when all was flushed in between, as by Finalize: half a word is one if it is the larger half."""
    hearing = Hearing().feed(numbered(7, start, first), step).flush().feed(numbered(7, start + first, second), step).flush()
    speech = Speech(7, RATE)
    expected = speech.between(start, start + first) + speech.between(start + first, start + first + second)

    assert [word.word for word in expected] == [word.word for word in hearing.told[0]]
    for word, spoken in zip(hearing.told[0], expected, strict=True):
        assert max(spoken.start - start, 0) <= word.start < word.end <= spoken.end - start
        assert spoken.written == word.written


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(300, 3 * RATE)), min_size=1, max_size=5), st.integers(200, 3000))
@settings(max_examples=50, deadline=None)
def test_after_a_jump_the_words_are_those_of_where_it_went(parts, step):
    audio, expected = b"", []
    for second, length in parts:
        start = second * RATE
        audio += numbered(7, start, length) + b"\xff" * 500
        expected += [word.word for word in Speech(7, RATE).between(start, start + length)]
    hearing = Hearing().feed(audio, step, cut=1 << 40).flush()

    assert expected == [word.word for word in hearing.told[0]]


@pytest.mark.parametrize("encoding", ["mulaw", "alaw", "linear16", "linear32"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_encoding_and_each_channel_is_heard(encoding, channels):
    audio = AudioFormat(encoding, RATE, channels)
    hearing = Hearing(audio).feed(numbered(7, 0, 20 * RATE * audio.frame_bytes)).flush()

    for channel in range(channels):
        expected = [word.word for word in Speech(7, RATE, channel).between(0, 20 * RATE)]
        assert expected == [word.word for word in hearing.told[channel]]


def test_silence_and_noise_have_no_words():
    noise = bytes(random.Random(1).choices(range(256), k=10 * RATE))

    assert Hearing().feed(b"\xff" * 10 * RATE).feed(noise).flush().told == [[]]


# Wobble


def wobbled(seed, seconds=400):
    plain = Hearing().feed(numbered(7, 0, seconds * RATE)).flush().told[0]
    return plain, Hearing(wobble=seed).feed(numbered(7, 0, seconds * RATE)).flush().told[0]


@pytest.mark.parametrize("seed", range(6))
def test_a_wobble_shifts_all_words_alike_by_up_to_120_ms_and_spoils_about_one_in_twenty(seed):
    plain, other = wobbled(seed)
    places = {word.word: word for word in plain}
    shifts = [word.start - places[word.word].start for word in other if word.word in places]
    spoilt = len(plain) - len(shifts)

    assert 0 <= min(shifts) <= max(shifts) <= 0.12 * RATE
    assert max(shifts) - min(shifts) <= 1
    assert 0.02 * len(plain) <= spoilt <= 0.11 * len(plain)
    assert len(plain) > len(other)  # some run into the one before
    assert all(one.end <= two.start for one, two in itertools.pairwise(other))


def test_a_wobble_is_the_same_for_the_same_seed_and_another_for_another():
    (_, one), (_, same), (_, other) = (wobbled(seed, 60) for seed in (1, 1, 2))

    assert one == same
    assert one != other


@given(st.integers(0, 1000), st.integers(RATE, 10 * RATE), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_wobble_loses_no_word_to_a_flush(seed, first, second):
    """Of what was flushed nothing comes again, and nothing of it is lost with what the shift would put after the end."""
    hearing = Hearing(wobble=seed).feed(numbered(7, 0, first)).flush()
    before = list(hearing.told[0])
    hearing.feed(numbered(7, first, second + 2 * RATE)).flush()
    letters = "".join(word.word for word in hearing.told[0])
    speech = Speech(7, RATE)
    expected = speech.between(0, first) + speech.between(first, first + second + 2 * RATE)

    assert "".join(word.word for word in expected) == letters.replace("x", "")
    assert all(word.end <= first for word in before)
    assert all(one.end <= two.start for one, two in zip(hearing.told[0], hearing.told[0][1:], strict=False))


def test_of_two_halves_the_second_counts():
    word = next(word for word in Speech(7, RATE).words() if (word.end - word.start) % 2 == 0)

    assert not heard(word, 0, word.middle)
    assert heard(word, word.middle, word.end)
