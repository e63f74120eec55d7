"""A connection's bytes, in one order: whatever is put goes out whole and in turn, or the wire is dead.

Audio, KeepAlives, pongs and Close frames come from several tasks. None of them may be cut in two by a cancellation or
by another, and none may wait for a network. So `put` never waits: it hands the socket what it takes and keeps the rest,
and one task flushes that rest. A rest that cannot be got rid of in time kills the wire, because a peer that does not
read is a peer that is gone.
"""

from __future__ import annotations

import abc
import contextlib
import socket
from collections import deque

import trio

READ = 65536  # bytes


class Wire(abc.ABC):
    """What a session talks over: TCP, TLS, or memory."""

    @property
    @abc.abstractmethod
    def clear(self) -> bool:
        """Everything that was put has been taken by the network, and more would be."""

    @abc.abstractmethod
    def put(self, data: bytes) -> None:
        """Send all of it, in turn; raises trio.BrokenResourceError once the wire is dead."""

    @abc.abstractmethod
    async def drained(self) -> None:
        """Return when the wire is clear; raises trio.BrokenResourceError if it dies instead."""

    @abc.abstractmethod
    async def receive(self) -> bytes:
        """Some bytes from the peer, b"" once it has hung up; raises trio.BrokenResourceError if the wire died.

        What had come before it died is given first: a server that closes says why, and then refuses our next frame.
        """

    @abc.abstractmethod
    async def run(self) -> None:
        """Flush what `put` could not send at once, until cancelled or the wire is dead. One task runs this."""

    @abc.abstractmethod
    def close(self) -> None:
        """End at once, politely or not. What has not been flushed is lost."""


class Flushing(Wire):
    """The part that all wires of our own share: one ordered buffer and its flusher, over four primitives."""

    def __init__(self, send_timeout: float) -> None:
        self._send_timeout = send_timeout
        self._rest: deque[memoryview] = deque()
        self._stuck = trio.Event()
        self._clear = trio.Event()
        self._clear.set()
        self.dead = ""  # why

    @abc.abstractmethod
    def _send(self, data: memoryview) -> int:
        """Hand over some bytes without waiting; raises BlockingIOError, or OSError."""

    @abc.abstractmethod
    async def _sendable(self) -> None: ...

    @abc.abstractmethod
    def _receive(self) -> bytes:
        """Take what has come without waiting; raises BlockingIOError, or OSError."""

    @abc.abstractmethod
    async def _receivable(self) -> None: ...

    @property
    def clear(self) -> bool:
        return not self._rest and not self.dead

    def put(self, data: bytes) -> None:
        self._check()
        view = memoryview(data)
        if not self._rest:
            view = view[self._try(view) :]
            self._check()
        if view:
            self._rest.append(view)
            if self._clear.is_set():
                self._clear = trio.Event()
            self._stuck.set()

    def _try(self, view: memoryview) -> int:
        try:
            return self._send(view)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._die(error.strerror or str(error))
            return 0

    async def run(self) -> None:
        while not self.dead:
            await self._stuck.wait()
            with trio.move_on_after(self._send_timeout) as flushing:
                while self._rest:
                    await self._sendable()
                    self._flush()
            if flushing.cancelled_caught:
                self._die(f"the peer does not take what is sent, for {self._send_timeout:g} s")
                self.close()  # wakes a receiver that the silent network would leave waiting
            self._stuck = trio.Event()
            self._clear.set()

    def _flush(self) -> None:
        """Hand over some of the rest, which is gone if the wire died meanwhile or dies of this."""
        sent = self._try(self._rest[0]) if self._rest else 0
        if self._rest:
            first = self._rest.popleft()
            if sent < len(first):
                self._rest.appendleft(first[sent:])

    async def drained(self) -> None:
        while self._rest and not self.dead:
            await self._clear.wait()
        self._check()
        await trio.lowlevel.checkpoint()

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                data = self._receive()
            except BlockingIOError:
                self._check()
                await self._receivable()
            except OSError as error:
                self._die(error.strerror or str(error))
                self._check()
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
                if not data:
                    self._check()  # the kernel tells of a reset once, and then of an end
                return data

    def _check(self) -> None:
        if self.dead:
            raise trio.BrokenResourceError(self.dead)

    def _die(self, why: str) -> None:
        self.dead = self.dead or why or "the connection broke"
        self._rest.clear()
        self._clear.set()
        self._stuck.set()


class SocketWire(Flushing):
    """A connected TCP socket, non-blocking; the wire owns it."""

    def __init__(self, connected: socket.socket, send_timeout: float) -> None:
        super().__init__(send_timeout)
        connected.setblocking(False)
        self._socket = connected

    def _send(self, data: memoryview) -> int:
        return self._socket.send(data)

    async def _sendable(self) -> None:
        with contextlib.suppress(trio.ClosedResourceError):  # closed under us: the next look says so
            await trio.lowlevel.wait_writable(self._socket)

    def _receive(self) -> bytes:
        return self._socket.recv(READ)

    async def _receivable(self) -> None:
        with contextlib.suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_readable(self._socket)

    def close(self) -> None:
        self._die("closed")
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
