"""One seed is one run: the same trace in other processes, whatever their hashes and their heap."""

import os
import subprocess
import sys

import pytest

RUN = """
import sys
{before}
from supervisor.emulator.faults import Close, Refuse, Reset, StopAnswering
from tests.simulation import transcribe
plan = [Close(audio=5.0), Refuse(status=503), StopAnswering(audio=6.0), Reset(audio=3.0)]
print(transcribe(plan, 30.0, seed=5, habits={{"wobble": True}}).events)
"""


@pytest.mark.parametrize(
    "hashes, before",
    [("1", "heap = [object() for _ in range(100_001)]"), ("2", "import hypothesis")],
)
def test_a_seed_gives_the_same_trace_in_every_process(hashes, before):
    def trace(seed, first):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        ran = subprocess.run(
            [sys.executable, "-c", RUN.format(before=first)], env=env, stdout=subprocess.PIPE, check=True, timeout=60
        )
        return ran.stdout

    first = trace("0", "")
    assert len(first) > 10_000
    assert trace(hashes, before) == first
