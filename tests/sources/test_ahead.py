"""The adapter between what must be read and a call that never waits, on a clock that jumps."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio
import trio.testing

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Problem
from supervisor.core.unwrap import Declared, Unwrap
from supervisor.core.wav import header
from supervisor.sources import End, Feed
from supervisor.sources.ahead import BLOCK, read_ahead, tapped
from tests.sources.feeding import NOISE, wav

FORMAT = AudioFormat("mulaw", 8000)
RAW = Declared("mulaw", 8000)
SECOND = 8000  # bytes


def simulated(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class Line:
    """A pipe as the kernel has it: so many bytes, and then its writer waits."""

    def __init__(self, room: int = BLOCK) -> None:
        self.bytes = deque[bytes]()
        self.size = 0
        self.room = room
        self.closed = False
        self.error: Exception | None = None
        self.came = trio.Event()

    def write(self, data: bytes) -> int:
        taken = data[: self.room - self.size]
        if taken:
            self.bytes.append(taken)
            self.size += len(taken)
            self.came.set()
        return len(taken)

    def close(self) -> None:
        self.closed = True
        self.came.set()

    def read(self, limit: int) -> bytes | None:
        if self.bytes:
            data = self.bytes.popleft()
            data, rest = data[:limit], data[limit:]
            if rest:
                self.bytes.appendleft(rest)
            self.size -= len(data)
            return data
        if self.error is not None:
            raise self.error
        if self.closed:
            return b""
        self.came = trio.Event()
        return None

    async def readable(self) -> None:
        await self.came.wait()


def feed_of(line: Line, *, live: bool, declared: Declared = RAW) -> AbstractAsyncContextManager[Feed]:
    return tapped(line, Unwrap("line", declared, settled=True), live=live)


async def speak(line: Line, audio: bytes, packet: int = 160) -> list[float]:
    """Write as a telephone does, a packet of 20 ms each 20 ms; tell when it would have had to wait."""
    waited = []
    for at in range(0, len(audio), packet):
        await trio.sleep(0.02)
        part = audio[at : at + packet]
        while written := line.write(part):
            part = part[written:]
            if not part:
                break
        else:
            waited.append(trio.current_time())
            while part:
                await trio.sleep(0.02)
                part = part[line.write(part) :]
    line.close()
    return waited


def taken_from(feed: Feed) -> bytes:
    """What a call takes at one tick; it must come to an end."""
    pieces = []
    for _ in range(1000):
        taken = feed.take()
        if taken is None or isinstance(taken, End):
            return b"".join(pieces)
        assert isinstance(taken, bytes)
        pieces.append(taken)
    raise AssertionError("the tick never ends")


def test_live_audio_is_taken_whole_as_soon_as_it_is_there():
    async def main() -> None:
        line = Line()
        async with feed_of(line, live=True) as feed:
            assert feed.take() is None
            line.write(NOISE[:30_000])
            line.write(NOISE[30_000:31_111])

            assert feed.take() == NOISE[:31_111]
            assert feed.take() is None
            line.write(NOISE[:3])
            line.close()
            assert feed.take() == NOISE[:3]
            assert feed.take() is None
            assert feed.take() == feed.take() == End()

    simulated(main)


def test_audio_that_can_wait_comes_in_pieces_of_a_tenth_of_a_second_and_the_writer_waits():
    async def main() -> None:
        line = Line()
        written = line.write(NOISE * 2)
        async with feed_of(line, live=False) as feed:
            await trio.sleep(100)
            assert line.write(b"x") == 0, "nobody takes, so nobody reads"
            pieces = []
            line.close()
            while isinstance(taken := feed.take(), bytes):
                pieces.append(taken)

        assert b"".join(pieces) == (NOISE * 2)[:written]
        assert {len(piece) for piece in pieces[:-1]} == {SECOND // 10}

    simulated(main)


@pytest.mark.parametrize("rate", [8000, 48_000])
def test_a_live_line_flows_for_ten_seconds_while_nobody_takes_and_loses_nothing(rate):
    """After that its writer has to wait: nothing is thrown away here, where no gap could be told."""
    second = rate
    audio = (NOISE * (1 + 20 * second // len(NOISE)))[: 20 * second]

    async def main() -> None:
        line = Line()
        waited: list[float] = []

        async def speaker() -> None:
            waited.extend(await speak(line, audio, second // 50))

        async with trio.open_nursery() as nursery, feed_of(line, live=True, declared=Declared("mulaw", rate)) as feed:
            nursery.start_soon(speaker)
            await trio.sleep(30)
            came = b""
            while len(came) < len(audio):
                came += taken_from(feed)
                await trio.sleep(0.02)

            assert came == audio
            assert waited
            assert 10.0 <= waited[0] < 10.0 + 2 * BLOCK / second

    simulated(main)


def test_a_writer_without_end_does_not_keep_a_tick_from_ending():
    """Its next audio is there before what it gave is put away; other calls have ticks too."""

    class Spring(Line):
        def read(self, limit: int) -> bytes | None:
            return bytes(limit)

    async def main() -> None:
        async with feed_of(Spring(), live=True) as feed:
            for _ in range(10):
                assert 0 < len(taken_from(feed)) <= 10 * SECOND + BLOCK
                await trio.sleep(0.02)

            assert len(feed.warnings) == 1
            assert "gives audio faster than it is spoken" in feed.warnings[0]
            assert "--no-live" in feed.warnings[0]

    simulated(main)


def test_a_line_that_delivers_what_it_held_back_is_not_called_too_fast():
    async def main() -> None:
        line = Line(room=1 << 20)
        async with feed_of(line, live=True) as feed:
            for second in range(60):
                if second % 20 == 19:
                    line.write(bytes(20 * SECOND))
                taken_from(feed)
                await trio.sleep(1)

            assert feed.warnings == []

    simulated(main)


def test_what_came_before_an_error_is_taken_before_it_is_told():
    async def main() -> None:
        line = Line()
        line.write(NOISE[:5000])
        line.error = OSError(5, "Input/output error")
        async with feed_of(line, live=False) as feed:
            came = taken_from(feed)
            end = feed.take()

        assert came == NOISE[:5000]
        assert isinstance(end, End)
        assert str(end.problem) == "cannot read line: Input/output error"

    simulated(main)


@pytest.mark.parametrize("cut", [*range(0, 44, 7), 44, 45])
def test_a_format_that_nobody_declared_is_waited_for(cut):
    async def main() -> None:
        line = Line()

        async def writer() -> None:
            line.write(wav(NOISE[:1000], size=0)[:cut])
            await trio.sleep(5)
            line.write(wav(NOISE[:1000], size=0)[cut:])
            line.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer)
            async with feed_of(line, live=True, declared=Declared()) as feed:
                assert trio.current_time() == (5 if cut < 44 else 0)
                assert feed.format == AudioFormat("linear16", 16000, 1)
                await trio.sleep(6)
                assert taken_from(feed) == NOISE[:1000]

    simulated(main)


def test_a_disk_is_read_two_blocks_ahead_and_no_further():
    async def main() -> None:
        reads = 0

        async def read() -> bytes:
            nonlocal reads
            reads += 1
            await trio.sleep(0.01)
            return bytes(BLOCK)

        unwrap = Unwrap("disk", RAW)
        came = unwrap.feed(bytes(BLOCK))
        async with read_ahead(read, unwrap, live=False, came=came) as feed:
            await trio.sleep(60)
            assert reads == 1
            for _ in range(BLOCK // 800 + 1):
                feed.take()
            await trio.sleep(60)
            assert reads == 2

    simulated(main)


def test_a_disk_that_does_not_answer_is_not_waited_for():
    async def main() -> None:
        unwrap = Unwrap("disk", RAW)
        came = unwrap.feed(NOISE[:100])
        async with read_ahead(trio.sleep_forever, unwrap, live=False, came=came) as feed:  # type: ignore[arg-type]
            assert feed.take() == NOISE[:100]
            assert feed.take() is None

    simulated(main)


def test_what_is_wrong_later_in_a_file_is_told_after_the_audio_before_it():
    """A header that contradicts what a call has begun with ends it, and stays the reason."""
    answers = deque([header(FORMAT)[:20], header(FORMAT)[20:] + NOISE, b""])

    async def read() -> bytes:
        await trio.lowlevel.checkpoint()
        return answers.popleft()

    async def main() -> None:
        unwrap = Unwrap("disk", Declared("alaw", 8000), settled=True)
        async with read_ahead(read, unwrap, live=False) as feed:
            await trio.sleep(1)
            end = feed.take()

        assert isinstance(end, End)
        assert "a header that says encoding mulaw" in str(end.problem)

    simulated(main)


def test_a_file_played_live_is_never_ahead_of_the_clock_and_never_behind_it():
    answers = deque([bytes(BLOCK), b""])

    async def read() -> bytes:
        await trio.lowlevel.checkpoint()
        return answers.popleft() if answers else b""

    async def main() -> None:
        unwrap = Unwrap("disk", RAW)
        came = unwrap.feed(bytes(BLOCK))
        length = 0
        async with read_ahead(read, unwrap, live=True, came=came) as feed:
            began = trio.current_time()
            while not isinstance(taken := feed.take(), End):
                length += len(taken or b"")  # type: ignore[arg-type]
                spoken = (trio.current_time() - began) * SECOND
                assert length == min(2 * BLOCK, int(spoken))
                await trio.sleep(0.03)

        assert length == 2 * BLOCK

    simulated(main)


def test_a_problem_is_told_as_a_problem():
    async def main() -> None:
        line = Line()
        line.close()
        async with feed_of(line, live=True) as feed:
            end = feed.take()

        assert isinstance(end, End)
        assert isinstance(end.problem, Problem)
        assert str(end.problem) == "line is empty"

    simulated(main)
