"""The timeline's edges, one by one; any history of it is in test_model_timeline."""

from __future__ import annotations

import struct

import pytest

from supervisor.core.timeline import KEPT, Timeline


def f32(seconds: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", seconds))[0]
    return rounded


def test_an_hour_of_float32_is_within_a_quarter_of_a_millisecond():
    """Deepgram's times are float32; the blur of one hour is all the error there is."""
    timeline = Timeline(16000)
    timeline.sent(0, 16000 * 3600)
    timeline.sent(16000 * 3600 + 777, 16000 * 60)  # a loss exactly at the hour

    assert timeline.start(f32(3600.0)) == 16000 * 3600 + 777
    assert timeline.end(f32(3599.98) + f32(0.02)) == 16000 * 3600
    assert abs(timeline.start(f32(3601.23)) - (16000 * 3601.23 + 777)) <= 4


@pytest.mark.parametrize(
    "seconds, start, end",
    [
        (0.0, 800, 800),
        (1.0, 900, 900),  # in our silence the call stands still
        (1.25, 900, 900),
        (1.5, 950, 900),  # a start means what comes after a mark, an end what came before
        (2.5, 1050, 1050),
    ],
)
def test_starts_map_right_of_a_mark_and_ends_left(seconds, start, end):
    timeline = Timeline(100)
    timeline.sent(800, 100)
    timeline.silence(50)
    timeline.sent(950, 100)

    assert (timeline.start(seconds), timeline.end(seconds)) == (start, end)


def test_audio_that_goes_on_makes_no_mark():
    """A frame is no parting of the clocks: an hour of audio is one mark."""
    timeline = Timeline(100)
    for n in range(1000):
        timeline.sent(n * 10, 10)
    timeline.silence(10)
    timeline.silence(10)

    assert len(timeline._marks) == 2


def parted() -> Timeline:
    """An hour of audio with a loss in each second."""
    timeline = Timeline(100)
    for n in range(3600):
        timeline.sent(n * 200, 100)
    return timeline


def test_forgotten_marks_do_not_move_what_comes_later():
    timeline, whole = parted(), parted()
    timeline.forget(3000.0)

    assert len(timeline._marks) < 670
    for tenth in range(round((3000 - KEPT) * 10), 36000):
        assert (timeline.start(tenth / 10), timeline.end(tenth / 10)) == (
            whole.start(tenth / 10),
            whole.end(tenth / 10),
        )


def test_a_final_forgets_nothing_that_another_channel_or_an_utterances_end_still_needs():
    timeline, whole = parted(), parted()
    timeline.forget(0.5)
    timeline.forget(KEPT)

    assert [timeline.end(n) for n in range(3600)] == [whole.end(n) for n in range(3600)]


def test_a_time_that_was_forgotten_is_the_oldest_still_known_and_not_the_calls_beginning():
    timeline = parted()
    timeline.forget(3000.0)
    oldest = timeline._marks[0][1]

    assert (timeline.start(1.0), timeline.end(1.0)) == (oldest, oldest)
    assert oldest > 0


def test_nothing_lies_beyond_what_was_sent():
    timeline = Timeline(100)

    assert (timeline.start(5), timeline.end(5)) == (0, 0)
    timeline.sent(1000, 50)
    assert (timeline.start(-1), timeline.end(1e7)) == (1000, 1050)
