"""Compressed files: what a library encodes is decoded at the source, and what is damaged costs what is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import trio

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit
from supervisor.core.unwrap import Declared
from supervisor.sources import FileSource
from tests.sources.feeding import DEADLINE, Heard, heard, nothing_left, refusal

RATE = 16_000
TONE = 440.0
SECONDS = 1.5


def tone(channels: int = 1, seconds: float = SECONDS) -> np.ndarray:
    """A tone in the first channel, and one an octave higher in the second."""
    time = np.arange(int(seconds * RATE)) / RATE
    return np.stack([0.5 * np.sin(2 * np.pi * TONE * (1 + c) * time) for c in range(channels)], axis=1)


def encoded(path: Path, name: str, samples: np.ndarray, **how: str) -> str:
    soundfile.write(path / name, samples, RATE, **how)
    return str(path / name)


def samples_of(found: Heard) -> np.ndarray:
    return np.frombuffer(found.audio, "<i2").reshape(-1, found.format.channels)


def pitch(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples.astype(float))).argmax() * RATE / len(samples))


KINDS = {
    "call.flac": {"format": "FLAC", "subtype": "PCM_16"},
    "call.ogg": {"format": "OGG", "subtype": "VORBIS"},
    "call.opus": {"format": "OGG", "subtype": "OPUS"},
    "call.mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
    "call.aiff": {"format": "AIFF", "subtype": "PCM_16"},
    "call.wav": {"format": "WAV", "subtype": "IMA_ADPCM"},
}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", KINDS)
def test_a_compressed_file_is_linear16_in_pieces_of_a_tenth_of_a_second(tmp_path, name, channels):
    with nothing_left():
        found = heard(FileSource(encoded(tmp_path, name, tone(channels), **KINDS[name])))
    samples = samples_of(found)

    assert found.format == AudioFormat("linear16", RATE, channels)
    assert abs(len(samples) / RATE - SECONDS) < 0.1
    for channel in range(channels):
        assert pitch(samples[:, channel]) == pytest.approx(TONE * (1 + channel), abs=2)
        loudness = np.sqrt(np.mean(samples[2000:-2000, channel].astype(float) ** 2))
        assert loudness == pytest.approx(16384 / np.sqrt(2), rel=0.1)
    assert (found.problem, found.warnings) == (None, [])
    assert {len(piece) for piece in found.pieces[:-1]} == {RATE // 10 * found.format.frame_bytes}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_decoded_in_pieces_is_the_same_as_one_decoded_at_once(tmp_path, name):
    """A codec may need what came before: no piece begins anew."""
    path = encoded(tmp_path, name, tone(), **KINDS[name])
    whole = soundfile.read(path, always_2d=True)[0]

    samples = samples_of(heard(FileSource(path)))

    assert len(samples) == len(whole)
    assert np.abs(samples - np.clip(whole * 32768, -32768, 32767)).max() <= 1.0


def test_what_is_lossless_comes_back_to_the_bit(tmp_path):
    samples = np.random.default_rng(1).integers(-(2**15), 2**15, (20_000, 2), dtype="int16")

    found = heard(FileSource(encoded(tmp_path, "call.flac", samples, subtype="PCM_16")))

    assert found.audio == samples.tobytes()


@pytest.mark.parametrize("name", ["call.ogg", "call.mp3", "call.opus"])
def test_what_a_lossy_codec_overshoots_does_not_wrap_around(tmp_path, name):
    """The loudest sample must not become the opposite one: that is a crack in every loud word."""
    path = encoded(tmp_path, name, np.sign(tone()) * 0.999, **KINDS[name])
    exact = soundfile.read(path, dtype="float64", always_2d=True)[0]
    over = np.abs(exact) > 1.0

    samples = samples_of(heard(FileSource(path)))

    assert over.sum() > 100
    assert (samples[over] == np.where(exact[over] > 0, 32767, -32768)).all()
    assert np.abs(samples[~over] - exact[~over] * 32768).max() <= 1.0


@pytest.mark.parametrize("kind", ["call.flac", "call.ogg", "call.mp3"])
def test_the_name_of_a_file_is_not_believed(tmp_path, kind):
    path = Path(encoded(tmp_path, "call" + Path(kind).suffix, tone(), **KINDS[kind]))
    named = path.rename(tmp_path / "call.mp3")

    assert abs(len(samples_of(heard(FileSource(str(named))))) / RATE - SECONDS) < 0.1


def test_a_damaged_file_gives_what_came_before_the_damage(tmp_path):
    noise = np.random.default_rng(1).integers(-(2**15), 2**15, 3 * RATE, dtype="int16")
    path = Path(encoded(tmp_path, "call.flac", noise, subtype="PCM_16"))
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 20_000] = bytes(20_000)
    path.write_bytes(content)

    with nothing_left():
        found = heard(FileSource(str(path)))

    whole = len(found.audio)
    if found.problem is None:  # a decoder may find its way again: then all but the damage is there
        assert whole > len(noise)
    else:
        assert "is damaged" in str(found.problem)
        assert found.problem.exit_code is Exit.BAD_AUDIO
    sound = noise.tobytes()[: len(noise) * 2 * 2 // 5]
    assert found.audio[: len(sound)] == sound


@pytest.mark.parametrize("name, tells", [("call.flac", True), ("call.ogg", False)])
def test_a_file_that_is_cut_short_is_used_as_far_as_it_goes(tmp_path, name, tells):
    """And told of where its header says how long it should be, which Ogg's does not."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (4 * RATE, 1))
    path = Path(encoded(tmp_path, name, noise, **KINDS[name]))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    found = heard(FileSource(str(path)))

    assert 0.5 < len(samples_of(found)) / RATE < 3.5
    if tells:
        assert any(
            words in warning for warning in [*found.warnings, str(found.problem)] for words in ("cut short", "damaged")
        )
    else:
        assert (found.problem, found.warnings) == (None, [])


@pytest.mark.parametrize(
    "name, content",
    [
        ("call.mp3", b"these are words and no audio at all, whatever it is called\n" * 20),
        ("call.flac", b"fLaC" + b"\xff" * 200),
        ("call.ogg", b"OggS\0\2" + bytes(500)),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_the_way_on(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with nothing_left():
        refused = refusal(FileSource(str(tmp_path / name)))

    assert "cannot be decoded" in refused.cause
    assert "command:ffmpeg" in refused.hint
    assert refused.exit_code is Exit.BAD_AUDIO


def test_a_compressed_file_without_sound_is_empty(tmp_path):
    refused = refusal(FileSource(encoded(tmp_path, "call.flac", tone(seconds=0), **KINDS["call.flac"])))

    assert str(refused) == f"{tmp_path}/call.flac is empty"
    assert refused.exit_code is Exit.BAD_AUDIO


def test_what_was_said_must_agree_with_what_is_decoded(tmp_path):
    path = encoded(tmp_path, "call.flac", tone(), **KINDS["call.flac"])

    assert "header that says sample rate 16000" in str(refusal(FileSource(path, Declared(sample_rate=8000))))
    assert heard(FileSource(path, Declared(sample_rate=16000))).problem is None


def test_a_file_is_decoded_no_further_than_it_is_taken(tmp_path):
    """An hour of compressed audio is not an hour of memory."""
    path = encoded(tmp_path, "call.flac", tone(seconds=60), **KINDS["call.flac"])

    async def main() -> int:
        with trio.fail_after(DEADLINE):
            async with FileSource(path).open() as feed:
                await trio.sleep(0.2)
                return feed._size  # type: ignore[attr-defined, no-any-return]

    assert trio.run(main) <= 4 * 65536
