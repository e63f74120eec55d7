"""An audio file: WAV and raw audio as they are, what else soundfile knows as linear16, and the way on for the rest.

Reading goes through a thread, and each open file has a limiter of its own: the shared one may be full of abandoned
name look-ups.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import trio

from ..core.plain import plain
from ..core.problem import Exit, Problem
from ..core.unwrap import Declared, Unreadable, Unwrap, ffmpeg
from .ahead import BLOCK, Wrapping, read_ahead, unreadable
from .compressed import CONTAINERS, Decoder
from .feed import Feed

Result = TypeVar("Result")


class Disk:
    """Runs what may have to wait for a disk in a thread, one call at a time.

    A cancelled call waits for its thread: what it was about to do to a descriptor must not happen to the next file.
    """

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def __call__(self, function: Callable[[], Result]) -> Result:
        return await trio.to_thread.run_sync(function, limiter=self._limiter)


@dataclass(frozen=True, slots=True)
class FileSource:
    path: str
    declared: Declared = field(default_factory=Declared)
    live: bool = False  # played by the clock, as if it were spoken now

    @property
    def label(self) -> str:
        return f"file:{plain(self.path)}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        disk = Disk()
        with ExitStack() as stack:
            try:
                file = await disk(partial(os.open, self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
                stack.callback(os.close, file)
                wrapping, read, came = await self._begin(disk, file, stack)
            except OSError as error:
                raise unreadable(f"file {plain(self.path)}", error) from None
            size = os.fstat(file).st_size  # 0 of a device, which may never end
            duration = wrapping.seconds(size) if size else None
            async with read_ahead(
                partial(disk, read), wrapping, live=self.live, came=came, duration=duration
            ) as feed:
                yield feed

    async def _begin(self, disk: Disk, file: int, stack: ExitStack) -> tuple[Wrapping, Callable[[], bytes], bytes]:
        """Whatever can read this file, with the first audio in it."""
        name = plain(self.path)
        if os.isatty(file):
            raise Problem(f"{name} is a terminal, not audio", "name a file", Exit.NO_INPUT)
        hint = ffmpeg(shlex.quote(name))
        unwrap = Unwrap(name, self.declared, hint=hint)
        read = partial(os.read, file, BLOCK)
        try:
            return unwrap, read, await first_audio(partial(disk, read), unwrap)
        except Unreadable as problem:
            # The frames of an MP3 have no mark of their own that raw audio could not have.
            if problem.container not in CONTAINERS and not name.lower().endswith(".mp3"):
                raise
        decoder = await disk(partial(Decoder, name, file, hint))
        stack.callback(decoder.close)
        self.declared.check(name, decoder.format)
        return decoder, decoder.read, await first_audio(partial(disk, decoder.read), decoder)


async def first_audio(read: Callable[[], Awaitable[bytes]], wrapping: Wrapping) -> bytes:
    """Read until there is audio; raises Problem where there is none."""
    while data := await read():
        if came := wrapping.feed(data):
            return came
    return wrapping.end()
