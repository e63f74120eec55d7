"""A wire in memory, with the limits and the faults of a network, so that simulated calls run the very same code."""

from __future__ import annotations

from collections import deque

import trio

from .wire import READ, Flushing


class Pipe:
    """Bytes one way: at most `capacity` of them on their way, each `latency` seconds long."""

    def __init__(self, capacity: int, latency: float) -> None:
        self.capacity = capacity
        self.latency = latency
        self.ended = False  # the writer will write no more
        self.unread_from = float("inf")  # when the reader went away: the writer learns of it one latency later
        self.broken = False  # reset: both sides find out at once
        self.blackhole = False  # takes everything, delivers nothing
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self.changed = trio.Event()

    def write(self, data: bytes | memoryview) -> int:
        """Take what there is room for; raises BlockingIOError when there is none."""
        if self.broken:
            raise ConnectionResetError("connection reset by peer")
        if self.ended or trio.current_time() >= self.unread_from + self.latency:
            raise BrokenPipeError("broken pipe")
        if self.blackhole:
            return len(data)
        taken = bytes(data[: self.capacity - self._size])
        if not taken:
            raise BlockingIOError
        self._chunks.append((trio.current_time() + self.latency, taken))
        self._size += len(taken)
        self.ring()
        return len(taken)

    def read(self, limit: int) -> bytes:
        """Give what has arrived, b"" at the end; raises BlockingIOError when nothing has."""
        if self.broken:
            raise ConnectionResetError("connection reset by peer")
        arrived, now = b"", trio.current_time()
        while self._chunks and self._chunks[0][0] <= now and len(arrived) < limit:
            arrived += self._chunks.popleft()[1]
        if len(arrived) > limit:
            self._chunks.appendleft((now, arrived[limit:]))
            arrived = arrived[:limit]
        if arrived:
            self._size -= len(arrived)
            self.ring()
            return arrived
        if self.ended and not self._chunks:
            return b""
        raise BlockingIOError

    @property
    def full(self) -> bool:
        return self._size >= self.capacity and not (self.broken or self.blackhole or self.ended)

    async def readable(self) -> None:
        """Wait until a read may find something else than it did: a change, or bytes that have travelled."""
        with trio.move_on_at(self._chunks[0][0] if self._chunks else float("inf")):
            await self.changed.wait()

    async def writable(self) -> None:
        """Wait until a write may do something else than it did: there is room, or it fails."""
        if self.full:
            with trio.move_on_at(self.unread_from + self.latency):
                await self.changed.wait()

    def end(self) -> None:
        """The writer goes away; what it wrote still arrives."""
        self.ended = True
        self.ring()

    def leave(self) -> None:
        """The reader goes away."""
        self.unread_from = min(self.unread_from, trio.current_time())
        self.ring()

    def ring(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class MemoryWire(Flushing):
    """Our end."""

    def __init__(self, out: Pipe, back: Pipe, send_timeout: float) -> None:
        super().__init__(send_timeout)
        self._out, self._back = out, back
        self._closed = False

    def _send(self, data: memoryview) -> int:
        return self._out.write(data)

    async def _sendable(self) -> None:
        await self._out.writable()

    def _receive(self) -> bytes:
        if self._closed:
            raise OSError("closed")
        return self._back.read(READ)

    async def _receivable(self) -> None:
        await self._back.readable()

    def close(self) -> None:
        self._die("closed")
        self._closed = True
        self._out.end()
        self._back.leave()


class MemoryPeer(trio.abc.HalfCloseableStream):
    """The other end, as the stream that a server knows."""

    def __init__(self, arriving: Pipe, leaving: Pipe) -> None:
        self._arriving, self._leaving = arriving, leaving
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest:
            self._check()
            try:
                rest = rest[self._leaving.write(rest) :]
            except BlockingIOError:
                await self._leaving.writable()
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()
        await self._leaving.writable()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            self._check()
            try:
                return self._arriving.read(max_bytes or READ)
            except BlockingIOError:
                await self._arriving.readable()
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self._leaving.end()

    def reset(self) -> None:
        """What a TCP reset does: both sides break at once, and what was on its way is gone."""
        for pipe in (self._arriving, self._leaving):
            pipe.broken = True
            pipe.ring()

    def vanish(self) -> None:
        """What a cut cable does: nothing arrives any more, either way, and nobody is told."""
        for pipe in (self._arriving, self._leaving):
            pipe.blackhole = True

    async def aclose(self) -> None:
        self._closed = True
        self._leaving.end()
        self._arriving.leave()
        await trio.lowlevel.checkpoint()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("closed")


def memory_wire(
    capacity: int = 262144, latency: float = 0.0, send_timeout: float = 5.0
) -> tuple[MemoryWire, MemoryPeer]:
    """A wire and its other end. `capacity` is what the network holds each way, in bytes."""
    there, back = Pipe(capacity, latency), Pipe(capacity, latency)
    return MemoryWire(there, back, send_timeout), MemoryPeer(there, back)
