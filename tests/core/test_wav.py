"""WAV headers: whatever a writer put before the audio, the audio comes out, in pieces of any size."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core import wav
from supervisor.core.audio import AudioFormat
from supervisor.core.wav import WavError, WavReader, header

AUDIO = bytes(range(1, 241))
FORMATS = [AudioFormat(encoding, 8000, channels) for encoding in wav.TAGS for channels in (1, 2)]


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return struct.pack("<4sI", name, len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def fmt(tag: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, align: int | None = None) -> bytes:
    frame = channels * ((bits + 7) // 8) if align is None else align
    return struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)


def extensible(tag: int, bits: int = 16, guid: bytes = wav.SUBFORMAT) -> bytes:
    return fmt(wav.EXTENSIBLE, bits=bits) + struct.pack("<HHIH", 22, bits, 4, tag) + guid


def file(*chunks: bytes, form: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return form + struct.pack("<I", len(body)) + body


def read(stream: bytes, *cuts: int) -> tuple[WavReader, bytes]:
    reader, audio, at = WavReader(), b"", 0
    for cut in (*sorted(cuts), len(stream)):
        audio += reader.feed(stream[at:cut])
        at = cut
    return reader, audio


PLAIN = file(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO))
WAVS = {
    "plain": PLAIN,
    "extra chunks": file(chunk(b"JUNK", b"x" * 27), chunk(b"fmt ", fmt()), chunk(b"LIST", b"INFO"), chunk(b"data", AUDIO)),
    "an extended format": file(chunk(b"fmt ", fmt() + b"\0\0"), chunk(b"fact", b"1234"), chunk(b"data", AUDIO)),
    "extensible": file(chunk(b"fmt ", extensible(1)), chunk(b"data", AUDIO)),
    "tags after": file(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO), chunk(b"LIST", b"INFOISFT")),
    "size 0": file(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, 0)),
    "size all ones": file(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, 0xFFFFFFFF)),
    "size of 2 GiB": file(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, 0x80000000)),
    "size of nearly 2 GiB": file(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, 0x7FFFF000)),
    "RF64": file(
        chunk(b"ds64", struct.pack("<QQQI", 999, len(AUDIO), 0, 0)),
        chunk(b"fmt ", fmt()),
        chunk(b"data", AUDIO, 0xFFFFFFFF),
        chunk(b"LIST", b"INFOISFT"),
        form=b"RF64",
    ),
    "RF64 that says nothing": file(
        chunk(b"ds64", b"short"), chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, 0xFFFFFFFF), form=b"BW64"
    ),
}


@pytest.mark.parametrize("stream", WAVS.values(), ids=WAVS)
def test_the_audio_comes_out_of_every_kind_of_header(stream):
    reader, audio = read(stream)

    assert reader.wav is not None
    assert reader.wav.format == AudioFormat("linear16", 8000, 1)
    assert audio == AUDIO
    assert reader.missing == 0


@pytest.mark.parametrize("stream", WAVS.values(), ids=WAVS)
def test_every_beginning_of_a_file_gives_the_beginning_of_its_audio(stream):
    starts = stream.index(AUDIO)
    for length in range(len(stream)):
        reader, audio = read(stream[:length])

        assert audio == AUDIO[: max(0, length - starts)]
        assert (reader.wav is not None) == (length >= starts)
        if reader.wav is not None and reader.wav.data_bytes is not None:
            assert reader.missing == len(AUDIO) - len(audio)


@given(st.sampled_from(sorted(WAVS)), st.lists(st.integers(0, 400), max_size=12))
def test_it_does_not_matter_where_a_stream_is_cut(name, cuts):
    whole, audio = read(WAVS[name])
    pieces, same = read(WAVS[name], *cuts)

    assert same == audio
    assert (pieces.wav, pieces.stored, pieces.after) == (whole.wav, whole.stored, whole.after)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_no_bytes_break_the_reader(rubbish, cuts):
    for stream in (rubbish, b"RIFF\0\0\0\0WAVE" + rubbish, PLAIN[:36] + rubbish):
        try:
            reader, audio = read(stream, *cuts)
        except WavError:
            continue
        assert reader.wav is not None or not audio


@given(st.sampled_from(FORMATS), st.binary(max_size=64), st.booleans())
def test_what_is_written_is_read_again(format, audio, known):  # noqa: A002
    stream = header(format, len(audio) if known else None) + audio + b"\0" * (known and len(audio) % 2)

    reader, same = read(stream)

    assert reader.wav is not None
    assert reader.wav.format == format
    if audio:  # a length of 0 means that it is not known
        assert same == audio
    assert reader.wav.data_bytes == (len(audio) or None if known else None)


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_a_header_can_be_written_over_the_one_without_a_length(format):  # noqa: A002
    assert len(header(format)) == len(header(format, 12345)) == len(header(format, 1 << 40))
    assert header(format, 1 << 40) == header(format)  # longer than the format can say


def test_another_reader_accepts_what_is_written():
    audio = AUDIO[:-1]
    with wave.open(io.BytesIO(header(AudioFormat("linear16", 16000, 2), 236) + audio[:236])) as file_:
        assert (file_.getnchannels(), file_.getframerate(), file_.getsampwidth()) == (2, 16000, 2)
        assert file_.readframes(1000) == audio[:236]


@pytest.mark.parametrize("encoding, subtype", [("mulaw", "ULAW"), ("alaw", "ALAW"), ("linear32", "FLOAT")])
def test_libsndfile_accepts_what_is_written(encoding, subtype):
    import soundfile

    form = AudioFormat(encoding, 8000, 1)
    with soundfile.SoundFile(io.BytesIO(header(form, 240) + AUDIO)) as file_:
        assert file_.subtype == subtype
        assert (file_.samplerate, file_.frames) == (8000, 240 // form.frame_bytes)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "PCM_16"])
def test_integers_of_other_widths_become_what_libsndfile_makes_of_them(subtype):
    import numpy as np
    import soundfile

    samples = np.random.default_rng(1).integers(-(2**31), 2**31, (500, 2), dtype="int32")
    samples[:2] = [[2**31 - 1, -(2**31)], [0, -1]]
    disk = io.BytesIO()
    soundfile.write(disk, samples, 8000, format="WAV", subtype=subtype)
    disk.seek(0)
    expected = soundfile.read(disk, dtype="int16")[0].tobytes()

    for cuts in ((), range(0, 3000, 7)):
        reader, audio = read(disk.getvalue(), *cuts)

        assert reader.wav is not None
        assert reader.wav.format == AudioFormat("linear16", 8000, 2)
        assert audio == expected


@pytest.mark.parametrize(
    "chunks, encoding, width",
    [
        (fmt(7, bits=8), "mulaw", 1),
        (fmt(6, bits=8), "alaw", 1),
        (fmt(3, bits=32), "linear32", 4),
        (fmt(1, bits=12, align=2), "linear16", 2),
        (fmt(1, bits=20, align=3), "linear16", 3),
        (extensible(3, bits=32), "linear32", 4),
        (extensible(7, bits=8), "mulaw", 1),
    ],
)
def test_the_samples_are_what_the_header_says(chunks, encoding, width):
    reader, _ = read(file(chunk(b"fmt ", chunks), chunk(b"data", AUDIO)))

    assert reader.wav is not None
    assert (reader.wav.format.encoding, reader.wav.width, reader.wav.frame_bytes) == (encoding, width, width)


@pytest.mark.parametrize(
    "stream, why",
    [
        (b"OggS" + b"\0" * 20, "is not a WAV"),
        (b"RIFF....AVI LIST", "is not a WAV"),
        (file(chunk(b"data", AUDIO)), "does not say what its samples are"),
        (file(chunk(b"fmt ", fmt()[:14])), "cut short"),
        (file(chunk(b"fmt ", fmt(channels=0))), "0 channels"),
        (file(chunk(b"fmt ", fmt(rate=0))), "at 0 Hz"),
        (file(chunk(b"fmt ", fmt(rate=4_000_000_000, align=0))), "at 4000000000 Hz"),
        (file(chunk(b"fmt ", fmt(0x11, bits=4))), "4 bit IMA ADPCM"),
        (file(chunk(b"fmt ", fmt(3, bits=64))), "64 bit float"),
        (file(chunk(b"fmt ", fmt(0x1234))), "0x1234"),
        (file(chunk(b"fmt ", extensible(1, guid=bytes(14)))), "0xfffe"),
        (file(chunk(b"fmt ", extensible(1)[:30])), "0xfffe"),
        (file(chunk(b"JUNK", b"", 0x7FFFFFF0)), "without end"),
    ],
)
def test_what_cannot_be_read_says_why(stream, why):
    with pytest.raises(WavError, match=why):
        read(stream)


def test_the_beginning_of_what_follows_the_audio_is_kept():
    for cut in range(len(PLAIN), len(PLAIN) + 50):
        reader, audio = read(PLAIN + PLAIN, cut)

        assert audio == AUDIO
        assert reader.after == PLAIN[:12]
