"""Percentiles of a call of any length, in a few dozen numbers."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.latency import STEP, Latencies

SECONDS = st.floats(0.0, 100.0)
SHARES = st.sampled_from([0.01, 0.5, 0.95, 1.0])


@given(st.lists(SECONDS, min_size=1, max_size=100), SHARES)
def test_a_percentile_is_right_to_the_step(seconds: list[float], share: float) -> None:
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    told = latencies.percentile(share)

    assert told is not None
    assert exact - 1e-6 <= told <= exact + STEP + 1e-3


def test_without_results_there_is_no_percentile() -> None:
    assert Latencies().percentile(0.95) is None


@pytest.mark.parametrize("seconds", [-0.3, -1e9])
def test_a_result_that_claims_to_be_ahead_of_the_audio_counts_as_immediate(seconds: float) -> None:
    latencies = Latencies()
    latencies.add(seconds)

    assert latencies.percentile(0.5) == STEP


def test_it_survives_being_written_down() -> None:
    latencies = Latencies()
    for each in (0.1, 0.6, 0.6, 9.0):
        latencies.add(each)

    assert latencies == msgspec.json.decode(msgspec.json.encode(latencies), type=Latencies)
