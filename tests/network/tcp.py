"""TCP servers on loopback, and a dial to them."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from supervisor.dial import Route
from supervisor.wire import Wire
from tests.network.pairs import server_context


def real(main: Callable[[], object]) -> None:
    """On the real clock, since the network is real; and with nothing left open."""

    async def bounded() -> None:
        with trio.fail_after(10):
            await main()

    trio.run(bounded)
    gc.collect()


@asynccontextmanager
async def served(handle: Callable[[trio.SocketStream], object]) -> AsyncIterator[int]:
    """A TCP server on loopback; gives its port."""
    async with trio.open_nursery() as nursery:
        sockets = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handle, sockets)
        yield sockets[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def echo(stream: trio.abc.Stream) -> None:
    with suppress(trio.BrokenResourceError):
        async for data in stream:
            await stream.send_all(data)


async def exchange(wire: Wire, data: bytes = b"there and back") -> bytes:
    """What the echo gives back."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.run)
        wire.put(data)
        back = b""
        while len(back) < len(data):
            back += await wire.receive()
        nursery.cancel_scope.cancel()
    wire.close()
    return back


async def complaint(where: Route) -> str:
    with pytest.raises(OSError, match=r".") as caught:
        await where.dial()
    return str(caught.value)


def tls_handler(*names: str) -> Callable[[trio.SocketStream], object]:
    context = server_context(*names)

    async def handle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await echo(trio.SSLStream(stream, context, server_side=True))

    return handle
