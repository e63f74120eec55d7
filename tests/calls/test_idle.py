"""A caller who is silent on the wire: what holds the session, and that it is no part of the call."""

from itertools import pairwise

import pytest

from supervisor.core.settings import SessionSettings, Settings
from supervisor.emulator.faults import Close, Refuse
from supervisor.emulator.plan import Plan
from supervisor.events import Transcript
from tests.simulation import PHONE, STEREO, WIDE, check_account, check_whole, speaker, transcribe


def paused(*pauses, seconds=20.0, audio=PHONE, **more):
    return {"source": speaker(seconds, audio, pauses=pauses, **more), "seconds": seconds, "audio": audio}


def texts(heard):
    return [(round(time, 2), text) for each in heard.proof.connections for time, text in each.texts]


def test_keepalives_hold_a_session_through_a_long_pause():
    """As text, every 4 s, only while there is no other traffic; no audio is invented, and the clock stands still."""
    heard = transcribe(**paused((10.0, 300.0)))

    check_whole(heard)
    assert heard.ended.sessions == 1
    assert heard.ended.audio.injected_frames == 0
    keepalives = [time for time, text in texts(heard) if "KeepAlive" in text]
    assert 300 / 4 - 3 <= len(keepalives) <= 300 / 4
    assert all(3.9 <= b - a <= 4.2 for a, b in pairwise(keepalives))
    assert 10 < min(keepalives) < max(keepalives) < 311
    assert heard.closures[-1].keepalives == len(keepalives)


def test_no_keepalive_while_audio_flows():
    heard = transcribe(seconds=60.0)

    assert [text for _, text in texts(heard)] == ['{"type": "CloseStream"}']


def test_one_finalize_follows_the_audio_before_a_hold():
    """The caller's last words are final before music takes over, and nothing waits for the answer."""
    heard = transcribe(**paused((7.0, 60.0)))

    check_whole(heard)
    finalizes = [time for time, text in texts(heard) if "Finalize" in text]
    assert len(finalizes) == 1
    assert 8.0 <= finalizes[0] <= 8.4
    before = [event for event in heard.finals if float(event.time) < 10]
    assert before[-1].end == pytest.approx(7.0, abs=0.01)


def test_finalize_can_be_switched_off():
    settings = Settings(session=SessionSettings(finalize_after=0))
    heard = transcribe(**paused((7.0, 60.0)), settings=settings)

    check_whole(heard)
    assert not any("Finalize" in text for _, text in texts(heard))


@pytest.mark.parametrize("audio", [PHONE, WIDE, STEREO], ids=str)
def test_until_the_server_has_spoken_silence_holds_the_session(audio):
    """KeepAlive alone does not. The silence is the encoding's own, in real time, and no part of the call."""
    heard = transcribe(**paused((0.5, 30.0), audio=audio), habits={"latency": (2.5, 2.6)})

    check_whole(heard)
    assert heard.ended.sessions == 1
    assert 0 < heard.ended.audio.injected < 5
    assert heard.proof.silent_frames == heard.ended.audio.injected_frames
    assert heard.ended.audio.heard == 20.0


def test_an_idle_session_may_be_held_by_silence_alone():
    settings = Settings(session=SessionSettings(idle="silence"))
    heard = transcribe(**paused((10.0, 60.0)), settings=settings)

    check_whole(heard)
    assert 55 < heard.ended.audio.injected < 61
    assert not any("KeepAlive" in text for _, text in texts(heard))


def test_after_a_net_closure_without_audio_the_next_session_prefers_silence():
    """A server that does not take KeepAlive for an answer gets silence."""
    plan = Plan([Close(time=40.0, reason="NET-0001")])
    heard = transcribe(plan, **paused((10.0, 100.0), seconds=30.0, live=True), settings=Settings())

    check_whole(heard)
    assert heard.ended.sessions == 2


def test_a_session_closed_while_idle_is_dialled_again_when_audio_comes():
    """There is nothing to say until then: no connection is held, and none is retried."""
    heard = transcribe([Close(time=30.0, code=1011, reason="NET-0002")], **paused((10.0, 200.0)))

    check_whole(heard)
    first, second = heard.proof.connections
    assert first.closed < 35
    assert second.opened > 210


def test_while_idle_nothing_counts_towards_giving_up():
    from supervisor.core.settings import RetrySettings

    settings = Settings(retry=RetrySettings(give_up_after=60.0))
    heard = transcribe([Close(time=30.0, reason="NET-0001")], **paused((10.0, 1000.0)), settings=settings)

    check_whole(heard)


def test_a_pause_within_a_dial_is_survived():
    heard = transcribe([None, Refuse(status=503, retry_after=5.0)], **paused((3.0, 20.0), (9.0, 20.0)))

    check_whole(heard)


def test_a_source_that_knows_how_long_it_was_silent_puts_that_into_the_call():
    """Silence that the source fills in is heard, and moves the clock."""
    heard = transcribe(source=speaker(20.0, pauses=[(8.0, 15.0)], fills=True), seconds=20.0)
    check_account(heard)

    audio = heard.ended.audio
    assert (audio.heard, audio.filled, audio.acknowledged) == (35.0, 15.0, 35.0)
    expected = [(each.start + (120000 if each.start >= 64000 else 0), each.word) for each in heard.spoken()]
    assert [(round(word.start * 8000), word.word) for word in heard.words()] == expected


def test_words_heard_in_our_own_silence_are_dropped():
    """A recogniser may hear a cough in digital silence: it is no word of the call."""
    heard = transcribe(**paused((0.5, 30.0)), habits={"latency": (2.5, 2.6)})

    for event in heard.of(Transcript):
        assert all(word.end > word.start for word in event.words)
