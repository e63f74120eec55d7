"""The emulator on real sockets: what only an operating system can do to a connection, and a cancel at every await."""

import socket
import threading
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock

from supervisor.emulator.faults import Close, Drop, Fin, HalfFrame, Refuse, Reset, StopReading
from supervisor.emulator.habits import Habits
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator, listen
from supervisor.memory import memory_wire

from .client import Client, request

DEADLINE = 20


@contextmanager
def served(*faults, **habits):
    """Where an emulator listens, in a thread of its own; it must end without an error."""
    emulator = Emulator(Plan([list(faults)], habits=Habits(**habits)))
    ready, chosen = threading.Event(), {}

    async def serve():
        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                chosen["port"] = await nursery.start(lambda **more: listen(emulator, **more))
                token = trio.lowlevel.current_trio_token()
                chosen["stop"] = lambda: trio.from_thread.run_sync(nursery.cancel_scope.cancel, trio_token=token)
                ready.set()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert ready.wait(DEADLINE)
    with socket.create_connection(("127.0.0.1", chosen["port"]), timeout=DEADLINE) as dialled:
        yield emulator, dialled
    chosen["stop"]()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def frames(*, audio=b"", text=()):
    """Masked frames, as a client sends them."""
    client, sent = Client(*memory_wire()), []
    client.raw = sent.append
    if audio:
        client.audio(audio)
    for each in text:
        client.control(each)
    return b"".join(sent)


def read(dialled):
    """All that comes, and whether it ended with a reset."""
    came = b""
    try:
        while data := dialled.recv(65536):
            came += data
    except ConnectionResetError:
        return came, "reset"
    return came, "eof"


@pytest.mark.parametrize(
    "fault, end",
    [(Reset(), "reset"), (Fin(), "eof"), (HalfFrame(then="reset"), "reset"), (HalfFrame(), "eof"), (Drop(), "eof"),
     (Drop(reset=True), "reset"), (Close(code=1012), "eof")],
    ids=lambda value: value if isinstance(value, str) else repr(value),
)  # fmt: skip
def test_tcp_ends_as_the_fault_says(fault, end):
    with served(fault) as (_, dialled):
        dialled.sendall(request())
        came, ended = read(dialled)

    assert ended == end
    assert end == "reset" or (b"101 Switching Protocols" in came) != isinstance(fault, Drop)


def test_a_refusal_is_whole_though_the_peer_goes_on_sending():
    """What is left unread when a socket closes would reset it, and take the answer along."""
    with served(Refuse(status=503, body="x" * 20_000)) as (_, dialled):
        dialled.sendall(request() + b"y" * 50_000)
        came, ended = read(dialled)

    assert (came.count(b"x" * 20_000), ended) == (1, "eof")


def test_stop_reading_fills_the_sockets_buffers():
    with served(StopReading()) as (_, dialled):
        dialled.sendall(request())
        dialled.settimeout(0.5)
        with pytest.raises(TimeoutError):
            dialled.sendall(frames(audio=b"\x80" * 20_000_000))


def test_a_conversation_on_a_socket():
    with served(latency=(0.0, 0.0)) as (emulator, dialled):
        dialled.sendall(request() + frames(audio=b"\x80" * 8000, text=["KeepAlive", "CloseStream"]))
        came = b""
        while b"\x88\x02\x03\xe8" not in came:
            came += dialled.recv(65536)

    assert came.index(b'"is_final":true') < came.index(b'"type":"Metadata"')
    assert emulator.proof.connections[0].size == 8000


class CancelAt(trio.abc.Instrument):
    """Cancels a scope after so many steps of all tasks."""

    def __init__(self, steps):
        self.steps = steps
        self.scope = None

    def after_task_step(self, _):
        if self.scope is not None:
            self.steps -= 1
            if self.steps == 0:
                self.scope.cancel()


def cancelled_after(steps, faults):
    """A conversation that is cut off by a cancellation; returns the record, and whether it came to that."""
    cut = CancelAt(steps)

    async def main():
        emulator = Emulator(Plan([list(faults)], habits=Habits(hold=5.0)))
        wire, peer = memory_wire()
        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(emulator.serve, peer)
                cut.scope = nursery.cancel_scope
                wire.put(request() + frames(audio=b"\x80" * 16000, text=["Finalize", "nonsense", "CloseStream"]))
                await trio.sleep(10)
                wire.close()
        return emulator, nursery.cancel_scope.cancelled_caught or nursery.cancel_scope.cancel_called

    return trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[cut])


@pytest.mark.parametrize("faults", [[], [Refuse(status=503)], [Close(audio=1.0, hang_up=False)]], ids=["well", "refused", "closed"])
def test_a_cancellation_at_any_step_closes_the_record_and_counts_nothing_for_ever(faults):
    steps, cut = 1, True
    while cut:
        emulator, cut = cancelled_after(steps, faults)
        for record in emulator.proof.connections:
            assert record.closed is not None
        assert emulator._open == 0
        steps += 1

    assert steps > 10
