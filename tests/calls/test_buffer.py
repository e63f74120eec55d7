"""What an outage costs: nothing that fits the buffer, and beyond it the oldest, told to the frame."""

from dataclasses import replace
from functools import partial
from itertools import combinations

import pytest
import trio

from supervisor.call import Call
from supervisor.core.pool import Pool
from supervisor.core.settings import BufferSettings, RetrySettings, Settings
from supervisor.emulator.faults import Close, Hole, Refuse, Reset
from supervisor.emulator.plan import Plan
from supervisor.events import CallEnded, Gap
from supervisor.sources import Filled, MemorySource
from tests.simulation import (
    PHONE,
    STEREO,
    check_account,
    check_clock,
    check_whole,
    in_room,
    simulate,
    speaker,
    transcribe,
)


def down(seconds):
    """A server that refuses everybody for so long."""
    return [Refuse(status=503, retry_after=seconds)]


def small(seconds, **more):
    return Settings(buffer=BufferSettings(seconds=seconds), **more)


def test_an_outage_that_fits_the_buffer_costs_nothing():
    check_whole(transcribe(down(50.0), 200.0, settings=small(60.0)))


def test_a_longer_one_costs_the_oldest_audio_and_says_so_to_the_frame():
    """The gap is exactly what never reached the server, and all else is transcribed on the call's own clock."""
    heard = transcribe(down(50.0), 200.0, settings=small(20.0))
    check_account(heard)

    assert (heard.ended.outcome, heard.result.exit_code) == ("complete", 75)
    assert {gap.reason for gap in heard.gaps} == {"overflow"}
    received = heard.proof.received
    assert len(received) == 1
    assert heard.gaps[0].start == 0.0
    assert heard.gaps[-1].end == received[0][0] / 8000
    assert 29 < heard.ended.audio.lost < 32
    rest = [each for each in heard.spoken() if each.start >= received[0][0]]
    words = heard.words()[-len(rest) :]
    assert [word.word for word in words] == [each.word for each in rest]
    for word, each in zip(words, rest, strict=True):
        check_clock(word, each, 8000)


def test_a_loss_is_told_while_it_grows():
    """Nobody has to wait for the end of an outage to learn what it costs."""
    heard = transcribe(down(50.0), 100.0, settings=small(10.0))

    assert len(heard.gaps) > 2
    assert all(gap.end - gap.start <= 10.3 for gap in heard.gaps)
    assert all(a.end == b.start for a, b in zip(heard.gaps, heard.gaps[1:], strict=False))


def test_a_source_that_can_wait_waits_and_loses_nothing():
    heard = transcribe(
        down(50.0), 200.0, source=speaker(200.0, live=False), settings=small(20.0), call={"realtime": False}
    )

    check_whole(heard)
    assert heard.ended_at > 200 / 1.25


def test_a_file_is_sent_as_fast_as_is_allowed_and_no_faster():
    heard = transcribe(source=speaker(100.0, live=False), seconds=100.0)

    check_whole(heard)
    assert 79 < heard.ended_at < 84


def test_in_realtime_a_file_takes_as_long_as_it_was_spoken():
    heard = transcribe(source=speaker(100.0, live=False), seconds=100.0, call={"realtime": True})

    check_whole(heard)
    assert 99 < heard.ended_at < 103


def test_live_audio_waits_behind_the_backlog_and_catches_up_at_the_rate_that_is_allowed():
    """After N seconds of outage the call is live again 4 N seconds later."""
    heard = transcribe(down(30.0), 300.0)
    check_whole(heard)
    connection = heard.proof.connections[1]
    behind, audio = {}, 0
    for time, size in zip(connection.times, connection.sizes, strict=True):
        audio += size
        behind[round(time)] = time - audio / 8000
    caught_up = min(time for time, late in behind.items() if late < 1.0)

    assert 4 * 30 - 15 < caught_up - 30 < 4 * 30 + 15


def test_when_all_memory_is_used_the_longest_backlog_gives_way():
    """One call's outage does not cost another call's audio."""
    pool = Pool(limit=60 * 8000)  # a minute of one call

    async def body(room):
        async def one(call_id, salt, offer_plan):
            spec = room.spec(call_id, speaker(100.0, salt=salt))
            if offer_plan:
                spec = replace(spec, offer=lambda *a: replace(room.deepgram.offer({})(*a), endpoint=unreachable))
            results[call_id] = await Call(spec, room.world).run()

        async def unreachable():
            endpoint = await room.deepgram.offer({})(PHONE, "x").endpoint()

            async def dial():
                await trio.lowlevel.checkpoint()
                raise OSError("cannot reach it")

            return replace(endpoint, dial=dial)

        results = {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "well", 1, False)
            nursery.start_soon(one, "cut off", 2, True)
        return results, room.events

    settings = Settings(retry=RetrySettings(give_up_after=150.0))
    results, events = simulate(partial(in_room, body, Plan(), pool=pool, settings=settings))

    assert results["well"].outcome == "complete"
    assert results["well"].ended.audio.lost_frames == 0
    assert results["cut off"].ended.audio.lost > 30
    assert {event.call_id for event in events if isinstance(event, Gap)} == {"cut off"}
    assert pool.used == 0


@pytest.mark.parametrize("seconds", [6.0, 30.0])
def test_memory_is_bounded_and_given_back(seconds):
    held = []

    async def watch(call, room):
        while True:
            await trio.sleep(1)
            held.append(call.ledger.size)

    heard = transcribe(down(60.0), 200.0, settings=small(seconds), act=watch)
    check_account(heard)

    assert max(held) <= (seconds + 3) * 8000
    assert held[-1] <= 15 * 8000
    assert [event.outcome for event in heard.of(CallEnded)] == ["complete"]


def test_a_loss_in_one_channel_is_told_of_that_channel_and_what_is_whole_is_not():
    """The server passed over some of one channel; then the call ends badly: each range of each channel is told once."""
    heard = transcribe([[Hole(audio=6.0, seconds=2.0), Close(audio=16.0)], Refuse(status=402)], 30.0, STEREO)
    check_account(heard)

    assert {gap.reason for gap in heard.gaps} == {"server_skipped", "aborted"}
    assert {gap.channel for gap in heard.gaps} == {0, 1, None}
    for a, b in combinations(heard.gaps, 2):
        same = a.channel is None or b.channel is None or a.channel == b.channel
        assert not same or a.end <= b.start or b.end <= a.start


def test_stereo_that_the_server_mixes_is_one_channel():
    """Without multichannel results come in one channel for all of the audio: it acknowledges all of it."""
    heard = transcribe([Reset(audio=9.0)], 30.0, STEREO, options={"multichannel": "false"})
    check_account(heard)

    assert heard.ended.outcome == "complete"
    assert heard.ended.audio.acknowledged_frames == 240000
    assert {final.channel for final in heard.finals} == {0}
    assert len(heard.events[0].channels) == 1


def test_files_share_what_memory_there_is_and_lose_nothing():
    """Forty files in memory for a few: who can wait, waits."""
    pool = Pool(limit=3 * 1024 * 1024 // 2)

    async def body(room):
        results = []

        async def one(number):
            source = speaker(30.0, live=False, salt=number)
            results.append(await Call(room.spec(f"file-{number}", source), room.world, number).run())

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(one, number)
        return results

    results = simulate(partial(in_room, body, Plan([Reset(audio=6.0)] * 40), pool=pool))

    assert {result.outcome for result in results} == {"complete"}
    assert sum(result.ended.audio.lost_frames for result in results) == 0


def test_a_live_call_beside_many_files_keeps_its_audio():
    """What the files hold may be over the limit for long; that is no reason to take a healthy call's last seconds."""
    pool = Pool(limit=3 * 1024 * 1024 // 2)

    async def body(room):
        results = {}

        async def one(number, source):
            results[number] = await Call(room.spec(f"call-{number}", source), room.world, number).run()

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(one, number, speaker(20.0, live=False, salt=number))
            nursery.start_soon(one, 99, speaker(20.0, salt=99))
        return results

    results = simulate(partial(in_room, body, pool=pool))

    assert results[99].ended.audio.lost_frames == 0
    assert {result.outcome for result in results.values()} == {"complete"}


def test_an_hour_of_silence_that_the_source_fills_in_needs_no_more_room_than_a_minute():
    """It goes in by the second: what the buffer cannot hold is lost by the second, and told."""
    source = MemorySource(PHONE, [(0.1, speaker().audio(0, 800)), (0.2, Filled(3600 * 8000))], live=True)
    held = []

    async def watch(call, room):
        while True:
            await trio.sleep(0.1)
            held.append(call.ledger.size)

    heard = transcribe(down(30.0), 0.1, source=source, settings=small(60.0), act=watch)
    check_account(heard)

    assert max(held) < 63 * 8000
    assert heard.ended.audio.filled == 3600.0
