"""A call that is paused: what is said meanwhile is neither sent nor kept, and the clock goes on."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from supervisor.core.settings import BufferSettings, Settings
from supervisor.emulator.faults import Refuse, Reset
from tests.simulation import PHONE, STEREO, WIDE, check_account, merged, speaker, transcribe


def pausing(*spans, end_paused=False):
    """Pause and resume at these times."""

    async def act(call, room):
        for start, end in spans:
            await trio.sleep_until(start)
            call.pause()
            await trio.sleep_until(end)
            call.resume()

    return act


def check_paused(heard, *spans):
    """Everything but the pauses was transcribed, once and on the call's clock, and none of them ever left the process."""
    check_account(heard)
    told = merged([(gap.start, gap.end) for gap in heard.gaps if gap.reason == "paused"])

    assert {gap.reason for gap in heard.gaps} == {"paused"}
    assert len(told) == len(spans)
    for (start, end), (wanted_start, wanted_end) in zip(told, spans, strict=True):
        assert start == pytest.approx(wanted_start, abs=0.13)  # to the tick at which the source is taken
        assert end == pytest.approx(wanted_end, abs=0.13)
    frames = [(heard.audio.frames(start), heard.audio.frames(end)) for start, end in told]
    assert heard.ended.audio.withheld_frames == sum(end - start for start, end in frames)
    assert heard.ended.audio.lost_frames == heard.ended.audio.unfinished_frames == 0
    assert heard.ended.audio.heard_frames == heard.spoken_frames
    for came in heard.proof.received:
        for start, end in frames:
            assert came[1] <= start or end <= came[0]
    for channel in range(heard.audio.channels):
        outside = [
            word for word in heard.spoken(channel) if all(word.end <= start or end <= word.start for start, end in frames)
        ]
        said = [(word.word, round(word.start, 1)) for word in heard.words(channel)]
        assert [each for each in said if each[0] in {word.word for word in outside}] == [
            (word.word, round(heard.audio.seconds(word.start), 1)) for word in outside
        ]
        assert len(said) <= len(outside) + 2 * len(frames)  # a word that a pause cuts in two may be heard in part


@pytest.mark.parametrize("audio", [PHONE, WIDE, STEREO])
def test_what_is_said_in_a_pause_never_leaves_the_process(audio):
    heard = transcribe((), 60.0, audio, act=pausing((10.0, 20.0), (35.0, 40.05)))

    check_paused(heard, (10.0, 20.0), (35.0, 40.05))


def test_a_pause_outlives_sessions():
    """One breaks before it, one within it, and the audio of before is sent again without it."""
    heard = transcribe([Reset(audio=9.5), Refuse(status=503), Reset(audio=8.0)], 60.0, act=pausing((10.0, 25.0)))

    check_paused(heard, (10.0, 25.0))


def test_a_call_may_be_paused_before_it_has_any_audio_and_until_it_ends():
    heard = transcribe((), 20.0, act=pausing((0.0, 5.0), (15.0, 100.0)))

    check_paused(heard, (0.0, 5.0), (15.0, 20.0))
    assert heard.ended.outcome == "complete"


def test_a_call_that_was_paused_all_along_is_complete_without_a_session():
    heard = transcribe((), 20.0, act=pausing((0.0, 100.0)))

    assert (heard.ended.outcome, heard.ended.sessions) == ("complete", 0)
    assert heard.ended.audio.withheld_frames == heard.spoken_frames


def test_an_hour_of_pause_takes_no_memory_and_loses_nothing():
    settings = Settings(buffer=BufferSettings(seconds=30.0))
    sizes = []

    async def act(call, room):
        await pausing((10.0, 3600.0))(call, room)

    async def watching(call, room):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(act, call, room)
            while call.status != "ended" and trio.current_time() < 3590:
                await trio.sleep(10)
                sizes.append(call.ledger.size)

    heard = transcribe((), 3620.0, settings=settings, act=watching)

    check_paused(heard, (10.0, 3600.0))
    assert max(sizes) < 30 * 8000
    assert len(heard.gaps) == pytest.approx(359, abs=2)  # told every ten seconds, so that nobody waits for its end


def test_a_file_that_is_paused_waits():
    """It would be over in no time, and nobody would have meant to withhold all of it."""
    heard = transcribe((), source=speaker(30.0, live=False), seconds=30.0, act=pausing((5.0, 50.0)))
    check_account(heard)

    assert heard.gaps == []
    assert heard.ended.audio.acknowledged_frames == heard.spoken_frames
    assert heard.ended_at > 60


def test_a_file_at_its_own_pace_is_paused_like_a_line():
    heard = transcribe(
        (), source=speaker(30.0, live=False), seconds=30.0, call={"realtime": True}, act=pausing((5.0, 15.0))
    )
    check_account(heard)

    assert heard.ended.audio.withheld == pytest.approx(10.0, abs=0.3)


@pytest.mark.parametrize("hold", [1.5, 30.0, 1200.0])
def test_a_held_line_costs_no_more_than_a_second_of_silence(hold):
    """The clock goes on by all of it, what follows is not late for it, and nothing is given up to make room for it."""
    settings = Settings(buffer=BufferSettings(seconds=60.0))
    heard = transcribe(
        (), source=speaker(40.0, pauses=[(20.0, hold)], fills=True), seconds=40.0, settings=settings
    )
    check_account(heard)

    audio = heard.ended.audio
    assert heard.gaps == []
    assert audio.filled == pytest.approx(hold)
    assert audio.heard == audio.acknowledged == pytest.approx(40.0 + hold)
    assert [word.word for word in heard.words()] == [word.word for word in heard.spoken()]
    for word, spoken in zip(heard.words(), heard.spoken(), strict=True):
        expected = PHONE.seconds(spoken.start)
        assert word.start == pytest.approx(expected + (hold if expected >= 20 else 0), abs=0.06)
    assert heard.ended_at < 40.0 + hold + 8


def test_a_hold_while_the_server_is_away_loses_nothing_that_fits():
    settings = Settings(buffer=BufferSettings(seconds=60.0))
    heard = transcribe(
        [Reset(audio=15.0), *[Refuse(status=503)] * 4],
        source=speaker(40.0, pauses=[(20.0, 300.0)], fills=True),
        seconds=40.0,
        settings=settings,
    )
    check_account(heard)

    assert heard.gaps == []
    assert heard.ended.audio.acknowledged == pytest.approx(340.0)


def test_pausing_twice_is_pausing_once():
    async def act(call, room):
        await trio.sleep(10)
        call.pause()
        call.pause()
        await trio.sleep(5)
        call.resume()
        call.resume()

    check_paused(transcribe((), 30.0, act=act), (10.0, 15.0))


def test_a_call_that_is_paused_can_be_stopped():
    async def act(call, room):
        await partial(trio.sleep, 10)()
        call.pause()
        await trio.sleep(5)
        call.stop()

    heard = transcribe((), 60.0, act=act)

    assert heard.ended.outcome == "complete"
    assert heard.ended.audio.heard == pytest.approx(15.0, abs=0.2)
    assert heard.ended.audio.withheld == pytest.approx(5.0, abs=0.2)
    assert heard.ended.audio.unfinished_frames == 0
