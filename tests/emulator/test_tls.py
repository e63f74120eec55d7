"""The emulator behind TLS: any stream will do, and what a fault does to TCP it does to the one below."""

import ssl
from functools import partial

import pytest
import trio
import trustme

from supervisor.emulator.faults import Close, Fin, Refuse, Reset, StopAnswering
from supervisor.emulator.habits import Habits
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator

from .client import request
from .test_sockets import frames

DEADLINE = 20


@pytest.fixture(scope="module")
def contexts():
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def talk(contexts, faults, *, sent=b""):
    """What a client reads over TLS on a real socket, and how that ends."""
    server, client = contexts
    emulator = Emulator(Plan([list(faults)], habits=Habits(hold=1.0, latency=(0.0, 0.0))))

    async def serve(stream):
        await emulator.serve(trio.SSLStream(stream, server, server_side=True))

    async def main():
        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
                stream = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
                secure = trio.SSLStream(stream, client, server_hostname="localhost")
                came, end = b"", "eof"
                try:
                    await secure.send_all(request() + sent)
                    while data := await secure.receive_some():
                        came += data
                except trio.BrokenResourceError as broken:
                    end = "reset" if "reset" in str(broken.__cause__).lower() else "cut"
                await trio.aclose_forcefully(secure)
                nursery.cancel_scope.cancel()
        return came, end

    return (*trio.run(main), emulator.proof.connections[0])


def test_a_conversation(contexts):
    came, _, record = talk(contexts, [], sent=frames(audio=b"\x80" * 8000, text=["CloseStream"]))

    assert b'"type":"Metadata"' in came
    assert b"\x88\x02\x03\xe8" in came
    assert (record.end, record.size) == ("close", 8000)


def test_a_refusal_is_whole(contexts):
    came, _, record = talk(contexts, [Refuse(status=503, body="x" * 20_000)])

    assert came.count(b"x" * 20_000) == 1
    assert (record.status, record.end) == (503, "refused")


@pytest.mark.parametrize(
    "fault, ends, kept",
    [(Reset(), {"reset"}, "reset"), (Fin(), {"cut"}, "fin"), (Close(), {"cut", "eof"}, "close"),
     (StopAnswering(), {"cut", "eof", "reset"}, "mute")],
    ids=["reset", "fin", "close", "mute"],
)  # fmt: skip
def test_what_a_fault_does_to_tcp(contexts, fault, ends, kept):
    sent = frames(audio=b"\x80" * 800, text=["CloseStream"]) if kept == "mute" else b""
    _, end, record = talk(contexts, [fault], sent=sent)

    assert (record.end, end in ends) == (kept, True)
