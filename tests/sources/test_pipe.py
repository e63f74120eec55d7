"""stdin, whatever it is, and FIFOs, whoever writes into them."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit
from supervisor.core.unwrap import Declared
from supervisor.sources import FifoSource, StdinSource
from tests.sources.feeding import DEADLINE, NOISE, PCM, Heard, heard, next_of, nothing_left, refusal, rest_of, wav

MULAW = Declared("mulaw", 8000)
ROOT = Path(__file__).parents[2]
SHORT = NOISE[:9999]  # less than a pipe holds


class Ends:
    """Descriptors that are closed when a test ends."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def closed(self, file: int) -> int:
        def close() -> None:
            with suppress(OSError):  # the test has
                os.close(file)

        self._stack.callback(close)
        return file

    def pipe(self) -> tuple[int, int]:
        reading, writing = os.pipe()
        return self.closed(reading), self.closed(writing)


@pytest.fixture
def ends() -> Iterator[Ends]:
    with ExitStack() as stack:
        yield Ends(stack)


def written(ends: Ends, content: bytes) -> int:
    """The reading end of a pipe that holds this and has lost its writer."""
    reading, writing = ends.pipe()
    os.write(writing, content)
    os.close(writing)
    return reading


@pytest.fixture
def fifo(tmp_path) -> str:
    os.mkfifo(tmp_path / "line.pcm")
    return str(tmp_path / "line.pcm")


def joined(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_NONBLOCK)


# stdin


@pytest.mark.parametrize("live", [False, True])
def test_a_pipe_on_stdin(ends, live):
    found = heard(StdinSource(Declared(), live, written(ends, wav(SHORT, size=0xFFFFFFFF))))

    assert (found.format, found.audio, found.problem, found.warnings) == (
        PCM,
        SHORT,
        None,
        ["stdin ends inside a sample frame: the last 1 bytes are dropped"],
    )


def test_a_pipe_shared_with_others_still_blocks_for_them(ends):
    reading = written(ends, SHORT)

    async def main() -> None:
        async with StdinSource(MULAW, file=reading).open() as feed:
            assert os.get_blocking(reading)
            assert (await rest_of(feed)).audio == SHORT

    trio.run(main)
    assert os.get_blocking(reading)


def test_a_writer_on_stdin_waits_for_a_call_that_does_not_take(ends):
    reading, writing = ends.pipe()
    os.set_blocking(writing, False)
    content = bytearray()

    async def main() -> Heard:
        async with StdinSource(MULAW, file=reading).open() as feed:
            await trio.sleep(0.01)
            with suppress(BlockingIOError):  # no sooner than a pipe is full
                while len(content) < 1 << 22:
                    piece = NOISE[: 4096 - len(content) // 4096]
                    content.extend(piece[: os.write(writing, piece)])
            os.close(writing)
            return await rest_of(feed)

    assert trio.run(main).audio == content
    assert len(content) < 1 << 22


def test_a_socket_on_stdin_is_left_as_it_was_found():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(SHORT)
        ours.shutdown(socket.SHUT_WR)
        with nothing_left():
            found = heard(StdinSource(MULAW, file=theirs.fileno()))

        assert found.audio == SHORT
        assert os.get_blocking(theirs.fileno())


def test_a_socket_that_is_reset_is_a_source_that_died():
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        with theirs:

            async def main() -> tuple[bytes, Heard]:
                with trio.fail_after(DEADLINE):
                    async with StdinSource(MULAW, file=theirs.fileno()).open() as feed:
                        ours.sendall(b"hello")
                        first = await next_of(feed)
                        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        ours.close()
                        return first, await rest_of(feed)

            first, found = trio.run(main)

    assert first == b"hello"
    assert str(found.problem) == "cannot read stdin: Connection reset by peer"
    assert found.problem is not None
    assert found.problem.exit_code is Exit.NO_INPUT


def test_a_file_on_stdin_is_read_from_where_it_stands(ends, tmp_path):
    (tmp_path / "call").write_bytes(b"skipped" + wav(NOISE))
    file = ends.closed(os.open(tmp_path / "call", os.O_RDONLY))
    os.lseek(file, len(b"skipped"), os.SEEK_SET)

    with nothing_left():
        found = heard(StdinSource(file=file))

    assert (found.format, found.audio, found.problem) == (PCM, NOISE, None)


@pytest.mark.parametrize("declared", [Declared(), MULAW])
def test_nothing_on_stdin_is_no_audio(ends, declared):
    refused = refusal(StdinSource(declared, file=ends.closed(os.open("/dev/null", os.O_RDONLY))))

    assert (str(refused), refused.exit_code) == ("stdin is empty", Exit.BAD_AUDIO)


def test_an_empty_pipe_on_stdin_is_no_audio(ends):
    refused = refusal(StdinSource(file=written(ends, b"")))
    problem = heard(StdinSource(MULAW, file=written(ends, b""))).problem  # a call whose format is known has begun

    assert problem is not None
    assert (str(refused), refused.exit_code) == ("stdin is empty", Exit.BAD_AUDIO)
    assert (str(problem), problem.exit_code) == ("stdin is empty", Exit.BAD_AUDIO)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"fLaC" + SHORT, "stdin is FLAC, and not raw audio or a WAV: decode it"),
        (b"curl: (6) Could not resolve host: example.com\n", "stdin is text, not audio: it begins with 'curl"),
        (SHORT, "stdin has no header that says what audio it holds: give its encoding"),
    ],
)
def test_what_is_not_audio_on_stdin_is_refused(ends, content, words):
    reading = written(ends, content)
    with nothing_left():
        refused = refusal(StdinSource(file=reading))

    assert words in str(refused)
    assert refused.exit_code is Exit.BAD_AUDIO


def test_a_terminal_on_stdin_is_not_waited_for(ends):
    ours, theirs = os.openpty()
    ends.closed(ours)

    refused = refusal(StdinSource(MULAW, file=ends.closed(theirs)))

    assert str(refused) == "stdin is a terminal, not audio: pipe audio into it, or name a file"
    assert refused.exit_code is Exit.USAGE


def test_a_process_started_without_stdin_does_not_read_what_has_its_number_now():
    program = "from supervisor.sources import source_from; source_from('-')"

    told = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, program],
        capture_output=True, text=True, timeout=DEADLINE, cwd=ROOT,
    ).stderr  # fmt: skip

    assert "Problem: stdin is closed: pipe audio into it, or name a file" in told


# FIFOs


def test_a_fifo_without_a_writer_is_silent_and_ends_when_its_last_one_has_left(fifo):
    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with FifoSource(fifo, MULAW).open() as feed:
                for _ in range(5):
                    assert feed.take() is None
                    await trio.sleep(0.01)
                writing = joined(fifo)
                await trio.sleep(0.01)
                assert feed.take() is None
                os.write(writing, b"hello")
                assert await next_of(feed) == b"hello"
                await trio.sleep(0.01)
                assert feed.take() is None
                os.write(writing, b"goodbye")
                os.close(writing)
                found = await rest_of(feed)

        assert (found.audio, found.problem) == (b"goodbye", None)

    with nothing_left():
        trio.run(main)


def test_two_writers_in_turn_are_one_call_if_one_is_always_there(fifo):
    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with FifoSource(fifo, MULAW).open() as feed:
                first = joined(fifo)
                os.write(first, b"first ")
                second = joined(fifo)
                os.close(first)
                assert await next_of(feed) == b"first "
                await trio.sleep(0.01)
                assert feed.take() is None
                os.write(second, b"second")
                os.close(second)
                assert (await rest_of(feed)).audio == b"second"

    trio.run(main)


def test_writers_come_and_go_while_somebody_holds_the_fifo_open(fifo, ends):
    held = ends.closed(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))  # exec 3<>line.pcm

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with FifoSource(fifo, MULAW).open() as feed:
                for words in (b"one", b"two", b"three"):
                    writing = joined(fifo)
                    os.write(writing, words)
                    os.close(writing)
                    assert await next_of(feed) == words
                    for _ in range(3):
                        await trio.sleep(0.005)
                        assert feed.take() is None
                os.close(held)
                assert (await rest_of(feed)).pieces == []

    trio.run(main)


@pytest.mark.parametrize("live", [True, False])
def test_a_writer_of_single_bytes_before_a_format_is_known(fifo, live):
    """Opened before its writer comes; the header is waited for, however slowly it is written."""
    content = wav(NOISE[:100], size=0)

    async def write() -> None:
        await trio.sleep(0.01)
        writing = joined(fifo)
        for at in range(len(content)):
            os.write(writing, content[at : at + 1])
            await trio.lowlevel.checkpoint()
        os.close(writing)

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                async with FifoSource(fifo, live=live).open() as feed:
                    found = await rest_of(feed)

        assert (found.format, found.audio, found.problem, found.warnings) == (PCM, NOISE[:100], None, [])

    trio.run(main)


def test_a_writer_that_leaves_without_a_word_is_an_empty_call(fifo):
    async def main() -> Heard:
        with trio.fail_after(DEADLINE):
            async with FifoSource(fifo, MULAW).open() as feed:
                os.close(joined(fifo))
                return await rest_of(feed)

    found = trio.run(main)

    assert found.problem is not None
    assert (found.audio, str(found.problem)) == (b"", f"{fifo} is empty")
    assert found.problem.exit_code is Exit.BAD_AUDIO


def test_a_live_fifo_does_not_stop_its_writer_while_the_call_does_not_take(fifo):
    """What a pipe can hold is less than a second of this; what was written is all there."""
    declared = Declared("linear32", 48_000, 2)
    content = NOISE * 8

    async def write() -> int:
        writing, at = joined(fifo), 0
        while at < len(content):
            try:
                at += os.write(writing, content[at : at + 8192])
            except BlockingIOError:
                await trio.sleep(0.001)
        os.close(writing)
        return at

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with FifoSource(fifo, declared).open() as feed:
                assert await write() == len(content) > 4 * 65536
                found = await rest_of(feed)

        assert found.format == AudioFormat("linear32", 48_000, 2)
        assert found.audio == content

    trio.run(main)


def test_a_fifo_that_has_gone_is_no_input(tmp_path):
    refused = refusal(FifoSource(str(tmp_path / "gone")))

    assert "there is no FIFO" in str(refused)
    assert refused.exit_code is Exit.NO_INPUT
