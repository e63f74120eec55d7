"""Audio from stdin or a FIFO, read without waiting.

A FIFO ends when its last writer has left, once there was one; before the first writer it is only silent. Reading alone
cannot tell the two apart (both give nothing), a poll can: Linux reports a hang-up only to a reader that has seen a
writer. A FIFO whose writers come and go within one call is held open by whoever starts them (`exec 3<>/run/line.pcm`).

stdin is shared with other processes, and O_NONBLOCK would be too: so a pipe is opened anew through /proc where that
is possible. A stdin that is no pipe or socket is always ready, as far as a poll can tell, and read as a file is.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from ..core.plain import plain
from ..core.problem import Exit, Problem
from ..core.unwrap import Declared, Unwrap
from .ahead import BLOCK, read_ahead, tapped, unreadable
from .feed import Feed
from .file import Disk, first_audio


class Pipe:
    """The reading end of a pipe, open and not blocking; whoever opened it closes it.

    `joined`: a writer is known to have been there.
    """

    def __init__(self, file: int, *, joined: bool) -> None:
        self._file = file
        self._joined = joined
        self._poll = select.poll()
        self._poll.register(file, select.POLLIN)

    def read(self, limit: int) -> bytes | None:
        try:
            data = os.read(self._file, limit)
            if data or self._joined:
                return data
            seen = dict(self._poll.poll(0)).get(self._file, 0)
            if seen & select.POLLIN:  # somebody wrote between the two calls, and may have left already
                return os.read(self._file, limit)
        except BlockingIOError:
            return None
        return b"" if seen else None

    async def readable(self) -> None:
        await trio.lowlevel.wait_readable(self._file)


@dataclass(frozen=True, slots=True)
class FifoSource:
    path: str
    declared: Declared = field(default_factory=Declared)
    live: bool = True

    @property
    def label(self) -> str:
        return f"fifo:{plain(self.path)}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        name = plain(self.path)
        with ExitStack() as stack:
            try:
                file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                raise unreadable(f"FIFO {name}", error) from None
            stack.callback(close, file)
            async with tapped(
                Pipe(file, joined=False), Unwrap(name, self.declared, settled=True), live=self.live
            ) as feed:
                yield feed


@dataclass(frozen=True, slots=True)
class StdinSource:
    declared: Declared = field(default_factory=Declared)
    live: bool = False
    file: int = 0

    @property
    def label(self) -> str:
        return "stdin"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        with ExitStack() as stack:
            try:
                if os.isatty(self.file):
                    hint = "pipe audio into it, or name a file"
                    raise Problem("stdin is a terminal, not audio", hint, Exit.USAGE)
                kind = os.fstat(self.file).st_mode
                if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
                    tap = Pipe(_own(self.file, stack), joined=True)
                    unwrap = Unwrap("stdin", self.declared, settled=True)
                    opening = tapped(tap, unwrap, live=self.live)
                else:
                    unwrap = Unwrap("stdin", self.declared)
                    read = partial(Disk(), partial(os.read, self.file, BLOCK))
                    opening = read_ahead(read, unwrap, live=self.live, came=await first_audio(read, unwrap))
            except OSError as error:
                raise unreadable("stdin", error) from None
            async with opening as feed:
                yield feed


def _own(shared: int, stack: ExitStack) -> int:
    """A descriptor for the same pipe that does not block; closed with the stack."""
    try:
        file = os.open(f"/proc/self/fd/{shared}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # a socket, a pipe of another user's, or no /proc: then it is set for all, and put back at the end
        stack.callback(os.set_blocking, shared, os.get_blocking(shared))
        file = os.dup(shared)
        os.set_blocking(file, False)
    stack.callback(close, file)
    return file


def close(file: int) -> None:
    """Close what trio may have waited for."""
    trio.lowlevel.notify_closing(file)
    os.close(file)
