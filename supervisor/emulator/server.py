"""The emulator: a server that speaks Deepgram's /v1/listen and misbehaves by a plan, on any stream.

It speaks through wsproto on a raw stream rather than through a WebSocket library, because only so can it hang up within
a handshake, send half a frame, or close without hanging up. One task a connection: it reads until something is to be
said, says it, and reads on; a peer that does not take what is said is cut off.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from ..core.plain import plain
from ..memory import memory_wire
from ..wire import Wire
from .conversation import Conversation
from .engine import Engine, NumberedEngine
from .faults import Drop, Fault, Nonsense, Opening, Page, Refuse, Silent, Slow, name_of
from .listening import Ask, Refused, ask_of, check_key, credential
from .plan import Plan
from .proof import Connection, Proof
from .refusing import answer, page
from .talking import Link, Over, converse

OPENING = 15.0  # seconds for a request to come
HEAD = 4096  # bytes read at a time before the upgrade
END_OF_HEAD = re.compile(rb"\n\r?\n")


class Emulator:
    """`serve` one stream after another, or many at once; `proof` is what came and what was told."""

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        engine: Engine | None = None,
        seed: int = 0,
        api_key: str | None = None,
        log: FilteringBoundLogger | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.plan = plan or Plan()
        self.proof = Proof()
        self._engine = engine or NumberedEngine()
        self._seed = seed
        self._api_key = api_key
        self._log = log
        self._wall = wall
        self._calls: Counter[str] = Counter()  # connections of each
        self._open = 0
        self._lingering: list[float] = []  # until when each dropped connection still counts

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, from its first byte until it is closed; whatever the peer does is no error."""
        record = Connection(len(self.proof.connections), trio.current_time())
        self.proof.connections.append(record)
        link = Link(stream, self.plan.habits.send)
        try:
            await self._serve(link, record)
        except (Over, trio.BrokenResourceError, trio.ClosedResourceError) as over:
            record.end = record.end or (over.args[0] if isinstance(over, Over) else "reset")
        finally:
            record.ended(trio.current_time())
            await trio.aclose_forcefully(stream)
        if self._engine.name == "numbered" and record.foreign:
            self._tell("nothing_recognised", record, hint="numbered audio alone is heard: python -m supervisor.emulator")
        self._tell("connection_closed", record, end=record.end, seconds=round(record.seconds, 2), faults=record.faults)

    async def _serve(self, link: Link, record: Connection) -> None:
        chance = random.Random(f"{self._seed} {record.number}")
        record.request_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        with trio.move_on_after(OPENING):
            request, ws, early = await self._request(link, record)
        if not record.target:
            raise Over("no request")
        faults = self._faults(record)
        for fault in faults:
            if isinstance(fault, Opening):
                await self._spoil(fault, link, record)
        shown, subprotocol = credential(record.headers, [each for each in request.subprotocols if each])
        try:
            check_key(shown, self._api_key)
            ask = ask_of(record.target)
            if ask.audio and (why := self._engine.refuses(ask.audio)):
                raise Refused(400, "INVALID_QUERY_PARAMETER", why)
            self._check_room()
        except Refused as refused:
            refuse = Refuse(status=refused.status, err_code=refused.code, err_msg=refused.message)
            await self._refuse(refuse, link, record)
            raise Over("refused") from None
        record.query = ask.query
        accept = AcceptConnection(
            subprotocol=subprotocol, extra_headers=[(b"dg-request-id", record.request_id.encode())]
        )
        self._open += 1  # before anything is waited for: of two at the same time one is too many
        try:
            await link.send(ws.send(accept))
            record.status, record.answered = 101, trio.current_time()
            self._tell("connection_opened", record, call=plain(record.call))
            conversation = self._conversation(ask, record, faults, chance)
            await converse(link, ws, conversation, record, self.plan.habits.hold, early)
        finally:
            self._open -= 1
            if record.close_sent is None and record.close_received is None:
                self._lingering.append(trio.current_time() + self.plan.habits.lingering)

    async def _request(self, link: Link, record: Connection) -> tuple[Request, WSConnection, bytes]:
        """The request, and what came after it: wsproto would forget frames that did not wait for the answer."""
        ws = WSConnection(ConnectionType.SERVER)
        head, read = b"", 0
        while True:
            data = await link.stream.receive_some(HEAD)
            if not data:
                raise Over("eof")
            head += data
            ended = END_OF_HEAD.search(head, max(0, read - 2))
            begun, read = read, ended.end() if ended else len(head)
            try:
                ws.receive_data(head[begun:read])
            except (RemoteProtocolError, LocalProtocolError, UnicodeError) as error:
                await self._refuse(Refuse(status=400, err_msg=plain(str(error))), link, record)
                raise Over("refused") from None
            for event in ws.events():
                if isinstance(event, Request):
                    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event.extra_headers}
                    record.target, record.headers = event.target, headers
                    record.call = headers.get("x-deepgram-session-id", "")
                    return event, ws, head[read:]

    def _faults(self, record: Connection) -> tuple[Fault, ...]:
        number = self._calls[record.call] if self.plan.each_call else record.number
        self._calls[record.call] += 1
        return self.plan.faults(number)

    def _check_room(self) -> None:
        now, most = trio.current_time(), self.plan.habits.concurrency
        self._lingering = [until for until in self._lingering if until > now]
        if most and self._open + len(self._lingering) >= most:
            raise Refused(429, "TOO_MANY_REQUESTS", "Too many requests. Please try again later")

    def _conversation(
        self, ask: Ask, record: Connection, faults: tuple[Fault, ...], chance: random.Random
    ) -> Conversation:
        return Conversation(
            ask,
            record,
            engine=self._engine,
            habits=self.plan.habits,
            faults=faults,
            chance=chance,
            created=self._wall().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            now=trio.current_time(),
        )

    async def _spoil(self, fault: Opening, link: Link, record: Connection) -> None:
        """What goes wrong with this opening; returns if it may go on."""
        record.faults.append(name_of(type(fault)))
        match fault:
            case Slow():
                await trio.sleep(fault.seconds)
                return
            case Refuse():
                await self._refuse(fault, link, record)
            case Silent():
                await link.hold(self.plan.habits.hold)
            case Drop(reset=True):
                link.reset()
            case Drop():
                pass
            case Page():
                await link.send(page(self._wall()))
                await link.finish()
            case Nonsense():
                await link.send(b"SSH-2.0-OpenSSH_9.2p1\r\n\x00\x01\x02")
                await link.finish()
        raise Over("fault")

    async def _refuse(self, refuse: Refuse, link: Link, record: Connection) -> None:
        record.status, record.answered, record.end = refuse.status, trio.current_time(), "refused"
        self._tell("connection_refused", record, status=refuse.status)
        await link.send(answer(refuse, record.request_id, self._wall()))
        await link.finish()

    def _tell(self, what: str, record: Connection, **fields: object) -> None:
        if self._log:
            self._log.info(what, connection=record.number + 1, request_id=record.request_id, **fields)

    def dial_in(
        self, nursery: trio.Nursery, *, capacity: int = 262144, latency: float = 0.0, send_timeout: float = 5.0
    ) -> Callable[[], Awaitable[Wire]]:
        """A dial over memory: each connection is served by a task of the nursery."""

        async def dial() -> Wire:
            await trio.lowlevel.checkpoint()
            wire, peer = memory_wire(capacity, latency, send_timeout)
            nursery.start_soon(self.serve, peer, name="emulator")
            return wire

        return dial


async def listen(
    emulator: Emulator,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve TCP until cancelled; the task's status is the port. Raises OSError where it cannot listen."""
    listeners = await trio.open_tcp_listeners(port, host=host)
    task_status.started(listeners[0].socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        await trio.serve_listeners(partial(_serve_socket, emulator), listeners, handler_nursery=nursery)


async def _serve_socket(emulator: Emulator, stream: trio.SocketStream) -> None:
    with contextlib.suppress(OSError):  # the peer may have left already
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await emulator.serve(stream)


