"""The shape that was asked for: a nursery of three named tasks in every call, and nothing shared that could break."""

from contextlib import asynccontextmanager
from functools import partial

import trio

from supervisor.call import Call
from supervisor.emulator.faults import Reset
from supervisor.emulator.plan import Plan
from supervisor.events import CallEnded
from tests.simulation import in_room, simulate, speaker


def tasks_below(task):
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield child
            yield from tasks_below(child)


def test_every_live_call_runs_in_three_named_tasks():
    """Twenty calls, walked in trio's own tree of tasks: source, sender and receiver in each."""
    seen = {}

    async def one(room, number):
        await Call(room.spec(f"call-{number}", speaker(20.0, salt=number)), room.world, number).run()

    async def body(room):
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(one, room, number, name=f"call {number}")
            await trio.sleep(10)
            for call in nursery.child_tasks:
                seen[call.name] = sorted(
                    task.name for task in tasks_below(call) if task.name in ("source", "sender", "receiver")
                )
        return [event.outcome for event in room.events if isinstance(event, CallEnded)]

    outcomes = simulate(partial(in_room, body))

    assert len(seen) == 20
    assert set(map(tuple, seen.values())) == {("receiver", "sender", "source")}
    assert outcomes == ["complete"] * 20


def test_sender_and_receiver_are_renewed_with_each_session_and_the_source_is_not():
    named = {"source": set(), "sender": set(), "receiver": set()}

    async def look(nursery):
        while True:
            await trio.sleep(0.5)
            for call in list(nursery.child_tasks):
                for task in tasks_below(call):
                    if task.name in named:
                        named[task.name].add(id(task))
                        kept.append(task)

    kept = []

    async def body(room):
        ended = trio.Event()

        async def one():
            await Call(room.spec(source=speaker(30.0)), room.world).run()
            ended.set()

        async with trio.open_nursery() as watching, trio.open_nursery() as nursery:
            nursery.start_soon(one)
            watching.start_soon(look, nursery)
            await ended.wait()
            watching.cancel_scope.cancel()
        return room.emulator.proof

    proof = simulate(partial(in_room, body, Plan([Reset(audio=5.0), Reset(audio=5.0)])))

    assert len(proof.connections) == 3
    assert {name: len(tasks) for name, tasks in named.items()} == {"source": 1, "sender": 3, "receiver": 3}


def test_one_calls_trouble_is_not_anothers():
    """A source that raises anything ends its own call."""

    class Bad:
        label = "bad"

        def open(self):
            @asynccontextmanager
            async def opened():
                async with speaker(30.0).open() as feed:
                    taken = feed.take

                    def take():
                        if trio.current_time() > 5:
                            raise RuntimeError("a bug in a source")
                        return taken()

                    feed.take = take
                    yield feed

            return opened()

    async def body(room):
        results = {}

        async def one(name, source):
            results[name] = await Call(room.spec(name, source), room.world).run()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "bad", Bad())
            nursery.start_soon(one, "good", speaker(20.0))
        return results

    results = simulate(partial(in_room, body))

    assert (results["bad"].outcome, results["bad"].exit_code) == ("aborted", 70)
    assert results["bad"].ended.audio.heard == results["bad"].ended.audio.acknowledged + results["bad"].ended.audio.lost
    assert (results["good"].outcome, results["good"].exit_code) == ("complete", 0)
