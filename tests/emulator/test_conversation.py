"""What an accepted connection is told, and when: positions of audio decide, the clock only delays and times out."""

import json
import random
import struct
from itertools import cycle, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervisor.core.audio import AudioFormat
from supervisor.emulator.conversation import Conversation, End, Say
from supervisor.emulator.engine import NumberedEngine
from supervisor.emulator.faults import Hole, NoFinals, NoWordEnd
from supervisor.emulator.habits import Habits
from supervisor.emulator.listening import ask_of
from supervisor.emulator.numbered import numbered
from supervisor.emulator.proof import Connection
from supervisor.emulator.results import Teller, float32
from supervisor.emulator.speech import Speech

from .client import LISTEN, SALT, end_of, words_of

SECOND = 8000  # bytes, and sample frames, of a telephone's audio
NET_0000 = "Deepgram did not provide a response message within the timeout window. See https://dpgr.am/net0000"
NET_0001 = (
    "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001"
)


class Listener:
    """A conversation without a socket: what is sent is spoken at once, and time passes when it is told to."""

    def __init__(self, query="", *, faults=(), seed=0, habits=None, target=None):
        self.record = Connection(0, 0.0, request_id="r")
        self.now = 100.0
        self.heard = []  # when, and JSON or End
        self.position = 0
        self.conversation = Conversation(
            ask_of((target or LISTEN) + query),
            self.record,
            engine=NumberedEngine(),
            habits=habits or Habits(),
            faults=faults,
            chance=random.Random(seed),
            created="2026-01-01T00:00:00.000Z",
            now=self.now,
        )

    def speak(self, seconds, *, piece=0.1, rate=1.0):
        """Numbered audio, as it is spoken or faster."""
        left = round(seconds * SECOND)
        while left > 0:
            size = min(left, round(piece * SECOND))
            self.audio(numbered(SALT, self.position, size))
            self.position += size
            left -= size
            self.wait(size / SECOND / rate)
        return self

    def silent(self, seconds, piece=0.1):
        for _ in range(round(seconds / piece)):
            self.audio(b"\xff" * round(piece * SECOND))
            self.wait(piece)
        return self

    def audio(self, data):
        self.conversation.binary(data, self.now)
        return self

    def control(self, kind, **more):
        return self.text(json.dumps({"type": kind, **more}))

    def text(self, text):
        self.conversation.text(text, self.now)
        return self

    def wait(self, seconds):
        until = self.now + seconds
        while (then := max(self.now, self.conversation.next())) <= until:
            self.now = then
            done = list(self.conversation.actions(self.now))
            assert done or self.conversation.next() > self.now  # or a server would spin
            for action in done:
                if isinstance(action, Say):
                    self.record.told += 1
                    self.heard.append((self.now, json.loads(action.text)))
                else:
                    self.heard.append((self.now, action))
                    if isinstance(action, End):
                        self.conversation.end()
        self.now = until
        return self

    def of(self, kind):
        return [each for _, each in self.heard if isinstance(each, dict) and each["type"] == kind]

    @property
    def results(self):
        return self.of("Results")

    @property
    def finals(self):
        return [each for each in self.results if each["is_final"]]

    @property
    def interims(self):
        return [each for each in self.results if not each["is_final"]]

    @property
    def ends(self):
        return [(round(now - 100, 3), each) for now, each in self.heard if isinstance(each, End)]

    def words(self, channel=0):
        return [
            word["word"]
            for final in self.finals
            if final["channel_index"][0] == channel
            for word in words_of(final)
        ]


def spoken(seconds, channel=0):
    return [each.word for each in Speech(SALT, SECOND, channel).between(0, round(seconds * SECOND))]


# Interims and finals


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


# Controls


def test_finalize_makes_all_of_the_audio_so_far_final_and_says_so():
    heard = Listener().speak(1.7).control("Finalize").wait(2)

    assert [each["from_finalize"] for each in heard.finals] == [True]
    assert pytest.approx(end_of(heard.finals[0])) == 1.7
    assert spoken(1.7) == heard.words()


def test_finalize_with_too_little_audio_has_no_answer():
    heard = Listener().control("Finalize").speak(0.06).control("Finalize").wait(2)

    assert heard.results == []


def test_finalize_twice_has_one_answer():
    heard = Listener().speak(1.7).control("Finalize").control("Finalize").wait(2)

    assert len(heard.finals) == 1


def test_finalize_of_one_channel_leaves_the_others_alone():
    stereo = LISTEN + "&channels=2&multichannel=true"
    heard = Listener(target=stereo).speak(3.0, piece=0.1)  # 1.5 s of two channels
    heard.control("Finalize", channel=1).wait(2)

    assert [each["channel_index"] for each in heard.finals] == [[1, 2]]
    assert pytest.approx(end_of(heard.finals[0])) == 1.5


@pytest.mark.parametrize("channel", [1, 7])
def test_finalize_of_a_channel_that_does_not_exist_has_no_answer(channel):
    heard = Listener().speak(1.7).control("Finalize", channel=channel).wait(2)

    assert heard.finals == []


@pytest.mark.parametrize("channel", ["0", 0.5, True, [0], -1])
def test_finalize_of_what_is_no_channel_is_a_schema_error(channel):
    heard = Listener().speak(1.7).control("Finalize", channel=channel).wait(2)

    assert [each["variant"] for each in heard.of("Error")] == ["SchemaError"]
    assert heard.finals == []


def test_close_stream_is_answered_by_the_last_finals_then_metadata_then_1000():
    heard = Listener().speak(2.5).control("CloseStream").wait(3)
    last = [each if isinstance(each, End) else each["type"] for _, each in heard.heard][-3:]

    assert ["Results", "Metadata", End(1000, "")] == last
    assert heard.finals[-1]["from_finalize"] is False
    assert spoken(2.5) == heard.words()


def test_metadata_tells_what_was_heard():
    metadata = Listener().speak(2.5).control("CloseStream").wait(3).of("Metadata")[0]

    assert (metadata["duration"], metadata["channels"], metadata["request_id"]) == (2.5, 1, "r")
    assert metadata["created"] == "2026-01-01T00:00:00.000Z"
    assert metadata["models"] == list(metadata["model_info"])


def test_metadata_of_a_connection_without_audio_is_the_documented_one():
    metadata = Listener().control("CloseStream").wait(3).of("Metadata")[0]

    assert metadata == {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": "r",
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "created": "2026-01-01T00:00:00.000Z",
        "duration": 0.0,
        "channels": 0,
    }


def test_an_empty_message_is_close_stream():
    asked, empty = (Listener().speak(2.5) for _ in range(2))
    asked.control("CloseStream").wait(3)
    empty.audio(b"").wait(3)

    assert [each for _, each in asked.heard] == [each for _, each in empty.heard]
    assert (asked.record.zero_length, empty.record.zero_length) == (0, 1)


def test_audio_after_close_stream_is_not_heard():
    heard = Listener().speak(2.5).control("CloseStream").speak(0.02).control("CloseStream").wait(3)

    assert heard.of("Metadata")[0]["duration"] == 2.5
    assert len(heard.ends) == 1


def test_keep_alive_has_no_answer_and_moves_no_clock():
    heard = Listener().speak(1.0).wait(0.7)
    before = len(heard.heard)
    for _ in range(5):
        heard.control("KeepAlive").wait(5)

    assert before == len(heard.heard)

    heard.speak(4.0).control("Finalize").wait(1)

    assert pytest.approx(end_of(heard.finals[-1])) == 5.0


SPOKEN_TO = "Could not deserialize last text message: "


def test_a_variant_that_is_unknown_is_told_in_the_servers_own_words():
    """As a user's log has it, down to the column."""
    error = Listener().text('{ "type": "KeepAlive "}').wait(1).of("Error")

    assert error == [
        {
            "type": "Error",
            "variant": "SchemaError",
            "description": SPOKEN_TO + "unknown variant `KeepAlive `, expected one of `CloseStream`, `Configure`, "
            "`Sync`, `KeepAlive`, `Finalize` at line 1 column 22",
            "message": '{ "type": "KeepAlive "}',
        }
    ]


def test_a_field_of_configure_that_is_unknown_is_told_as_documented():
    error = Listener().text('{"type": "Configure", "keyterm": ["Deepgram"]}').wait(1).of("Error")

    assert error == [
        {
            "type": "Error",
            "variant": "SchemaError",
            "description": SPOKEN_TO + "unknown field `keyterm`, expected one of `features`, `processors`, "
            "`keyterms`, `language_hints`",
            "message": '{"type": "Configure", "keyterm": ["Deepgram"]}',
        }
    ]


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[]", "null", "1e999", "{", '{"type": 7}', '{"type": null}', "{}", '{"type":"keepalive"}', "[" * 99999,
     '{"type":"Configure","keyterms":7}', '{"type":"\\u0000"}', "\x00", '{"type":"' + "x" * 99999 + '"}'],
)  # fmt: skip
def test_a_text_that_is_wrong_is_told_and_does_not_end_the_connection(text):
    heard = Listener().speak(1).text(text).wait(0.2).speak(1.0).control("CloseStream").wait(3)

    assert [each["variant"] for each in heard.of("Error")] == ["SchemaError"]
    assert spoken(2) == heard.words()
    assert [each.code for _, each in heard.ends] == [1000]


def test_configure_is_answered_once():
    heard = Listener().control("Configure", keyterms=["Deepgram"]).wait(1)
    heard.control("Configure", features={"numerals": True}).wait(1)

    assert heard.of("ConfigureSuccess") == [
        {"type": "ConfigureSuccess", "request_id": "r", "keyterms": ["Deepgram"]},
        {"type": "ConfigureSuccess", "request_id": "r"},
    ]


def test_keyterms_are_for_nova_3():
    heard = Listener(target=LISTEN.replace("nova-3", "nova-2")).control("Configure", keyterms=["Deepgram"]).wait(1)

    assert heard.of("Error") == [
        {
            "type": "Error",
            "variant": "InvalidConfigureMessage",
            "description": "`keyterms` are only supported for Nova-3 and Flux.",
            "code": "KeytermsNotSupported",
        }
    ]


# Time


def test_twelve_seconds_without_a_message_are_net_0001():
    heard = Listener().speak(1.5).wait(30)

    assert [(13.4, End(1011, NET_0001))] == heard.ends


def test_twelve_seconds_from_the_opening_too():
    assert [(12.0, End(1011, NET_0001))] == Listener().wait(30).ends


def test_text_holds_a_connection_that_has_been_told_something():
    heard = Listener().speak(1.5).wait(1)
    for _ in range(20):
        heard.control("KeepAlive").wait(11)

    assert heard.ends == []


def test_text_alone_does_not_hold_one_that_has_not():
    """Without any audio it is NET-0002, with too little of it NET-0000; its own words are known of the second only."""
    none, little = Listener(), Listener().speak(0.5)
    for each in (none, little):
        for _ in range(10):
            each.control("KeepAlive").wait(4)

    assert [(20.0, End(1011, NET_0000))] == little.ends
    assert [(at, each.code) for at, each in none.ends] == [(20.0, 1011)]
    assert none.ends[0][1].reason.endswith("See https://dpgr.am/net0002")
    assert all(len(each.encode()) <= 123 for each in (NET_0000, NET_0001, none.ends[0][1].reason))


def test_a_server_may_end_a_connection_that_has_only_text():
    heard = Listener(habits=Habits(no_audio=30.0)).speak(1.5).wait(1)
    for _ in range(20):
        heard.control("KeepAlive").wait(4)

    assert [at for at, _ in heard.ends] == [31.4]
    assert heard.ends[0][1].reason.endswith("net0002")


@pytest.mark.parametrize("rate", [1.0, 1.25])
def test_audio_up_to_1_25_times_real_time_is_told_at_once(rate):
    heard = Listener(habits=Habits(latency=(0.1, 0.1))).speak(60, rate=rate)
    late = [now - 100 - end_of(each) / rate for now, each in heard.heard if not each["is_final"]]

    assert max(late) < 0.3


def test_faster_audio_is_told_later_and_never_refused():
    heard = Listener(habits=Habits(latency=(0.1, 0.1))).speak(100, rate=20.0)
    for _ in range(25):
        heard.control("KeepAlive").wait(4)
    heard.control("CloseStream").wait(3)
    told = [(now - 100, end_of(each)) for now, each in heard.heard if isinstance(each, dict) and "start" in each]

    assert spoken(100) == heard.words()
    assert [each.code for _, each in heard.ends] == [1000]
    assert all(now >= (end - 2.0) / 1.25 for now, end in told if end > 2)
    assert 75 < next(now for now, end in told if end >= 99.9) < 82


def test_the_backlog_of_what_came_too_fast_is_not_idleness():
    """CloseStream waits for all of it to be told, however long that takes."""
    heard = Listener().speak(60, rate=50.0).control("CloseStream").wait(100)

    assert spoken(60) == heard.words()
    assert [each.code for _, each in heard.ends] == [1000]


# Encodings and channels


def test_each_channel_is_told_by_itself():
    heard = Listener(target=LISTEN + "&channels=2&multichannel=true").speak(40).control("CloseStream").wait(2)

    assert {(0, 2), (1, 2)} == {tuple(each["channel_index"]) for each in heard.results}
    for channel in (0, 1):
        assert spoken(20, channel) == heard.words(channel)
    assert tuple(heard.of("Metadata")[0][key] for key in ("duration", "channels")) == (20.0, 2)


def test_two_channels_without_multichannel_are_one():
    heard = Listener(target=LISTEN + "&channels=2").speak(20).control("CloseStream").wait(2)

    assert {(0, 1)} == {tuple(each["channel_index"]) for each in heard.results}
    assert spoken(10) == heard.words()


def wav(audio: AudioFormat, tag: int, *, size: int = 0xFFFFFFFF, extra: bytes = b"") -> bytes:
    bits = audio.frame_bytes // audio.channels * 8
    fmt = struct.pack("<HHIIHH", tag, audio.channels, audio.sample_rate, audio.sample_rate * audio.frame_bytes,
                      audio.frame_bytes, bits)  # fmt: skip
    chunk = b"fmt " + struct.pack("<I", len(fmt)) + fmt
    return b"RIFF" + struct.pack("<I", size) + b"WAVE" + extra + chunk + b"data" + struct.pack("<I", size)


CONTAINED = "/v1/listen?model=nova-3&interim_results=true"


@pytest.mark.parametrize("piece", [1, 7, 44, 5000])
def test_a_wav_is_heard_without_an_encoding_however_it_is_cut(piece):
    heard = Listener(target=CONTAINED)
    data = wav(AudioFormat("mulaw", 8000), 7, extra=b"LIST" + struct.pack("<I", 3) + b"abc\0")
    data += numbered(SALT, 0, 5 * SECOND)
    while data:
        heard.audio(data[:piece])
        data = data[piece:]
        if len(data) < 5 * SECOND - piece:
            piece = 800
            heard.wait(0.1)
    heard.control("CloseStream").wait(3)

    assert spoken(5) == heard.words()
    assert heard.of("Metadata")[0]["duration"] == 5.0


@pytest.mark.parametrize("data", [b"OggS" + bytes(100), b"RIFF\x00\x00\x00\x00AVI " + bytes(50), b"\x1aE\xdf\xa3" * 30])
def test_what_is_no_audio_is_told_by_metadata_of_nothing_and_a_close(data):
    heard = Listener(target=CONTAINED)
    for _ in range(130):
        heard.audio(data).wait(0.1)

    assert heard.results == []
    assert tuple(heard.of("Metadata")[0][key] for key in ("duration", "channels")) == (0.0, 0)
    assert heard.of("Metadata")[0]["sha256"] != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [(12.0, End(1008, "DATA-0000"))] == heard.ends


def test_what_is_no_audio_may_be_closed_without_a_code():
    heard = Listener(target=CONTAINED, habits=Habits(undecodable_close=False))
    for _ in range(130):
        heard.audio(b"OggS").wait(0.1)

    assert [End(1005, "")] == [each for _, each in heard.ends]


def test_what_is_no_audio_and_then_close_stream():
    heard = Listener(target=CONTAINED).audio(b"OggS" * 10).wait(1).control("CloseStream").wait(3)

    assert [each["duration"] for each in heard.of("Metadata")] == [0.0]
    assert [each.code for _, each in heard.ends] == [1000]


def test_messages_hold_what_deepgrams_do_in_their_order():
    heard = Listener("&smart_format=true&diarize=true").speak(5).wait(2)
    order = ["type", "channel_index", "duration", "start", "is_final", "speech_final", "channel", "metadata", "from_finalize"]

    assert all(order == list(each) for each in heard.results)
    assert {"word", "start", "end", "confidence", "punctuated_word", "speaker"} == set(words_of(heard.finals[0])[0])
    assert heard.finals[0]["channel"]["alternatives"][0]["transcript"][:5] == "A0 a1"
