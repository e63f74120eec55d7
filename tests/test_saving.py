"""The audio that went out, as a WAV: playable whatever happens, and never a call's concern."""

from __future__ import annotations

import os
import random
import wave
from pathlib import Path

import pytest
import soundfile
import structlog.testing

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit, Problem
from supervisor.core.wav import WavReader
from supervisor.saving import saved
from tests.sources.feeding import descriptors

NOISE = random.Random(1).randbytes(30_000)
PCM = AudioFormat("linear16", 16_000, 1)
FORMATS = [
    AudioFormat(encoding, 8000, channels)
    for encoding in ("linear16", "linear32", "mulaw", "alaw")
    for channels in (1, 2)
]


@pytest.fixture
def log():
    return structlog.testing.CapturingLogger()


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("frames", [0, 1, 999])
def test_what_was_sent_is_a_wav_that_others_can_read(tmp_path, log, form, frames):
    audio = NOISE[: frames * form.frame_bytes]
    with saved(tmp_path / "sent.wav", log) as tap:
        save = tap(form)
        for at in range(0, len(audio), 320):
            save(audio[at : at + 320])
    content = (tmp_path / "sent.wav").read_bytes()
    reader = WavReader()

    assert reader.feed(content) == audio
    assert reader.wav is not None
    assert reader.wav.format == form
    assert reader.wav.data_bytes == (len(audio) or None)
    assert len(content) % 2 == 0
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    info = soundfile.info(str(tmp_path / "sent.wav"))
    assert (info.samplerate, info.channels, info.frames) == (8000, form.channels, frames)
    assert log.calls == []


def test_a_file_that_was_never_finished_can_still_be_played(tmp_path, log):
    with saved(tmp_path / "sent.wav", log) as tap:
        tap(PCM)(NOISE)
        so_far = (tmp_path / "sent.wav").read_bytes()
        reader = WavReader()
        audio = reader.feed(so_far)

        assert audio
        assert NOISE.startswith(audio)
        assert reader.wav is not None
        assert reader.wav.format == PCM


def test_a_call_that_fails_leaves_a_whole_file(tmp_path, log):
    def call() -> None:
        with saved(tmp_path / "sent.wav", log) as tap:
            tap(PCM)(NOISE[:1000])
            raise LookupError

    with pytest.raises(LookupError):
        call()
    with wave.open(str(tmp_path / "sent.wav")) as file:
        assert file.readframes(1000) == NOISE[:1000]


def test_a_call_that_never_begins_leaves_an_empty_file(tmp_path, log):
    with saved(tmp_path / "sent.wav", log):
        pass

    assert (tmp_path / "sent.wav").read_bytes() == b""
    assert log.calls == []


@pytest.mark.parametrize("length", [0, 100, 30_000])
def test_a_full_disk_is_told_once_and_no_call_notices(log, length):
    before = descriptors()
    with saved(Path("/dev/full"), log) as tap:
        save = tap(PCM)
        for _ in range(100):
            save(NOISE[:length])

    (told,) = log.calls
    assert (told.method_name, told.args) == ("warning", ("sent_audio_not_saved",))
    assert told.kwargs == {"path": "/dev/full", "reason": "No space left on device"}
    assert descriptors() == before


def test_a_pipe_is_given_a_header_without_a_length(log, tmp_path):
    """What has gone through it cannot be written over, and need not be."""
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with saved(tmp_path / "fifo", log) as tap:
            tap(PCM)(NOISE[:1000])
        reader = WavReader()

        assert reader.feed(os.read(reading, 65536)) == NOISE[:1000]
        assert log.calls == []
    finally:
        os.close(reading)


@pytest.mark.parametrize("name", [".", "no/such/folder/sent.wav", "zero\0byte"])
def test_a_file_that_cannot_be_made_is_a_problem_before_the_call(tmp_path, log, name):
    with pytest.raises(Problem) as caught, saved(tmp_path / name, log):
        raise AssertionError

    assert "cannot save the audio to" in str(caught.value)
    assert caught.value.hint == "name another file"
    assert caught.value.exit_code is Exit.OUTPUT
    assert str(caught.value).isprintable()


def test_nobody_else_may_listen(tmp_path, log):
    with saved(tmp_path / "sent.wav", log) as tap:
        tap(PCM)(NOISE)

    assert (tmp_path / "sent.wav").stat().st_mode & 0o077 == 0
