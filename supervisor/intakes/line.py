"""A connection of telephony: read without waiting, written without waiting, and left without harm.

Whoever closes a socket that has unread data in it resets the connection (RFC 9293 3.10.4, RFC 2525 2.17), and to Asterisk
that is the end of the caller's call. So one always says first that nothing more will be sent, and then reads to the end.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import trio

PIECE = 64 * 1024  # bytes of one read
MOST = 1024 * 1024  # bytes of one look, or a flood takes other lines' time; in a second, all that a kernel may have kept
PATIENCE = 60.0  # seconds for a peer that was told goodbye to end its own side
AT_ONCE = 1.0  # the same, when the whole process ends
GLANCE = 0.1  # seconds between two looks at what nobody wants any more
BROKE_OFF = "the connection broke off: it was reset, or its other end is no longer there"


class Line(Protocol):
    """One connection, as whoever reads it sees it."""

    peer: str  # its address and port

    def take(self) -> bytes | None:
        """What has come, at most so much that other lines get their turn; b"" = nothing now; None = it has ended."""
        ...

    @property
    def broken(self) -> bool:
        """It ended by a reset, or by no longer being there, rather than by a goodbye."""
        ...

    def put(self, data: bytes) -> None:
        """Send it if that can be done at once; else it is dropped, for it is only a sign of life."""
        ...

    async def readable(self) -> None:
        """Wait until `take` gives something else than nothing."""
        ...

    def leave(self) -> None:
        """Nobody wants anything of it any more; `take` gives None from now on. Its peer is told, and read to its end."""
        ...


class SocketLine:
    """A TCP connection; the socket does not block, and belongs to whoever made this. `part` begins to take leave of it."""

    def __init__(self, connection: socket.socket, peer: str, part: Callable[[], object]) -> None:
        self.peer = peer
        self.broken = False
        self.left = False
        self._socket = connection
        self._part = part
        self._ended = False
        self._unsent = b""  # of a frame that has begun: no other may begin before it is whole

    def take(self) -> bytes | None:
        pieces: list[bytes] = []
        size = 0
        while not self._ended and size < MOST:
            try:
                data = self._socket.recv(PIECE)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # reset, or timed out: what came before was read
                self.broken = self._ended = True
                break
            self._ended = not data
            pieces.append(data)
            size += len(data)
            if len(data) < PIECE:
                break  # what has come meanwhile is for the next look
        return b"".join(pieces) if size or not self._ended else None

    def put(self, data: bytes) -> None:
        if self.left:
            return
        data = self._unsent or data
        with suppress(OSError):  # there is no room, or nobody: the next read tells
            self._unsent = data[self._socket.send(data) :]

    async def readable(self) -> None:
        await trio.lowlevel.wait_readable(self._socket)

    def leave(self) -> None:
        if not self.left:
            self.left = self._ended = True
            self._part()


async def take_leave(connection: socket.socket, patience: float | None = None) -> None:
    """Say that nothing more will be sent, read to the peer's own end, and close. Bounded, also when cancelled.

    `patience`: seconds for the peer to end, PATIENCE unless given.
    """
    try:
        with suppress(OSError):  # it has gone already
            connection.shutdown(socket.SHUT_WR)
            try:
                with trio.move_on_after(PATIENCE if patience is None else patience):
                    await _read_to_the_end(connection)
            except trio.Cancelled:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + AT_ONCE):
                    await _read_to_the_end(connection)
                raise
    finally:
        with suppress(OSError):
            _ended(connection)  # what came with the last packet would still reset it
        connection.close()


async def _read_to_the_end(connection: socket.socket) -> None:
    while True:
        await trio.lowlevel.wait_readable(connection)
        with suppress(BlockingIOError, InterruptedError):
            if _ended(connection):
                return
        await trio.sleep(GLANCE)


def _ended(connection: socket.socket) -> bool:
    """Throw away what has come, as much as one look may take; whether its end was among it."""
    return any(not connection.recv(PIECE) for _ in range(MOST // PIECE))
