"""Whole connections over real sockets, in clear and with TLS: what is TCP's own can be seen nowhere else."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import trio
from wsproto.events import BytesMessage

from supervisor.connection import Closed, Connection, Endpoint, connect
from supervisor.dial import Route
from tests.network.pairs import HOST, client_context, server_context
from tests.network.servers import TEXT, Outcome, Server, close_frame, frame, leaves

Script = Callable[[Server], Awaitable[None]]
Use = Callable[[Connection], Awaitable[None]]


def over_tcp(script: Script, use: Use, *, tls: bool, send_timeout: float = 5.0) -> Outcome:
    """Like a conversation in memory, with a deadline of real seconds; the server must see the end."""
    outcome = Outcome()
    over = trio.Event()

    async def serve(tcp: trio.SocketStream) -> None:
        stream = trio.SSLStream(tcp, server_context(HOST, "127.0.0.1"), server_side=True) if tls else tcp
        outcome.server = Server(stream)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await script(outcome.server)
            while not outcome.server.ended:
                await outcome.server.receive()
        await trio.aclose_forcefully(tcp)
        over.set()

    async def main() -> None:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                nursery.start_soon(partial(trio.serve_listeners, serve, listeners))
                port = listeners[0].socket.getsockname()[1]
                dial = Route("127.0.0.1", port, client_context() if tls else None, send_timeout=send_timeout).dial
                try:
                    async with connect(Endpoint(dial, HOST, "/v1/listen")) as connection:
                        await use(connection)
                except* Closed as group:
                    outcome.closure = leaves(group)[0].closure
                await over.wait()
                nursery.cancel_scope.cancel()

    trio.run(main)
    gc.collect()  # a socket that was left open is a warning here, and a failed test
    return outcome


async def hear_all(connection: Connection) -> None:
    while True:
        await connection.hear()


BOTH = pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])


@BOTH
def test_a_close_frame_without_a_fin_ends_the_connection_and_the_socket(tls: bool) -> None:
    async def script(server: Server) -> None:
        await server.upgrade(then=frame(TEXT, b"words") + close_frame(1011, "NET-0001"))

    outcome = over_tcp(script, hear_all, tls=tls)

    assert (outcome.closure.code, outcome.closure.reason) == (1011, "NET-0001")
    assert outcome.server.ended == "eof"  # with TLS: after a goodbye, else it were broken


@BOTH
def test_a_second_of_audio_arrives_whole(tls: bool) -> None:
    audio = [bytes((number,)) * 3200 for number in range(10)]

    async def script(server: Server) -> None:
        await server.upgrade()
        while len(server.events()) < len(audio):
            await server.receive()
        await server.send(close_frame(1000))

    async def use(connection: Connection) -> None:
        for each in audio:
            while not connection.ready:  # noqa: ASYNC110 - as the sender does, which looks once in each tick
                await trio.sleep(0.001)
            connection.put(each)
        await hear_all(connection)

    outcome = over_tcp(script, use, tls=tls)

    assert [event.data for event in outcome.server.events() if isinstance(event, BytesMessage)] == audio


@BOTH
def test_the_reason_is_known_although_the_server_closed_with_our_audio_unread(tls: bool) -> None:
    """Its kernel answers with a reset, so that our next frames fail before the reason is read."""

    async def script(server: Server) -> None:
        await server.upgrade()
        await trio.sleep(0.05)  # audio comes, and is not read
        await server.send(frame(TEXT, b"words") + close_frame(1011, "NET-0001"))
        tcp = server.stream.transport_stream if tls else server.stream
        await trio.aclose_forcefully(tcp)
        server.ended = "closed"

    async def use(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(late, connection)
            for _ in range(200):
                if connection.ready:
                    connection.put(bytes(320))
                await trio.sleep(0.001)

    async def late(connection: Connection) -> None:
        await trio.sleep(0.1)
        await hear_all(connection)

    outcome = over_tcp(script, use, tls=tls)

    assert (outcome.closure.code, outcome.closure.reason) == (1011, "NET-0001")


@BOTH
def test_a_server_that_stops_reading_is_given_up_after_the_send_timeout(tls: bool) -> None:
    async def script(server: Server) -> None:
        await server.upgrade()
        await trio.sleep(0.6)

    async def use(connection: Connection) -> None:
        while connection.ready:
            connection.put(bytes(60_000))
        await connection.hear()

    outcome = over_tcp(script, use, tls=tls, send_timeout=0.3)

    assert (outcome.closure.code, outcome.closure.reason) == (1006, "the peer does not take what is sent, for 0.3 s")


@BOTH
def test_leaving_and_cancelling_close_the_socket(tls: bool) -> None:
    async def script(server: Server) -> None:
        await server.upgrade()

    async def use(_: Connection) -> None:
        with trio.move_on_after(0.05):
            await trio.sleep_forever()

    outcome = over_tcp(script, use, tls=tls)

    assert outcome.closure is None
    assert outcome.server.ended == "eof"
