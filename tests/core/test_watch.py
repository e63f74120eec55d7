"""Is a session alive? Told second by second, as a sender asks at each tick."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from supervisor.core.settings import SessionSettings
from supervisor.core.watch import Watch

TICK = 0.1


@dataclass
class Peer:
    """What the other side does, and our audio: each until a second, or for ever."""

    receives_until: float = 1e9  # something comes back, at each tick
    results_until: float = 1e9
    finals_until: float = 1e9
    audio: tuple[tuple[float, float], ...] = ((0.0, 1e9),)  # stretches in which call audio goes out
    speed: float = 1.0  # of audio, against real time
    lag: float = 0.5  # of results behind what was sent
    asleep: tuple[float, float] = (1e9, 1e9)  # when we ourselves do not run


def verdict(peer: Peer, until: float = 120.0, settings: SessionSettings | None = None) -> tuple[float, str]:
    """When the session is given up, and why; `until` and nothing if it is not."""
    watch = Watch(settings or SessionSettings(), opened=0.0)
    received = sent = result_end = final_end = 0.0
    for tick in range(round(until / TICK) + 1):
        now = tick * TICK
        if peer.asleep[0] < now < peer.asleep[1]:
            continue
        if now <= peer.receives_until:
            received = now
        if any(a <= now <= b for a, b in peer.audio):
            sent += peer.speed * TICK
            watch.audio(now)
            if now <= peer.results_until:
                watch.result(now)
                result_end = max(result_end, sent - peer.lag)
                final_end = result_end if now <= peer.finals_until else final_end
        if why := watch.look(now, received, sent, result_end, final_end):
            return round(now, 1), why
        watch.ping_due(now)
    return until, ""


@pytest.mark.parametrize(
    "peer",
    [
        Peer(),
        Peer(lag=19.0),  # slow, and steady
        Peer(results_until=3.0, audio=((0.0, 9.5),)),  # the audio ended before one was due
        Peer(results_until=-1.0, audio=()),  # nothing was asked of it
    ],
)
def test_a_session_that_does_its_work_is_left_alone(peer):
    assert verdict(peer) == (120.0, "")


@pytest.mark.parametrize(
    "peer, at, why",
    [
        # The ping of 12 s is the first that nothing follows.
        (Peer(receives_until=11.0), 17.0, "no answer to a ping within 5 s"),
        (Peer(receives_until=11.0, audio=()), 17.0, "no answer to a ping within 5 s"),
        (Peer(receives_until=-1.0), 9.0, "no answer to a ping within 5 s"),
        (Peer(results_until=10.0), 18.0, "no Results for 8 s while audio was being sent"),
        (Peer(results_until=-1.0), 8.0, "no Results for 8 s while audio was being sent"),
        # A pause is not held against it: it counts from the new beginning.
        (Peer(results_until=-1.0, audio=((0.0, 5.0), (20.0, 99.0))), 28.0, "no Results for 8 s"),
        # Unless it stays behind through all of them: four stretches of 5 s are 20 s of audio.
        (Peer(results_until=-1.0, audio=tuple((n * 10.0, n * 10.0 + 5.0) for n in range(12))), 34.6, "20 s of audio"),
        (Peer(lag=20.05), 20.0, "results are 20 s of audio behind"),
        (Peer(lag=1e9, speed=1.25), 16.0, "results are 20 s of audio behind"),
        (Peer(finals_until=10.0), 39.6, "no final result for 30 s of audio"),
        (Peer(finals_until=-1.0), 30.0, "no final result for 30 s of audio"),
    ],
)
def test_a_session_that_is_stuck_is_given_up_in_time(peer, at, why):
    found, said = verdict(peer)

    assert why in said
    assert at == pytest.approx(found, abs=0.25)


def test_any_byte_received_is_life():
    """An answer to no ping in particular, audio flowing or not."""
    watch = Watch(SessionSettings(), opened=0.0)
    watch.look(0.9, 0.0, 0.0, 0.0, 0.0)
    now = 1.0
    while not watch.ping_due(now):
        now += 0.5
        watch.look(now, 0.0, 0.0, 0.0, 0.0)

    assert not watch.ping_due(now + 100)  # one at a time
    assert watch.look(now + 0.9, now + 0.5, 0.0, 0.0, 0.0) == ""
    assert not watch.ping_due(now + 3.9)
    assert watch.ping_due(now + 4.0)


@pytest.mark.parametrize(
    "peer",
    [
        Peer(asleep=(5.0, 60.0)),  # a suspended laptop, a blocked process
        Peer(asleep=(5.0, 60.0), results_until=4.0, audio=((0.0, 60.0),)),
        Peer(asleep=(5.0, 60.0), finals_until=4.0, audio=((0.0, 80.0),)),
    ],
)
def test_who_wakes_late_does_not_judge(peer):
    assert verdict(peer) == (120.0, "")


def test_after_a_late_wake_the_timers_run_anew():
    """A peer that has really died meanwhile is still found."""
    for peer, at, why in (
        (Peer(asleep=(5.0, 60.0), receives_until=5.0), 69.0, "ping"),
        (Peer(asleep=(5.0, 60.0), results_until=5.0), 68.0, "no Results"),
        (Peer(asleep=(5.0, 60.0), finals_until=5.0), 90.0, "no final"),
    ):
        found, said = verdict(peer)

        assert why in said
        assert at == pytest.approx(found, abs=0.25)


def test_a_lag_from_before_a_late_wake_is_forgiven():
    watch = Watch(SessionSettings(), opened=0.0)
    watch.look(30.0, 0.0, 25.0, 0.0, 0.0)
    watch.audio(30.1)

    assert watch.look(30.1, 30.1, 44.9, 0.0, 0.0) == ""
    assert "behind" in watch.look(30.2, 30.2, 45.0, 0.0, 0.0)


def test_silence_of_our_own_is_no_lag():
    """A server that says nothing of silence is not behind with the call's audio."""
    watch = Watch(SessionSettings(), opened=0.0)
    watch.result(0.0)
    for tick in range(1, 300):
        watch.silence(TICK)
        assert watch.look(tick * TICK, tick * TICK, tick * TICK, 0.0, 0.0) == ""
    watch.audio(30.0)

    assert watch.look(30.0, 30.0, 30.1, 0.0, 0.0) == ""


def test_so_little_audio_that_there_is_nothing_to_tell_of_is_no_stall():
    """Results come by the second of audio: a source that gives a little at a time must not be taken for a dead server."""
    watch = Watch(SessionSettings(), opened=0.0)
    sent = 0.0
    for tick in range(600):
        sent += 0.1 * TICK
        watch.audio(tick * TICK)
        why = watch.look(tick * TICK, tick * TICK, sent, 0.0, 0.0)
        if why:
            break

    assert 2.0 <= sent < 2.1


def test_where_no_final_is_asked_for_none_is_missed():
    """A compatible server may know no Finalize, and tell finals as seldom as it likes."""
    assert verdict(Peer(finals_until=-1.0), settings=SessionSettings(finalize_after=0)) == (120.0, "")
