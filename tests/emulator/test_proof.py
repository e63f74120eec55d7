"""The emulator's own count: what arrived, what was made final, what came twice, too early, or out of order."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.audio import AudioFormat
from supervisor.emulator.numbered import numbered
from supervisor.emulator.proof import CallProof, Connection, Proof, covered, excess, missing, total

PHONE = AudioFormat("mulaw", 8000)
WIDE = AudioFormat("linear16", 16000)
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda each: (each[0], each[0] + each[1])), max_size=8)


@given(SPANS, st.integers(1, 3))
def test_covered_is_where_so_many_spans_lie(spans, times):
    found = covered(spans, times)

    depth = [sum(start <= place < end for start, end in spans) for place in range(90)]
    inside = {place for start, end in found for place in range(start, end)}
    assert {place for place, deep in enumerate(depth) if deep >= times} == inside
    assert found == sorted(found)
    assert all(start < end for start, end in found)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(found))  # or they would be one


@given(SPANS, st.integers(0, 90))
def test_missing_is_the_rest(spans, upto):
    held = covered(spans)
    inside = {place for start, end in held for place in range(start, end)}
    open_places = {place for start, end in missing(held, upto) for place in range(start, end)}

    assert set(range(upto)) - inside == open_places
    assert len(open_places) == total(missing(held, upto))


@given(st.lists(st.tuples(st.floats(0, 0.9), st.floats(0, 2)), min_size=1, max_size=12))
def test_excess_is_that_of_the_worst_window(steps):
    times, now = [], 0.0
    for step, _ in steps:
        now += step
        times.append(now)
    seconds = [each for _, each in steps]
    worst = max(
        sum(seconds[first : last + 1]) - 1.25 * max(1.0, times[last] - times[first]) - 0.25
        for first in range(len(times))
        for last in range(first, len(times))
    )

    assert worst == pytest.approx(excess(times, seconds), abs=1e-9)


def test_pacing_at_the_bound_is_no_excess():
    assert excess([0.1 * number for number in range(100)], [0.125] * 100) <= 1e-9
    assert excess([0.1 * number for number in range(100)], [0.14] * 100) > 1
    assert excess([], []) < 0


def heard(*pieces, audio=PHONE, number=0, call="", finals=()):
    """A connection that was sent (position, frames) of call 7, or silence where the position is None."""
    record = Connection(number, 0.0, call=call, status=101, answered=0.0)
    record.hears(audio)
    for position, frames in pieces:
        size = audio.frame_bytes
        data = audio.silence(frames) if position is None else numbered(7, position * size, frames * size)
        record.arrived(data, 0.0)
    record.finals.extend(finals)
    record.ended(1.0)
    return record


@pytest.mark.parametrize("audio", [PHONE, WIDE, AudioFormat("linear16", 8000, 2)])
def test_what_came_is_counted_in_frames_of_the_call(audio):
    proof = CallProof([heard((0, 1000), (None, 500), (1000, 2000), audio=audio), heard((2500, 1000), audio=audio, number=1)])

    assert proof.received == [(0, 3500)]
    assert proof.received_twice == [(2500, 3000)]
    assert (proof.received_frames, proof.silent_frames, proof.foreign_frames) == (4000, 500, 0)
    assert (proof.out_of_order, proof.skipped) == ([], [])
    assert proof.salts == [7]


def test_steps_within_a_connection_are_seen():
    proof = CallProof([heard((0, 1000), (5000, 1000), (2000, 1000)), heard((0, 100), number=1)])

    assert proof.out_of_order == [(0, 6000, 2000)]
    assert proof.skipped == [(0, 1000, 5000)]


def test_what_was_made_final_is_told_on_the_calls_clock():
    """The finals are in the connection's frames: silence in between is nobody's, and a replay begins elsewhere."""
    one = heard((0, 1000), (None, 500), (1000, 1000), finals=[(0, 0, 700), (0, 700, 1600)])
    two = heard((900, 2000), number=1, finals=[(0, 0, 1500), (1, 0, 2000)])
    proof = CallProof([one, two])

    assert one.made_final() == [(0, 700), (700, 1000), (1000, 1100)]
    assert two.made_final() == [(900, 2400)]
    assert proof.final() == [(0, 2400)]
    assert proof.final_twice() == [(900, 1100)]
    assert proof.not_final(3000) == [(2400, 3000)]
    assert proof.not_final(3000, channel=1) == [(0, 900), (2900, 3000)]


def test_audio_cut_within_a_sample_is_misaligned():
    good, bad = heard((0, 1000), audio=WIDE), heard(audio=WIDE)
    bad.arrived(numbered(7, 1, 999), 0.0)
    bad.ended(1.0)

    assert (good.misaligned, bad.misaligned) == (False, True)


def test_foreign_audio_is_counted():
    record = heard((0, 1000))
    other = Connection(0, 0.0)
    other.hears(PHONE)
    other.arrived(b"\x01\x02\x03" * 100, 0.0)
    other.ended(1.0)

    assert (record.other(silent=False), other.other(silent=False)) == (0, 300)


def test_calls_are_known_by_their_name_or_by_their_audio():
    proof = Proof()
    proof.connections += [heard((0, 100), call="a"), heard((0, 100)), heard(call="a"), heard()]

    assert proof.calls == ["a", "salt:7", ""]
    assert len(proof.call("a").connections) == 2
    assert len(proof.call().connections) == 4


def test_peak_is_the_most_at_a_time():
    proof = Proof()
    for answered, closed, status in ((0.0, 5.0, 101), (4.0, 6.0, 101), (5.0, 7.0, 101), (5.5, None, 101), (4.5, 4.6, 503)):
        record = Connection(0, answered, status=status, answered=answered, closed=closed)
        proof.connections.append(record)

    assert proof.peak() == 3


def test_nothing_is_nothing():
    proof = CallProof([Connection(0, 0.0)])

    assert (
        proof.received, proof.final(), proof.not_final(10), proof.received_frames, proof.zero_length
    ) == ([], [], [(0, 10)], 0, 0)  # fmt: skip
    assert proof.excess < 0
    assert Proof().peak() == 0
