"""The timeline against a model: one place in the call for each frame that a session was sent."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.timeline import Timeline

RATE = 8000
PARTS = st.lists(
    st.one_of(
        st.tuples(st.just("audio"), st.integers(1, 5000)),
        st.tuples(st.just("silence"), st.integers(1, 5000)),
        st.tuples(st.just("skip"), st.integers(1, 5000)),
    ),
    min_size=1,
    max_size=30,
)


def f32(seconds):
    return struct.unpack("f", struct.pack("f", seconds))[0]


@settings(deadline=None)
@given(st.integers(0, 10_000_000), PARTS, st.data())
def test_every_frame_is_found_again(begin, parts, data):
    """A start is where its frame was; an end is one past where its last frame was; silence has no length."""
    timeline, places, position = Timeline(RATE), [], begin
    for kind, frames in parts:
        if kind == "audio":
            timeline.sent(position, frames)
            places += range(position, position + frames)
            position += frames
        elif kind == "silence":
            timeline.silence(frames)
            places += [None] * frames
        else:
            position += frames
    if not places:
        return
    index = data.draw(st.integers(0, len(places) - 1))
    where = places[index]
    following = next((place for place in places[index:] if place is not None), None)
    before = next((place for place in reversed(places[: index + 1]) if place is not None), None)
    start, end = timeline.start(f32(index / RATE)), timeline.end(f32((index + 1) / RATE))
    if where is not None:
        assert start == where
        assert end == where + 1
    elif following is not None and before is not None:
        assert before + 1 <= start <= following  # in silence: where the call stood still
        assert end == before + 1


def test_an_hour_of_float32_is_within_a_quarter_of_a_millisecond():
    """Deepgram's times are float32; the blur of one hour is all the error there is."""
    timeline = Timeline(16000)
    timeline.sent(0, 16000 * 3600)
    timeline.sent(16000 * 3600 + 777, 16000 * 60)  # a loss exactly at the hour
    assert timeline.start(f32(3600.0)) == 16000 * 3600 + 777
    assert timeline.end(f32(3599.98) + f32(0.02)) == 16000 * 3600
    assert abs(timeline.start(f32(3601.23)) - (16000 * 3601.23 + 777)) <= 4


def test_forgotten_marks_do_not_move_what_comes_later():
    timeline = Timeline(100)
    for n in range(50):
        timeline.sent(n * 200, 100)
    expected = [(timeline.start(t / 10), timeline.end(t / 10)) for t in range(300, 500)]
    timeline.forget(30.0)
    assert len(timeline._marks) < 25
    assert [(timeline.start(t / 10), timeline.end(t / 10)) for t in range(300, 500)] == expected


def test_nothing_lies_beyond_what_was_sent():
    timeline = Timeline(100)
    assert (timeline.start(5), timeline.end(5)) == (0, 0)
    timeline.sent(1000, 50)
    assert (timeline.start(-1), timeline.end(1e7)) == (1000, 1050)
