"""Real connections: who is let in, and that none of them is ever reset, however it ends."""

from __future__ import annotations

import os
import resource
import socket
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import trio

from supervisor.config import IntakeConfig
from supervisor.core.problem import Exit, Problem
from supervisor.intakes import Taken
from supervisor.intakes import door as doors
from supervisor.intakes import line as lines
from supervisor.intakes.audiosocket import AudioSocketIntake
from supervisor.intakes.door import allowed
from supervisor.intakes.line import SocketLine, take_leave
from supervisor.intakes.tcp import TcpIntake
from supervisor.logs import build
from supervisor.sources.feed import End
from tests.intakes.lines import CALL_ID, HELLO, Host, frame

LOG = build({}, level="critical", fd=None)
PBX = IntakeConfig("pbx", "audiosocket", "127.0.0.1:0")
FRAME = frame(bytes(320))


def beside(test, host=None, *, config=PBX, kind=AudioSocketIntake):
    """Run a test with an open intake, its host and the address it listens at."""

    async def main():
        taking = host or Host()
        intake = kind(config, taking, log=LOG)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                address = await nursery.start(intake.run)
                await test(intake, taking, int(address.rpartition(":")[2]))
                nursery.cancel_scope.cancel()

    trio.run(main)


async def until_end(stream):
    """Everything that comes back, to the other side's end; raises where it is a reset."""
    came = b""
    while data := await stream.receive_some():
        came += data
    return came


async def speak(stream, count=1000):
    """As telephony does, whatever anybody thinks of it."""
    with suppress(trio.BrokenResourceError):
        for _ in range(count):  # a real sender's pace
            await stream.send_all(FRAME)
            await trio.sleep(0.002)


async def run_to_end(arrival):
    async with arrival.source.open() as feed:
        while not isinstance(feed.take(), End):  # noqa: ASYNC110 - as the grid does
            await trio.sleep(0.01)
    return Taken("complete")


async def run_briefly(arrival):
    async with arrival.source.open() as feed:
        await trio.sleep(0.05)
        feed.take()
    return Taken("aborted", Exit.GAVE_UP)


async def crash(arrival):
    async with arrival.source.open() as feed:
        feed.take()
        raise ValueError("a bug in a call")


@pytest.mark.parametrize(
    "host, first, reasons",
    [
        (Host(run_briefly), HELLO, []),
        (Host(crash), HELLO, ["failed"]),
        (Host(why="3 of 3 calls"), HELLO, ["full"]),
        (Host(), b"GET / HTTP/1.1\r\n\r\n", ["malformed"]),
    ],
    ids=["the call has ended here", "it crashed", "there is no room", "it is not understood"],
)
def test_no_ending_of_ours_resets_a_sender_that_goes_on(host, first, reasons):
    """It sees an orderly end while its frames are still on their way, and may go on with the caller's call."""
    host.rejections.clear()

    async def test(intake, host, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream, trio.open_nursery() as nursery:
            await stream.send_all(first + FRAME)
            nursery.start_soon(speak, stream)
            assert await until_end(stream) == b""
            await trio.sleep(0.2)
            assert stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            nursery.cancel_scope.cancel()
        assert [reason for reason, _ in host.rejections] == reasons

    beside(test, host)


@pytest.mark.parametrize("moment", ["before the UUID", "before audio", "in the call", "while it takes leave"])
def test_nor_does_the_end_of_the_process_while_it_is_told_to_end(moment):
    async def main():
        host = Host(run_briefly if moment == "while it takes leave" else run_to_end)
        intake = AudioSocketIntake(PBX, host, log=LOG)
        with trio.fail_after(20):
            async with trio.open_nursery() as outer:
                nursery = await outer.start(_nursery)
                address = await nursery.start(intake.run)
                stream = await trio.open_tcp_stream("127.0.0.1", int(address.rpartition(":")[2]))
                async with stream:
                    first = {"before the UUID": HELLO[:5], "before audio": HELLO}.get(moment, HELLO + FRAME * 5)
                    await stream.send_all(first)
                    await trio.sleep(0.3)
                    await stream.send_all(b"" if moment.startswith("before") else FRAME * 50)
                    nursery.cancel_scope.cancel()
                    assert set(await until_end(stream)) <= set(FRAME)
                    await stream.send_eof()
                outer.cancel_scope.cancel()

    trio.run(main)


async def _nursery(task_status):
    async with trio.open_nursery() as nursery:
        task_status.started(nursery)
        await trio.sleep_forever()


def test_a_call_is_told_by_its_uuid_and_is_taken_to_its_end():
    heard = []

    async def run(arrival):
        async with arrival.source.open() as feed:
            while not isinstance(taken := feed.take(), End):
                heard.append(taken or b"")
                await trio.sleep(0.01)
        return Taken("complete")

    async def test(intake, host, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(HELLO + FRAME * 3)
            await stream.send_all(FRAME * 100_0)
            await stream.send_eof()
            assert await until_end(stream) == b""
        assert [arrival.call_id for arrival in host.arrivals] == [CALL_ID]
        assert sum(map(len, heard)) == 320 * 1003

    beside(test, Host(run))


def test_closing_the_door_leaves_calls_alone():
    async def test(intake, host, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(HELLO + FRAME)
            await trio.sleep(0.1)
            intake.close()
            await trio.sleep(0.05)
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(FRAME * 10)
            with trio.move_on_after(0.2) as waiting:
                await until_end(stream)
            assert waiting.cancelled_caught  # nobody has hung up
            await stream.send_eof()
            await until_end(stream)

    beside(test, Host(run_to_end))


def test_it_ends_when_it_is_closed_and_its_last_call_has_gone():
    async def main():
        intake = AudioSocketIntake(PBX, Host(run_to_end), log=LOG)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                address = await nursery.start(intake.run)
                async with await trio.open_tcp_stream("127.0.0.1", int(address.rpartition(":")[2])) as stream:
                    await stream.send_all(HELLO + FRAME)
                    await trio.sleep(0.1)
                    intake.close()

    trio.run(main)


@pytest.mark.parametrize(
    "host, networks, let_in",
    [
        ("127.0.0.1", (), True),
        ("127.8.8.8", (), True),
        ("::1", (), True),
        ("::ffff:127.0.0.1", (), True),
        ("10.0.0.7", (), False),
        ("10.0.0.7", ("10.0.0.0/24",), True),
        ("10.0.1.7", ("10.0.0.0/24", "192.168.0.0/16"), False),
        ("::ffff:10.0.0.7", ("10.0.0.0/24",), True),
        ("fe80::1%eth0", ("fe80::/10",), True),
        ("2001:db8::1", ("10.0.0.0/8",), False),
    ],
)
def test_nobody_beyond_this_machine_who_is_not_named(host, networks, let_in):
    assert allowed(host, networks) is let_in


def test_who_is_not_allowed_is_told_goodbye_before_a_byte_is_read(monkeypatch):
    monkeypatch.setattr(doors, "allowed", lambda *_: False)

    async def test(intake, host, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(HELLO + FRAME)
            assert await until_end(stream) == b""
        assert [reason for reason, _ in host.rejections] == ["address"]
        assert host.arrivals == []

    beside(test)


def test_a_crowd_that_says_nothing_keeps_nobody_out_for_long(monkeypatch):
    monkeypatch.setattr(doors, "GREETING", 20)

    async def test(intake, host, port):
        silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(30)]
        await trio.sleep(0.3)
        assert [reason for reason, _ in host.rejections] == ["full"] * 10
        for stream in silent:
            await stream.aclose()
        await trio.sleep(0.2)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(HELLO)
            await trio.sleep(0.2)
        assert len(host.arrivals) == 1

    beside(test)


def test_running_out_of_descriptors_is_survived():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def test(intake, host, port):
        stream = socket.socket()
        stream.setblocking(False)
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no paths are wanted, only how many
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
        try:
            with suppress(BlockingIOError):
                stream.connect(("127.0.0.1", port))
            await trio.sleep(0.6)
            assert host.arrivals == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await trio.lowlevel.wait_writable(stream)
        stream.send(HELLO)
        with trio.fail_after(5):
            while not host.arrivals:  # noqa: ASYNC110
                await trio.sleep(0.05)
        stream.close()

    beside(test, Host(run_to_end))


def test_an_address_that_is_taken_is_one_line():
    async def main():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            config = replace(PBX, listen=f"127.0.0.1:{taken.getsockname()[1]}")
            with pytest.raises(Problem, match=r'\[\[intake\]\] "pbx" cannot listen at .*: another program has it') as caught:
                await AudioSocketIntake(config, Host(), log=LOG).run()
            assert caught.value.exit_code is Exit.CONFIG

    trio.run(main)


def test_ipv6():
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))

        async def test(intake, host, port):
            async with await trio.open_tcp_stream("::1", port) as stream:
                await stream.send_all(HELLO)
                await trio.sleep(0.1)
            assert len(host.arrivals) == 1

        beside(test, config=replace(PBX, listen="[::1]:0"))


# Lines


@contextmanager
def line():
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        yield SocketLine(here, "peer", bool), there


def test_a_line_gives_what_has_come_and_never_waits():
    with line() as (mine, other):
        assert mine.take() == b""
        other.send(b"abc")
        other.send(b"def")
        assert mine.take() == b"abcdef"
        other.send(b"last")
        other.close()
        assert mine.take() == b"last"
        assert mine.take() is None
        assert mine.take() is None
        assert not mine.broken


def test_a_reset_is_an_end():
    async def main():
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        other = socket.create_connection(listening.getsockname())
        here, _ = listening.accept()
        here.setblocking(False)
        other.send(b"abc")
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        other.close()
        mine = SocketLine(here, "peer", bool)
        with trio.fail_after(5):
            await mine.readable()
        while (came := mine.take()) is not None:
            assert came in (b"", b"abc")
        assert mine.broken
        mine.put(b"x")  # to nobody
        here.close()
        listening.close()

    trio.run(main)


# Raw audio


def tcp(test, run=run_to_end, **more):
    config = IntakeConfig("line", "tcp", "127.0.0.1:0", **more)
    beside(test, Host(run), config=config, kind=TcpIntake)


def collecting(heard):
    async def run(arrival):
        try:
            async with arrival.source.open() as feed:
                heard.append((feed.format, feed.live))
                while not isinstance(taken := feed.take(), End):
                    heard.append(taken or b"")
                    await trio.sleep(0.005)
        except Problem as problem:
            heard.append(problem)
        return Taken("complete")

    return run


@pytest.mark.parametrize(
    "sent, config, format, name, size",
    [
        (b'{"call_id":"a","encoding":"alaw","sample_rate":8000,"channels":2,"metadata":{"q":"1"}}\nabcd', {}, ("alaw", 8000, 2), "a", 4),
        (b"{}\nabcd", {"encoding": "mulaw", "sample_rate": 8000}, ("mulaw", 8000, 1), "line-1", 4),
        (b"\x01\x02\x03\x04" * 50, {"encoding": "linear16", "sample_rate": 16000}, ("linear16", 16000, 1), "line-1", 200),
        (b'{"encoding":"mulaw","sample_rate":8000}\nab', {"encoding": "linear16", "sample_rate": 16000, "channels": 2}, ("mulaw", 8000, 1), "line-1", 2),
    ],
)
def test_raw_audio_is_what_its_header_says_or_the_config(sent, config, format, name, size):  # noqa: A002
    heard = []

    async def test(intake, host, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            for byte in range(0, len(sent), 7):
                await stream.send_all(sent[byte : byte + 7])
            await stream.send_eof()
            assert await until_end(stream) == b""
        (arrival,) = host.arrivals
        assert arrival.call_id == name
        (found, live), *audio = heard
        assert ((found.encoding, found.sample_rate, found.channels), live) == (format, True)
        assert sum(map(len, audio)) == size

    tcp(test, collecting(heard), **config)


@pytest.mark.parametrize(
    "sent, error",
    [
        (b'{"rate": 1}\n', "unknown field"),
        (b"{" + b" " * 70_000, "longer than 65536 bytes"),
        (b'{"call_id": "a"', "has no end"),
    ],
)
def test_a_wrong_header_is_answered_with_what_is_wrong(sent, error):
    async def test(intake, host, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(sent)
            await stream.send_eof()
            answer = await until_end(stream)
        assert error in answer.decode()
        assert answer.startswith(b'{"error":')
        assert [reason for reason, _ in host.rejections] == ["malformed"]

    tcp(test)


def test_audio_that_nobody_has_described_is_a_problem_that_says_how():
    heard = []

    async def test(intake, host, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"\x80" * 2000)
            await stream.send_eof()
            await until_end(stream)
        assert "begin with a line of JSON" in str(heard[0])

    tcp(test, collecting(heard))


def test_a_crash_ends_its_call_alone():
    count = 0

    async def first_crashes(arrival):
        nonlocal count
        count += 1
        return await (crash if count == 1 else run_to_end)(arrival)

    async def test(intake, host, port):
        for _ in range(2):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(HELLO + FRAME)
                await stream.send_eof()
                await until_end(stream)
        assert [reason for reason, _ in host.rejections] == ["failed"]
        assert len(host.arrivals) == 2

    beside(test, Host(first_crashes))


async def deliver_for_long(arrival):
    """The source has ended here, and what it gave is still being delivered, as it is in an outage."""
    async with arrival.source.open() as feed:
        with trio.move_on_after(0.3):
            while not isinstance(feed.take(), End):  # noqa: ASYNC110 - as the grid does
                await trio.sleep(0.01)
    await trio.sleep_forever()
    return Taken("complete")


@pytest.mark.parametrize(
    "kind, spoils", [(AudioSocketIntake, b""), (AudioSocketIntake, b"\x42\x00\x00"), (TcpIntake, b"")],
    ids=["we end it", "it breaks the protocol", "we end raw audio"],
)  # fmt: skip
def test_whoever_is_no_longer_listened_to_is_let_go_at_once_however_long_delivery_takes(kind, spoils):
    """Else nobody would read the caller's line, nor keep it alive, for as long as a server is away."""

    async def test(intake, host, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream, trio.open_nursery() as nursery:
            await stream.send_all(HELLO + FRAME + spoils)
            nursery.start_soon(speak, stream)
            with trio.fail_after(3):
                assert await until_end(stream) == b""
            nursery.cancel_scope.cancel()
        assert len(host.arrivals) == 1

    beside(test, Host(deliver_for_long), config=replace(PBX, encoding="linear16", sample_rate=8000), kind=kind)


@pytest.mark.parametrize("how", ["it closes", "it is told to end"])
def test_nobody_is_reset_who_has_just_come_when_the_door_closes(how):
    """A listening socket that is closed resets whom it has not let in yet."""

    async def main():
        host = Host(run_to_end)
        intake = AudioSocketIntake(PBX, host, log=LOG)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                address = await nursery.start(intake.run)
                callers = [socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) for _ in range(20)]
                for caller in callers:
                    caller.sendall(HELLO + FRAME)
                intake.close() if how == "it closes" else nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    for caller in callers:
                        stream = trio.SocketStream(trio.socket.from_stdlib_socket(caller))
                        await stream.send_eof()
                        assert await until_end(stream) == b""
                        await stream.aclose()

    trio.run(main)


class Unruly:
    """A socket with a peer that sends without end."""

    def __init__(self):
        self.reads = 0  # in a row
        self.here, self.there = socket.socketpair()
        self.there.send(b"x")  # so that the kernel says that it can be read

    def fileno(self):
        return self.here.fileno()

    def shutdown(self, how):
        assert how == socket.SHUT_WR

    def recv(self, size):
        self.reads += 1
        assert self.reads < 1000, "nobody else had a turn"
        return bytes(size)

    def close(self):
        self.here.close()
        self.there.close()


def test_taking_leave_of_one_that_floods_takes_no_others_time(monkeypatch):
    monkeypatch.setattr(lines, "PATIENCE", 0.5)
    turns = 0

    async def main():
        nonlocal turns
        flooding = Unruly()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_leave, flooding)
            with trio.move_on_after(0.4):
                while True:
                    turns += 1
                    flooding.reads = 0
                    await trio.sleep(0.01)

    trio.run(main)

    assert turns > 5


def test_a_flood_is_read_a_part_at_a_time():
    flooding = Unruly()
    first = SocketLine(flooding, "peer", bool).take()
    flooding.close()

    assert lines.MOST <= len(first) < lines.MOST + lines.PIECE


def test_a_frame_that_was_sent_in_part_is_sent_whole_before_another_begins():
    """Anything else is a foreign kind to Asterisk, and the end of the caller's call."""
    room = [5, 0, 7, 1000, 1000]
    came = b""

    class Tight:
        def send(self, data):
            nonlocal came
            size = room.pop(0)
            if not size:
                raise BlockingIOError
            came += data[:size]
            return min(size, len(data))

    mine = SocketLine(Tight(), "peer", bool)
    while room:
        mine.put(FRAME)

    assert came == FRAME * (len(came) // len(FRAME))
    assert came


def test_strangers_take_no_more_places_than_there_are(monkeypatch):
    """Who may not come in, and does not go either, would else use up the descriptors of those who call."""
    monkeypatch.setattr(doors, "allowed", lambda *_: False)
    monkeypatch.setattr(doors, "CROWD", 5)

    async def test(intake, host, port):
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        strangers = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(20)]
        await trio.sleep(0.3)
        assert len(os.listdir("/proc/self/fd")) - before - len(strangers) == 5  # noqa: PTH208
        for stream in strangers:
            assert await until_end(stream) == b""
            await stream.aclose()

    beside(test)


def test_a_socket_that_lets_nobody_in_is_asked_now_and_then():
    """As the kernel may, for a reason that only an administrator can change."""
    asked = 0

    class Barred:
        def __init__(self):
            self.here, self.there = socket.socketpair()
            self.there.send(b"x")

        def fileno(self):
            return self.here.fileno()

        def accept(self):
            nonlocal asked
            asked += 1
            raise PermissionError(1, "Operation not permitted")

    async def main():
        barred = Barred()
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.2):
                await AudioSocketIntake(PBX, Host(), log=LOG)._accept(barred, nursery)
        barred.here.close()
        barred.there.close()

    trio.run(main)

    assert asked == 1


def test_raw_audio_that_begins_like_a_header_is_audio():
    """One in 256 of all noises begins so."""
    heard = []
    audio = b"{\x00" + bytes(range(256)) * 20

    async def test(intake, host, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            for byte in (0, 1):
                await stream.send_all(audio[byte : byte + 1])
                await trio.sleep(0.02)
            await stream.send_all(audio[2:])
            await stream.send_eof()
            await until_end(stream)
        assert host.rejections == []
        assert b"".join(heard[1:]) == audio

    tcp(test, collecting(heard), encoding="linear16", sample_rate=8000)


def test_raw_audio_that_breaks_off_is_kept_and_told():
    warnings = []

    async def run(arrival):
        heard = b""
        async with arrival.source.open() as feed:
            while not isinstance(taken := feed.take(), End):
                heard += taken or b""
                await trio.sleep(0.005)
            warnings.extend(feed.warnings)
        warnings.append(len(heard))
        return Taken("complete")

    async def test(intake, host, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(bytes(1600))
        await trio.sleep(0.1)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        await stream.aclose()
        while len(warnings) < 2:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert "broke off" in warnings[0]
        assert warnings[1:] == [1600]

    tcp(test, run, encoding="mulaw", sample_rate=8000)


def test_a_peer_is_written_as_an_address_is():
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))

        async def test(intake, host, port):
            async with await trio.open_tcp_stream("::1", port) as stream:
                await stream.send_all(HELLO)
                await trio.sleep(0.1)
                its = stream.socket.getsockname()[1]
            assert [arrival.metadata["peer"] for arrival in host.arrivals] == [f"[::1]:{its}"]

        beside(test, config=replace(PBX, listen="[::1]:0"))
