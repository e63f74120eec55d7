"""How much audio a file holds is known before it is read, for whoever wants to say how long the rest will take."""

import os
import random

import pytest
import soundfile
import trio

from supervisor.core.audio import AudioFormat
from supervisor.core.wav import header
from supervisor.sources import source_from

PCM = AudioFormat("linear16", 16000, 2)
DATA = random.Random(1).randbytes(64_000 * 3)  # three seconds of it


async def duration_of(source):
    with trio.fail_after(10):
        async with source.open() as feed:
            return feed.duration


@pytest.mark.parametrize(
    "content, declared",
    [
        (header(PCM, len(DATA)) + DATA, {}),
        (header(PCM) + DATA, {}),  # a header without a length, as of a stream that was saved
        (DATA, {"encoding": "linear16", "sample_rate": 16000, "channels": 2}),
    ],
    ids=["wav", "streamed wav", "raw"],
)
def test_of_raw_audio_it_is_its_size(tmp_path, content, declared):
    (tmp_path / "call").write_bytes(content)

    assert trio.run(duration_of, source_from(str(tmp_path / "call"), **declared)) == pytest.approx(3.0, abs=0.001)


@pytest.mark.parametrize("form", ["flac", "ogg", "mp3", "24 bit wav"])
def test_of_other_files_it_is_what_their_container_says(tmp_path, form):
    path = tmp_path / f"call.{form.split()[-1]}"
    with soundfile.SoundFile(path, "w", 16000, 2, subtype="PCM_24" if form == "24 bit wav" else None) as file:
        file.buffer_write(DATA, dtype="int16")

    assert trio.run(duration_of, source_from(str(path))) == pytest.approx(3.0, abs=0.2)


def test_of_what_comes_by_and_by_it_is_not_known(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    fifo = source_from(str(tmp_path / "fifo"), encoding="mulaw", sample_rate=8000)
    command = source_from("command:cat /dev/zero", encoding="mulaw", sample_rate=8000)

    assert trio.run(duration_of, fifo) is None
    assert trio.run(duration_of, command) is None
