"""An open WebSocket: whatever the peer does, it ends in time, in one typed closure, with the socket closed."""

from __future__ import annotations

import random
import warnings

import pytest
import trio
import trio.lowlevel
from wsproto.events import CloseConnection, Ping, Pong

from supervisor.connection import Connection
from tests.network.servers import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Outcome,
    Script,
    Server,
    broken_to_pieces,
    close_frame,
    converse,
    frame,
    simulate,
)

CLOSE_TIMEOUT = 1.0
MEGABYTE = 1024 * 1024


def saying(*data: bytes, hang_up: bool = False) -> Script:
    async def script(server: Server) -> None:
        await server.upgrade()
        for each in data:
            await server.send(each)
        if hang_up:
            await server.hang_up()

    return script


def check_closed(outcome: Outcome, code: int, reason: str = "", *, took: float = 0.0) -> None:
    assert outcome.closure is not None
    assert (outcome.closure.code, outcome.closure.reason) == (code, reason)
    assert outcome.closure.opened
    assert outcome.closure.status is None
    assert outcome.took == pytest.approx(took)
    assert outcome.server.ended


# The end


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


# Sending


async def hear_all(connection: Connection, into: list[object] | None = None) -> None:
    while True:
        message = await connection.hear()
        if into is not None:
            into.append(message)


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
    outcome = simulate(script_of_what_came(script, texts), use, capacity=1500)
    pieces = broken_to_pieces(outcome.server.events())

    assert [payload for kind, payload in pieces if kind == "audio"] == audio
    assert [payload for kind, payload in pieces if kind == "ping"] == []
    assert [payload for kind, payload in pieces if kind == "pong"] == pings
    spoken = [payload for kind, payload in pieces if kind == "text"]

    assert [text for text in texts if text in spoken] == spoken  # whole, once, in order
    assert set(said) <= set(spoken) <= set(said + maybe)


def script_of_what_came(script: Script, texts: list[str]) -> Script:
    """A text that was cancelled before its turn is never sent, so the server cannot count on all of them."""

    async def patient(server: Server) -> None:
        with trio.move_on_after(20):
            await script(server)
        await server.send(close_frame(1000))

    del texts
    return patient


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


# Hearing


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


# Leaving


async def leave(_: Connection) -> None:
    await trio.sleep(0.1)


@pytest.mark.parametrize("answer, left", [
    (close_frame(1000), 0.0),
    (frame(TEXT, b"a last result") + close_frame(1000), 0.0),
    (b"", CLOSE_TIMEOUT),
    (frame(PING, b"there?"), CLOSE_TIMEOUT),
    (frame(PING) * 3 + close_frame(1000), CLOSE_TIMEOUT),
    (frame(TEXT, b"x") * 400, CLOSE_TIMEOUT),
    (b"\xff\xff", CLOSE_TIMEOUT),
    (frame(TEXT, b"x" * (MEGABYTE + 1)), CLOSE_TIMEOUT),
])  # fmt: skip
def test_leaving_is_polite_and_bounded_whatever_the_answer(answer: bytes, left: float) -> None:
    async def script(server: Server) -> None:
        await server.upgrade()
        await server.until(CloseConnection)
        await server.send(answer)

    outcome = simulate(script, leave)

    assert outcome.closure is None
    assert outcome.left <= left + 1e-9
    assert broken_to_pieces(outcome.server.events())[0] == ("close", 1000)
    assert outcome.server.ended


@pytest.mark.parametrize("reads", [True, False])
def test_abandoning_says_so_and_waits_for_nothing(reads: bool) -> None:
    async def script(server: Server) -> None:
        await server.upgrade()
        if not reads:
            await trio.sleep(10)

    async def use(connection: Connection) -> None:
        connection.put(b"audio")
        connection.abandon()

        assert not connection.ready

    outcome = simulate(script, use)

    assert (outcome.closure, outcome.left) == (None, 0.0)
    assert broken_to_pieces(outcome.server.events()) == [("audio", b"audio"), ("close", 1001)]


@pytest.mark.parametrize("reads", [True, False])
def test_cancelling_says_goodbye_and_takes_no_time(reads: bool) -> None:
    async def script(server: Server) -> None:
        await server.upgrade()
        if not reads:
            await trio.sleep(10)

    outcome = simulate(script, scope=trio.CancelScope(deadline=0.5))

    assert outcome.cancelled
    assert outcome.closure is None
    assert outcome.took == pytest.approx(0.5)
    assert broken_to_pieces(outcome.server.events()) == [("close", 1001)]


def test_an_error_of_the_user_is_not_hidden() -> None:
    async def use(_: Connection) -> None:
        await trio.lowlevel.checkpoint()
        raise UnicodeError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        simulate(saying(), use)

    assert caught.group_contains(UnicodeError)


# Sweeps


async def short_conversation(server: Server) -> bytes:
    await server.read_request()
    return (
        server.acceptance(b"dg-request-id: r\r\n")
        + frame(TEXT, b"hello") + frame(PING, b"?") + frame(TEXT, b"wor", fin=False) + frame(0, b"ld")
        + close_frame(1011, "NET-0001")
    )  # fmt: skip


async def talk_a_little(connection: Connection) -> None:
    if connection.ready:
        connection.put(b"audio")
        connection.ping()
    await connection.say("{}")
    await hear_all(connection)


@pytest.mark.parametrize("end", ["fin", "reset", "silence"])
def test_an_end_after_any_byte_is_one_typed_closure(end: str) -> None:
    async def measure(server: Server) -> None:
        sizes.append(len(await short_conversation(server)))
        await server.hang_up()

    sizes: list[int] = []
    simulate(measure)

    for cut in range(sizes[0] + 1):

        async def script(server: Server, cut: int = cut) -> None:
            await server.send((await short_conversation(server))[:cut])
            await trio.sleep(0.1)
            if end == "fin":
                await server.hang_up()
            elif end == "reset":
                server.stream.reset()
                server.ended = "reset"

        scope = trio.CancelScope(deadline=20.0)
        outcome = simulate(script, talk_a_little, scope=scope)
        closure = outcome.closure
        opened = outcome.request_id == "r"

        assert outcome.server.ended
        if outcome.cancelled:  # open, and nothing comes: for the watchdogs of a session
            assert (end, opened) == ("silence", True)
            continue
        assert closure is not None
        assert closure.opened == opened
        if cut == sizes[0]:
            assert (closure.code, closure.reason) == (1011, "NET-0001")
        elif opened:
            assert closure.code == 1006
        else:
            assert (closure.code, closure.status) == (None, None)
            assert outcome.took <= 3.0 + 1e-9


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope after so many steps of tasks."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.left = steps
        self.scope = scope

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self.left -= 1
        if not self.left:
            self.scope.cancel()


@pytest.mark.parametrize("capacity", [262144, 40], ids=["wide", "narrow"])
def test_a_cancellation_at_any_step_leaves_nothing_behind(capacity: int) -> None:
    """No stray Cancelled, no task, no socket; and the frames of the client are whole up to the last."""

    async def script(server: Server) -> None:
        await server.send(await short_conversation(server))

    steps = 0
    while True:
        steps += 1
        scope = trio.CancelScope()
        instrument = CancelAfter(steps, scope)

        async def main(scope: trio.CancelScope = scope) -> Outcome:
            with trio.fail_after(60):
                return await converse(script, talk_a_little, scope=scope, capacity=capacity)

        with warnings.catch_warnings(action="error"):
            outcome = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=[instrument])
        pieces = broken_to_pieces(outcome.server.events())

        assert outcome.cancelled or outcome.closure is not None or instrument.left <= 0
        assert ("close", 1002) not in pieces  # which is how the parser says that a frame was wrong
        assert outcome.took <= 3.0
        if instrument.left > 0:
            break

    assert steps > 30  # it did reach into the conversation
    assert (outcome.closure.code, outcome.closure.reason) == (1011, "NET-0001")


