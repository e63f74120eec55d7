"""What the client puts: whole frames, in order, whoever else speaks, and to a peer that may have stopped to read."""

from __future__ import annotations

import random

import pytest
import trio
from wsproto.events import Ping

from supervisor.connection import Connection
from tests.network.servers import (
    PING,
    PONG,
    Server,
    broken_to_pieces,
    check_closed,
    close_frame,
    frame,
    hear_all,
    simulate,
)


def test_pongs_and_texts_never_come_between_the_halves_of_an_audio_frame() -> None:
    """The peer pings without pause and reads slowly, so that every kind of frame is cut by the network."""
    chance = random.Random(7)
    pings = [chance.randbytes(chance.choice((0, 1, 60, 125))) for _ in range(200)]
    sizes = [chance.choice((1, 125, 126, 3200, 8000)) for _ in range(60)]
    audio = [chance.randbytes(size) for size in sizes]
    texts = [f"text {number} " + "x" * chance.randrange(300) for number in range(40)]

    async def script(server: Server) -> None:
        await server.upgrade()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping, server)
            with trio.move_on_after(20):  # a text that was cancelled before its turn never comes
                while len(server.events()) < len(pings) + len(audio) + len(texts):
                    await server.receive(701)
                    await trio.sleep(0.001)
        await server.send(close_frame(1000))

    async def ping(server: Server) -> None:
        for payload in pings:
            await server.send(frame(PING, payload))
            await trio.sleep(chance.random() * 0.01)

    async def use(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear_all, connection)
            nursery.start_soon(talk, connection)
            for each in audio:
                while not connection.ready:  # noqa: ASYNC110 - as the sender does, which looks once in each tick
                    await trio.sleep(0.0007)
                connection.put(each)
                await trio.lowlevel.checkpoint()

    async def talk(connection: Connection) -> None:
        for text in texts:
            with trio.move_on_after(chance.random() * 0.01):  # whoever says it may be cancelled, at any place
                await connection.say(text)
                said.append(text)
                continue
            maybe.append(text)

    said: list[str] = []
    maybe: list[str] = []
    outcome = simulate(script, use, capacity=1500)
    pieces = broken_to_pieces(outcome.server.events())

    assert [payload for kind, payload in pieces if kind == "audio"] == audio
    assert [payload for kind, payload in pieces if kind == "ping"] == []
    assert [payload for kind, payload in pieces if kind == "pong"] == pings
    spoken = [payload for kind, payload in pieces if kind == "text"]

    assert [text for text in texts if text in spoken] == spoken  # whole, once, in order
    assert set(said) <= set(spoken) <= set(said + maybe)


def test_a_peer_that_stops_reading_is_given_up_after_the_send_timeout() -> None:
    async def script(server: Server) -> None:
        await server.upgrade()
        await trio.sleep(100)

    async def use(connection: Connection) -> None:
        while connection.ready:
            connection.put(bytes(3200))
        await connection.hear()

    outcome = simulate(script, use, capacity=100_000)
    check_closed(outcome, 1006, "the peer does not take what is sent, for 5 s", took=5.0)


def test_a_text_to_a_peer_that_stops_reading_does_not_wait_for_ever() -> None:
    async def script(server: Server) -> None:
        await server.upgrade()
        await trio.sleep(100)

    async def use(connection: Connection) -> None:
        while True:
            await connection.say("x" * 3200)

    outcome = simulate(script, use, capacity=100_000)
    check_closed(outcome, 1006, "the peer does not take what is sent, for 5 s", took=5.0)


def test_a_connection_that_drops_while_a_ping_is_out_ends_at_once() -> None:
    async def script(server: Server) -> None:
        await server.upgrade()
        await server.until(Ping)
        await server.hang_up()

    async def use(connection: Connection) -> None:
        connection.ping()
        await connection.hear()

    check_closed(simulate(script, use), 1006, "the peer hung up")


def test_any_frame_is_a_sign_of_life() -> None:
    async def script(server: Server) -> None:
        await server.upgrade()
        await server.until(Ping)
        await trio.sleep(2)
        await server.send(frame(PONG))
        await trio.sleep(2)

    async def use(connection: Connection) -> None:
        connection.ping()
        await trio.sleep(3)

        assert connection.received_at == pytest.approx(trio.current_time() - 1)

    assert simulate(script, use).closure is None


def test_an_empty_frame_is_never_put() -> None:
    """To Deepgram it is a request to end the stream."""

    async def use(connection: Connection) -> None:
        connection.put(b"")

    async def script(server: Server) -> None:
        await server.upgrade()

    with pytest.raises(ExceptionGroup) as caught:
        simulate(script, use)

    assert caught.group_contains(AssertionError)


def test_masking_keys_are_never_used_twice() -> None:
    async def script(server: Server) -> None:
        await server.upgrade()

    async def use(connection: Connection) -> None:
        for _ in range(200):
            connection.put(bytes(4))

    sent = simulate(script, use).server.sent
    keys = [sent[at + 2 : at + 6] for at in range(0, 200 * 10, 10)]

    assert len(set(keys)) == 200
    assert all(sent[at : at + 2] == b"\x82\x84" for at in range(0, 200 * 10, 10))
