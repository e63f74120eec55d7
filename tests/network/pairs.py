"""Wires and their other ends: over memory and over sockets, in clear and with TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import trio
import trustme
from trio.testing import MockClock

from supervisor.memory import MemoryPeer, memory_wire
from supervisor.tls import TlsWire
from supervisor.wire import SocketWire, Wire

SMALL = 4096  # bytes that the network may hold, about: everything larger has to be flushed
KINDS = ("memory", "socket", "memory tls", "socket tls")
HOST = "listen.example.com"


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*(names or (HOST,))).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass
class Pair:
    wire: Wire
    peer: trio.abc.Stream  # the server's end
    under: trio.abc.Stream  # what the server's end stands on
    nursery: trio.Nursery

    def reset(self) -> None:
        """Break the connection as a TCP reset does."""
        if isinstance(self.under, MemoryPeer):
            self.under.reset()
        else:
            assert isinstance(self.under, trio.SocketStream)
            self.under.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.under.socket.close()


def loopback() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection with buffers as small as the kernel allows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours.connect(listener.getsockname())
        return ours, listener.accept()[0]


def bare_pair(kind: str, send_timeout: float) -> tuple[Wire, trio.abc.Stream]:
    if kind.startswith("memory"):
        return memory_wire(SMALL, 0.001, send_timeout)
    ours, theirs = loopback()
    return SocketWire(ours, send_timeout), trio.SocketStream(trio.socket.from_stdlib_socket(theirs))


@asynccontextmanager
async def pair(kind: str, send_timeout: float = 5.0, *, flushing: bool = True) -> AsyncIterator[Pair]:
    """A wire with its flusher running, and the other end; both closed in the end."""
    bare, under = bare_pair(kind, send_timeout)
    wire, peer = bare, under
    try:
        if kind.endswith("tls"):
            wire = TlsWire(bare, client_context(), HOST)
            peer = trio.SSLStream(under, server_context(), server_side=True)
            await shake_hands(wire, peer)
        async with trio.open_nursery() as nursery:
            if flushing:
                nursery.start_soon(wire.run, name="flusher")
            yield Pair(wire, peer, under, nursery)
            nursery.cancel_scope.cancel()
    finally:
        wire.close()
        await trio.aclose_forcefully(under)


async def shake_hands(wire: TlsWire, peer: trio.SSLStream[trio.abc.Stream]) -> None:
    async with trio.open_nursery() as flushing:
        flushing.start_soon(wire.run)
        async with trio.open_nursery() as both:
            both.start_soon(wire.handshake)
            both.start_soon(peer.do_handshake)
        flushing.cancel_scope.cancel()


def run(kind: str, main: Callable[[], Awaitable[None]]) -> None:
    """On the jumping clock where nothing is real, else on the real one; under a deadline either way."""

    async def bounded() -> None:
        with trio.fail_after(60 if kind.startswith("memory") else 10):
            await main()

    trio.run(bounded, clock=MockClock(autojump_threshold=0) if kind.startswith("memory") else None)
