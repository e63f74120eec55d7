"""What machines ask over HTTP: is it alive, does it take calls, how does it do. GET only, and nothing about one call.

hypercorn speaks the protocol; around it each connection has a deadline for every read and write, and there are never
many of them, because whoever asks for metrics must not take the descriptors that callers need.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Any

import trio
from structlog.typing import FilteringBoundLogger

from .control import Health
from .core.address import parse_address
from .core.problem import Exit, Problem

MOST = 64  # connections at once; who comes then waits in the backlog
PATIENCE = 10  # seconds for a request to come, for an answer to be read, for another request
LAST_ANSWER = 1.0  # seconds for who has said that no other request follows
HEAD = 16 * 1024  # bytes of a request before its body; there is no use for a body
FRESH = 0.5  # seconds for which the metrics are told again as they were: making them takes milliseconds of all calls
TEXT = "text/plain; charset=utf-8"

Render = Callable[[], tuple[str, bytes]]


async def serve_probes(
    listen: str,
    health: Callable[[], Health],
    render: Render,
    log: FilteringBoundLogger,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer until cancelled; raises Problem where it cannot be listened at."""
    from hypercorn.config import Config  # late: who has no [metrics] does without it
    from hypercorn.trio.tcp_server import TCPServer
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.utils import wrap_app

    config = Config()
    config.h11_max_incomplete_size = HEAD
    config.keep_alive_timeout = config.read_timeout = PATIENCE
    config.h2_max_concurrent_streams = 1  # it cannot be had without HTTP/2
    config.include_server_header = False
    config.accesslog = config.errorlog = None
    logging.getLogger("hypercorn").setLevel(logging.CRITICAL)
    app = wrap_app(_Probes(health, render, log), 0, "asgi")  # type: ignore[arg-type]  # it is one
    listener = _bind(listen)
    room = trio.CapacityLimiter(MOST)

    async def attend(stream: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(60 * PATIENCE) as lease:  # nobody needs one for longer
                server = TCPServer(app, config, WorkerContext(None), {}, _Bounded(stream, lease))  # type: ignore[arg-type]
                await server.run()
        except Exception:  # a request that breaks its own connection is nobody else's business
            log.exception("probe_crashed")
        finally:
            await trio.aclose_forcefully(stream)
            room.release_on_behalf_of(stream)

    async with listener, trio.open_nursery() as nursery:
        host, port = listener.socket.getsockname()[:2]
        task_status.started(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        while True:
            slot = object()
            await room.acquire_on_behalf_of(slot)
            stream = await _accept(listener)
            room.release_on_behalf_of(slot)
            room.acquire_on_behalf_of_nowait(stream)
            nursery.start_soon(attend, stream)


async def _accept(listener: trio.SocketListener) -> trio.SocketStream:
    while True:
        try:
            return await listener.accept()
        except OSError:  # no descriptor for it: those who call come first
            await trio.sleep(1)


def _bind(listen: str) -> trio.SocketListener:
    address, port = parse_address(listen)
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((str(address), port))
        made.listen(MOST)
    except OSError as error:
        made.close()
        why = error.strerror or str(error)
        raise Problem(f"[metrics] cannot listen at {listen}: {why}", "choose another address", Exit.CONFIG) from None
    return trio.SocketListener(trio.socket.from_stdlib_socket(made))


class _Bounded(trio.abc.HalfCloseableStream):
    """A connection whose peer may take its time, but not ours."""

    def __init__(self, stream: trio.SocketStream, lease: trio.CancelScope) -> None:
        self._lease = lease
        self.socket = stream.socket  # hypercorn asks it for its addresses
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with trio.move_on_after(PATIENCE) as waiting:
            await self._stream.send_all(data)
        if waiting.cancelled_caught:
            raise trio.BrokenResourceError("the answer is not read")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        if not data:  # hypercorn would keep it as long as one that may still ask
            self._lease.deadline = min(self._lease.deadline, trio.current_time() + LAST_ANSWER)
        return data

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Probes:
    """The application, as ASGI has it."""

    def __init__(self, health: Callable[[], Health], render: Render, log: FilteringBoundLogger) -> None:
        self._health = health
        self._render = render
        self._log = log
        self._rendered: tuple[float, tuple[str, bytes]] | None = None  # when, and what

    async def __call__(
        self, scope: dict[str, Any], _receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            return
        try:
            status, kind, body = self._answer(scope["method"], scope["path"])
        except Exception:  # hypercorn would say so to nobody
            self._log.exception("probe_crashed", path=scope["path"])
            status, kind, body = 500, TEXT, b"this is a bug of ours, and is logged\n"
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        with suppress(trio.BrokenResourceError):
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        if method not in ("GET", "HEAD"):
            return 405, TEXT, b"only GET\n"
        match path:
            case "/livez":
                return 200, TEXT, b"ok\n"
            case "/readyz":
                health = self._health()
                return (200, TEXT, b"ok\n") if health.ready else (503, TEXT, "".join(f"{why}\n" for why in health.reasons).encode())
            case "/metrics":
                return 200, *self._metrics()
            case _:
                return 404, TEXT, b"there are /livez, /readyz and /metrics\n"

    def _metrics(self) -> tuple[str, bytes]:
        now = trio.current_time()
        if self._rendered is None or now - self._rendered[0] >= FRESH:
            self._rendered = now, self._render()
        return self._rendered[1]
