"""The timeline against a model: one place in the call for each frame that a session was sent."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.timeline import Timeline

HOURS = 3 * 3600
PARTS = st.lists(
    st.tuples(st.sampled_from(["audio", "silence", "jump"]), st.integers(100, 5000)), min_size=1, max_size=30
)


def f32(seconds: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", seconds))[0]
    return rounded


@dataclass(frozen=True)
class Part:
    """A stretch of what the session heard, as long as can be; `place` is None in silence that is not the call's."""

    heard: int
    frames: int
    place: int | None

    @property
    def end(self) -> int:
        return self.heard + self.frames


def sent(rate: int, begin: int, first: int, parts: list[tuple[str, int]]) -> tuple[Timeline, list[Part]]:
    """A session that has gone on for `first` frames before anything happens."""
    timeline, position = Timeline(rate), begin
    model: list[Part] = []
    for kind, frames in [("audio", first), *parts]:
        place = position if kind == "audio" else None
        if kind != "silence":
            position += frames
        if kind == "jump":
            continue
        if place is None:
            timeline.silence(frames)
        else:
            timeline.sent(place, frames)
        last = model[-1] if model else Part(0, 0, place)
        goes_on = last.place is None if place is None else last.place is not None and last.place + last.frames == place
        if goes_on and model:
            model.pop()
            model.append(Part(last.heard, last.frames + frames, last.place))
        else:
            model.append(Part(last.end, frames, place))
    return timeline, model


def places(model: list[Part], backwards: bool = False) -> Iterator[int]:
    """The ends of call audio before a part, or the beginnings after it."""
    for part in reversed(model) if backwards else model:
        if part.place is not None:
            yield part.place + (part.frames if backwards else 0)


SESSIONS = (
    st.sampled_from([8000, 16000, 48000]),
    st.integers(0, 2**33),
    st.integers(100, 48000 * HOURS),
    PARTS,
    st.data(),
)


@settings(max_examples=300)
@given(*SESSIONS)
def test_every_frame_is_found_again_as_exactly_as_its_time_was_told(rate, begin, first, parts, data):
    """Any sequence of audio, silence of ours and jumps, hours into a session: float32 is all the error there is."""
    timeline, model = sent(rate, begin, first, parts)
    number = data.draw(st.integers(0, len(model) - 1))
    part = model[number]
    blur = round(part.end * 2.0**-23)
    # From its first frame to one past its last; most of all at these, where the clocks part.
    index = data.draw(st.sampled_from((0, part.frames)) | st.integers(0, part.frames))
    start, end = timeline.start(f32((part.heard + index) / rate)), timeline.end(f32((part.heard + index) / rate))
    inside = 2 * blur < index < part.frames - 2 * blur
    if part.place is not None:
        if index == 0 or inside:
            assert abs(start - (part.place + index)) <= (blur if index else 0)
        if index == part.frames or inside:
            at_a_mark = index == part.frames and number < len(model) - 1
            assert abs(end - (part.place + index)) <= (0 if at_a_mark else blur)
    elif inside:
        before = next(places(model[:number], backwards=True))
        after = next(places(model[number:]), before)
        assert end == before
        assert start in (before, after)


@settings(max_examples=200)
@given(*SESSIONS)
def test_a_result_lies_between_its_start_and_its_end(rate, begin, first, parts, data):
    """A start and a duration, each rounded, as Results tell them: they end where the audio did."""
    timeline, model = sent(rate, begin, first, parts)
    last = next(part for part in reversed(model) if part.place is not None)
    frames = data.draw(st.integers(1, last.frames))
    start = f32((last.end - frames) / rate)
    duration = f32(last.end / rate - start)

    assert last.place is not None
    assert abs(timeline.end(start + duration) - (last.place + last.frames)) <= round(last.end * 2.0**-23)
    assert timeline.start(start) <= timeline.end(start + duration)


@settings(max_examples=200)
@given(*SESSIONS)
def test_what_is_told_later_lies_no_earlier(rate, begin, first, parts, data):
    timeline, model = sent(rate, begin, first, parts)
    total = model[-1].end
    frames = sorted(data.draw(st.lists(st.integers(max(0, total - 100_000), total), min_size=2, max_size=20)))
    times = [f32(frame / rate) for frame in frames]

    assert [timeline.start(time) for time in times] == sorted(timeline.start(time) for time in times)
    assert [timeline.end(time) for time in times] == sorted(timeline.end(time) for time in times)
