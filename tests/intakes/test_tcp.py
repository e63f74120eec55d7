"""Raw audio over TCP, in simulated time: what is read before there is a call, and what the call hears."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import partial

import pytest
import trio

from supervisor.call import Call
from supervisor.config import IntakeConfig
from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit, Problem
from supervisor.emulator.faults import Refuse
from supervisor.emulator.numbered import numbered
from supervisor.emulator.plan import Plan
from supervisor.emulator.speech import Speech
from supervisor.events import Transcript
from supervisor.intakes.tcp import hello
from tests.intakes.lines import Host, MemoryLine
from tests.simulation import PHONE, SALT, in_room, simulate

RAW = IntakeConfig("raw", "tcp", "127.0.0.1:9093", encoding="mulaw", sample_rate=8000)
HEADER = b'{"call_id":"a","encoding":"mulaw","sample_rate":8000}\n'


def speech(seconds, at=0.0, start=0.0):
    """Packets of 20 ms, each when it has been spoken."""
    first = round(start * 50)
    return [(at + (n + 1) / 50, numbered(SALT, (first + n) * 160, 160)) for n in range(round(seconds * 50))]


def call(chunks, ends, *, config=RAW, plan=None, breaks=False):
    """One connection, as a call of its own; returns the line, the host, the call's events and its result."""

    async def body(room):
        line = MemoryLine(list(chunks), ends, breaks)
        host = Host()
        arrival = await hello(line, config, host, "raw-1")
        if arrival is None:
            return line, host, trio.current_time(), None
        spec = room.spec(arrival.call_id, arrival.source, metadata=arrival.metadata)
        return line, host, room.events, await Call(spec, room.world).run()

    return simulate(partial(in_room, body, plan or Plan()))


def words(events):
    return [word.word for event in events if isinstance(event, Transcript) and event.is_final for word in event.words]


def spoken(seconds, audio=PHONE):
    return [word.word for word in Speech(SALT, audio.sample_rate).between(0, audio.frames(seconds))]


def wav(audio, size):
    """The header of a WAV file, of a size that nobody knew when it was written."""
    step = audio.frame_bytes * audio.sample_rate
    form = struct.pack("<HHIIHH", 1, audio.channels, audio.sample_rate, step, audio.frame_bytes, 16)
    return b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size)


@pytest.mark.parametrize("first, call_id", [([], "raw-1"), ([(0.0, HEADER)], "a")], ids=["as configured", "with a header"])
def test_a_call_is_transcribed(first, call_id):
    line, host, events, result = call([*first, *speech(20.0)], 20.1)

    assert words(events) == spoken(20.0)
    assert (result.outcome, result.exit_code, result.ended.call_id) == ("complete", Exit.OK, call_id)
    assert events[0].metadata == {"peer": line.peer}
    assert host.rejections == line.put_back == []
    assert line.left == pytest.approx(20.1, abs=0.11)


def test_a_wav_says_itself_what_it_is():
    wide = AudioFormat("linear16", 16000)
    packets = [((n + 1) / 50, numbered(SALT, n * 640, 640)) for n in range(1000)]
    config = replace(RAW, encoding=None, sample_rate=None)
    _, _, events, result = call([(0.0, wav(wide, 0xFFFFFFFF)), *packets], 20.1, config=config)

    assert words(events) == spoken(20.0, wide)
    assert result.ended.audio.heard_frames == 320_000


def test_a_silence_on_the_line_is_no_time_of_the_call():
    """There is no clock on it but the audio."""
    _, _, events, result = call([*speech(5.0), *speech(5.0, at=35.0, start=5.0)], 40.1)

    assert words(events) == spoken(10.0)
    assert (result.ended.audio.heard_frames, result.ended.audio.filled_frames) == (80_000, 0)


def test_a_reset_keeps_what_came():
    _, _, events, result = call(speech(10.0), 10.05, breaks=True)

    assert words(events) == spoken(10.0)
    assert result.outcome == "complete"


def test_it_is_let_go_when_its_audio_ends_whatever_the_server_does():
    line, _, events, _ = call(speech(10.0), 10.05, plan=Plan([Refuse(status=503)] * 8))

    assert line.left == pytest.approx(10.1, abs=0.11)
    assert words(events) == spoken(10.0)


@pytest.mark.parametrize(
    "chunks", [[], [(float(n), HEADER[n : n + 1]) for n in range(len(HEADER))]], ids=["nothing", "a byte each second"]
)
def test_who_does_not_say_what_it_is_has_ten_seconds(chunks):
    _, host, ended, result = call(chunks, None)

    assert result is None
    assert [reason for reason, _ in host.rejections] == ["timeout"]
    assert ended == pytest.approx(10.0)


def test_who_comes_and_goes_is_nobody():
    line, host, _, result = call([], 3.0)

    assert result is None
    assert host.rejections == line.put_back == []


@pytest.mark.parametrize("length", range(1, len(HEADER)))
def test_half_a_header_is_answered_with_what_is_wrong(length):
    line, host, _, result = call([(0.1, HEADER[:length])], 0.2)

    assert result is None
    assert [details["problem"] for _, details in host.rejections] == ["the header line has no end"]
    assert [data for _, data in line.put_back] == [b'{"error":"the header line has no end"}\n']


def test_a_header_without_audio_is_a_problem_of_one_line():
    with pytest.raises(Problem, match=r"tcp:10\.1\.2\.3:40000 is empty"):
        _unwrapped(lambda: call([(0.1, HEADER)], 0.2))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_audio_may_end_at_any_byte(length):
    _, host, _, result = call([(0.1, HEADER + b"abc"[:length])], 0.2)

    assert (result.outcome, result.ended.audio.heard_frames, host.rejections) == ("complete", length, [])


def _unwrapped(run):
    """Nurseries wrap what ends them."""
    try:
        return run()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
