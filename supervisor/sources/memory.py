"""Audio from memory, on trio's clock and without a thread: what simulated calls are fed with.

An autojump clock overtakes a thread, so files, pipes and children have no place in a simulation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from ..core.audio import AudioFormat
from ..core.problem import Problem
from .feed import End, Feed, Filled

PIECE = 0.1  # seconds of audio in one take of a source that is not live
PACKET = 0.02  # seconds of audio in one packet of telephony
EMPTY = 5  # one packet in so many comes with an empty one before it, as real ones do
INSTANT = 1e-9  # seconds; sums of 0.02 do not meet exactly

Timed = tuple[float, bytes | Filled]  # seconds after the source was opened, and what comes then


class Schedule:
    """A feed of what is due."""

    def __init__(self, format: AudioFormat, chunks: Iterable[Timed], live: bool, end: End) -> None:  # noqa: A002
        self.format = format
        self.live = live
        self.duration: float | None = None
        self.warnings: list[str] = []
        self._chunks = iter(chunks)
        self._next = next(self._chunks, None)
        self._end = end
        self._opened = trio.current_time()
        self._held = b""

    def take(self) -> bytes | Filled | End | None:
        now = trio.current_time() - self._opened + INSTANT
        most = max(1, self.format.frames(PIECE)) * self.format.frame_bytes
        came = [self._held]
        size = len(self._held)
        while self._next is not None and self._next[0] <= now and (self.live or size < most):
            chunk = self._next[1]
            if isinstance(chunk, Filled):
                if size:
                    break
                self._advance()
                return chunk
            came.append(chunk)
            size += len(chunk)
            self._advance()
        audio = b"".join(came)
        self._held = b""
        if not self.live:
            audio, self._held = audio[:most], audio[most:]
        # Packets may be empty, and a take never is.
        return audio or (self._end if self._next is None else None)

    def _advance(self) -> None:
        self._next = next(self._chunks, None)


@dataclass(frozen=True, slots=True)
class MemorySource:
    """Bytes, all there from the start, or chunks that come at their times."""

    format: AudioFormat
    audio: bytes | Sequence[Timed]
    live: bool = False
    problem: Problem | None = None  # it dies of this in the end
    label: str = "memory"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        chunks: Iterable[Timed] = [(0.0, self.audio)] if isinstance(self.audio, bytes) else self.audio
        yield Schedule(self.format, chunks, self.live, End(self.problem))


@dataclass(frozen=True, slots=True)
class Speaker:
    """`seconds` of audio in packets of 20 ms, each coming once it is spoken, a few of them empty.

    `audio(position, length)` gives `length` bytes of the call from byte `position` on. `pauses` are (after so many
    seconds of audio, silent on the wire for so many seconds); with `fills` the source knows how long each was, and
    says so. Not live, all is there at once, up to the pauses that have not passed.
    """

    format: AudioFormat
    audio: Callable[[int, int], bytes]
    seconds: float
    live: bool = True
    pauses: Sequence[tuple[float, float]] = ()
    fills: bool = False
    problem: Problem | None = None
    label: str = "speaker"
    packet: float = field(default=PACKET, kw_only=True)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        yield Schedule(self.format, self._packets(), self.live, End(self.problem))

    def _packets(self) -> Iterator[Timed]:
        total, step = self.format.frames(self.seconds), max(1, self.format.frames(self.packet))
        pauses = [(self.format.frames(at), length) for at, length in sorted(self.pauses)]
        paused = 0.0
        for number, start in enumerate(range(0, total, step)):
            while pauses and pauses[0][0] <= start:
                length = pauses.pop(0)[1]
                paused += length
                if self.fills:
                    yield self._due(start, paused), Filled(self.format.frames(length))
            end = min(start + step, total)
            due = self._due(end, paused)
            if number % EMPTY == EMPTY - 1:
                yield due, b""
            size = self.format.frame_bytes
            yield due, self.audio(start * size, (end - start) * size)

    def _due(self, frame: int, paused: float) -> float:
        return paused + (self.format.seconds(frame) if self.live else 0.0)
