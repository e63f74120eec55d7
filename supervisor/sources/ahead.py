"""The one adapter between what must be read (files, pipes, children) and a call that takes and never waits.

Two ways lead in. A *tap* (a pipe) can be read without waiting, so `take` reads it there and then, and no task wakes
for a packet: what nobody has asked for lies in the kernel's pipe, and a producer that is not live waits there. Behind
a live tap a patrol reads when nobody has taken for a while, up to 10 s of audio, so that a stalled call does not stall
its caller. A *disk* can only be waited for, in a thread, so a task reads ahead of `take`, about two blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import trio

from ..core.audio import AudioFormat
from ..core.problem import Exit, Problem
from .feed import End, Feed

BLOCK = 65536  # bytes read at a time: what a pipe holds
PIECE = 0.1  # seconds of audio in one take of a source that is not live
KEPT = 10.0  # seconds of live audio kept here when nobody takes it
FAST = 30.0  # seconds of audio ahead of the clock that no live source can be
REST = 0.5  # seconds between two looks of the patrol


class Wrapping(Protocol):
    """Makes raw audio of what is read: core.unwrap.Unwrap, or a decoder."""

    name: str
    warnings: list[str]

    @property
    def format(self) -> AudioFormat | None:
        """None until it is known."""
        ...

    def feed(self, data: bytes) -> bytes: ...
    def end(self) -> bytes: ...
    def seconds(self, size: int) -> float:
        """Of audio in all, where the source is a file of so many bytes."""
        ...


class Tap(Protocol):
    """Bytes that can be read without waiting."""

    def read(self, limit: int) -> bytes | None:
        """What is there, None where nothing is, b"" at the end; raises OSError and Problem."""
        ...

    async def readable(self) -> None:
        """Return when `read` may give something; it may give nothing."""
        ...


def unreadable(name: str, error: OSError) -> Problem:
    """What cannot be opened or read, as a person would say it."""
    match error:
        case FileNotFoundError():
            return Problem(f"there is no {name}", "check the name", Exit.NO_INPUT)
        case IsADirectoryError():
            return Problem(f"{name} is a directory", "name the audio file in it", Exit.NO_INPUT)
        case PermissionError():
            return Problem(f"no permission to read {name}", "check its owner and mode (ls -l)", Exit.NO_INPUT)
    return Problem(f"cannot read {name}", error.strerror or repr(error), Exit.NO_INPUT)


class Ahead:
    """A feed of what has been read and not yet taken."""

    def __init__(
        self, wrapping: Wrapping, *, live: bool, tap: Tap | None = None, duration: float | None = None
    ) -> None:
        assert wrapping.format is not None
        self.duration = duration
        self.format = wrapping.format
        self.live = live
        self.warnings = wrapping.warnings
        self._wrapping = wrapping
        self._tap = tap
        self._held: deque[bytes] = deque()
        self._cut = 0  # bytes of the first of them that have been taken
        self._size = 0
        self._end: End | None = None
        self._second = self.format.sample_rate * self.format.frame_bytes
        self._piece = max(1, self.format.frames(PIECE)) * self.format.frame_bytes
        self._room = trio.Event()
        self._began: float | None = None  # when a live source began to speak
        self._came = 0  # bytes since then
        self._outran = False
        self._asked = False  # take() was called since the patrol last looked
        self._drained = False  # take() has just given all that had come by a live tap

    def take(self) -> bytes | End | None:
        self._asked = True
        if self._drained:  # what has come since then is for the next tick: a writer without end would never let it come
            self._drained = False
            return None
        if self._tap is not None:
            self._draw(self._tap, self._second * KEPT if self.live else self._piece)
            limit = self._size if self.live else self._piece
            self._drained = self.live and limit > 0
        else:
            limit = self._spoken() if self.live else self._piece
        taken = self._pop(limit)
        if self._size <= BLOCK:
            self._room.set()
        return taken or (None if self._held else self._end)

    def put(self, audio: bytes) -> None:
        if audio:
            self._held.append(audio)
            self._size += len(audio)

    def end(self, problem: Problem | None = None) -> None:
        """All that came stays to be taken; `problem` says why no more will."""
        try:
            self.put(self._wrapping.end())
        except Problem as nothing_came:
            problem = problem or nothing_came
        self._end = End(problem)

    async def patrol(self) -> None:
        """Keep a live tap flowing while nobody takes from it."""
        assert self._tap is not None
        # A pipe holds one block, whatever its audio: look again before it can be full.
        rest = min(REST, BLOCK / self._second / 4)
        while self._end is None:
            await self._tap.readable()
            self._asked = False
            await trio.sleep(rest)
            if not self._asked:
                self._draw(self._tap, self._second * KEPT)

    async def fill(self, read: Callable[[], Awaitable[bytes]]) -> None:
        """Keep about two blocks ahead of what is taken."""
        try:
            while self._end is None and (data := await read()):
                self.hear(data)
                if self._size > BLOCK:
                    self._room = trio.Event()
                    await self._room.wait()
        except OSError as error:
            self.end(unreadable(self._wrapping.name, error))
        except Problem as problem:
            self.end(problem)
        else:
            if self._end is None:
                self.end()

    def hear(self, data: bytes) -> None:
        """Keep the audio in what was read; when there can be none in it, that is the end."""
        try:
            audio = self._wrapping.feed(data)
        except Problem as problem:
            self._end = End(problem)
        else:
            self.put(audio)

    def _draw(self, tap: Tap, enough: float) -> None:
        """Read until there is nothing to read, or enough."""
        before = self._size
        try:
            while self._end is None and self._size < enough:
                data = tap.read(BLOCK)
                if data is None:
                    break
                if data:
                    self.hear(data)
                else:
                    self.end()
        except OSError as error:
            self.end(unreadable(self._wrapping.name, error))
        except Problem as problem:
            self.end(problem)
        if self.live and self._size > before:
            self._compare(self._size - before)

    def _compare(self, came: int) -> None:
        """Hold live audio against the clock, which it cannot be ahead of."""
        elapsed = self._elapsed()
        self._came += came
        if not self._outran and self._came / self._second - elapsed > FAST:
            self._outran = True
            self.warnings.append(
                f"{self._wrapping.name} gives audio faster than it is spoken, and a live source loses what the call "
                "cannot keep: --no-live makes it wait"
            )

    def _spoken(self) -> int:
        """What a file played as a live source has said by now and has not been taken."""
        said = int(self._elapsed() * self.format.sample_rate) * self.format.frame_bytes
        due = min(said - self._came, self._size)
        self._came += due
        return due

    def _elapsed(self) -> float:
        """Seconds since this was first asked."""
        now = trio.current_time()
        if self._began is None:
            self._began = now
        return now - self._began

    def _pop(self, limit: int) -> bytes:
        parts: list[bytes] = []
        while self._held and limit > 0:
            first = self._held[0]
            part = first if not self._cut and len(first) <= limit else first[self._cut : self._cut + limit]
            parts.append(part)
            limit -= len(part)
            self._cut += len(part)
            self._size -= len(part)
            if self._cut == len(first):
                self._held.popleft()
                self._cut = 0
        return b"".join(parts)


@asynccontextmanager
async def beside(*tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run tasks for as long as the body runs; its error is passed on as it is, not in a group."""
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(task)
            try:
                yield
            except Exception as error:
                failure = error
            nursery.cancel_scope.cancel()
    finally:  # whoever cancels all of this at the same moment must not hide it
        if failure is not None:
            raise failure


@asynccontextmanager
async def tapped(tap: Tap, wrapping: Wrapping, *, live: bool) -> AsyncIterator[Feed]:
    """A feed of what a tap gives; waits for as much of it as tells the format."""
    came = b""
    try:
        while wrapping.format is None:
            data = tap.read(BLOCK)
            if data:
                came = wrapping.feed(data)
            elif data is None:
                await tap.readable()
            else:
                wrapping.end()  # raises: whatever came, it was no header
    except OSError as error:
        raise unreadable(wrapping.name, error) from None
    ahead = Ahead(wrapping, live=live, tap=tap)
    ahead.put(came)
    async with beside(*([ahead.patrol] if live else [])):
        yield ahead


@asynccontextmanager
async def read_ahead(
    read: Callable[[], Awaitable[bytes]],
    wrapping: Wrapping,
    *,
    live: bool,
    came: bytes = b"",
    duration: float | None = None,
) -> AsyncIterator[Feed]:
    """A feed of what a disk gives, and of what came from it already."""
    ahead = Ahead(wrapping, live=live, duration=duration)
    ahead.put(came)
    async with beside(partial(ahead.fill, read)):
        yield ahead
