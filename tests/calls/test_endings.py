"""How a call ends: what is permanent, what is given up, and that nothing ends without its account."""

from functools import partial

import pytest
import trio

from supervisor.call import Call
from supervisor.core.problem import Problem
from supervisor.core.settings import RetrySettings, Settings
from supervisor.emulator.faults import Close, NoLastFinals, Refuse, Reset, ShortTail, Undecodable
from supervisor.emulator.plan import Plan
from supervisor.events import CallEnded, Gap
from supervisor.sources import MemorySource
from tests.simulation import PHONE, check_account, check_whole, in_room, simulate, speaker, transcribe

PERMANENT = [
    (Refuse(status=400), 78, 1),
    (Refuse(status=401), 77, 2),  # the key is read again once
    (Refuse(status=402), 77, 1),
    (Refuse(status=403), 77, 1),
    (Refuse(status=404), 78, 1),
    (Refuse(status=405), 78, 1),
    (Refuse(status=418), 69, 1),
    (Refuse(status=302, headers={"Location": "https://example.com/"}), 78, 1),
    (Close(audio=0.5, code=1008, reason="DATA-0000"), 65, 1),
    (Close(audio=0.5, code=1002, reason="DATA-0000"), 65, 1),
    (Close(audio=0.5, code=1003), 69, 1),
    (Close(audio=0.5, code=1008, reason="policy"), 69, 1),
]


@pytest.mark.parametrize("fault, exit_code, sessions", PERMANENT)
def test_what_is_permanent_ends_the_call_at_once(fault, exit_code, sessions):
    """One verdict, no storm of attempts; all that was heard is in one gap."""
    heard = transcribe(Plan([fault], then="repeat"))
    check_account(heard)

    assert ("aborted", exit_code, sessions) == (heard.ended.outcome, heard.result.exit_code, heard.ended.sessions)
    assert heard.closures[-1].verdict == "abort"
    assert heard.closures[-1].advice
    assert len(heard.gaps) == 1
    assert (0.0, heard.ended.audio.heard) == (heard.gaps[0].start, heard.gaps[0].end)
    assert heard.gaps[0].reason == ("undecodable" if exit_code == 65 else "aborted")
    assert heard.ended_at < 10


def test_a_refusal_is_told_with_all_that_it_said():
    refuse = Refuse(status=402, headers={"X": "y"}, retry_after=2.0)
    heard = transcribe([refuse])
    closed = heard.closures[0]

    assert (closed.status, closed.err_code) == (402, "ASR_PAYMENT_REQUIRED")
    assert "does not have enough credits" in closed.dg_error
    assert closed.request_id == heard.proof.connections[0].request_id
    assert "redit" in closed.advice


def test_a_config_may_know_better_than_the_table():
    settings = Settings(retry=RetrySettings(verdicts={"402": "retry", "1012": "abort"}))
    heard = transcribe([Refuse(status=402), Close(audio=3.0, code=1012)], settings=settings)

    assert [closed.verdict for closed in heard.closures] == ["retry", "abort"]


def test_undecodable_audio_is_known_without_its_name():
    """Metadata that tells of no audio, after a second of it, is DATA-0000 whatever the close says.

    A server takes longer to say so by itself than the watch on results has patience: so it is asked.
    """
    heard = transcribe(Plan([Undecodable()], then="repeat"), habits={"undecodable_close": False, "first_message": 60.0})
    check_account(heard)

    assert (heard.ended.outcome, heard.result.exit_code) == ("aborted", 65)
    assert heard.closures[-1].payload == "DATA-0000"
    assert heard.ended_at < 12
    assert heard.gaps[-1].reason == "undecodable"


def test_undecodable_after_progress_is_retried_twice_and_no_more():
    """What was decoded a moment ago may be decoded again; the same failure three times running is permanent."""
    bad = Close(audio=1.5, code=1008, reason="DATA-0000")
    heard = transcribe(Plan([Close(audio=12.0, code=1008, reason="DATA-0000"), bad, bad, bad, bad]))
    check_account(heard)

    assert [closed.verdict for closed in heard.closures] == ["retry", "retry", "abort"]
    assert heard.ended.outcome == "aborted"


def test_undecodable_once_after_progress_costs_nothing():
    check_whole(transcribe([Close(audio=12.0, code=1008, reason="DATA-0000")]))


def test_a_call_is_given_up_by_time_without_progress():
    """Not by counting attempts; and what is left is in a gap."""
    settings = Settings(retry=RetrySettings(give_up_after=120.0))
    heard = transcribe(Plan([Refuse(status=503)], then="repeat"), seconds=400.0, settings=settings)
    check_account(heard)

    assert (heard.ended.outcome, heard.result.exit_code) == ("gave_up", 69)
    assert 90 < heard.ended_at <= 121
    assert heard.gaps[-1].reason == "gave_up"
    assert heard.ended.closure.status == 503


def test_progress_keeps_a_call_from_being_given_up():
    """A server that drops every session, but hears a little each time, is used for hours."""
    settings = Settings(retry=RetrySettings(give_up_after=30.0))
    heard = transcribe(Plan([Reset(audio=11.0)], then="repeat"), seconds=200.0, settings=settings)

    check_whole(heard)
    assert heard.ended.sessions > 15


def test_a_server_that_accepts_and_hangs_up_is_no_recovery():
    """The waits grow although each session opens: only the watermark's progress forgets the failures."""
    settings = Settings(retry=RetrySettings(give_up_after=300.0))
    heard = transcribe(Plan([Close()], then="repeat"), seconds=600.0, settings=settings)
    check_account(heard)

    assert heard.ended.outcome == "gave_up"
    assert heard.ended.sessions < 40
    assert max(closed.retry_in or 0 for closed in heard.closures) > 10


def test_the_tail_that_a_clean_end_leaves_out_is_acknowledged_up_to_half_a_second():
    heard = transcribe([ShortTail(seconds=0.3)])
    check_account(heard)

    assert (heard.ended.outcome, heard.ended.sessions, heard.gaps) == ("complete", 1, [])


def test_a_server_that_never_says_the_last_words_does_not_hold_a_call_for_ever():
    heard = transcribe(Plan([NoLastFinals()], then="repeat"))
    check_account(heard)

    assert heard.ended.outcome == "complete"
    assert heard.result.exit_code == 75
    assert heard.gaps[-1].reason == "server_skipped"
    assert heard.ended.audio.lost > 0.5


def test_when_all_is_acknowledged_no_closure_matters():
    """Everything was final before the source ended: however the session ends, nothing is dialled again."""
    async def stop(call, room):
        await trio.sleep(12)

    pause = speaker(6.0, pauses=())
    source = MemorySource(PHONE, [*pause._packets(), (10.0, PHONE.silence(8))], live=True)
    heard = transcribe([Reset(time=8.0)], 6.0, source=source, act=stop)

    assert (heard.ended.outcome, heard.result.exit_code) == ("complete", 0)


def test_a_source_that_dies_is_delivered_up_to_there():
    """What was received is not lost; the exit code is the source's."""
    source = speaker(12.0, problem=Problem("the line is dead", "check the cable", 66))
    heard = transcribe([Reset(audio=4.0)], 12.0, source=source)
    check_account(heard)

    assert (heard.ended.outcome, heard.result.exit_code) == ("complete", 66)
    assert heard.result.problem.cause == "the line is dead"
    assert [word.word for word in heard.words()] == [each.word for each in heard.spoken()]


def test_a_source_without_audio_dials_nobody():
    heard = transcribe(source=MemorySource(PHONE, b"", live=True))

    assert (heard.ended.outcome, heard.ended.sessions, heard.ended.audio.heard_frames) == ("complete", 0, 0)
    assert heard.proof.connections == []


def test_stopping_ends_the_source_and_delivers_what_it_gave():
    async def stop(call, room):
        await trio.sleep(14.95)
        call.stop()

    heard = transcribe([Reset(audio=12.0)], 60.0, act=stop)
    check_account(heard)

    assert (heard.ended.outcome, heard.result.exit_code) == ("complete", 0)
    assert 14.5 < heard.ended.audio.heard < 15.2
    assert heard.ended_at < 25


def test_a_cancelled_call_says_what_it_leaves():
    """The third signal: no time for anything, but for the account."""
    async def body(room):
        with trio.move_on_after(10):
            await Call(room.spec(), room.world).run()
        return room.events

    events = simulate(partial(in_room, body))
    ended = [event for event in events if isinstance(event, CallEnded)]

    assert [event.outcome for event in ended] == ["stopped"]
    assert ended[0].audio.heard_frames == ended[0].audio.acknowledged_frames + ended[0].audio.lost_frames
    assert [event.reason for event in events if isinstance(event, Gap)] == ["stopped"]
