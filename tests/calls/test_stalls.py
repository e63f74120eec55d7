"""A session that is alive only in name: found within its deadline, and told apart from a caller who is silent."""

import re

import pytest
import trio

from supervisor.core.settings import SessionSettings, Settings
from supervisor.emulator.faults import Hole, NoFinals, StopAnswering, StopReading, StopResults
from supervisor.emulator.plan import Plan
from tests.simulation import WIDE, check_account, check_whole, speaker, transcribe


@pytest.mark.parametrize(
    "fault, within, why",
    [
        (StopAnswering(audio=10.0), 9.5, "ping"),
        (StopReading(audio=10.0), 10.0, "ping|does not take"),
        (StopResults(audio=10.0), 10.0, "no Results"),
        (NoFinals(audio=10.0), 40.0, "no final"),
    ],
)
def test_a_stall_is_found_within_its_deadline(fault, within, why):
    heard = transcribe([fault], seconds=80.0, audio=WIDE)
    check_whole(heard)
    closed = heard.closures[0]

    assert re.search(why, closed.reason)
    assert closed.verdict == "retry"
    assert closed.uptime - 10.0 <= within


def test_a_dead_socket_is_found_while_the_caller_is_silent():
    """Pings go on in a pause: when the caller speaks again, there is a session, not a corpse."""
    heard = transcribe([StopAnswering(time=20.0)], source=speaker(20.0, pauses=[(8.0, 60.0)]), seconds=20.0)

    check_whole(heard)
    assert heard.proof.connections[0].closed - heard.proof.connections[0].opened < 31


def test_a_silent_caller_is_no_stall():
    """The watch on results runs only while the call's audio is being sent."""
    heard = transcribe(source=speaker(20.0, pauses=[(8.0, 120.0)]), seconds=20.0)

    check_whole(heard)
    assert heard.ended.sessions == 1


def test_results_that_lag_behind_the_audio_end_the_session():
    settings = Settings(session=SessionSettings(results_timeout=100.0, results_lag=20.0))
    heard = transcribe([StopResults(audio=5.0)], seconds=80.0, settings=settings)

    check_whole(heard)
    assert "behind" in heard.closures[0].reason
    assert heard.closures[0].sent < 26


def test_a_hole_between_two_finals_is_told():
    """The server has passed over some audio: a gap with its exact bounds, and not one word invented or shifted."""
    heard = transcribe([Hole(audio=6.0, seconds=2.0)], seconds=40.0)
    check_account(heard)

    assert [gap.reason for gap in heard.gaps] == ["server_skipped"]
    gap = heard.gaps[0]
    assert gap.end - gap.start == pytest.approx(2.0, abs=0.001)
    assert (heard.proof.not_final(heard.spoken_frames)) == [(round(gap.start * 8000), round(gap.end * 8000))]
    spoken = [each.word for each in heard.spoken()]
    missing = [word for word in spoken if word not in [each.word for each in heard.words()]]
    assert 4 <= len(missing) <= 8
    assert (heard.ended.outcome, heard.result.exit_code) == ("complete", 75)


def test_a_process_that_was_suspended_judges_nobody():
    """Woken a minute late, the watchdogs start again: the server has done nothing wrong."""
    clocks = []

    async def suspend(call, room):
        await trio.sleep(10)
        trio.lowlevel.current_clock().jump(60)
        clocks.append(trio.current_time())

    heard = transcribe(Plan(), seconds=30.0, act=suspend, habits={"idle": 1000.0, "first_message": 1000.0})
    check_account(heard)

    assert clocks
    assert heard.ended.outcome == "complete"
    assert all("ping" not in closed.reason and "Results" not in closed.reason for closed in heard.closures)
