"""Audio files: what is in them comes out whole, and what is wrong with them is one line."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit
from supervisor.core.unwrap import Declared
from supervisor.sources import FileSource
from tests.sources.feeding import NOISE, PCM, Heard, heard, nothing_left, refusal, rest_of, wav

MULAW = Declared("mulaw", 8000)


def file(path: Path, content: bytes, name: str = "call.wav") -> str:
    (path / name).write_bytes(content)
    return str(path / name)


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF])
@pytest.mark.parametrize(
    "tag, bits, encoding", [(1, 16, "linear16"), (3, 32, "linear32"), (6, 8, "alaw"), (7, 8, "mulaw")]
)
def test_a_wav_is_passed_on_as_it_is(tmp_path, tag, bits, encoding, size, channels, extensible):
    content = wav(NOISE, tag=tag, bits=bits, channels=channels, size=size, extensible=extensible)

    found = heard(FileSource(file(tmp_path, content)))

    assert found.format == AudioFormat(encoding, 16000, channels)
    assert found.audio == NOISE
    assert (found.problem, found.warnings) == (None, [])


@pytest.mark.parametrize(
    "bits, samples", [(8, b"\x00\x80\xff"), (24, b"\1\0\x80\1\2\0\1\xff\x7f"), (32, b"\1\1\0\x80" * 3)]
)
def test_other_integers_become_linear16(tmp_path, bits, samples):
    expected = {8: (-32768, 0, 32512), 24: (-32768, 2, 32767), 32: (-32768,) * 3}[bits]

    found = heard(FileSource(file(tmp_path, wav(samples, bits=bits))))

    assert found.format == PCM
    assert struct.unpack("<3h", found.audio) == expected


def test_a_long_file_comes_whole_in_pieces_of_a_tenth_of_a_second(tmp_path):
    content = os.urandom(700_001)

    found = heard(FileSource(file(tmp_path, content), Declared("linear16", 16000)))

    assert found.audio == content
    assert max(len(piece) for piece in found.pieces) == 3200
    assert found.warnings == [f"{tmp_path}/call.wav ends inside a sample frame: the last 1 bytes are dropped"]


@pytest.mark.parametrize(
    "content, words",
    [
        (wav(NOISE, size=2 * len(NOISE)), "is cut short, 1.25 s before the end"),
        (wav(NOISE + b"x"), "ends inside a sample frame: the last 1 bytes are dropped"),
        (wav(NOISE, size=0) + b"x", "ends inside a sample frame"),
        (wav(NOISE) + wav(NOISE), "has another WAV after its audio, which is not sent"),
    ],
)
def test_an_odd_end_is_warned_of_and_costs_no_audio(tmp_path, content, words):
    found = heard(FileSource(file(tmp_path, content)))

    assert found.audio.startswith(NOISE)
    assert found.problem is None
    assert len(found.warnings) == 1
    assert words in found.warnings[0]


@pytest.mark.parametrize(
    "mark, container", [(b"RIFF1234AVI ", "AVI"), (b"RIFF1234????", "RIFF"), (b"OggS\0", "Ogg"), (b"ID3\4", "MP3")]
)
def test_a_container_declared_raw_is_sent_as_declared_and_warned_of(tmp_path, mark, container):
    found = heard(FileSource(file(tmp_path, mark + NOISE), MULAW))

    assert (found.format, found.audio) == (AudioFormat("mulaw", 8000), mark + NOISE)
    assert [container in warning for warning in found.warnings] == [True]


@pytest.mark.parametrize(
    "content, declared, words",
    [
        (b"", Declared(), "is empty"),
        (b"", MULAW, "is empty"),
        (wav(b""), Declared(), "is empty: a WAV header without audio"),
        (wav(NOISE)[:40], Declared(), "is cut short inside its WAV header"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Declared(), "is text, not audio: it begins with 'HTTP/1.1 404 Not Found'"),
        (NOISE, Declared(), "has no header that says what audio it holds: give its encoding and sample rate"),
        (NOISE, Declared("mulaw"), "has no header"),
        (b"\0\0\0\x20ftypM4A " + NOISE, Declared(), "is MP4 or M4A"),
        (b"\x1a\x45\xdf\xa3" + NOISE, Declared(), "is WebM or Matroska"),
        (wav(NOISE, channels=0), Declared(), "cannot be decoded"),
    ],
)
def test_what_is_not_audio_is_refused_in_one_line(tmp_path, content, declared, words):
    with nothing_left():
        refused = refusal(FileSource(file(tmp_path, content), declared))

    assert words in str(refused)
    assert refused.exit_code is Exit.BAD_AUDIO


@pytest.mark.parametrize("bits", [24, 32])
def test_a_wav_with_less_than_one_sample_is_empty(tmp_path, bits):
    assert "is empty" in str(refusal(FileSource(file(tmp_path, wav(b"xy", bits=bits)))))


def test_a_wav_with_half_a_sample_is_empty_in_the_end(tmp_path):
    assert "is empty" in str(heard(FileSource(file(tmp_path, wav(b"x")))).problem)


def test_the_way_on_for_another_container_names_the_file_as_a_shell_needs_it(tmp_path):
    refused = refusal(FileSource(file(tmp_path, b"\0\0\0\x20ftypM4A ", "my call.m4a")))

    assert f"command:ffmpeg -i '{tmp_path}/my call.m4a' -f s16le -ac 1 -ar 16000 -" in refused.hint


def test_a_header_that_contradicts_what_was_said_is_a_matter_of_usage(tmp_path):
    refused = refusal(FileSource(file(tmp_path, wav(NOISE)), Declared("linear16", 8000)))

    assert "header that says sample rate 16000, and 8000 was given" in str(refused)
    assert refused.exit_code is Exit.USAGE


def test_a_file_that_is_not_there_is_no_input(tmp_path):
    refused = refusal(FileSource(str(tmp_path / "no\x1b[2Jsuch.wav")))

    assert "there is no file" in str(refused)
    assert refused.exit_code is Exit.NO_INPUT


def test_a_terminal_is_not_a_file():
    ours, theirs = os.openpty()
    try:
        refused = refusal(FileSource(os.ttyname(theirs)))
    finally:
        os.close(ours)
        os.close(theirs)

    assert "is a terminal, not audio" in str(refused)
    assert refused.exit_code is Exit.NO_INPUT


def test_a_file_played_live_comes_as_it_is_spoken(tmp_path):
    """Half a second of audio takes half a second, of a clock that only this test moves."""
    source = FileSource(file(tmp_path, wav(NOISE[:16_000])), live=True)

    async def main() -> Heard:
        async with source.open() as feed:
            assert feed.live
            return await rest_of(feed)

    clock = trio.testing.MockClock(rate=20.0)
    found = trio.run(main, clock=clock)

    assert found.audio == NOISE[:16_000]
    assert clock.current_time() >= 0.5


def test_an_error_of_the_body_passes_as_it_is(tmp_path):
    """Also where the call is cancelled at the same moment: then the error is what is left to tell."""
    source = FileSource(file(tmp_path, wav(NOISE)))

    async def main(cancelled: bool) -> None:
        with trio.CancelScope() as scope:
            async with source.open():
                if cancelled:
                    scope.cancel()
                raise LookupError("ours")

    for cancelled in (False, True):
        with nothing_left(), pytest.raises(LookupError, match="ours"):
            trio.run(main, cancelled)
