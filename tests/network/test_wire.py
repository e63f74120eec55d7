"""What is put goes out whole and in turn, or the wire is dead: the same table over memory, sockets and TLS."""

from __future__ import annotations

import random
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from supervisor.wire import Wire
from tests.network.pairs import KINDS, Pair, pair, run

HEAD = struct.Struct("!BHI")  # who, which, how long
TIMEOUTS = {kind: 5.0 if kind.startswith("memory") else 0.3 for kind in KINDS}


def frame(who: int, which: int, size: int) -> bytes:
    return HEAD.pack(who, which, size) + bytes((who * 7 + which + place) % 256 for place in range(size))


def frames_in(data: bytes) -> list[tuple[int, int]]:
    """Who sent which, in the order of arrival; fails where a frame is not whole."""
    found, view = [], memoryview(data)
    while view:
        who, which, size = HEAD.unpack(view[: HEAD.size])

        assert frame(who, which, size) == view[: HEAD.size + size]

        found.append((who, which))
        view = view[HEAD.size + size :]
    return found


async def read(both: Pair, size: int, *, at_once: int = 65536, pause: float = 0.0) -> bytes:
    data = b""
    while len(data) < size:
        data += await both.peer.receive_some(at_once)
        if pause:
            await trio.sleep(pause)
    return data


async def read_to_the_end(both: Pair) -> None:
    with suppress(trio.BrokenResourceError):  # TLS: a truncated stream is an error to the peer
        while await both.peer.receive_some(65536):
            pass


async def put_for_ever(wire: Wire) -> None:
    while True:
        await trio.sleep(0.01)
        wire.put(b"more audio")


async def fill(wire: Wire, chunk: bytes = bytes(20_000)) -> int:
    """Put until the network takes no more."""
    size = 0
    while wire.clear:
        wire.put(chunk)
        size += len(chunk)
    return size


@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_several_tasks_arrive_whole_and_in_the_order_of_put(kind: str) -> None:
    chance = random.Random(1)
    put: list[tuple[int, int]] = []
    sizes = [[chance.choice((0, 1, 125, 3200, 9000)) for _ in range(12)] for _ in range(4)]

    async def speak(wire: Wire, who: int) -> None:
        for which, size in enumerate(sizes[who]):
            wire.put(frame(who, which, size))
            put.append((who, which))
            await trio.sleep(0.001 * chance.random())

    async def main() -> None:
        async with pair(kind) as both:
            for who in range(4):
                both.nursery.start_soon(speak, both.wire, who)
            data = await read(both, sum(HEAD.size * 12 + sum(each) for each in sizes), at_once=1500)

        assert put == frames_in(data)

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_write_arrives_whole_through_a_small_network(kind: str) -> None:
    large = random.Random(2).randbytes(1_000_000)

    async def main() -> None:
        async with pair(kind) as both:
            both.wire.put(large)

            assert not both.wire.clear
            assert large == await read(both, len(large))

            await both.wire.drained()

            assert both.wire.clear

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_peer_says_arrives_whole(kind: str) -> None:
    large = random.Random(3).randbytes(300_000)

    async def main() -> None:
        async with pair(kind) as both:
            both.nursery.start_soon(both.peer.send_all, large)
            data = b""
            while len(data) < len(large):
                data += await both.wire.receive()

            assert large == data

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_by_cancelling_a_wait(kind: str) -> None:
    """Neither a receiver that is cancelled again and again, nor one that waits for the wire to be clear."""
    large = random.Random(4).randbytes(100_000)

    async def echo(both: Pair) -> None:
        while True:
            await both.peer.send_all(await both.peer.receive_some(1000))

    async def drain(wire: Wire) -> None:
        while True:
            with trio.move_on_after(0.0004):
                await wire.drained()
            await trio.sleep(0.0001)

    async def main() -> None:
        async with pair(kind) as both:
            both.nursery.start_soon(echo, both)
            both.nursery.start_soon(drain, both.wire)
            both.wire.put(large)
            data = b""
            while len(data) < len(large):
                with trio.move_on_after(0.0003):
                    data += await both.wire.receive()

            assert large == data

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_receiver_that_was_cancelled_before_takes_nothing(kind: str) -> None:
    async def main() -> None:
        async with pair(kind) as both:
            await both.peer.send_all(b"once")
            await trio.sleep(0.05)
            with trio.CancelScope() as scope:
                scope.cancel()
                await both.wire.receive()

            assert await both.wire.receive() == b"once"

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_flusher_goes_on_where_the_first_was_cancelled(kind: str) -> None:
    """The flusher of a TLS handshake is not the one of the session."""
    large = random.Random(5).randbytes(200_000)

    async def main() -> None:
        async with pair(kind, flushing=False) as both:
            both.wire.put(large)
            data = b""
            while len(data) < len(large):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(both.wire.run)
                    data += await both.peer.receive_some(3000)
                    nursery.cancel_scope.cancel()

            assert large == data

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_that_does_not_read_kills_the_wire_in_time(kind: str) -> None:
    """Everyone who waits is told, and the socket is closed, although no byte moves any more."""
    told: list[str] = []

    async def expect_death(wait: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await wait()
        told.append(str(caught.value))

    async def main() -> None:
        async with pair(kind, TIMEOUTS[kind]) as both:
            began = trio.current_time()
            await fill(both.wire)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(expect_death, both.wire.drained)
                nursery.start_soon(expect_death, both.wire.receive)
            took = trio.current_time() - began

            assert TIMEOUTS[kind] <= took + 1e-9
            assert took < TIMEOUTS[kind] + (0.01 if kind.startswith("memory") else 2)
            assert [f"the peer does not take what is sent, for {TIMEOUTS[kind]:g} s"] * 2 == told
            assert not both.wire.clear
            with pytest.raises(trio.BrokenResourceError):
                both.wire.put(b"more")

            await read_to_the_end(both)

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_peer_is_no_dead_peer(kind: str) -> None:
    """It is given as long as each flush needs; only a rest that nobody takes in time is fatal."""

    async def main() -> None:
        async with pair(kind, TIMEOUTS[kind]) as both:
            for which in range(4):
                both.wire.put(frame(1, which, 20_000))
                data = await read(both, HEAD.size + 20_000, at_once=4096, pause=TIMEOUTS[kind] / 15)

                assert [(1, which)] == frames_in(data)

                await both.wire.drained()

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_the_peer_is_told_each_time_one_asks(kind: str) -> None:
    async def main() -> None:
        async with pair(kind) as both:
            await both.peer.send_all(b"the last word")
            await trio.aclose_forcefully(both.under)  # TLS: without a goodbye

            assert await both.wire.receive() == b"the last word"
            for _ in range(3):
                assert await both.wire.receive() == b""

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_is_an_error_and_nothing_can_be_put_after_it(kind: str) -> None:
    async def main() -> None:
        async with pair(kind) as both:
            both.reset()
            for _ in range(2):
                with pytest.raises(trio.BrokenResourceError, match=r"[Cc]onnection reset by peer"):
                    await both.wire.receive()
            with pytest.raises(trio.BrokenResourceError):
                both.wire.put(b"more")
            with pytest.raises(trio.BrokenResourceError):
                await both.wire.drained()

            assert not both.wire.clear

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_during_a_flush_ends_the_flusher_quietly(kind: str) -> None:
    async def main() -> None:
        async with pair(kind, flushing=False) as both:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(both.wire.run)
                await fill(both.wire)
                await trio.sleep(0.01)
                both.reset()
            with pytest.raises(trio.BrokenResourceError):
                await both.wire.drained()

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_what_came_before_the_wire_died_can_still_be_received(kind: str) -> None:
    """A server says why, and closes with our audio unread: our next frame is refused, but its words are there."""

    async def main() -> None:
        async with pair(kind) as both:
            both.wire.put(b"audio that is never read")
            await trio.sleep(0.05)
            await both.peer.send_all(b"NET-0001")
            await trio.aclose_forcefully(both.under)
            with pytest.raises(trio.BrokenResourceError):
                await put_for_ever(both.wire)

            assert await both.wire.receive() == b"NET-0001"
            with pytest.raises(trio.BrokenResourceError):
                await both.wire.receive()

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_closing_wakes_everyone_who_waits(kind: str) -> None:
    async def expect_death(wait: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(trio.BrokenResourceError, match="closed"):
            await wait()

    async def main() -> None:
        async with pair(kind, flushing=False) as both:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(both.wire.run)
                await fill(both.wire)
                nursery.start_soon(expect_death, both.wire.receive)
                nursery.start_soon(expect_death, both.wire.drained)
                await trio.sleep(0.01)
                both.wire.close()
            both.wire.close()  # twice is as good as once
            for wait in (both.wire.receive, both.wire.drained):
                await expect_death(wait)
            with pytest.raises(trio.BrokenResourceError, match="closed"):
                both.wire.put(b"more")

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_the_peer_is_not_left_waiting_when_the_wire_closes(kind: str) -> None:
    """Neither while it writes more than the network holds, nor while it reads."""

    async def write(both: Pair) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await both.peer.send_all(bytes(5_000_000))

    async def main() -> None:
        async with pair(kind) as both:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, both)
                await trio.sleep(0.05)
                both.wire.close()

    run(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_every_wait_is_a_checkpoint(kind: str) -> None:
    async def main() -> None:
        async with pair(kind) as both:
            await both.peer.send_all(b"word")
            with trio.testing.assert_checkpoints():
                await both.wire.receive()
            with trio.testing.assert_checkpoints():
                await both.wire.drained()
            await trio.aclose_forcefully(both.under)
            with trio.testing.assert_checkpoints():
                await both.wire.receive()

    run(kind, main)
