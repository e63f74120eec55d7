"""A plain client for tests, in simulated time: it sends what it is told, right or wrong, and writes down what comes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import trio
from trio.testing import MockClock
from wsproto import ConnectionType
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError

from supervisor.core.audio import AudioFormat
from supervisor.emulator.numbered import numbered
from supervisor.emulator.plan import Plan
from supervisor.emulator.proof import Connection
from supervisor.emulator.server import Emulator
from supervisor.memory import MemoryPeer, MemoryWire, memory_wire

PHONE = AudioFormat("mulaw", 8000)
LISTEN = "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000&interim_results=true"
SALT = 7


def request(target: str = LISTEN, *, headers: Sequence[str] = (), leave_out: str = "") -> bytes:
    """An opening handshake, whole but for a header that is left out."""
    lines = [
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    kept = [line for line in lines if not leave_out or not line.startswith(leave_out)]
    return "\r\n".join([f"GET {target} HTTP/1.1", *kept, "", ""]).encode("latin-1")


@dataclass
class Answer:
    """To the opening handshake."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    wire: MemoryWire
    peer: MemoryPeer
    answer: Answer | None = None
    answered: float = 0.0  # when
    messages: list[tuple[float, Any]] = field(default_factory=list)  # when, and what: JSON, or else as it came
    pongs: int = 0
    pings: int = 0
    closed: tuple[int, str] | None = None  # the server's Close frame
    closed_at: float = 0.0
    end: str = ""  # "eof" or "reset"
    ended_at: float = 0.0
    rest: bytes = b""  # what followed the answer and was no frame
    came: bytes = b""  # all of it
    may_read: trio.Event = field(default_factory=trio.Event)  # set, unless a script takes another
    over: trio.Event = field(default_factory=trio.Event)
    answers_close: bool = True

    def __post_init__(self) -> None:
        self.may_read.set()
        self.frames = Frames(ConnectionType.CLIENT)
        self._buffer = b""
        self._text = ""

    # What is sent

    def raw(self, data: bytes) -> None:
        with suppress(trio.BrokenResourceError):
            self.wire.put(data)

    def send(self, event: Event) -> None:
        """As far as the protocol still allows it."""
        with suppress(LocalProtocolError):
            self.raw(bytes(self.frames.send(event)))

    def audio(self, data: bytes) -> None:
        self.send(BytesMessage(data))

    def text(self, text: str) -> None:
        self.send(TextMessage(text))

    def control(self, kind: str, **more: object) -> None:
        self.text(json.dumps({"type": kind, **more}))

    def ping(self) -> None:
        self.send(Ping(b"?"))

    def close(self, code: int = 1000) -> None:
        self.send(CloseConnection(code))

    async def speak(
        self, seconds: float, *, at: float = 0.0, piece: float = 0.1, rate: float = 1.0, audio: AudioFormat = PHONE
    ) -> None:
        """Numbered audio in messages of so many seconds, as fast as told."""
        size = audio.frame_bytes
        position, end = audio.frames(at) * size, audio.frames(at + seconds) * size
        began, step = trio.current_time(), audio.frames(piece) * size
        first = position
        while position < end:
            step = min(step, end - position)
            self.audio(numbered(SALT, position, step))
            position += step
            if rate:
                await trio.sleep_until(began + audio.seconds((position - first) // size) / rate)

    async def silence(self, seconds: float, *, piece: float = 0.1) -> None:
        for _ in range(round(seconds / piece)):
            self.audio(PHONE.silence(PHONE.frames(piece)))
            await trio.sleep(piece)

    # What comes

    async def open(self, data: bytes) -> Answer | None:
        """Send a request and read the answer; None if none came."""
        self.raw(data)
        while b"\r\n\r\n" not in self._buffer and not self.end:
            await self._receive()
        self.answered = trio.current_time()
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or not head.startswith(b"HTTP/"):
            self.rest = self._buffer
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.answer = Answer(int(first.split()[1]), headers)
        self._buffer = rest
        if self.answer.status != 101:
            while not self.end:
                await self._receive()
            self.answer.body = self._buffer
        return self.answer

    async def _receive(self) -> None:
        try:
            data = await self.wire.receive()
        except trio.BrokenResourceError:
            data = b""
            self.end = "reset"
        if not data:
            self.end = self.end or "eof"
            self.ended_at = trio.current_time()
        self.came += data
        self._buffer += data

    async def listen(self) -> None:
        """Until the server hangs up."""
        while True:
            if self._buffer and self.frames.state is not ConnectionState.CLOSED:
                self.frames.receive_data(self._buffer)
                self._take()
            self._buffer = b""
            if self.end:
                self.over.set()
                return
            await self.may_read.wait()
            await self._receive()

    def _take(self) -> None:
        for event in self.frames.events():
            now = trio.current_time()
            match event:
                case TextMessage():
                    self._text += event.data
                    if event.message_finished:
                        self.messages.append((now, _decoded(self._text)))
                        self._text = ""
                case BytesMessage():
                    self.messages.append((now, bytes(event.data)))
                case Ping():
                    self.pings += 1
                case Pong():
                    self.pongs += 1
                case CloseConnection():
                    self.closed = self.closed or (int(event.code), event.reason or "")
                    self.closed_at = self.closed_at or now
                    if self.answers_close and self.frames.state is ConnectionState.REMOTE_CLOSING:
                        self.send(event.response())

    # What came

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for _, message in self.messages if isinstance(message, dict) and message["type"] == kind]

    @property
    def results(self) -> list[dict[str, Any]]:
        return self.of("Results")

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [each for each in self.results if each["is_final"]]

    @property
    def interims(self) -> list[dict[str, Any]]:
        return [each for each in self.results if not each["is_final"]]

    @property
    def words(self) -> list[str]:
        return [word["word"] for final in self.finals for word in words_of(final)]


def words_of(results: dict[str, Any]) -> list[dict[str, Any]]:
    return results["channel"]["alternatives"][0]["words"]


def end_of(results: dict[str, Any]) -> float:
    return results["start"] + results["duration"]


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


Script = Callable[[Client], Awaitable[None]]


@dataclass
class Talked:
    client: Client
    record: Connection
    emulator: Emulator


def simulate(main: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    return trio.run(main, *args, clock=MockClock(autojump_threshold=0))


def talk(
    script: Script | None,
    plan: Plan | Sequence[Any] | None = None,
    *,
    opening: bytes | None = None,
    capacity: int = 1 << 20,
    emulator: Emulator | None = None,
    stays: bool = False,
    **more: Any,
) -> Talked:
    """One connection from its opening to the server's end of it, in simulated time.

    The script runs once the upgrade was answered, whatever the answer; then the client hangs up, unless it `stays`
    until the server does. That the server's task ends by itself and without an exception is part of every test.
    """
    plan = plan if isinstance(plan, Plan) else Plan([list(plan)] if plan else [])
    emulator = emulator or Emulator(plan, **more)

    async def main() -> Client:
        with trio.fail_after(1000):
            return await converse(emulator, script, request() if opening is None else opening, capacity, stays)

    client = simulate(main)
    return Talked(client, emulator.proof.connections[-1], emulator)


async def converse(
    emulator: Emulator, script: Script | None, opening: bytes, capacity: int = 1 << 20, stays: bool = False
) -> Client:
    wire, peer = memory_wire(capacity)
    client = Client(wire, peer)
    async with trio.open_nursery() as server:
        server.start_soon(emulator.serve, peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.run)
            answer = await client.open(opening)
            if answer and answer.status == 101:
                nursery.start_soon(client.listen)
                if script:
                    await script(client)
                with trio.move_on_after(1000 if stays else 1 if client.closed else 0):
                    await client.over.wait()
            nursery.cancel_scope.cancel()
        wire.close()
    return client

