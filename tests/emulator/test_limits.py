"""What an emulator counts over its connections: how many at a time, and which suffers which fault."""

import pytest
import trio

from supervisor.emulator.faults import Refuse, Reset
from supervisor.emulator.habits import Habits
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator

from .client import converse, request, simulate


async def wait(_):
    await trio.sleep(2)


def test_connections_beyond_the_limit_are_429_until_one_ends():
    emulator = Emulator(Plan(habits=Habits(concurrency=1)))

    async def script(client):
        client.control("CloseStream")
        await trio.sleep(1)

    async def main():
        second = None

        async def while_open(client):
            nonlocal second
            second = await converse(emulator, script, request())
            await script(client)

        await converse(emulator, while_open, request(), stays=True)
        return second, await converse(emulator, script, request())

    second, third = simulate(main)

    assert (second.answer.status, second.answer.json["err_code"]) == (429, "TOO_MANY_REQUESTS")
    assert third.answer.status == 101


def test_two_at_the_same_time_are_one_too_many():
    emulator = Emulator(Plan(habits=Habits(concurrency=1)))

    async def main():
        clients = []

        async def one():
            clients.append(await converse(emulator, wait, request()))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(one)
        return clients

    assert sorted(client.answer.status for client in simulate(main)) == [101, 429, 429, 429, 429]


@pytest.mark.parametrize("after, status", [(1, 429), (11, 429), (12.5, 101)])
def test_a_socket_that_was_dropped_still_counts_for_twelve_seconds(after, status):
    emulator = Emulator(Plan([Reset(time=1.0)], habits=Habits(concurrency=1)))

    async def main():
        await converse(emulator, wait, request())
        dropped = emulator.proof.connections[0].closed
        await trio.sleep_until(dropped + after)
        return await converse(emulator, None, request())

    assert status == simulate(main).answer.status


def test_each_call_goes_through_the_plan_by_itself():
    plan = Plan([Refuse(status=503), Refuse(status=500)], each_call=True)

    async def main():
        emulator = Emulator(plan)
        found = []
        for call in ("a", "b", "a", "b", "a", "b"):
            opening = request(headers=[f"x-deepgram-session-id: {call}"])
            found.append((await converse(emulator, None, opening)).answer.status)
        return found, emulator.proof.calls

    assert simulate(main) == ([503, 503, 500, 500, 101, 101], ["a", "b"])


def test_a_plan_may_begin_again():
    async def main():
        emulator = Emulator(Plan([Refuse(status=503), None], then="repeat"))
        return [(await converse(emulator, None, request())).answer.status for _ in range(5)]

    assert simulate(main) == [503, 101, 503, 101, 503]
