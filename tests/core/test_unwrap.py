"""From what a source gives to raw audio: what passes, what is refused, and what is warned of."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit, Problem
from supervisor.core.unwrap import Declared, Unreadable, Unwrap
from supervisor.core.wav import header

NOISE = random.Random(1).randbytes(4000)
MULAW = AudioFormat("mulaw", 8000, 1)
PCM = AudioFormat("linear16", 16000, 1)
RAW = Declared("mulaw", 8000)
NOTHING = Declared()


def unwrapped(stream: bytes, declared: Declared = NOTHING, *cuts: int, settled: bool = False) -> tuple[Unwrap, bytes]:
    unwrap, audio, at = Unwrap("stdin", declared, settled=settled), b"", 0
    for cut in (*sorted(cuts), len(stream)):
        audio += unwrap.feed(stream[at:cut])
        at = cut
    return unwrap, audio + unwrap.end()


def problem(stream: bytes, declared: Declared = NOTHING, *, settled: bool = False) -> Problem:
    with pytest.raises(Problem) as caught:
        unwrapped(stream, declared, settled=settled)
    return caught.value


@pytest.mark.parametrize("settled", [False, True])
def test_declared_audio_passes_as_it_is(settled):
    unwrap, audio = unwrapped(NOISE, RAW, settled=settled)

    assert (unwrap.format, audio, unwrap.warnings) == (MULAW, NOISE, [])


def test_a_complete_declaration_counts_before_the_first_byte_where_that_is_needed():
    assert Unwrap("stdin", RAW, settled=True).format == MULAW
    assert Unwrap("stdin", RAW).format is None
    assert Unwrap("stdin", Declared("mulaw"), settled=True).format is None


@pytest.mark.parametrize("declared", [NOTHING, Declared("linear16", 16000, 1), Declared(sample_rate=16000)])
@pytest.mark.parametrize("settled", [False, True])
def test_a_wav_is_read_whatever_was_declared_of_the_same(declared, settled):
    unwrap, audio = unwrapped(header(PCM) + NOISE, declared, settled=settled)

    assert (unwrap.format, audio, unwrap.warnings) == (PCM, NOISE, [])


@pytest.mark.parametrize(
    "declared, word",
    [(RAW, "encoding linear16"), (Declared(sample_rate=8000), "rate 16000"), (Declared(channels=2), "channels 1")],
)
@pytest.mark.parametrize("settled", [False, True])
def test_a_header_that_says_something_else_is_a_problem(declared, word, settled):
    refused = problem(header(PCM) + NOISE, declared, settled=settled)

    assert word in refused.cause
    assert "leave" in refused.hint


def test_channels_that_were_not_declared_are_the_headers_unless_the_call_has_begun_with_one():
    stereo = header(AudioFormat("linear16", 16000, 2)) + NOISE

    assert unwrapped(stereo, Declared("linear16", 16000))[0].format == AudioFormat("linear16", 16000, 2)
    assert "channels 2" in problem(stereo, Declared("linear16", 16000), settled=True).cause


STREAMS = {
    "raw": NOISE,
    "text": b"HTTP/1.1 404 Not Found\r\n" * 60,
    "short text": b"not found, sorry",
    "ogg": b"OggS\0\2" + NOISE,
    "flac": b"fLaC" + NOISE,
    "a WAV in the middle": NOISE[:1111] + header(PCM) + NOISE,
    "almost a WAV": b"RIFF1234WAVY" + NOISE,
    "the beginning of one": b"RIFF1234",
}


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 2000), max_size=8))
def test_declared_audio_is_whole_and_judged_the_same_however_it_is_cut(name, cuts):
    whole, _ = unwrapped(STREAMS[name], RAW)
    pieces, audio = unwrapped(STREAMS[name], RAW, *cuts)

    assert audio == STREAMS[name]
    assert pieces.warnings == whole.warnings


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_wav_is_the_same_however_it_is_cut(size):
    stream = header(PCM) + NOISE
    unwrap, audio = unwrapped(stream, NOTHING, *range(0, len(stream), size))

    assert (unwrap.format, audio, unwrap.warnings) == (PCM, NOISE, [])


@pytest.mark.parametrize(
    "name, words",
    [
        ("raw", []),
        ("text", ["looks like text: it begins with 'HTTP/1.1 404 Not Found"]),
        ("short text", ["looks like text"]),
        ("ogg", ["Ogg"]),
        ("flac", ["FLAC"]),
        ("a WAV in the middle", ["WAV"]),
        ("almost a WAV", ["RIFF"]),
        ("the beginning of one", ["RIFF"]),
    ],
)
def test_what_looks_wrong_in_declared_audio_is_a_warning(name, words):
    warnings = unwrapped(STREAMS[name], RAW)[0].warnings

    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_a_warning_comes_once():
    assert len(unwrapped((b"OggS\0" + NOISE) * 3, RAW)[0].warnings) == 1


@pytest.mark.parametrize(
    "stream, cause, container",
    [
        (NOISE, "no header that says what audio it holds", ""),
        (STREAMS["text"], "is text, not audio: it begins with 'HTTP/1.1", ""),
        (STREAMS["ogg"], "is Ogg, and not", "Ogg"),
        (b"\0\0\0\x18ftypM4A " + NOISE, "MP4", "MP4 or M4A"),
        (header(PCM).replace(b"\x10\0data", b"\x18\0data") + NOISE, "", ""),
    ],
)
def test_what_is_neither_declared_nor_a_wav_is_refused_with_the_way_on(stream, cause, container):
    if not cause:
        assert unwrapped(stream)[0].format == PCM  # 24 bits
        return
    refused = problem(stream)

    assert isinstance(refused, Unreadable)
    assert (refused.exit_code, refused.container) == (Exit.BAD_AUDIO, container)
    assert cause in refused.cause
    if "text" not in cause:
        assert "command:ffmpeg -i FILE -f s16le -ac 1 -ar 16000 -" in refused.hint


def test_a_codec_inside_a_wav_is_refused_in_its_name():
    stream = bytearray(header(PCM) + NOISE)
    stream[20] = 0x11

    refused = problem(bytes(stream))

    assert isinstance(refused, Unreadable)
    assert refused.cause == "stdin is a WAV of 16 bit IMA ADPCM"
    assert refused.container == "WAV"


@pytest.mark.parametrize(
    "stream, declared, cause",
    [
        (b"", NOTHING, "stdin is empty"),
        (b"", RAW, "stdin is empty"),
        (header(PCM), NOTHING, "empty: a WAV header without audio"),
        (header(PCM, 100), NOTHING, "empty"),
        (header(PCM) + b"x", NOTHING, "empty"),
        (header(PCM)[:30], NOTHING, "cut short inside its WAV header"),
        (b"RIFF", NOTHING, "is RIFF"),
    ],
)
def test_a_source_without_audio_is_a_problem(stream, declared, cause):
    refused = problem(stream, declared)

    assert cause in refused.cause
    assert refused.exit_code is Exit.BAD_AUDIO


@pytest.mark.parametrize(
    "stream, declared, words",
    [
        (header(PCM, 36000) + NOISE, NOTHING, ["1.00 s before the end"]),
        (header(PCM) + NOISE + b"x", NOTHING, ["the last 1 bytes are dropped"]),
        (NOISE + b"x", Declared("linear16", 8000, 2), ["the last 1 bytes are dropped"]),
        (header(PCM, 4000) + NOISE + header(PCM), NOTHING, ["another WAV"]),
        (header(PCM, 4000) + NOISE + b"\xff\xfe\xfd\xfc", NOTHING, ["no chunk of a WAV"]),
        (header(PCM, 4000) + NOISE + b"LIST\4\0\0\0INFO", NOTHING, []),
        (header(PCM, 4000) + NOISE + bytes(9), NOTHING, []),
    ],
)
def test_an_odd_end_is_a_warning(stream, declared, words):
    unwrap, audio = unwrapped(stream, declared)

    assert audio.startswith(NOISE)
    assert len(unwrap.warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, unwrap.warnings, strict=True))


def test_the_end_is_told_once():
    unwrap, _ = unwrapped(header(PCM, 36000) + NOISE)

    assert unwrap.end() == b""
    assert len(unwrap.warnings) == 1


def test_names_and_words_are_made_fit_to_be_shown():
    unwrap = Unwrap("a\x1b[31mb", NOTHING)
    with pytest.raises(Problem) as caught:
        unwrap.feed(b"words \x1b[2J of somebody else's, many of them, and on and on" * 9)

    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "content, declared, size, seconds",
    [
        (header(AudioFormat("linear16", 16000, 2), 64_000) + b"\0" * 640, Declared(), 10**9, 1.0),  # as the header says
        (header(AudioFormat("linear16", 16000, 2)) + b"\0" * 640, Declared(), 128_000, 2.0),  # a header without a length
        (b"\0" * 640, Declared("mulaw", 8000), 4000, 0.5),
    ],
)
def test_how_long_a_file_is_follows_from_its_header_or_its_size(content, declared, size, seconds):
    unwrap = Unwrap("a file", declared)
    unwrap.feed(content)

    assert unwrap.seconds(size) == seconds
