"""An open WebSocket: whatever the peer does, it ends in time, in one typed closure, with the socket closed."""

from __future__ import annotations

import pytest
import trio
from wsproto.events import CloseConnection, Pong

from supervisor.connection import Connection
from tests.network.servers import (
    BINARY,
    CLOSE,
    CLOSE_TIMEOUT,
    MEGABYTE,
    PING,
    PONG,
    TEXT,
    Server,
    check_closed,
    close_frame,
    frame,
    hear_all,
    saying,
    simulate,
)


@pytest.mark.parametrize("hang_up", [True, False], ids=["and hangs up", "and keeps the connection open"])
@pytest.mark.parametrize("code, reason", [
    (1000, ""), (1000, "bye"), (1001, ""), (1008, "DATA-0000"), (1011, "NET-0001"), (1012, ""), (4000, "private"),
    (1011, "See https://dpgr.am/net0001 for more, which takes so many words that it fills a whole control frame to the very last byte"),
])  # fmt: skip
def test_a_close_frame_is_believed_at_once(code: int, reason: str, hang_up: bool) -> None:
    outcome = simulate(saying(frame(TEXT, b"last"), close_frame(code, reason), hang_up=hang_up))
    check_closed(outcome, code, reason)

    assert outcome.heard == ["last"]
    assert outcome.server.events() == [CloseConnection(code=code, reason=reason)]  # it is answered


def test_a_close_frame_without_a_code_is_1005() -> None:
    check_closed(simulate(saying(frame(CLOSE))), 1005)


@pytest.mark.parametrize("cut", [b"", b"\x81", frame(TEXT, b"half a message")[:9], frame(TEXT, b"a part", fin=False)])
def test_an_end_without_a_close_frame_is_1006(cut: bytes) -> None:
    outcome = simulate(saying(frame(TEXT, b"whole"), cut, hang_up=True))
    check_closed(outcome, 1006, "the peer hung up")

    assert outcome.heard == ["whole"]


def test_a_reset_is_1006_with_the_networks_words() -> None:
    async def script(server: Server) -> None:
        await server.upgrade()
        await trio.sleep(0.1)
        server.stream.reset()
        server.ended = "reset"

    check_closed(simulate(script), 1006, "connection reset by peer", took=0.1)


@pytest.mark.parametrize("broken, code", [
    (frame(CLOSE, b"\x03"), 1002),
    (frame(CLOSE, b"\x03\xe7"), 1002),  # 999
    (close_frame(1005), 1002),
    (close_frame(1006), 1002),
    (close_frame(2999), 1002),
    (close_frame(5000), 1002),
    (frame(CLOSE, b"\x03\xe8\xff\xfe"), 1007),
    (frame(TEXT, b"masked", mask=b"abcd"), 1002),
    (frame(TEXT, b"\xff\xfe"), 1007),
    (frame(TEXT, b"\xe2\x82"), 1007),  # the euro sign, without its end
    (frame(3, b"reserved opcode"), 1002),
    (frame(TEXT, b"reserved bit", reserved=4), 1002),
    (frame(0, b"continues nothing"), 1002),
    (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    (frame(PING, b"a", fin=False), 1002),
    (b"\x89\x7e\x00\x80" + bytes(128), 1002),  # a ping of 128 bytes
    (b"\x81\x7e\x00\x05hello", 1002),  # a length in more bytes than it needs
    (b"\x81\x7f" + b"\xff" * 8, 1002),
    (frame(TEXT, b"x" * (MEGABYTE + 1)), 1009),
    (frame(TEXT, b"x" * MEGABYTE, fin=False) + frame(0, b"x"), 1009),
    (b"HTTP/1.1 200 OK\r\n\r\n", 1002),
], ids=range(21))  # fmt: skip
@pytest.mark.parametrize("then", [b"", frame(PING) + frame(TEXT, b"more")], ids=["", "and goes on"])
def test_a_frame_that_is_wrong_ends_the_connection_at_once_and_nothing_before_it_is_lost(broken: bytes, code: int, then: bytes) -> None:
    outcome = simulate(saying(frame(TEXT, b"one") + frame(TEXT, b"two") + broken + then))

    assert outcome.closures == 1
    assert outcome.closure.code == code
    assert outcome.closure.opened
    assert outcome.took == pytest.approx(0)
    assert outcome.server.ended
    assert outcome.heard + outcome.unheard == ["one", "two"]


def test_the_longest_message_is_a_mebibyte() -> None:
    outcome = simulate(saying(frame(TEXT, b"x" * MEGABYTE), close_frame(1000)))

    assert outcome.heard == ["x" * MEGABYTE]


def test_a_message_in_many_fragments_is_one_with_pings_between_them() -> None:
    text = "Zürich, 東京"
    pieces = [bytes((byte,)) for byte in text.encode()]
    frames = [frame(TEXT if not place else 0, piece, fin=place == len(pieces) - 1) + frame(PING, piece) for place, piece in enumerate(pieces)]
    outcome = simulate(saying(*frames, frame(BINARY, b"\x00\xff"), frame(TEXT), close_frame(1000)))

    assert outcome.heard == [text, b"\x00\xff", ""]
    assert [event.payload for event in outcome.server.events() if isinstance(event, Pong)] == pieces


@pytest.mark.parametrize("together", [True, False], ids=["in one packet", "in two"])
@pytest.mark.parametrize("after", [frame(PING, b"?"), frame(TEXT, b"late"), frame(PONG), b"\xff\xff", close_frame(1008, "again")])
def test_what_follows_a_close_frame_changes_nothing(after: bytes, together: bool) -> None:
    """A Ping cannot be answered any more; the reason that the server gave is worth more than that."""
    close = close_frame(1011, "NET-0001")
    outcome = simulate(saying(*([close + after] if together else [close, after])))

    assert outcome.closures <= 2  # the library may tell of it too
    if after[0] & 15 != CLOSE:
        check_closed(outcome, 1011, "NET-0001")


def test_why_a_server_closed_is_known_although_our_next_frame_was_refused() -> None:
    """It says why and closes; before anybody here has run to read that, audio is put and fails. The reason counts."""

    async def script(server: Server) -> None:
        await server.upgrade()
        await opened.wait()
        peer = server.stream
        peer._leaving.write(frame(TEXT, b"the last words") + frame(PING) + close_frame(1011, "NET-0000"))
        peer._leaving.end()
        peer._arriving.leave()
        connections[0].put(b"audio")

        assert not connections[0].ready

        server.ended = "closed"

    async def use(connection: Connection) -> None:
        connections.append(connection)
        opened.set()
        await hear_all(connection, heard)

    heard: list[object] = []
    connections: list[Connection] = []
    opened = trio.Event()
    outcome = simulate(script, use)
    check_closed(outcome, 1011, "NET-0000")

    assert outcome.server.ended == "closed"  # the script came to its end
    assert heard == ["the last words"]


def test_pings_are_answered_while_nobody_takes_the_messages_and_none_is_lost() -> None:
    messages = [f"message {number}" for number in range(200)]

    async def script(server: Server) -> None:
        await server.upgrade()
        for message in messages:
            await server.send(frame(TEXT, message.encode()))
        await server.send(frame(PING, b"there?"))
        await server.until(Pong)
        await server.send(close_frame(1011, "NET-0001"))

    async def use(connection: Connection) -> None:
        await trio.sleep(1)

        assert connection.unheard() == messages
        assert connection.unheard() == []
        assert not connection.ready

        await connection.hear()

    check_closed(simulate(script, use), 1011, "NET-0001", took=1.0)


def test_what_has_come_can_be_had_after_the_end() -> None:
    """Also where the library throws it away, for a message after it was too long."""

    for end in (close_frame(1011, "NET-0001"), frame(TEXT, b"x" * (MEGABYTE + 1)), b"\xff\xff"):
        unheard: list[object] = []

        async def use(connection: Connection, unheard: list[object] = unheard) -> None:
            await trio.sleep(1)
            unheard += connection.unheard()

        simulate(saying(frame(TEXT, b"one"), frame(TEXT, b"two"), end), use)

        assert unheard == ["one", "two"]


def test_a_flood_that_nobody_takes_is_left_in_time() -> None:
    """The library stops reading at 256 messages; leaving is bounded all the same."""

    async def script(server: Server) -> None:
        await server.upgrade()
        for _ in range(600):
            await server.send(frame(TEXT, b"x" * 1000))

    async def use(connection: Connection) -> None:
        await trio.sleep(1)

    outcome = simulate(script, use, capacity=20_000)

    assert outcome.closure is None
    assert outcome.left <= CLOSE_TIMEOUT
