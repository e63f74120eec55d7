"""No stretch of time lets more audio through than it may, however the sender asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.pacing import BURST, RATE, Pacer

SAMPLE_RATES = st.sampled_from([8000, 11025, 16000, 44100, 48000])


@given(SAMPLE_RATES, st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 1.0)), max_size=60))
def test_at_most_the_rate_and_one_burst_over_any_stretch(rate: int, asks: list[tuple[float, float]]) -> None:
    pacer, now, went = Pacer(rate), 1000.0, []
    for later, share in asks:
        now += later
        frames = int(pacer.allowance(now) * share)
        pacer.take(frames)
        went.append((now, frames))

    for first in range(len(went)):
        total = 0
        for at, frames in went[first:]:
            total += frames
            assert total <= (RATE * (at - went[first][0]) + BURST) * rate + 0.01


@given(SAMPLE_RATES, st.floats(0.005, 0.19))
def test_a_backlog_goes_out_at_the_whole_rate(rate: int, tick: float) -> None:
    """What is not let through is not lost either: a sender that always takes all reaches the bound."""
    pacer, sent = Pacer(rate), 0
    for number in range(200):
        frames = pacer.allowance(number * tick)
        pacer.take(frames)
        sent += frames

    assert sent == pytest.approx((RATE * 199 * tick + BURST) * rate, abs=1.01)


def test_rest_is_not_saved_up_beyond_one_burst() -> None:
    pacer = Pacer(8000)
    pacer.take(pacer.allowance(0.0))

    assert 2000 == pacer.allowance(3600.0) == pacer.allowance(3600.0)


def test_a_clock_that_stands_still_or_steps_back_gives_nothing() -> None:
    pacer = Pacer(8000)
    pacer.take(pacer.allowance(10.0))

    assert (pacer.allowance(10.0), pacer.allowance(9.0), pacer.allowance(10.0)) == (0, 0, 0)
    assert pacer.allowance(10.1) == 1000
