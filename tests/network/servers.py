"""Servers written as scripts of bytes, and what a client's connection makes of them.

They run over a wire in memory on the jumping clock, so a timeout of seconds takes none and is exact to the microsecond.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from supervisor.connection import Closed, Connection, Endpoint, connect
from supervisor.core.closure import Closure
from supervisor.memory import memory_wire

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CLOSE_TIMEOUT = 1.0
MEGABYTE = 1024 * 1024
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes = b"", reserved: int = 0) -> bytes:
    """A server's frame (RFC 6455 5.2), or one that no server may send."""
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    elif size < 65536:
        length = struct.pack("!BH", 126, size)
    else:
        length = struct.pack("!BQ", 127, size)
    length = bytes((length[0] | (0x80 if mask else 0),)) + length[1:]
    if mask:
        payload = mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes((opcode | (0x80 if fin else 0) | reserved << 4,)) + length + payload


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


@dataclass
class Server:
    """One accepted connection."""

    stream: trio.abc.HalfCloseableStream
    request: bytes = b""
    sent: bytes = b""  # by the client, after its request
    ended: str = ""  # how the client's side ended, once it has

    async def receive(self, at_once: int = 65536) -> bytes:
        try:
            data = bytes(await self.stream.receive_some(at_once))
        except trio.BrokenResourceError:
            self.ended = "broken"
            return b""
        if not data:
            self.ended = self.ended or "eof"
        if b"\r\n\r\n" in self.request:
            self.sent += data
        else:
            self.request += data
            head, end, rest = self.request.partition(b"\r\n\r\n")
            self.request, self.sent = head + end, rest
        return data

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read_request(self) -> bytes:
        while b"\r\n\r\n" not in self.request:
            if not await self.receive():
                raise trio.BrokenResourceError("no request came")
        return self.request

    async def upgrade(self, headers: bytes = b"", then: bytes = b"") -> None:
        await self.read_request()
        await self.send(self.acceptance(headers) + then)

    def acceptance(self, headers: bytes = b"") -> bytes:
        """The answer to the request; its bytes are the same each time but for the accepted key."""
        key = next(line.partition(b":")[2].strip() for line in self.request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n" + headers + b"\r\n"
        )

    async def hang_up(self) -> None:
        await self.stream.send_eof()

    async def until(self, kind: type[Event]) -> None:
        """Read until the client has sent such a frame."""
        while not any(isinstance(event, kind) for event in self.events()) and await self.receive():
            pass

    async def rest(self) -> None:
        while await self.receive():
            pass

    def events(self) -> list[Event]:
        """The client's frames; wsproto says where one is broken."""
        frames = Frames(ConnectionType.SERVER)
        frames.receive_data(self.sent)
        return list(frames.events())


Script = Callable[[Server], Awaitable[None]]
Use = Callable[[Connection], Awaitable[None]]


@dataclass
class Outcome:
    """How one connection ended."""

    closure: Closure | None = None
    closures: int = 0
    took: float = 0.0  # from the dial to the end
    left: float = 0.0  # from the end of the use, to the end
    heard: list[str | bytes] = field(default_factory=list)
    unheard: list[str | bytes] = field(default_factory=list)
    server: Server = field(default=None)  # type: ignore[assignment]
    cancelled: bool = False
    request_id: str = ""


def leaves(group: BaseExceptionGroup[Closed]) -> list[Closed]:
    found: list[Closed] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def converse(
    script: Script,
    use: Use | None = None,
    *,
    capacity: int = 262144,
    latency: float = 0.0,
    send_timeout: float = 5.0,
    scope: trio.CancelScope | None = None,
) -> Outcome:
    """Connect to a server that follows a script and then only reads; it must see the end of the connection."""
    outcome = Outcome()
    wire, peer = memory_wire(capacity, latency, send_timeout)
    outcome.server = Server(peer)

    async def serve() -> None:
        try:
            await script(outcome.server)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            outcome.server.ended = outcome.server.ended or "broken"
        with trio.fail_after(60):
            while not outcome.server.ended:
                await outcome.server.receive()
        await peer.aclose()

    async def dial():
        await trio.lowlevel.checkpoint()
        return wire

    endpoint = Endpoint(dial, "listen.example.com", "/v1/listen?model=nova-3", ((b"Authorization", b"Token k"),), connect_timeout=3.0)

    async def hear(connection: Connection) -> None:
        while True:
            outcome.heard.append(await connection.hear())

    began = ended = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with scope or trio.CancelScope() as scope:
            try:
                async with connect(endpoint) as connection:
                    outcome.request_id = connection.request_id
                    try:
                        await (use or hear)(connection)
                    finally:
                        outcome.unheard = connection.unheard()
                        ended = trio.current_time()
            except* Closed as group:
                closed = leaves(group)
                outcome.closure, outcome.closures = closed[0].closure, len(closed)
        outcome.cancelled = scope.cancelled_caught
        outcome.took, outcome.left = trio.current_time() - began, trio.current_time() - ended
        if not wire.dead:  # closed, or never dialled because of a cancellation
            assert outcome.cancelled
            wire.close()
    return outcome


def simulate(script: Script, use: Use | None = None, *, instruments: Sequence[trio.abc.Instrument] = (), **options: object) -> Outcome:
    async def main() -> Outcome:
        with trio.fail_after(300):
            return await converse(script, use, **options)  # type: ignore[arg-type]

    return trio.run(main, clock=MockClock(autojump_threshold=0), instruments=instruments)


async def hear_all(connection: Connection, into: list[object] | None = None) -> None:
    while True:
        message = await connection.hear()
        if into is not None:
            into.append(message)


def saying(*data: bytes, hang_up: bool = False) -> Script:
    async def script(server: Server) -> None:
        await server.upgrade()
        for each in data:
            await server.send(each)
        if hang_up:
            await server.hang_up()

    return script


def check_closed(outcome: Outcome, code: int, reason: str = "", *, took: float = 0.0) -> None:
    assert outcome.closure is not None
    assert (outcome.closure.code, outcome.closure.reason) == (code, reason)
    assert outcome.closure.opened
    assert outcome.closure.status is None
    assert outcome.took == pytest.approx(took)
    assert outcome.server.ended


def broken_to_pieces(events: list[Event]) -> list[tuple[str, object]]:
    """The frames as pairs of a kind and what is in it, for comparing."""
    names = {BytesMessage: "audio", TextMessage: "text", Ping: "ping", Pong: "pong"}
    return [
        ("close", event.code) if isinstance(event, CloseConnection)
        else (names[type(event)], bytes(event.payload) if isinstance(event, Ping | Pong) else event.data)  # type: ignore[attr-defined]
        for event in events
    ]  # fmt: skip


