"""What a session is sent while its caller is silent on the wire, second by second."""

from __future__ import annotations

import pytest

from supervisor.core.idle import Idle, IdleRule

STEP = 0.1
Happening = tuple[float, str]


def timeline(
    until: float, *, audio: tuple[float, ...] = (), answered_at: float = 0.0, silence: bool = False, finalize: float = 1.0
) -> list[Happening]:
    """All that goes out, as a session would ask tick by tick; silence in a row is told once."""
    rule = IdleRule(0.0, 4.0, finalize, silence)
    out: list[Happening] = []
    coming = list(audio)
    for tick in range(round(until / STEP) + 1):
        now = tick * STEP
        if coming and coming[0] <= now + 1e-9:
            rule.audio(coming.pop(0))
            continue
        what = rule.next(now + 1e-9, answered=now >= answered_at)
        if what in (Idle.FINALIZE, Idle.KEEPALIVE):
            rule.text(now)
        if what is not Idle.NOTHING and not (what is Idle.SILENCE and out and out[-1][1] == "silence"):
            out.append((round(now, 3), what.value))
    return out


@pytest.mark.parametrize(
    "how, expected",
    [
        # An answered session is held by KeepAlive alone, from the last traffic on.
        ({"until": 9.0}, [(4.0, "keepalive"), (8.0, "keepalive")]),
        # One that was never answered is not: silence, in real time.
        ({"until": 9.0, "answered_at": 99.0}, [(1.0, "silence")]),
        ({"until": 9.0, "answered_at": 3.0}, [(1.0, "silence"), (4.0, "keepalive"), (8.0, "keepalive")]),
        # After audio one Finalize, which is traffic too.
        ({"until": 9.0, "audio": (1.0,)}, [(2.0, "finalize"), (6.0, "keepalive")]),
        ({"until": 9.0, "audio": (1.0,), "finalize": 0.0}, [(5.0, "keepalive"), (9.0, "keepalive")]),
        ({"until": 3.0, "audio": (1.0,), "answered_at": 99.0}, [(2.0, "finalize"), (2.1, "silence")]),
        # A source that delivers in gulps is not idle.
        ({"until": 2.7, "audio": (0.0, 0.9, 1.8)}, []),
        # Each pause is finalized once.
        ({"until": 7.0, "audio": (1.0, 4.0)}, [(2.0, "finalize"), (5.0, "finalize")]),
        # Silence instead of KeepAlive, all the time; the caller's last words are final before.
        ({"until": 9.0, "audio": (1.0,), "silence": True}, [(2.0, "finalize"), (2.1, "silence")]),
    ],
)
def test_what_goes_out(how, expected):
    assert expected == timeline(**how)


def test_nothing_is_finalized_before_there_was_audio():
    """A Finalize for nothing would be answered by nothing, or refused."""
    assert "finalize" not in [what for _, what in timeline(60.0)]


def test_silence_is_asked_for_at_every_tick():
    """It has to arrive in real time, so the rule does not count it as traffic."""
    rule = IdleRule(0.0, 4.0, 0.0, silence=True)

    assert {Idle.SILENCE} == {rule.next(1.0 + tick / 10, answered=True) for tick in range(100)}
