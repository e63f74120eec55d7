"""Leaving a source, at any moment: no descriptor, process or task of it is left."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile
import trio
import trio.abc

from supervisor.core.unwrap import Declared
from supervisor.sources import CommandSource, FifoSource, FileSource, Source, StdinSource
from tests.sources.feeding import DEADLINE, NOISE, nothing_left, processes, rest_of, wav

MULAW = Declared("mulaw", 8000)
MARK = f"87654.{os.getpid()}"
STEPS = 300  # more than any of these needs


class Fuse(trio.abc.Instrument):
    """Cancels at the n-th step that any task takes from when it is lit."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.scope: trio.CancelScope | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        if self.scope is not None:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()


def a_wav(path: Path, _: ExitStack) -> Source:
    (path / "call.wav").write_bytes(wav(NOISE))
    return FileSource(str(path / "call.wav"))


def a_flac(path: Path, _: ExitStack) -> Source:
    soundfile.write(path / "call.flac", np.zeros(40_000, "int16"), 16_000)
    return FileSource(str(path / "call.flac"))


def a_live_file(path: Path, stack: ExitStack) -> Source:
    a_wav(path, stack)
    return FileSource(str(path / "call.wav"), live=True)


def a_fifo(path: Path, stack: ExitStack) -> Source:
    if not (path / "line").exists():
        os.mkfifo(path / "line")
    held = os.open(path / "line", os.O_RDWR | os.O_NONBLOCK)
    stack.callback(os.close, held)
    os.write(held, wav(NOISE[:5000], size=0))
    return FifoSource(str(path / "line"))


def a_silent_fifo(path: Path, _: ExitStack) -> Source:
    if not (path / "line").exists():
        os.mkfifo(path / "line")
    return FifoSource(str(path / "line"))


def a_pipe_on_stdin(_: Path, stack: ExitStack) -> Source:
    reading, writing = os.pipe()
    stack.callback(os.close, reading)
    stack.callback(os.close, writing)
    os.write(writing, wav(NOISE[:5000], size=0))
    return StdinSource(file=reading)


def a_file_on_stdin(path: Path, stack: ExitStack) -> Source:
    a_wav(path, stack)
    file = os.open(path / "call.wav", os.O_RDONLY)
    stack.callback(os.close, file)
    return StdinSource(file=file)


def a_command(path: Path, stack: ExitStack) -> Source:
    a_wav(path, stack)
    return CommandSource(f"cat {path}/call.wav")


def a_failing_command(_: Path, __: ExitStack) -> Source:
    return CommandSource("sh -c 'printf audio; echo no >&2; exit 3'", MULAW)


def a_command_with_children(_: Path, __: ExitStack) -> Source:
    return CommandSource(f"sh -c {shlex.quote(f'sleep {MARK} & sleep {MARK} & printf audio; wait')}", MULAW)


SOURCES = [
    a_wav, a_flac, a_live_file, a_fifo, a_silent_fifo, a_pipe_on_stdin, a_file_on_stdin, a_command, a_failing_command,
    a_command_with_children,
]  # fmt: skip


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
def test_nothing_is_left_wherever_a_call_is_cancelled(tmp_path, make: Callable[[Path, ExitStack], Source]):
    """At each step of the way: inside the opening, at each take, inside the leaving."""
    for steps in range(1, STEPS):
        fuse = Fuse(steps)

        async def main(source: Source, fuse: Fuse = fuse) -> None:
            with trio.fail_after(DEADLINE), trio.CancelScope() as fuse.scope:
                with trio.move_on_after(0.02):  # for those that never end
                    async with source.open() as feed:
                        await rest_of(feed)
            fuse.scope = None

        with ExitStack() as stack:
            source = make(tmp_path, stack)
            with nothing_left():
                trio.run(main, source, instruments=[fuse])
        if fuse.left > 0:
            break

    assert fuse.left > 0, "there are more steps to be tried"
    assert steps > 1
    with nothing_left(MARK):
        pass


def test_a_source_can_be_opened_again_and_again(tmp_path):
    source = a_wav(tmp_path, ExitStack())

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            for _ in range(20):
                async with source.open() as feed:
                    assert (await rest_of(feed)).audio == NOISE

    with nothing_left():
        trio.run(main)


@pytest.mark.parametrize(
    "make", [a_wav, a_fifo, a_pipe_on_stdin, a_command_with_children], ids=lambda make: make.__name__
)
def test_a_task_of_a_source_does_not_outlive_it(tmp_path, make):
    async def main(source: Source) -> None:
        with trio.fail_after(DEADLINE):
            before = trio.lowlevel.current_statistics().tasks_living
            async with source.open():
                pass
            assert trio.lowlevel.current_statistics().tasks_living == before

    with ExitStack() as stack:
        source = make(tmp_path, stack)
        trio.run(main, source)
    with nothing_left(MARK):
        pass


def test_a_cancelled_leaving_still_ends_the_children(monkeypatch):
    """A call that is given up while its child is being told to end: the child ends all the same."""
    monkeypatch.setattr("supervisor.sources.command.GRACE", 0.05)
    script = f"trap '' TERM; printf audio; sleep {MARK} & while :; do wait; done"

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            with trio.move_on_after(0.1) as scope:
                async with CommandSource(f"sh -c {shlex.quote(script)}", MULAW).open():
                    while not processes(MARK):  # noqa: ASYNC110 - until its child is there
                        await trio.sleep(0.001)
                    scope.deadline = trio.current_time() + 0.01

    with nothing_left(MARK):
        trio.run(main)
