"""Ways to take from a source in a test, and to see what it has left behind."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Problem
from supervisor.core.wav import SUBFORMAT
from supervisor.sources import End, Feed, Source

NOISE = random.Random(1).randbytes(40_000)
PCM = AudioFormat("linear16", 16000, 1)
DEADLINE = 20.0  # real seconds: for what hangs, never for what is slow


@dataclass(frozen=True)
class Heard:
    format: AudioFormat
    pieces: list[bytes]
    problem: Problem | None
    warnings: list[str]

    @property
    def audio(self) -> bytes:
        return b"".join(self.pieces)


async def rest_of(feed: Feed) -> Heard:
    """Take until the end, as a call does: at each tick, and never an empty piece."""
    pieces: list[bytes] = []
    while not isinstance(taken := feed.take(), End):
        if taken is None:
            await trio.sleep(0.001)
        else:
            assert isinstance(taken, bytes)
            assert taken
            pieces.append(taken)
    assert feed.take() == taken, "an end is for ever"
    return Heard(feed.format, pieces, taken.problem, list(feed.warnings))


async def next_of(feed: Feed) -> bytes:
    """The next audio, as soon as it comes."""
    while (taken := feed.take()) is None:  # noqa: ASYNC110 - a feed has no bell
        await trio.sleep(0.001)
    assert isinstance(taken, bytes), taken
    return taken


def heard(source: Source) -> Heard:
    """All of a source, from opening to end."""

    async def main() -> Heard:
        with trio.fail_after(DEADLINE):
            async with source.open() as feed:
                return await rest_of(feed)

    return trio.run(main)


def refusal(source: Source) -> Problem:
    """Why a source cannot be opened: one line, with nothing in it that a terminal would obey."""

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with source.open():
                pass

    with pytest.raises(Problem) as caught:
        trio.run(main)
    assert str(caught.value).isprintable()
    return caught.value


def descriptors() -> dict[str, str]:
    """What this process has open."""
    found = {}
    for each in Path("/proc/self/fd").iterdir():
        try:
            found[each.name] = str(each.readlink())
        except FileNotFoundError:  # the directory itself, while it was read
            continue
    return found


def processes(mark: str) -> list[int]:
    """Those with these bytes in their command line."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in each.read_bytes() and int(each.parent.name) != os.getpid():
                found.append(int(each.parent.name))
        except OSError:  # it has gone
            continue
    return found


@contextmanager
def nothing_left(mark: str = "") -> Iterator[None]:
    """No descriptor, no child and no process with this mark is left of what ran inside."""
    before = descriptors()
    yield
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    since = time.monotonic()
    while mark and processes(mark) and time.monotonic() - since < DEADLINE:  # one that was killed needs time to die
        time.sleep(0.01)
    assert not mark or processes(mark) == []


def wav(
    audio: bytes, *, tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16,
    size: int | None = None, extensible: bool = False,
) -> bytes:  # fmt: skip
    """A WAV made here, by the book, so that the reader is not held against its own writer."""
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * frame, frame, bits)
    if extensible:
        fmt += struct.pack("<HHIH", 22, bits, 0, tag) + SUBFORMAT
    body = b"WAVE" + struct.pack("<4sI", b"fmt ", len(fmt)) + fmt
    body += struct.pack("<4sI", b"data", len(audio) if size is None else size) + audio
    riff = len(body) if size is None else size
    return b"RIFF" + struct.pack("<I", riff) + body
