"""Leaving is polite and bounded, and an end or a cancellation at any place is as good as at any other."""

from __future__ import annotations

import warnings

import pytest
import trio
from wsproto.events import CloseConnection

from supervisor.connection import Connection
from tests.network.servers import (
    CLOSE_TIMEOUT,
    MEGABYTE,
    PING,
    TEXT,
    Outcome,
    Server,
    broken_to_pieces,
    close_frame,
    converse,
    frame,
    hear_all,
    saying,
    simulate,
)


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
