"""Raw audio is counted in whole sample frames, and silence is what its encoding calls silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.audio import SAMPLE_BYTES, SILENCE, AudioFormat


@pytest.mark.parametrize(
    "encoding, channels, size",
    [("linear16", 1, 2), ("linear16", 2, 4), ("linear32", 3, 12), ("mulaw", 1, 1), ("alaw", 2, 2)],
)
def test_a_frame_is_one_sample_of_every_channel(encoding: str, channels: int, size: int) -> None:
    audio = AudioFormat(encoding, 8000, channels)

    assert size == audio.frame_bytes
    assert size * 5 == len(audio.silence(5))


@pytest.mark.parametrize("encoding, byte", [("linear16", 0), ("linear32", 0), ("mulaw", 0xFF), ("alaw", 0xD5)])
def test_silence_is_the_encodings_own(encoding: str, byte: int) -> None:
    """A G.711 zero is not silence but the loudest there is, or a click."""
    assert {byte} == set(AudioFormat(encoding, 8000, 2).silence(80))


@pytest.mark.parametrize("encoding, rate, channels", [("opus", 48000, 1), ("mulaw", 0, 1), ("mulaw", 8000, 0), ("", 1, 1)])
def test_what_is_no_raw_audio_cannot_be_made(encoding: str, rate: int, channels: int) -> None:
    with pytest.raises(ValueError, match="no such raw audio"):
        AudioFormat(encoding, rate, channels)


def test_each_encoding_has_a_size_and_a_silence() -> None:
    assert SAMPLE_BYTES.keys() == SILENCE.keys()


@given(st.integers(1, 192_000), st.integers(0, 2**40))
def test_seconds_lead_back_to_the_same_frame(rate: int, frames: int) -> None:
    """A position told in seconds is the same position when it is read again, a hundred days into a call."""
    audio = AudioFormat("linear16", rate, 1)

    assert frames == audio.frames(audio.seconds(frames))
