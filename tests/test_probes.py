"""What machines ask over HTTP, on real sockets."""

from __future__ import annotations

import socket
from functools import partial

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from supervisor import probes
from supervisor.control import Health
from supervisor.core.problem import Exit, Problem
from supervisor.logs import build
from supervisor.probes import serve_probes

LOG = build({}, level="critical", fd=None)


def health(**more):
    return Health(
        **{"ok": True, "ready": True, "reasons": [], "calls": 3, "version": "1", "uptime": 1.0, "loop_lag": 0.0, **more}
    )


def beside(test, *, found=None, render=lambda: ("text/plain; version=0.0.4", b"a_total 1\n"), log=LOG):
    async def main():
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                serve = partial(serve_probes, "127.0.0.1:0", lambda: found or health(), render, log)
                address = await nursery.start(serve)
                await test(int(address.rpartition(":")[2]))
                nursery.cancel_scope.cancel()

    trio.run(main)


async def ask(port, path, method="GET", more=""):
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n".encode())
        answer = b""
        while data := await stream.receive_some():
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), body


@pytest.mark.parametrize(
    "method, path, status, body",
    [
        ("GET", "/livez", 200, b"ok\n"),
        ("GET", "/readyz", 200, b"ok\n"),
        ("GET", "/metrics", 200, b"a_total 1\n"),
        ("HEAD", "/metrics", 200, b""),
        ("GET", "/calls", 404, b"there are /livez, /readyz and /metrics\n"),
        ("POST", "/metrics", 405, b"only GET\n"),
        ("DELETE", "/livez", 405, b"only GET\n"),
    ],
)
def test_what_is_answered(method, path, status, body):
    async def test(port):
        found, head, text = await ask(port, path, method)
        assert (found, text) == (status, body)
        assert "server:" not in head
        assert "cache-control: no-store" in head

    beside(test)


def test_one_that_takes_no_calls_says_why():
    async def test(port):
        status, _, body = await ask(port, "/readyz")
        assert (status, body) == (503, b"draining\n")
        assert (await ask(port, "/livez"))[0] == 200

    beside(test, found=health(ready=False, reasons=["draining"]))


def test_several_requests_over_one_connection():
    async def test(port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            for _ in range(3):
                await stream.send_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = b""
                while not answer.endswith(b"ok\n"):
                    answer += await stream.receive_some()
                assert answer.startswith(b"HTTP/1.1 200")

    beside(test)


@pytest.mark.parametrize(
    "sent",
    [b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000 + b"\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n"],
)
def test_what_is_no_request_ends_its_own_connection(sent, monkeypatch):
    monkeypatch.setattr(probes, "PATIENCE", 1)

    async def test(port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(sent)
            with trio.fail_after(5):
                try:
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass
        assert (await ask(port, "/livez"))[0] == 200

    beside(test)


def test_a_crash_in_an_answer_is_told_and_is_not_the_end():
    def broken():
        raise ValueError("a bug")

    async def test(port):
        status, _, body = await ask(port, "/metrics")
        assert (status, body) == (500, b"this is a bug of ours, and is logged\n")
        assert (await ask(port, "/livez"))[0] == 200

    with capture_logs() as lines:
        beside(test, render=broken, log=structlog.get_logger())
    assert [(line["event"], line["path"]) for line in lines] == [("probe_crashed", "/metrics")]


@pytest.mark.parametrize("fresh, renders", [(1000.0, 1), (0.0, 5)])
def test_whoever_asks_all_the_time_is_told_the_same_again(fresh, renders, monkeypatch):
    """Making it takes milliseconds in which no call is served."""
    monkeypatch.setattr(probes, "FRESH", fresh)
    made = []

    def render():
        made.append(b"a_total %d\n" % len(made))
        return "text/plain", made[-1]

    async def test(port):
        answers = [(await ask(port, "/metrics"))[2] for _ in range(5)]
        assert len(made) == renders
        assert answers == [made[min(number, renders - 1)] for number in range(5)]

    beside(test, render=render)


def test_a_crowd_waits_and_takes_no_more_descriptors(monkeypatch):
    monkeypatch.setattr(probes, "MOST", 5)

    async def test(port):
        silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(5)]
        await trio.sleep(0.2)
        with trio.move_on_after(0.3) as waiting:
            await ask(port, "/livez")
        assert waiting.cancelled_caught
        for stream in silent:
            await stream.aclose()
        with trio.fail_after(5):
            assert (await ask(port, "/livez"))[0] == 200

    beside(test)


def test_one_that_says_nothing_or_reads_nothing_is_let_go(monkeypatch):
    monkeypatch.setattr(probes, "PATIENCE", 1)

    async def test(port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as silent, await trio.open_tcp_stream("127.0.0.1", port) as deaf:
            deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            with trio.move_on_after(4):
                try:
                    for _ in range(10_000):
                        await deaf.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                except trio.BrokenResourceError:
                    pass
            with trio.fail_after(5):
                assert await silent.receive_some() == b""
        assert (await ask(port, "/livez"))[0] == 200

    beside(test, render=lambda: ("text/plain", b"x" * 1_000_000))


def test_an_address_that_is_taken_is_one_line():
    async def main():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(Problem, match=r"\[metrics\] cannot listen at") as caught:
                await serve_probes(listen, health, lambda: ("", b""), LOG)
            assert caught.value.exit_code is Exit.CONFIG

    trio.run(main)
