"""An accepted connection's frames: what a conversation decides goes out, what comes goes to it, faults and all."""

from __future__ import annotations

import socket
import struct
from typing import Protocol, runtime_checkable

import trio
from wsproto import WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from .conversation import Conversation
from .faults import Close, Fin, Garbage, HalfFrame, Reset, StopAnswering, StopReading, Stream
from .proof import Connection
from .saying import NO_CODE, End, Say

READ = 65536  # bytes
FAREWELL = 2.0  # seconds that a peer has to answer a Close frame, or to hang up
HUGE = 2 << 20  # bytes of a message that nobody wants
LARGEST = 16 << 20  # bytes of a message that is still taken
TOO_BIG, WRONG = 1009, 1002

TEXT, BINARY, RESERVED, PING = 0x81, 0x82, 0x83, 0x89  # FIN and the opcode
SURPRISES = {
    "text": (TEXT, b"this is no JSON"),
    "json": (TEXT, b"[1, 2]"),
    "unknown": (TEXT, b'{"type": "Surprise", "of": {"some": "kind"}}'),
    "error": (TEXT, b'{"type": "Error", "variant": "Unexpected", "description": "this is a drill"}'),
    "binary": (BINARY, b"\x00\x01\x02\x03"),
    "utf8": (TEXT, b"\xff\xfe\xfd"),
    "opcode": (RESERVED, b"?"),
    "huge": (TEXT, b" " * HUGE),
}


class Over(Exception):
    """The connection is over; the argument says how it ended."""


@runtime_checkable
class Resettable(Protocol):
    def reset(self) -> None: ...


class Link:
    """A stream, with what only a server that misbehaves does to it."""

    def __init__(self, stream: trio.abc.Stream, send_timeout: float) -> None:
        self.stream = stream
        self._send_timeout = send_timeout
        self.mute = False

    async def send(self, data: bytes) -> None:
        """All of it; a peer that does not take it is cut off. Raises Over."""
        if self.mute or not data:
            return
        with trio.move_on_after(self._send_timeout) as sending:
            await self.stream.send_all(data)
        if sending.cancelled_caught:
            self.reset()
            raise Over("unread")

    async def hold(self, seconds: float) -> None:
        """Read whatever comes and say nothing, until the peer ends it."""
        with trio.move_on_after(seconds):
            while await self.stream.receive_some(READ):
                pass

    async def finish(self) -> None:
        """No more will be sent: end our half, and wait a little for the peer's."""
        if isinstance(self.stream, trio.abc.HalfCloseableStream):
            await self.stream.send_eof()
            await self.hold(FAREWELL)

    def reset(self) -> None:
        stream = self.stream.transport_stream if isinstance(self.stream, trio.SSLStream) else self.stream
        if isinstance(stream, Resettable):
            stream.reset()
        elif isinstance(stream, trio.SocketStream):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()


class Talk:
    """One accepted connection."""

    def __init__(self, link: Link, ws: WSConnection, conversation: Conversation, record: Connection, hold: float) -> None:
        self._link = link
        self._ws = ws
        self._conversation = conversation
        self._record = record
        self._hold = hold
        self._reading = True
        self._text = ""
        self._binary = bytearray()

    async def run(self, early: bytes) -> None:
        """Until the connection is over; raises Over, or what a broken stream raises. `early` has come already."""
        conversation = self._conversation
        if early:
            await self._take(early)
        while True:
            for action in conversation.actions(trio.current_time()):
                await self._do(action)
            if not self._reading:
                await self._read_nothing()
                continue
            data, due = b"", conversation.next()
            with trio.move_on_at(min(due, trio.current_time() + self._hold)) as waiting:
                data = bytes(await self._link.stream.receive_some(READ))
            if waiting.cancelled_caught and trio.current_time() < due:
                raise Over("fault")  # it was to be kept until the peer ends it, but not for ever
            if waiting.cancelled_caught:
                continue
            if not data:
                raise Over("eof")
            await self._take(data)

    async def _read_nothing(self) -> None:
        """Until there is something to say, or the peer has had all the time it gets."""
        patience = trio.current_time() + self._hold
        await trio.sleep_until(min(self._conversation.next(), patience))
        if trio.current_time() >= patience:
            raise Over("fault")

    async def _take(self, data: bytes) -> None:
        try:
            self._ws.receive_data(data)
            for event in self._ws.events():
                now = trio.current_time()
                match event:
                    case BytesMessage():
                        self._binary += event.data
                        await self._check_size(len(self._binary))
                        if event.message_finished:
                            whole, self._binary = bytes(self._binary), bytearray()
                            self._conversation.binary(whole, now)
                    case TextMessage():
                        self._text += event.data
                        await self._check_size(len(self._text))
                        if event.message_finished:
                            text, self._text = self._text, ""
                            self._conversation.text(text, now)
                    case Ping():
                        self._record.pings += 1
                        await self._link.send(self._ws.send(event.response()))
                    case Pong():
                        pass
                    case CloseConnection() if self._ws.state is ConnectionState.REMOTE_CLOSING:
                        await self._closed(event)
                    case CloseConnection():  # wsproto's word for a frame that is wrong
                        await self._close(int(event.code), "")
        except RemoteProtocolError:
            await self._close(WRONG, "")
        except LocalProtocolError:
            raise Over("close") from None  # a frame that crossed our Close

    async def _check_size(self, size: int) -> None:
        if size > LARGEST:
            await self._close(TOO_BIG, "")

    async def _closed(self, event: CloseConnection) -> None:
        """The peer has closed, and is told no more."""
        self._record.close_received = (int(event.code), event.reason or "")
        self._conversation.end()
        if self._link.mute:
            await self._link.hold(self._hold)
            raise Over("mute")
        self._record.end = "close"
        await self._link.send(self._ws.send(event.response()))
        await self._link.finish()
        raise Over("close")

    async def _do(self, action: Say | End | Stream) -> None:
        match action:
            case Say():
                await self._say(action)
            case End():
                await self._close(action.code, action.reason)
            case Close():
                await self._close(action.code, action.reason, hang_up=action.hang_up, pings=action.pings)
            case Reset():
                self._link.reset()
                raise Over("reset")
            case Fin():
                await self._link.finish()
                raise Over("fin")
            case HalfFrame():
                await self._half_a_frame(action)
            case StopReading():
                self._reading = False
            case StopAnswering():
                self._link.mute = True
            case Garbage():
                await self._link.send(_frame(*SURPRISES[action.what]))

    async def _say(self, say: Say) -> None:
        await self._link.send(self._ws.send(TextMessage(say.text.decode())))
        record = self._record
        if self._link.mute:
            return
        record.told += 1
        record.metadata = record.metadata or say.metadata
        if say.final:
            record.finals.append(say.final)

    async def _close(self, code: int, reason: str, *, hang_up: bool = True, pings: int = 0) -> None:
        """A Close frame, and what follows it."""
        self._conversation.end()
        if self._link.mute:
            await self._link.hold(self._hold)
            raise Over("mute")
        self._record.close_sent, self._record.end = (code, reason), "close"
        await self._link.send(self._close_frame(code, reason))
        await self._link.send(_frame(PING, b"late") * pings)
        with trio.move_on_after(FAREWELL if hang_up else self._hold):
            await self._farewell()
        if hang_up:
            await self._link.finish()
        else:
            await self._link.hold(self._hold)
        raise Over("close")

    def _close_frame(self, code: int, reason: str) -> bytes:
        """Codes that no frame may have are sent all the same: a client must survive them."""
        if code == NO_CODE:
            return self._ws.send(CloseConnection(CloseReason.NO_STATUS_RCVD))
        self._ws.send(CloseConnection(CloseReason.NORMAL_CLOSURE))  # for its state
        return _frame(0x88, code.to_bytes(2, "big") + reason.encode())

    async def _farewell(self) -> None:
        """Read until the peer answers the Close frame, or hangs up; what else comes is dropped."""
        while data := await self._link.stream.receive_some(READ):
            try:
                self._ws.receive_data(bytes(data))
                for event in self._ws.events():
                    if isinstance(event, CloseConnection) and self._ws.state is ConnectionState.CLOSED:
                        self._record.close_received = (int(event.code), event.reason or "")
                        return
            except (RemoteProtocolError, LocalProtocolError):
                return

    async def _half_a_frame(self, fault: HalfFrame) -> None:
        await self._link.send(_frame(TEXT, b'{"type": "Results", "channel_index": [0, 1], ' + b" " * 1000)[:500])
        match fault.then:
            case "reset":
                self._link.reset()
            case "stay":
                await self._link.hold(self._hold)
            case "fin":
                await self._link.finish()
        raise Over("fault")


async def converse(
    link: Link, ws: WSConnection, conversation: Conversation, record: Connection, hold: float, early: bytes = b""
) -> None:
    """Run an accepted connection to its end; see Talk.run."""
    await Talk(link, ws, conversation, record, hold).run(early)


def _frame(opcode: int, payload: bytes) -> bytes:
    """A server's frame (RFC 6455 5.2), right or wrong."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload
