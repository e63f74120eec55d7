"""Audio from memory: what simulated calls are fed with must itself be beyond doubt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Problem
from supervisor.sources import End, Feed, Filled, MemorySource, Source, Speaker
from tests.sources.feeding import NOISE

FORMAT = AudioFormat("mulaw", 8000)
STEREO = AudioFormat("linear16", 16_000, 2)
Taken = tuple[float, bytes | Filled]


def simulated(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def all_of(feed: Feed) -> list[bytes | Filled]:
    """All there is at this moment."""
    found: list[bytes | Filled] = []
    while (taken := feed.take()) is not None and not isinstance(taken, End):
        found.append(taken)
    return found


def told(source: Source, tick: float = 0.02) -> tuple[list[Taken], End]:
    """What a source gives and when, asked at each tick as a call does."""
    found: list[Taken] = []
    ends: list[End] = []

    async def main() -> None:
        async with source.open() as feed:
            began = trio.current_time()
            for number in range(1_000_000):
                await trio.sleep(began + number * tick - trio.current_time())
                now = trio.current_time() - began
                found.extend((now, taken) for taken in all_of(feed))
                if isinstance(end := feed.take(), End):
                    assert feed.take() == end
                    ends.append(end)
                    return

    simulated(main)
    return found, ends[0]


def audio_of(found: list[Taken]) -> bytes:
    return b"".join(taken for _, taken in found if isinstance(taken, bytes))


def spoken(position: int, length: int) -> bytes:
    assert position + length <= len(NOISE)
    return NOISE[position : position + length]


@pytest.mark.parametrize("problem", [None, Problem("it died")])
@pytest.mark.parametrize("form", [FORMAT, STEREO, AudioFormat("mulaw", 1)], ids=str)
def test_bytes_are_all_there_in_pieces_of_a_tenth_of_a_second(form, problem):
    audio = NOISE[:12_345]
    found, end = told(MemorySource(form, audio[: 345 if form.sample_rate == 1 else None], problem=problem))
    longest = max(1, form.sample_rate // 10) * form.frame_bytes

    assert audio_of(found) == audio[: 345 if form.sample_rate == 1 else None]
    assert {at for at, _ in found} == {0.0}
    assert max(len(taken) for _, taken in found if isinstance(taken, bytes)) == longest
    assert end == End(problem)


def test_bytes_of_a_live_source_come_at_once():
    found, _ = told(MemorySource(FORMAT, NOISE, live=True))

    assert found == [(0.0, NOISE)]


def test_no_bytes_are_an_end():
    assert told(MemorySource(FORMAT, b"")) == ([], End())
    assert told(MemorySource(FORMAT, [])) == ([], End())


@pytest.mark.parametrize("live", [True, False])
def test_chunks_come_at_their_times_and_silence_between_those_around_it(live):
    chunks: list[Taken] = [
        (0.0, b"a"), (0.02, b"b"), (0.02, b""), (0.02, b"c"), (0.06, Filled(7)), (0.06, b"d"), (0.06, Filled(8)),
        (1.0, Filled(9)), (1.0, b"e"), (2.0, b""), (3.0, Filled(1)),
    ]  # fmt: skip

    found, end = told(MemorySource(FORMAT, chunks, live=live))

    assert [(round(at, 6), taken) for at, taken in found] == [
        (0.0, b"a"), (0.02, b"bc"), (0.06, Filled(7)), (0.06, b"d"), (0.06, Filled(8)), (1.0, Filled(9)), (1.0, b"e"),
        (3.0, Filled(1)),
    ]  # fmt: skip
    assert end == End()


def test_silence_is_not_overtaken_by_audio_that_is_held_back():
    found, _ = told(MemorySource(FORMAT, [(0.0, NOISE[:2000]), (0.0, Filled(3)), (0.0, b"end")]))

    assert [taken if isinstance(taken, Filled) else len(taken) for _, taken in found] == [800, 800, 400, Filled(3), 3]


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.02, 0.99, 2.0])
@pytest.mark.parametrize("packet", [0.02, 0.03, 0.000001])
def test_a_speaker_says_all_of_it_each_packet_once_it_is_spoken(seconds, packet):
    if packet < 0.001 and seconds > 0.02:
        seconds = 0.05
    found, end = told(Speaker(FORMAT, spoken, seconds, packet=packet), tick=0.01)
    length = 0

    for at, taken in found:
        assert isinstance(taken, bytes)
        length += len(taken)
        assert length <= round(at * 8000)
        assert length > min(at, seconds) * 8000 - max(1, packet * 8000) - 1
    assert audio_of(found) == spoken(0, round(seconds * 8000))
    assert end == End()


@pytest.mark.parametrize("fills", [True, False])
@pytest.mark.parametrize("live", [True, False])
def test_a_speaker_pauses_where_it_is_told_to_and_knows_for_how_long_if_it_fills(live, fills):
    problem = Problem("hung up")
    pauses = [(1.5, 0.5), (0.5, 2.0), (1.5, 1.0)]
    found, end = told(Speaker(FORMAT, spoken, 2.0, live, pauses, fills, problem))
    silent = [(round(at, 6), taken.frames) for at, taken in found if isinstance(taken, Filled)]
    before = {  # when the audio before each pause, and the last of it, had come
        length: round(next(at for at, _ in found if _come_by(found, at) >= length), 6)
        for length in (4000, 12_000, 16_000)
    }

    assert audio_of(found) == spoken(0, 16_000)
    assert end == End(problem)
    if live:
        assert before == {4000: 0.5, 12_000: 3.5, 16_000: 5.5}
        assert silent == ([(2.5, 16_000), (4.0, 4000), (5.0, 8000)] if fills else [])
    else:
        assert before == {4000: 0.0, 12_000: 2.0, 16_000: 3.5}
        assert silent == ([(2.0, 16_000), (2.5, 4000), (3.5, 8000)] if fills else [])


def _come_by(found: list[Taken], at: float) -> int:
    return sum(len(taken) for when, taken in found if when <= at and isinstance(taken, bytes))


def test_a_packet_never_cuts_a_sample_frame():
    found, _ = told(Speaker(STEREO, spoken, 0.5, packet=0.0333))

    assert all(len(taken) % STEREO.frame_bytes == 0 for _, taken in found if isinstance(taken, bytes))
    assert audio_of(found) == NOISE[:32_000]
