"""Encodings, channels, containers, garbage, and the shape of the messages."""

import struct

import pytest

from supervisor.core.audio import AudioFormat
from supervisor.emulator.habits import Habits
from supervisor.emulator.numbered import numbered
from supervisor.emulator.saying import End

from .client import LISTEN, SALT, words_of
from .listener import SECOND, Listener, spoken


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
