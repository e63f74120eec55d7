"""The plans in config/faults do to a call what they say, and the call is transcribed whole where that can be."""

from collections import Counter
from pathlib import Path

import pytest

from supervisor.emulator.faults import Fault
from supervisor.emulator.plan import read_plan
from supervisor.events import SessionClosed
from tests.simulation import check_account, check_whole, transcribe

PLANS = Path(__file__).parents[2] / "config" / "faults"


def plan(name):
    return read_plan(str(PLANS / f"{name}.toml"))


@pytest.mark.parametrize("name", ["outage", "refusals", "finishing"])
def test_a_call_survives_it_whole(name):
    heard = transcribe(plan(name), 40.0)

    check_whole(heard)
    done = Counter(fault for each in heard.proof.connections for fault in each.faults)
    planned = sum(len([faults] if isinstance(faults, Fault) else faults) for faults in plan(name).connections)
    assert done.total() == planned


def test_a_flaky_network_loses_no_audio_though_words_wobble():
    heard = transcribe(plan("flaky"), 60.0)

    check_account(heard)
    assert (heard.ended.outcome, heard.gaps) == ("complete", [])
    assert heard.proof.not_final(heard.spoken_frames) == []
    assert len(heard.of(SessionClosed)) > 6


def test_of_a_server_that_does_wrong_only_what_it_left_out_is_missing():
    heard = transcribe(plan("misbehaving"), 60.0)

    check_account(heard)
    assert heard.ended.outcome == "complete"
    assert [(gap.reason, pytest.approx(gap.end - gap.start, abs=1e-3)) for gap in heard.gaps] == [("server_skipped", 2.0)]


def test_every_plan_is_run_here():
    assert {path.stem for path in PLANS.glob("*.toml")} == {"outage", "refusals", "finishing", "flaky", "misbehaving"}
