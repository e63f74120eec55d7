"""Whatever a peer sends and whatever a plan does to it, the emulator's task ends without an exception, and soon."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.emulator.faults import FAULTS, Opening
from supervisor.emulator.habits import Habits
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator
from supervisor.memory import memory_wire

from .client import LISTEN, Client, request, simulate

NEEDED = {"slow": {"seconds": 1.0}, "hole": {"seconds": 1.0}, "short_tail": {"seconds": 0.5}}
WHEN = st.one_of(
    st.just({}), st.just({"finishing": True}), st.floats(0, 3).map(lambda at: {"audio": at}),
    st.floats(0, 5).map(lambda at: {"time": at}),
)  # fmt: skip


@st.composite
def faults(draw):
    """Of the opening at most one."""
    names = draw(st.lists(st.sampled_from(sorted(FAULTS)), max_size=4, unique=True))
    found, opened = [], False
    for name in names:
        kind = FAULTS[name]
        if issubclass(kind, Opening):
            if not opened:
                found.append(kind(**NEEDED.get(name, {})))
            opened = True
        else:
            when = draw(WHEN) if "audio" in kind.__dataclass_fields__ else {}
            found.append(kind(**NEEDED.get(name, {}), **when))
    return found


TEXTS = st.one_of(
    st.sampled_from(['{"type":"Finalize"}', '{"type":"CloseStream"}', '{"type":"KeepAlive"}', '{"type":"Configure"}',
                     '{"type":"Finalize","channel":0}', "[]", '{"type":{}}']),
    st.text(max_size=30),
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("speak"), st.floats(0.05, 3)),
        st.tuples(st.just("audio"), st.binary(max_size=2000)),
        st.tuples(st.just("text"), TEXTS),
        st.tuples(st.just("wait"), st.floats(0, 15)),
        st.tuples(st.just("ping"), st.none()),
        st.tuples(st.just("close"), st.sampled_from([1000, 1001, 1011, 4000])),
        st.tuples(st.just("raw"), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("reset"), st.none()),
    ),
    max_size=8,
)
QUERIES = st.sampled_from(
    ["", "&vad_events=true&utterance_end_ms=1000", "&channels=2&multichannel=true", "&endpointing=false&diarize=true"]
)


@given(faults(), STEPS, QUERIES, st.sampled_from(["raw", "wav"]), st.booleans(), st.integers(50, 100_000))
@settings(max_examples=250, deadline=None)
def test_nothing_ends_the_emulator(suffered, steps, query, kind, wobble, capacity):
    target = LISTEN + query if kind == "raw" else "/v1/listen?model=nova-3&interim_results=true"
    emulator = Emulator(Plan([suffered], habits=Habits(wobble=wobble, hold=20.0, send=5.0)))

    async def main():
        wire, peer = memory_wire(capacity)
        client = Client(wire, peer)
        with trio.fail_after(400):
            async with trio.open_nursery() as server:
                server.start_soon(emulator.serve, peer)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wire.run)
                    with trio.move_on_after(30):
                        answer = await client.open(request(target))
                        if answer and answer.status == 101:
                            nursery.start_soon(client.listen)
                            await act(client, steps)
                    nursery.cancel_scope.cancel()
                wire.close()

    simulate(main)

    (record,) = emulator.proof.connections
    assert record.end
    assert record.closed is not None
    assert emulator._open == 0
    assert sum(run.length for run in record.runs) == record.size


async def act(client, steps):
    for what, value in steps:
        match what:
            case "speak":
                await client.speak(value)
            case "wait":
                await trio.sleep(value)
            case "reset":
                client.peer.reset()
            case "ping":
                client.ping()
            case _:
                getattr(client, what)(value)


@given(st.binary(max_size=300), st.integers(0, 300))
@settings(max_examples=200, deadline=None)
def test_no_opening_ends_the_emulator(junk, at):
    """Anything, and a good request with anything in it."""
    for data in (junk, request()[:at] + junk + request()[at:]):
        emulator = Emulator()

        async def main(emulator=emulator, data=data):
            wire, peer = memory_wire()
            with trio.fail_after(100):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(emulator.serve, peer)
                    if data:
                        wire.put(data)
                    await trio.sleep(0.1)
                    wire.close()

        simulate(main)

        assert emulator.proof.connections[0].end
