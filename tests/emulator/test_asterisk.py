"""What Asterisk does to a caller for what the other side of AudioSocket does."""

from __future__ import annotations

import socket
import struct
import threading
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from supervisor.cli import run
from supervisor.core.audio import AudioFormat
from supervisor.core.wav import header
from supervisor.emulator.asterisk import Hold, Leg
from supervisor.emulator.callers import place
from tests.system.processes import command

ROOT = Path(__file__).parents[2]
ID = uuid.UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
SILENCE = b"\x10\x01\x40" + bytes(320)


def leg(seconds=10.0, **more):
    frames = round(seconds * 50)
    return Leg(ID, lambda n: bytes([n % 256]) * 320 if n < frames else b"", 0x10, **more)


def sent(one, until, *, step=0.02, back=()):
    """(when, bytes) of each tick; `back` is (when, bytes) that come from the other side."""
    out, waiting = [], list(back)
    for tick in range(round(until / step) + 1):
        now = tick * step
        while waiting and waiting[0][0] <= now:
            one.came(waiting.pop(0)[1], now)
        if data := one.due(now):
            out.append((now, data))
    return out


def test_it_begins_with_its_uuid_and_sends_a_frame_each_twenty_milliseconds():
    one = leg(1.0)
    came = sent(one, 2.0)

    assert came[0] == (0.0, b"\x01\x00\x10" + ID.bytes)
    assert [data for _, data in came[1:]] == [b"\x10\x01\x40" + bytes([n]) * 320 for n in range(50)]
    assert [round(at, 2) for at, _ in came[1:]] == [round(0.02 * (n + 1), 2) for n in range(50)]
    assert one.finished
    assert (one.seconds, one.verdict) == (1.0, "")


def test_who_was_late_sends_it_all_at_once():
    one = leg(10.0)
    one.due(0.0)

    assert len(one.due(1.0)) == 50 * 323
    assert len(one.due(1.02)) == 323


def test_a_held_caller_sends_nothing_and_goes_on():
    one = leg(4.0, holds=(Hold(2.0, 1.5),))
    came = [at for at, data in sent(one, 6.0) if data[0] == 0x10]

    assert len(came) == 200
    assert all(not 2.01 < at < 3.51 for at in came)
    assert one.finished
    assert not one.torn_down


def test_two_seconds_without_a_frame_either_way_are_the_end():
    one = leg(10.0, holds=(Hold(2.0, 30.0),))
    sent(one, 6.0)

    assert one.torn_down
    assert one.verdict == "no frame either way for 2 s"
    assert one.due(100.0) == b""


@pytest.mark.parametrize("every, torn_down", [(1.0, False), (1.9, False), (2.5, True)])
def test_a_frame_that_comes_back_keeps_a_held_call(every, torn_down):
    one = leg(4.0, holds=(Hold(2.0, 20.0),))
    sent(one, 30.0, back=[(2.0 + every * n, SILENCE) for n in range(1, int(20 / every) + 1)])

    assert one.torn_down is torn_down


@pytest.mark.parametrize(
    "data, torn_down, verdict",
    [
        (b"\x00\x00\x00", False, "hung up in order"),
        (b"\x03\x00\x015", True, "kind 0x03"),
        (b"\x55\x00\x00", True, "kind 0x55"),
        (b"\x01\x00\x10", True, "kind 0x01"),
        (SILENCE + b"\x19\x00\x00", True, "kind 0x19"),
    ],
)
def test_only_audio_and_the_order_to_hang_up_may_come(data, torn_down, verdict):
    one = leg()
    for byte in data:
        one.came(bytes([byte]), 1.0)

    assert (one.torn_down, verdict in one.verdict) == (torn_down, True)


def test_what_comes_back_is_counted_whole():
    one = leg()
    one.came(SILENCE[:100], 1.0)
    assert one.heard == 0
    one.came(SILENCE[100:] + SILENCE, 1.1)

    assert (one.heard, one.verdict) == (2, "")


def test_ends():
    early, late, broken, after = leg(), leg(0.0), leg(), leg(0.0)
    for one in (early, late, broken, after):
        one.due(1.0)
    early.ended()
    late.ended()
    broken.broke()
    after.broke()

    assert [(one.torn_down, one.verdict) for one in (early, late, broken, after)] == [
        (False, "it ended in order; the dialplan goes on"),
        (False, "all is said, and both sides have ended"),
        (True, "the connection was reset"),
        (False, "all is said; it was reset afterwards"),
    ]


# Over real connections


async def until_they_end(serve, legs):
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        await place(legs, "127.0.0.1", listeners[0].socket.getsockname()[1], spread=0.01)
        nursery.cancel_scope.cancel()


def against(serve, legs):
    async def main():
        with trio.fail_after(20):
            await until_they_end(serve, legs)

    trio.run(main)


def test_calls_are_placed_and_come_whole():
    came = []

    async def serve(stream):
        data = b""
        with suppress(trio.BrokenResourceError):
            while piece := await stream.receive_some():
                data += piece
        came.append(data)

    legs = [leg(0.5) for _ in range(20)]
    against(serve, legs)

    assert {one.verdict for one in legs} == {"all is said, and both sides have ended"}
    assert [len(data) for data in came] == [19 + 25 * 323] * 20


@pytest.mark.parametrize("how, torn_down", [("fin", False), ("reset", True)])
def test_the_other_side_ends_first(how, torn_down):
    async def serve(stream):
        await stream.receive_some()
        if how == "reset":
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            await stream.send_eof()
            while await stream.receive_some():
                pass

    (one,) = legs = [leg(30.0)]
    with suppress(trio.BrokenResourceError, ExceptionGroup):
        against(serve, legs)

    assert one.torn_down is torn_down


def test_nobody_is_there():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (one,) = legs = [leg(1.0)]
    trio.run(partial(place, legs, "127.0.0.1", port))

    assert one.torn_down
    assert one.verdict == "cannot connect: Connection refused"


def test_one_that_does_not_read_is_left():
    async def serve(stream):
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await trio.sleep_forever()

    one = Leg(ID, lambda n: bytes(60_000) if n < 10_000 else b"", 0x18)
    against(serve, [one])

    assert one.verdict == "the other side does not read"


def test_who_is_told_to_stop_ends_every_call_in_order():
    ended, nobody_left = [], trio.Event()

    async def serve(stream):
        while await stream.receive_some():
            pass
        ended.append(stream)
        if len(ended) == 5:
            nobody_left.set()

    async def main():
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
                with trio.move_on_after(0.2):
                    await place(
                        [leg(30.0) for _ in range(5)], "127.0.0.1", listeners[0].socket.getsockname()[1], spread=0.01
                    )
                await nobody_left.wait()
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_one_that_sends_without_end_takes_no_time_from_others():
    """Faster than it can be read, for a thread of its own sends it."""
    over = threading.Event()

    def flood(connection):
        with connection, suppress(OSError):
            while not over.is_set():
                connection.sendall(SILENCE * 3000)

    async def main():
        with trio.fail_after(20), socket.create_server(("127.0.0.1", 0)) as server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(place, [leg(30.0)], *server.getsockname())
                connection, _ = await trio.to_thread.run_sync(server.accept)
                nursery.start_soon(trio.to_thread.run_sync, flood, connection)
                try:
                    began = trio.current_time()
                    for _ in range(10):
                        await trio.sleep(0.02)
                    assert trio.current_time() - began < 5
                finally:
                    over.set()
                    nursery.cancel_scope.cancel()

    trio.run(main)


# The command


def test_a_file_is_played_over_each_call(tmp_path):
    """G.711 is expanded, as by an Asterisk; each call has a line, and no two a name."""
    came = []

    async def serve(stream):
        data = b""
        while piece := await stream.receive_some():
            data += piece
        came.append(data)

    async def main():
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            to = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            arguments = ["emulate", "audiosocket", "call.wav", "--to", to, "--calls", "2"]
            ran = await command(*arguments, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
            nursery.cancel_scope.cancel()
        return ran

    (tmp_path / "call.wav").write_bytes(header(AudioFormat("mulaw", 8000, 1), 1600) + b"\x00" * 1600)
    ran = trio.run(main)

    lines = ran.out.decode().splitlines()
    assert (ran.code, ran.err, len(lines)) == (0, b"", 2)
    assert all(
        line.endswith(": 0.20 s sent, 0 frames came back: all is said, and both sides have ended") for line in lines
    )
    assert {line.partition(":")[0] for line in lines} == {str(uuid.UUID(bytes=data[3:19])) for data in came}
    assert {data[19:] for data in came} == {(b"\x10\x01\x40" + b"\x84\x82" * 160) * 10}


def test_a_call_that_is_torn_down_is_the_exit_code(tmp_path):
    async def serve(stream):
        await stream.receive_some()
        await stream.send_all(b"\x55\x00\x00")
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass

    async def main():
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            to = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            ran = await command(
                "emulate", "audiosocket", "numbered:30", "--to", to, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
            )
            nursery.cancel_scope.cancel()
        return ran

    ran = trio.run(main)

    assert ran.code == 69
    assert b"it sent a frame of kind 0x55" in ran.out


@pytest.mark.parametrize(
    "arguments, code, line",
    [
        (["audiosocket", "numbered:1"], 64, "nothing says where to call"),
        (["audiosocket"], 64, "nothing to emulate called 'audiosocket'"),
        (["twilio", "x", "--to", "127.0.0.1:1"], 64, "nothing to emulate called 'twilio x'"),
        (["audiosocket", "numbered:x", "--to", "127.0.0.1:1"], 64, "numbered:x is no length"),
        (["audiosocket", "nowhere.wav", "--to", "127.0.0.1:1"], 66, "cannot read nowhere.wav: No such file"),
        (
            ["audiosocket", "stereo.wav", "--to", "127.0.0.1:1"],
            65,
            "linear16, 8000 Hz, 2 channels, which AudioSocket has no kind for",
        ),
        (
            ["audiosocket", "linear.wav", "--to", "127.0.0.1:1", "--mislabelled"],
            65,
            "--mislabelled needs G.711 of 8000 Hz",
        ),
        (["audiosocket", "numbered:1", "--to", "x"], 64, "'x' is no address"),
        (["audiosocket", "numbered:1", "--to", "x:1", "--hold", "a"], 64, "'a' is no hold"),
        (["audiosocket", "numbered:1", "--to", "x:1", "--calls", "0"], 64, "there cannot be 0 calls"),
        (["--to", "127.0.0.1:1"], 64, "--to is for what it plays the part of"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, code, line, tmp_path, monkeypatch, capsys):
    (tmp_path / "stereo.wav").write_bytes(header(AudioFormat("linear16", 8000, 2), 400) + bytes(400))
    (tmp_path / "linear.wav").write_bytes(header(AudioFormat("linear16", 8000, 1), 400) + bytes(400))
    monkeypatch.chdir(tmp_path)
    ended = run(["emulate", *arguments], {})

    told = capsys.readouterr()
    assert (ended, told.out) == (code, "")
    assert line in told.err
    assert told.err.count("\n") == 1
