"""Calls that Asterisk brings, from its frames to the words, in simulated time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import trio

from supervisor.call import Call
from supervisor.config import IntakeConfig
from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit
from supervisor.emulator.faults import Refuse
from supervisor.emulator.numbered import numbered
from supervisor.emulator.plan import Plan
from supervisor.emulator.speech import Speech
from supervisor.events import CallEnded, Gap, Transcript
from supervisor.intakes.audiosocket import hello
from supervisor.sources.feed import End
from tests.intakes.lines import CALL_ID, HELLO, Host, MemoryLine, frame
from tests.simulation import SALT, in_room, simulate

SLIN8 = AudioFormat("linear16", 8000)
PBX = IntakeConfig("pbx", "audiosocket", "127.0.0.1:9092")


def speech(seconds, at=0.0, audio=SLIN8, kind=0x10, start=0.0):
    """Frames of numbered audio, each when it has been spoken; `at` is when the first begins to be."""
    size = audio.frame_bytes * audio.sample_rate // 50
    first = round(start * 50)
    return [
        (at + (n + 1) / 50, frame(numbered(SALT, (first + n) * size, size), kind)) for n in range(round(seconds * 50))
    ]


def call(chunks, ends, *, config=PBX, plan=None, breaks=False, first=HELLO, act=None):
    """One connection, as a call of its own; returns the line, the host, the call's events and its result.

    `act` runs beside it.
    """

    async def body(room):
        line = MemoryLine([(0.0, first), *chunks], ends, breaks)
        host = Host()
        arrival = await hello(line, config, host)
        if arrival is None:
            return line, host, [], None
        spec = room.spec(arrival.call_id, arrival.source, metadata=arrival.metadata)
        running = Call(spec, room.world)
        if act:
            room.nursery.start_soon(act, running)
        result = await running.run()
        return line, host, room.events, result

    return simulate(partial(in_room, body, plan or Plan()))


def words(events):
    return [word for event in events if isinstance(event, Transcript) and event.is_final for word in event.words]


def spoken(seconds, audio=SLIN8):
    return Speech(SALT, audio.sample_rate).between(0, audio.frames(seconds))


@pytest.mark.parametrize("kind, rate", [(0x10, 8000), (0x12, 16000), (0x16, 48000)])
def test_a_call_is_transcribed_at_its_own_rate(kind, rate):
    audio = AudioFormat("linear16", rate)
    line, host, events, result = call(speech(20.0, audio=audio, kind=kind), 20.1)

    assert [word.word for word in words(events)] == [word.word for word in spoken(20.0, audio)]
    assert (result.outcome, result.exit_code) == ("complete", Exit.OK)
    assert result.ended.audio.heard_frames == 20 * rate
    assert result.ended.call_id == CALL_ID
    assert events[0].metadata == {"uuid": CALL_ID, "peer": line.peer}
    assert host.rejections == []
    assert line.put_back == []  # nothing goes back while frames come


def test_digits_in_the_middle_are_no_audio():
    chunks = speech(20.0)
    with_digits = sorted([*chunks, *[(at, frame(b"5", 3)) for at in (3.0, 3.1, 12.0)]], key=lambda each: each[0])
    _, _, events, result = call(with_digits, 20.1)

    assert [word.word for word in words(events)] == [word.word for word in spoken(20.0)]
    assert result.ended.audio.heard_frames == 160_000


@pytest.mark.parametrize("hold", [2.0, 30.0, 600.0])
def test_a_held_call_has_its_time_filled_and_its_line_kept_alive(hold):
    line, _, events, result = call(
        [*speech(15.0), *speech(15.0, at=15.0 + hold, start=15.0)], 30.1 + hold
    )

    audio = result.ended.audio
    assert audio.filled == pytest.approx(hold, abs=0.03)
    assert audio.heard == audio.acknowledged == pytest.approx(30.0 + hold, abs=0.03)
    expected = spoken(30.0)
    assert [word.word for word in words(events)] == [word.word for word in expected]
    for word, each in zip(words(events), expected, strict=True):
        start = SLIN8.seconds(each.start)
        assert word.start == pytest.approx(start + (hold if start >= 15 else 0), abs=0.08)
    times = [0.0, *[at for at, _ in line.put_back], 15 + hold]
    assert len(line.put_back) >= int(hold) - 1
    assert {data for _, data in line.put_back} == {frame(bytes(320))}
    quiet = [at for at in times if at > 15]
    assert all(b - a < 1.3 for a, b in zip([15.0, *quiet], quiet, strict=False))  # Asterisk gives up after two seconds


def test_no_frame_goes_back_where_the_caller_shall_hear_none():
    line, _, _, _ = call([*speech(5.0), *speech(5.0, at=15.0, start=5.0)], 20.1, config=replace(PBX, silence=False))

    assert line.put_back == []


def test_a_stalled_sender_loses_nothing_and_fills_nothing():
    late = [(max(at, 25.0) if at > 15 else at, data) for at, data in speech(40.0)]
    _, _, events, result = call(late, 40.1)

    assert result.ended.audio.filled_frames == 0
    assert result.ended.audio.heard_frames == 40 * 8000
    assert [word.word for word in words(events)] == [word.word for word in spoken(40.0)]


def test_what_was_spoken_in_a_pause_is_withheld_however_late_it_is_known_where_it_belongs():
    """A caller comes back from hold shortly before the pause is over: how long it was is not known by then."""

    async def act(running):
        await trio.sleep_until(8.0)
        running.pause()
        await trio.sleep_until(21.0)
        running.resume()

    chunks = [*speech(10.0), *speech(15.0, at=20.0, start=10.0)]
    _, _, events, result = call(chunks, 35.1, act=act)

    said = [word.word for word in words(events)]
    assert said
    spoken_then = [word.word for word in spoken(25.0) if word.start >= 8.2 * 8000 and word.end <= 11.0 * 8000]
    assert len(spoken_then) > 3
    assert not set(said) & set(spoken_then)
    assert result.ended.audio.withheld == pytest.approx(13.0, abs=0.25)
    assert result.ended.audio.heard == pytest.approx(35.0, abs=0.25)


def test_what_came_until_a_call_is_ended_is_transcribed_whatever_it_is_waited_for():
    async def act(running):
        await trio.sleep_until(21.0)
        running.stop()

    _, _, events, result = call([*speech(10.0), *speech(15.0, at=20.0, start=10.0)], 35.1, act=act)

    assert result.ended.audio.heard == result.ended.audio.acknowledged == pytest.approx(21.0, abs=0.15)
    assert len(words(events)) >= len(spoken(11.0)) - 1


def test_a_muted_caller_is_waited_for_and_the_clock_begins_with_the_first_frame():
    line, _, events, result = call(speech(10.0, at=100.0), 110.1)

    assert result.ended.audio.heard_frames == 80_000
    assert len(line.put_back) == pytest.approx(100, abs=5)
    assert words(events)[0].start < 1.0


@pytest.mark.parametrize("began", [0.1, 0.3, 1 / 3, 0.7, 1.1, 12345.678])
def test_a_muted_caller_hears_from_us_each_second_whenever_the_call_began(began):
    async def body(room):
        await trio.sleep(began)
        line = MemoryLine([(0.0, HELLO), (7.3, frame(b"5", 3))], 60.0)
        arrival = await hello(line, PBX, Host())
        async with arrival.source.open():
            return [0.0, *[at for at, _ in line.put_back], 60.0]

    times = simulate(partial(in_room, body, Plan()))

    assert max(b - a for a, b in pairwise(times)) < 1.4
    assert len(times) == pytest.approx(60, abs=2)


def test_one_that_hangs_up_without_a_frame_is_complete_without_a_session():
    _, host, events, result = call([], 5.0)

    assert (result.outcome, result.ended.sessions, result.ended.audio.heard_frames) == ("complete", 0, 0)
    assert host.rejections == []
    assert [type(event) for event in events][-1] is CallEnded


@pytest.mark.parametrize("end", [frame(b"", 0), frame(b"\x01", 0xFF)])
def test_a_hang_up_frame_is_an_end_like_any_other(end):
    _, host, events, result = call([*speech(10.0), (10.05, end)], None)

    assert result.outcome == "complete"
    assert [word.word for word in words(events)] == [word.word for word in spoken(10.0)]
    assert host.rejections == []


def test_a_reset_is_an_end_too_and_loses_nothing_of_what_came():
    _, _, events, result = call(speech(10.0), 10.05, breaks=True)

    assert (result.outcome, result.exit_code) == ("complete", Exit.OK)
    assert [word.word for word in words(events)] == [word.word for word in spoken(10.0)]


def test_a_sender_that_breaks_the_protocol_ends_its_call_and_keeps_what_it_said():
    _, host, events, result = call([*speech(10.0), (10.05, b"\x42\x00\x00"), *speech(5.0, at=10.1)], 20.0)

    assert [reason for reason, _ in host.rejections] == ["malformed"]
    assert host.rejections[0][1]["problem"] == "a frame has the unknown kind 0x42"
    assert [word.word for word in words(events)] == [word.word for word in spoken(10.0)]
    assert result.exit_code is Exit.BAD_AUDIO
    assert "broke the protocol" in result.problem.cause
    assert not [event for event in events if isinstance(event, Gap)]


def test_what_is_wrong_may_come_in_one_piece_with_all_that_was_right():
    audio = b"".join(data for _, data in speech(10.0))
    _, host, events, result = call([(0.0, audio + b"\x42\x00\x00")], 20.0)

    assert [reason for reason, _ in host.rejections] == ["malformed"]
    assert [word.word for word in words(events)] == [word.word for word in spoken(10.0)]
    assert result.exit_code is Exit.BAD_AUDIO


@pytest.mark.parametrize("end", [b"\x42\x00\x00", frame(b"", 0)], ids=["it breaks the protocol", "it hangs up"])
def test_the_caller_is_let_go_when_the_source_has_ended_and_not_when_all_is_delivered(end):
    """A server is away for a minute; the caller's own call has nothing to do with it."""
    outage = Plan([Refuse(status=503)] * 8)
    line, _, events, result = call([*speech(10.0), (10.05, end), *speech(60.0, at=10.1)], 70.2, plan=outage)

    assert line.left == pytest.approx(10.1, abs=0.11)
    assert float(result.ended.time) > 30.0
    assert [word.word for word in words(events)] == [word.word for word in spoken(10.0)]


def g711(seconds, at=0.0):
    return [(at + (n + 1) / 50, frame(numbered(SALT, n * 160, 160))) for n in range(round(seconds * 50))]


def test_g711_under_the_wrong_label_is_suspected_once():
    suspected = []

    async def body(room):
        line = MemoryLine([(0.0, HELLO), *g711(30.0)], 30.1)
        arrival = await hello(line, PBX, Host())
        async with arrival.source.open() as feed:
            while trio.current_time() < 29:
                feed.take()
                suspected.append((trio.current_time(), list(feed.warnings)))
                await trio.sleep(0.1)

    simulate(partial(in_room, body, Plan()))

    assert all(len(warnings) <= 1 for _, warnings in suspected)
    first = next(at for at, warnings in suspected if warnings)
    assert 1.9 < first < 3
    assert "c(slin)" in suspected[-1][1][0]
    assert "codec_override" in suspected[-1][1][0]


def short_frames(seconds, at=0.0):
    return [(at + (n + 1) / 100, frame(bytes(160))) for n in range(round(seconds * 100))]


@pytest.mark.parametrize(
    "chunks",
    [
        short_frames(10.0),
        [*short_frames(3.0), *short_frames(6.0, at=100.0)],
        [each for n in range(20) for each in short_frames(0.3, at=n)],
    ],
    ids=["without a pause", "with a hold", "with many pauses"],
)
def test_frames_of_ten_milliseconds_are_not(chunks):
    async def body(room):
        line = MemoryLine([(0.0, HELLO), *chunks], chunks[-1][0])
        arrival = await hello(line, PBX, Host())
        async with arrival.source.open() as feed:
            while not isinstance(feed.take(), End):  # noqa: ASYNC110 - as the grid does
                await trio.sleep(0.1)
            return feed.warnings

    assert simulate(partial(in_room, body, Plan())) == []


def test_and_transcribed_where_the_config_says_what_it_is():
    audio = AudioFormat("mulaw", 8000)
    _, _, events, result = call(g711(20.0), 20.1, config=replace(PBX, codec_override="mulaw"))

    assert [word.word for word in words(events)] == [word.word for word in spoken(20.0, audio)]
    assert result.ended.audio.heard_frames == 160_000


# Before it is a call


def greeted(chunks, ends, hello_too=False):
    async def body(room):
        line = MemoryLine(([(0.0, HELLO)] if hello_too else []) + chunks, ends)
        host = Host()
        arrival = await hello(line, PBX, host)
        return arrival, host.rejections, trio.current_time()

    return simulate(partial(in_room, body, Plan()))


def test_one_that_says_nothing_has_five_seconds():
    arrival, rejections, at = greeted([], None)

    assert (arrival, [reason for reason, _ in rejections]) == (None, ["timeout"])
    assert at == pytest.approx(5.0)


def test_one_that_says_it_a_byte_at_a_time_has_no_longer():
    arrival, rejections, at = greeted([(float(n), HELLO[n : n + 1]) for n in range(19)], None)

    assert (arrival, [reason for reason, _ in rejections]) == (None, ["timeout"])
    assert at == pytest.approx(5.0)


def test_one_that_comes_and_goes_is_nobody():
    assert greeted([], 1.0)[:2] == (None, [])
    assert greeted([(0.5, HELLO[:7])], 1.0)[:2] == (None, [])


def test_one_that_speaks_something_else_is_rejected_at_once():
    arrival, rejections, at = greeted([(0.5, b"GET / HTTP/1.1\r\n\r\n")], None)

    assert arrival is None
    assert [(reason, details["problem"]) for reason, details in rejections] == [
        ("malformed", "its first frame is of kind 0x47, not a UUID")
    ]
    assert at == pytest.approx(0.5)


STREAM = HELLO + frame(b"abcd") + frame(b"5", 3) + frame(b"efgh") + frame(b"")
WHOLE = {19: 0, 26: 2, 37: 4}  # sample frames that are whole from so many bytes on


@pytest.mark.parametrize("breaks", [False, True], ids=["an end", "a reset"])
def test_the_end_may_come_at_any_byte(breaks):
    """What is whole by then is heard; who has not said the UUID was no call."""
    for length in range(len(STREAM) + 1):
        line, host, _, result = call([(0.1, STREAM[19:length])], 0.2, breaks=breaks, first=STREAM[: min(19, length)])

        assert host.rejections == []
        if length < 19:
            assert result is None
            continue
        heard = max(frames for at, frames in WHOLE.items() if at <= length)
        assert (length, result.outcome, result.ended.audio.heard_frames) == (length, "complete", heard)
        assert line.left is not None
