"""Interims, finals and pauses: decided by the positions of the audio, whatever the clock says."""

import json
from itertools import cycle, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervisor.emulator.faults import Hole, NoFinals, NoWordEnd
from supervisor.emulator.habits import Habits
from supervisor.emulator.numbered import numbered
from supervisor.emulator.results import Teller, float32

from .client import LISTEN, SALT, end_of, words_of
from .listener import SECOND, Listener, spoken


def test_interims_come_each_second_of_audio_and_begin_where_the_last_final_ended():
    heard = Listener().speak(30).wait(2)

    since, at = 0.0, 0
    for each in heard.results:
        assert since == pytest.approx(each["start"])
        if each["is_final"]:
            since = end_of(each)
        else:
            at += 1
            assert at == pytest.approx(end_of(each))

    assert at == 30


def test_without_interim_results_only_finals_are_told():
    heard = Listener(target=LISTEN.replace("&interim_results=true", "")).speak(20).wait(2)

    assert heard.finals
    assert heard.interims == []


def test_finals_tile_the_audio_and_hold_every_word_once():
    heard = Listener().speak(60).control("CloseStream").wait(3)

    assert spoken(60) == heard.words()
    assert heard.finals[0]["start"] == 0.0
    assert pytest.approx(end_of(heard.finals[-1])) == 60.0
    for one, other in pairwise(heard.finals):
        assert end_of(one) == pytest.approx(other["start"], abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_without_endpointing_finals_are_3_to_8_seconds_apart_and_end_up_to_1_5_seconds_before_the_last_interim(seed):
    heard = Listener("&endpointing=false", seed=seed).speak(100).wait(2)

    lengths = [each["duration"] for each in heard.finals]
    assert len(lengths) >= 10
    # To fall between two words an end may be off its place by a word or so.
    assert all(2.5 <= length <= 8.5 for length in lengths)
    assert max(lengths) - min(lengths) > 1
    for number, each in enumerate(heard.results):
        if each["is_final"]:
            before = [end_of(other) for other in heard.results[:number] if not other["is_final"]][-1]
            assert -1e-4 <= before - end_of(each) <= 1.5 + 1e-4


def test_another_seed_ends_its_finals_elsewhere_and_the_same_one_in_the_same_places():
    one, same, other = (
        [end_of(each) for each in Listener("&endpointing=false", seed=seed).speak(60).wait(2).finals]
        for seed in (1, 1, 2)
    )

    assert one == same
    assert one != other


def test_nothing_becomes_final_because_time_passes():
    heard = Listener().speak(2.4)
    told = len(heard.results)
    for _ in range(60):
        heard.control("KeepAlive").wait(4)

    assert heard.finals == []
    assert len(heard.results) - told <= 1  # what was on its way
    assert heard.ends == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(100, 9000), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["numbered", "silence"]), st.integers(0, 3)), max_size=5),
    st.booleans(),
)
@example([3000], [(2, "numbered", 0), (1, "silence", 0)], False)  # ends within a word, where an interim is due
@example([3000], [(2, "numbered", 0), (1, "numbered", 0)], False)
def test_the_same_audio_gives_the_same_messages_however_it_is_cut_and_whenever_it_comes(cuts, parts, wobble):
    """Also where it jumps: the parts end where a tenth of a second does, as those of a client would."""
    audio = numbered(SALT, 0, 12 * SECOND)
    for seconds, kind, tenths in parts:
        length = seconds * SECOND + tenths * SECOND // 10
        audio += numbered(SALT, 30 * seconds * SECOND, length) if kind == "numbered" else b"\xff" * length
    habits = Habits(wobble=wobble)
    whole, cut = (Listener("&vad_events=true&utterance_end_ms=1000", habits=habits, seed=3) for _ in range(2))
    for at in range(0, len(audio), 800):
        whole.audio(audio[at : at + 800]).wait(0.1)
    at, sizes = 0, cycle(cuts)
    while at < len(audio):
        size = next(sizes)
        cut.audio(audio[at : at + size]).wait(size / SECOND / 3)
        at += size
    for each in (whole, cut):
        each.control("CloseStream").wait(200)

    assert [each for _, each in whole.heard] == [each for _, each in cut.heard]


@pytest.mark.parametrize(
    "seconds, told", [(17.56, 17.56), (18.66, 18.66), (3600.1, 3600.1), (36000.0125, 36000.01), (1 / 3, 0.33333334), (0, 0)]
)
def test_a_32_bit_float_is_told_in_as_few_digits_as_tell_it_from_its_neighbours(seconds, told):
    assert told == float32(seconds)


def test_a_duration_is_the_difference_of_two_32_bit_floats():
    """As in a capture of Deepgram's: 18.66 less 17."""
    teller = Teller("r", "nova-3", 100, 1, False, False)
    told = json.loads(teller.results(0, 1700, 1866, [], final=True, speech=False, asked=False))

    assert (told["start"], told["duration"]) == (17.0, 1.6599998)


def test_times_are_32_bit_floats():
    heard = Listener(habits=Habits(finals=(3.0, 3.1))).speak(40).wait(2)
    times = [time for each in heard.results for word in words_of(each) for time in (word["start"], word["end"])]
    times += [time for each in heard.results for time in (each["start"], each["duration"])]

    assert len(times) > 100
    assert all(time == float32(time) for time in times)
    assert any(round(time * SECOND) / SECOND != time for time in times)  # or nothing was blurred


# Pauses


def test_a_pause_ends_an_utterance_with_speech_final():
    heard = Listener().speak(30).wait(2)
    ended = [each for each in heard.results if each["speech_final"]]

    assert ended
    assert all(each["is_final"] for each in ended)
    for each in ended:
        words = words_of(each)
        assert not words or end_of(each) - words[-1]["end"] >= 0.3 - 1e-4


def test_without_endpointing_nothing_is_speech_final():
    heard = Listener("&endpointing=false").speak(30).control("Finalize").wait(2)

    assert heard.finals
    assert not any(each["speech_final"] for each in heard.results)


def test_longer_endpointing_waits_for_a_longer_pause():
    short, long = (
        len([each for each in Listener(query).speak(60).wait(2).finals if each["speech_final"]])
        for query in ("&endpointing=300", "&endpointing=5000")
    )

    assert short > 5
    assert long == 0


def test_speech_started_and_utterance_end_go_round_about_each_utterance():
    heard = Listener("&vad_events=true&utterance_end_ms=1000").speak(6).silent(2.5).speak(3).silent(2.5).wait(2)
    starts = [each["timestamp"] for each in heard.of("SpeechStarted")]
    ends = [each["last_word_end"] for each in heard.of("UtteranceEnd")]
    words = [word for final in heard.finals for word in words_of(final)]

    assert len(ends) >= 2
    assert starts[0] == words[0]["start"]
    assert all(each["channel"] == [0, 1] for each in heard.of("SpeechStarted") + heard.of("UtteranceEnd"))
    assert set(ends) <= {word["end"] for word in words}
    assert words[-1]["end"] == ends[-1]


def test_without_vad_events_and_utterance_end_ms_neither_is_told():
    heard = Listener().speak(6).silent(3).wait(2)

    assert heard.of("SpeechStarted") == heard.of("UtteranceEnd") == []


def test_utterance_end_may_not_know_where_the_last_word_ended():
    heard = Listener("&utterance_end_ms=1000", faults=[NoWordEnd()]).speak(3).silent(2.5).wait(2)

    assert [each["last_word_end"] for each in heard.of("UtteranceEnd")] == [-1]


def test_silence_gives_empty_interims_each_second_and_empty_finals_each_3_6_seconds():
    heard = Listener().silent(20).wait(2)

    assert len(heard.interims) == 20
    assert [pytest.approx(each["duration"], abs=1e-4) for each in heard.finals] == [3.6] * 5
    for each in heard.results:
        assert each["channel"]["alternatives"][0] == {"transcript": "", "confidence": 0.0, "words": []}


def test_interims_without_finals():
    heard = Listener(faults=[NoFinals()]).speak(30).control("Finalize").control("CloseStream").wait(2)

    assert len(heard.interims) == 30
    assert heard.finals == []
    assert [each.code for _, each in heard.ends] == [1000]


def test_a_hole_is_audio_between_two_finals():
    heard = Listener(faults=[Hole(audio=5.0, seconds=2.0)]).speak(40).control("CloseStream").wait(2)
    holes = [other["start"] - end_of(one) for one, other in pairwise(heard.finals)]

    assert [pytest.approx(each, abs=1e-3) for each in holes if abs(each) > 1e-3] == [2.0]
