"""Which silence was real: what a held call and a stalled sender look like when their frames come again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.absence import Absence
from supervisor.core.audio import AudioFormat

PHONE = AudioFormat("mulaw", 8000)
TICK = 0.1


def speak(start, end, *, sent=None, step=0.02):
    """(when it arrives, its audio) for frames spoken from `start` to `end`; `sent` delays those before it until then."""
    count = round((end - start) / step)
    return [(max(start + (n + 1) * step, sent or 0.0), 160) for n in range(count)]


def run(arrivals, until):
    """Look at each tick, as a call does; returns (when it was given, frames filled or bytes of audio)."""
    absence, given_, waiting = Absence(PHONE), [], sorted(arrivals)
    for tick in range(1, round(until / TICK) + 1):
        now = tick * TICK
        size = 0
        while waiting and waiting[0][0] <= now + 1e-9:
            size += waiting.pop(0)[1]
        given_ += [(now, each) for each in absence.came(now, bytes(size))]
    given_ += [(until, each) for each in absence.settle()]
    return given_


def filled(given_):
    return [round(PHONE.seconds(each), 2) for _, each in given_ if isinstance(each, int)]


def audio(given_):
    return sum(len(each) for _, each in given_ if isinstance(each, bytes))


@pytest.mark.parametrize("hold", [1.5, 3.0, 60.0, 3600.0])
def test_a_held_call_lost_that_time(hold):
    came = run([*speak(0, 10), *speak(10 + hold, 20 + hold)], 21 + hold)

    assert filled(came) == [pytest.approx(hold, abs=0.021)]
    assert audio(came) == 20 * 8000
    first_late = next(at for at, each in came if isinstance(each, int))
    assert first_late <= 10 + hold + 2.0 + 2 * TICK  # it is held back for two seconds, and no longer


@pytest.mark.parametrize("stall", [1.5, 5.0, 100.0])
def test_a_stalled_sender_lost_nothing_and_is_not_held_back(stall):
    came = run([*speak(0, 10), *speak(10, 10 + stall, sent=10 + stall), *speak(10 + stall, 20 + stall)], 21 + stall)

    assert filled(came) == []
    assert audio(came) == (20 + stall) * 8000
    assert max(at for at, _ in came) <= 20 + stall + TICK
    burst = next(at for at, each in came if isinstance(each, bytes) and len(each) > 8000)
    assert burst <= 10 + stall + 2 * TICK


def test_a_burst_may_take_a_while_to_come():
    slow = [(15 + 1.5 * n / 250, 160) for n in range(250)]  # five seconds of audio within one and a half
    came = run([*speak(0, 10), *slow, *speak(15, 25, step=0.02)], 26)

    assert sum(filled(came)) == pytest.approx(0, abs=0.05)
    assert audio(came) == 25 * 8000


def test_what_arrives_faster_makes_up_for_a_part():
    came = run([*speak(0, 10), *speak(17, 20, sent=20), *speak(20, 30)], 31)

    assert filled(came) == [pytest.approx(7.0, abs=0.021)]


def test_a_second_silence_settles_the_first():
    came = run([*speak(0, 10), *speak(15, 15.5), *speak(18, 30)], 31)

    assert filled(came) == [pytest.approx(5.0, abs=0.021), pytest.approx(2.5, abs=0.021)]
    assert audio(came) == 22.5 * 8000


def test_a_second_silence_is_measured_from_a_clock_that_is_right_again():
    came = run([*speak(0, 10), *speak(15, 25), *speak(125, 130)], 140)

    assert filled(came) == [pytest.approx(5.0, abs=0.021), pytest.approx(100.0, abs=0.021)]


@pytest.mark.parametrize("pause", [0.5, 0.9])
def test_a_pause_of_less_than_a_second_is_none(pause):
    came = run([*speak(0, 10), *speak(10 + pause, 20)], 21)

    assert filled(came) == []


def test_neither_before_the_first_frame_nor_after_the_last_is_anything_missing():
    came = run(speak(50, 60), 100)

    assert filled(came) == []
    assert audio(came) == 10 * 8000


def test_what_is_held_back_at_the_end_is_given():
    came = run([*speak(0, 10), *speak(20, 21)], 21)

    assert filled(came) == [pytest.approx(10.0, abs=0.021)]
    assert audio(came) == 11 * 8000


def test_a_jittery_line_is_not_taken_for_a_held_one():
    """Each frame up to 0.8 s late, in order, as a bad network has it."""
    late = [(at + 0.4 + 0.4 * ((number * 7919) % 100) / 100, size) for number, (at, size) in enumerate(speak(0, 60))]
    ordered = []
    for at, size in late:
        ordered.append((max(at, ordered[-1][0] if ordered else 0), size))
    came = run(ordered, 62)

    assert filled(came) == []
    assert audio(came) == 60 * 8000


def test_a_sender_whose_clock_is_slow_is_not_taken_for_a_held_one_either():
    came = run([(at * 1.001, size) for at, size in speak(0, 600)], 610)

    assert filled(came) == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 3000)), max_size=40))
def test_whatever_comes_all_audio_goes_on_in_order(steps):
    absence, now, sent, given_ = Absence(PHONE), 0.0, b"", []
    for number, (wait, size) in enumerate(steps):
        now += wait
        piece = bytes([number]) * size
        sent += piece
        given_ += absence.came(now, piece)
    given_ += absence.settle()

    assert b"".join(each for each in given_ if isinstance(each, bytes)) == sent
    assert all(each for each in given_)
    assert sum(each for each in given_ if isinstance(each, int)) <= now * 8000 + 1
