"""One WebSocket, and the only module that knows trio-websocket.

The library does the opening handshake, reading, pongs and the Close frames. It leaves five things open, and this module
closes them: an opening handshake that is never answered, or cut short; a frame cut in two by a cancellation; a peer
that stops reading; a closing that never ends; a Ping that comes after our own Close. What a caller sees is one
exception, `Closed`, holding one `Closure`.

Audio does not go through the library: one frame each 100 ms for hundreds of calls is most of what the process does, so
it is framed here (RFC 6455 5.2) and put on the same wire. That is sound only while the library itself is not in the
middle of anything, hence `ready`.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import h11
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream
from wsproto.utilities import ProtocolError, RemoteProtocolError

from .core.closure import Closure
from .core.refusal import refusal, refusal_cut_short
from .dial import Dial
from .wire import Wire

BINARY, CLOSE, PING = 0x82, 0x88, 0x89  # FIN and the opcode
GOING_AWAY = (1001).to_bytes(2, "big")
HEAD = 8192  # bytes of an answer kept, in case it is cut short; a refusal is not read beyond them
UPGRADED = re.compile(rb"HTTP/1\.[01] 101 ")
E = TypeVar("E", bound=Exception)
KEYS = 64
QUEUE = 256  # messages that may wait for the receiver; beyond, the library stops reading and no pong is seen


class Closed(Exception):
    """The connection is over, for the reason its closure tells."""

    def __init__(self, closure: Closure) -> None:
        super().__init__(closure)
        self.closure = closure


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One attempt to open a WebSocket: where, as whom, and how long at most."""

    dial: Dial
    host: str
    resource: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    connect_timeout: float = 10.0
    close_timeout: float = 1.0
    entropy: Callable[[int], bytes] = os.urandom  # for masking keys, which nobody may guess (RFC 6455 10.3)

    @property
    def secret(self) -> bytes:
        """What nobody may see of the headers: the key, or a token; empty without."""
        return dict(self.headers).get(b"Authorization", b"").rpartition(b" ")[2]


class Connection:
    """An open WebSocket."""

    def __init__(self, ws: WebSocketConnection, stream: _WireStream, entropy: Callable[[int], bytes]) -> None:
        self._ws = ws
        self._stream = stream
        self._entropy = entropy
        self._keys = b""  # masking keys, drawn many at a time: asking the kernel costs as much as masking
        self._leaving = False
        self._abandoned = False
        # What the library throws away when it gives up (a message too long) stays with a second receiver.
        self._kept = ws._recv_channel.clone()
        headers = {name: value.decode("latin-1") for name, value in ws.handshake_headers}
        self.request_id = headers.get(b"dg-request-id", "")

    @property
    def received_at(self) -> float:
        """When the last bytes came, on trio's clock: any of them is a sign of life."""
        return self._stream.received_at

    @property
    def ready(self) -> bool:
        """A frame may be put: the wire is clear, nothing has closed and nobody is leaving."""
        return not self._leaving and self._ws.closed is None and self._stream.wire.clear

    def put(self, audio: bytes) -> None:
        """Send audio as one binary message. Only while `ready`.

        A wire that dies of it is told of by `hear`: the server's last words come first, and may say why.
        """
        assert audio, "an empty binary message is a request to end the stream"
        self._frame(BINARY, audio)

    def ping(self) -> None:
        """Send a ping. Whatever comes next is the answer."""
        self._frame(PING, b"")

    def _frame(self, opcode: int, payload: bytes) -> None:
        key, self._keys = self._keys[:4], self._keys[4:]
        if not key:
            drawn = self._entropy(KEYS * 4)
            key, self._keys = drawn[:4], drawn[4:]
        with contextlib.suppress(trio.BrokenResourceError):
            self._stream.wire.put(masked_frame(opcode, payload, key))

    async def say(self, text: str) -> None:
        """Send a text message, bounded by the wire's timeout; raises Closed."""
        try:
            await self._ws.send_message(text)
        except ConnectionClosed:
            raise Closed(self._closure()) from None

    async def hear(self) -> str | bytes:
        """The next message; raises Closed when all that came before the end has been heard."""
        if self._ws.closed and (kept := self._take()) is not None:
            await trio.lowlevel.checkpoint()
            return kept
        try:
            message: str | bytes = await self._ws.get_message()
        except ConnectionClosed:
            raise Closed(self._closure()) from None
        return message

    def unheard(self) -> list[str | bytes]:
        """The messages that have come and that nobody has taken; to be asked before the connection is left."""
        return list(iter(self._take, None))

    def _take(self) -> str | bytes | None:
        try:
            message: str | bytes = self._kept.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            return None
        return message

    def abandon(self) -> None:
        """The peer is given up: say so, and do not wait for its answer."""
        if self.ready:
            self._frame(CLOSE, GOING_AWAY)
        self._leaving = self._abandoned = True

    async def _leave(self, timeout: float) -> None:
        if trio.current_effective_deadline() == -math.inf:
            self.abandon()  # the library's reader is cancelled too: nobody would hear an answer
        self._leaving = True
        self._kept.close()
        if self._abandoned:
            return
        with trio.move_on_after(timeout, shield=True):
            await self._ws.aclose()

    def _closure(self) -> Closure:
        seen = self._ws.closed
        if seen is None or int(seen.code) == 1006:
            return Closure(code=1006, reason=self._stream.broke, opened=True)
        return Closure(code=int(seen.code), reason=seen.reason or "", opened=True)


@asynccontextmanager
async def connect(endpoint: Endpoint) -> AsyncIterator[Connection]:
    """Open one WebSocket; leave within the endpoint's timeouts, with the socket closed. Raises Closed."""
    deadline = trio.current_time() + endpoint.connect_timeout
    stream = _WireStream(await _dial(endpoint, deadline))
    closure, connection = None, None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.wire.run, name="flusher")
            connection = await _handshake(endpoint, stream, nursery, deadline)
            try:
                yield connection
            finally:
                await connection._leave(endpoint.close_timeout)  # noqa: ASYNC102 - it shields itself, within a deadline
                nursery.cancel_scope.cancel("the session is over")
    except* ConnectionRejected as group:
        rejected = first(group)
        body = rejected.body or b""
        if endpoint.secret:  # hidden before anything is cut, for half a key is too much as well
            body = body.replace(endpoint.secret, b"***")
        closure = refusal(rejected.status_code, rejected.headers or (), body)
    except* ConnectionClosed:
        closure = connection._closure() if connection else refusal_cut_short(stream.head, stream.broke)
    except* UnicodeError as group:
        if connection:
            raise  # ours
        closure = _no_upgrade(stream, first(group))  # wsproto takes some headers of an answer for ASCII
    except* (ProtocolError, h11.ProtocolError) as group:
        # The reader answers a Ping that comes after a Close frame, theirs or ours, which wsproto does not allow.
        if connection is None:
            closure = _no_upgrade(stream, first(group))
        elif not connection._leaving:
            closed = connection._ws.closed
            closure = connection._closure() if closed else Closure(code=1002, reason=str(first(group)), opened=True)
    finally:
        stream.wire.close()
    if closure:
        raise Closed(closure)


def _no_upgrade(stream: _WireStream, error: Exception) -> Closure:
    """The library meets a wrong answer with a refusal, which a client cannot send: what was wrong came before."""
    wrong: BaseException | None = error
    while wrong and not isinstance(wrong, RemoteProtocolError):
        wrong = wrong.__context__
    return refusal_cut_short(stream.head, f"the answer is no upgrade to a WebSocket: {wrong or error}")


async def _dial(endpoint: Endpoint, deadline: float) -> Wire:
    try:
        with trio.fail_at(deadline):
            return await endpoint.dial()
    except trio.TooSlowError:
        raise Closed(Closure(reason=f"cannot reach {endpoint.host}: no answer in time")) from None
    except (OSError, trio.BrokenResourceError) as error:
        raise Closed(Closure(reason=str(error))) from error


async def _handshake(
    endpoint: Endpoint, stream: _WireStream, nursery: trio.Nursery, deadline: float
) -> Connection:
    with trio.move_on_at(deadline) as waiting:
        nursery.start_soon(_cancel_when, stream.hung_up, waiting)
        ws = await wrap_client_stream(
            nursery,
            stream,  # type: ignore[arg-type]  # any stream will do, as the docstring says
            endpoint.host,
            endpoint.resource,
            extra_headers=list(endpoint.headers),
            message_queue_size=QUEUE,
        )
        return Connection(ws, stream, endpoint.entropy)
    # The library never reports an answer that ends with the connection rather than by its own length.
    why = stream.broke if stream.hung_up.is_set() else "the upgrade was not answered in time"
    raise Closed(refusal_cut_short(stream.head, why))


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel("the peer hung up")


class _WireStream(trio.abc.Stream):
    """A wire as the library knows streams. A send is whole or the wire dies, so cancelling one harms nothing."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.head = b""  # what came first
        self.broke = ""  # why nothing comes any more
        self.hung_up = trio.Event()
        self.received_at = trio.current_time()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """A wire that dies of it is told of where it is read, after all that has come."""
        try:
            self.wire.put(bytes(data))
            await self.wire.drained()
        except trio.BrokenResourceError:
            await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await self.wire.drained()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        del max_bytes  # the library asks for no more than a wire reads
        try:
            data = await self.wire.receive()
        except trio.BrokenResourceError as error:
            self._hang_up(str(error))
            raise
        self.received_at = trio.current_time()
        if len(self.head) < HEAD:
            self.head += data[: HEAD - len(self.head)]
            if len(self.head) == HEAD and not UPGRADED.match(self.head):
                self._hang_up("the answer is too long")
                raise trio.BrokenResourceError(self.broke)  # the library would gather it without end
        if not data:
            self._hang_up("the peer hung up")
        return data

    def _hang_up(self, why: str) -> None:
        self.broke = self.broke or why
        self.hung_up.set()

    async def aclose(self) -> None:
        self._hang_up("closed after a protocol error")
        self.wire.close()
        await trio.lowlevel.checkpoint()


def masked_frame(opcode: int, payload: bytes, key: bytes) -> bytes:
    """A client's frame (RFC 6455 5.2 and 5.3), masked in one operation on whole numbers.

    >>> masked_frame(0x81, b"Hello", bytes.fromhex("37fa213d")).hex()     # RFC 6455 5.7
    '818537fa213d7f9f4d5158'
    """
    size = len(payload)
    if size < 126:
        header = bytes((opcode, 0x80 | size))
    elif size < 65536:
        header = struct.pack("!BBH", opcode, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", opcode, 0x80 | 127, size)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return header + key + (int.from_bytes(payload, "little") ^ mask).to_bytes(size, "little")


def first(group: ExceptionGroup[E]) -> E:
    """One exception of those that ended the tasks: they all tell of the same connection."""
    error = group.exceptions[0]
    return first(error) if isinstance(error, ExceptionGroup) else error
