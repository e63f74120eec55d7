"""The opening handshake: however a server answers, or does not, it ends in time, in one closure, with the socket closed."""

from __future__ import annotations

import json

import pytest
import trio

from supervisor.connection import Closed, Connection, Endpoint, connect
from tests.network.servers import Outcome, Script, Server, frame, simulate

DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def answering(data: bytes, *, hang_up: bool = False) -> Script:
    async def script(server: Server) -> None:
        await server.read_request()
        await server.send(data)
        if hang_up:
            await server.hang_up()

    return script


def refusing(status: str, headers: bytes = b"", body: bytes = b"") -> Script:
    return answering(b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status.encode(), headers, len(body), body))


def check_refused(outcome: Outcome, *, took: float = 0.0) -> None:
    assert outcome.closures == 1
    assert outcome.closure is not None
    assert not outcome.closure.opened
    assert outcome.closure.code is None
    assert outcome.took == pytest.approx(took)
    assert outcome.server.ended  # the socket is closed


def test_the_request_is_an_upgrade_with_our_headers() -> None:
    outcome = simulate(refusing("400 Bad Request"))
    lines = outcome.server.request.split(b"\r\n")

    assert lines[0] == b"GET /v1/listen?model=nova-3 HTTP/1.1"
    assert b"Host: listen.example.com" in lines
    assert b"Authorization: Token k" in lines
    assert b"Sec-WebSocket-Extensions" not in outcome.server.request  # no compression: audio does not shrink


@pytest.mark.parametrize("latency", [0.0, 0.2])
def test_a_request_that_is_never_answered_ends_at_the_connect_timeout(latency: float) -> None:
    async def script(server: Server) -> None:
        await server.read_request()

    outcome = simulate(script, latency=latency)
    check_refused(outcome, took=3.0)

    assert outcome.closure.reason == "the upgrade was not answered in time"


@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 101 Switching Protocols\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"])
def test_an_answer_that_never_ends_is_over_at_the_connect_timeout(said: bytes) -> None:
    outcome = simulate(answering(said))
    check_refused(outcome, took=3.0)

    assert outcome.closure.status == (200 if b"200" in said else None)


def test_an_answer_that_trickles_is_over_at_the_connect_timeout() -> None:
    async def script(server: Server) -> None:
        await server.read_request()
        for byte in b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 100:
            await server.send(bytes((byte,)))
            await trio.sleep(0.1)

    check_refused(simulate(script), took=3.0)


@pytest.mark.parametrize("reads", [False, True], ids=["before the request", "after the request"])
def test_a_server_that_hangs_up_without_an_answer_is_noticed_at_once(reads: bool) -> None:
    async def script(server: Server) -> None:
        if reads:
            await server.read_request()
        await server.hang_up()

    outcome = simulate(script)
    check_refused(outcome)

    assert outcome.closure.reason == "the peer hung up"


def test_a_reset_instead_of_an_answer_is_noticed_at_once() -> None:
    async def script(server: Server) -> None:
        await server.read_request()
        server.stream.reset()
        server.ended = "eof"

    outcome = simulate(script)
    check_refused(outcome)

    assert outcome.closure.reason == "connection reset by peer"


STATUSES = (400, 401, 402, 403, 404, 405, 408, 411, 413, 414, 415, 425, 429, 431, 451, 499, 500, 501, 502, 503, 504, 520, 599, 200, 204, 300, 304)


@pytest.mark.parametrize("status", STATUSES)
def test_a_refusal_keeps_all_that_the_server_said(status: int) -> None:
    body = json.dumps({"err_code": "SOME_CODE", "err_msg": "Some words.", "request_id": "in the body"}).encode()
    headers = b"dg-error: Words of the header\r\ndg-request-id: r-1\r\nRetry-After: 7\r\nContent-Type: application/json\r\n"
    outcome = simulate(refusing(f"{status} Words", headers, b"" if status in (204, 304) else body))
    check_refused(outcome)
    closure = outcome.closure

    assert (status, "r-1", 7.0, "Words of the header") == (closure.status, closure.request_id, closure.retry_after, closure.dg_error)
    if status not in (204, 304):
        assert (closure.err_code, closure.err_msg) == ("SOME_CODE", "Some words.")


@pytest.mark.parametrize("body, err_code, reason", [
    (b'{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials.","request_id":"r"}', "INVALID_AUTH", "Invalid credentials."),
    (b'{"error_code":"TOO_MANY","err_msg":"Too many."}', "TOO_MANY", "Too many."),
    (b'{"category":"BAD","message":"So bad.","details":"x"}', "BAD", "So bad."),
    (b"upstream connect error or disconnect/reset before headers", "", "upstream connect error or disconnect/reset before headers"),
    (b"<html><h1>502</h1></html>", "", "<html><h1>502</h1></html>"),
    (b"", "", ""),
    (b'{"err_code": 7, "err_msg": ["not", "text"]}', "", '{"err_code": 7, "err_msg": ["not", "text"]}'),
    (b"[1, 2]", "", "[1, 2]"),
    (b"\xff\xfe\x00", "", "\ufffd\ufffd\x00"),
    (b"[" * 5000, "", "[" * 300),
])  # fmt: skip
@pytest.mark.parametrize("framing", ["length", "chunked", "to the end", "cut short"])
def test_a_body_is_read_however_it_is_framed(body: bytes, err_code: str, reason: str, framing: str) -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\ndg-request-id: r-1\r\nRetry-After: 2\r\n"
    if framing == "length":
        script = answering(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    elif framing == "chunked":
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7))
        script = answering(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    elif framing == "to the end":
        script = answering(head + b"\r\n" + body, hang_up=True)
    else:
        script = answering(head + b"Content-Length: %d\r\n\r\n%s" % (len(body) + 1, body), hang_up=True)
    outcome = simulate(script)
    check_refused(outcome)
    closure = outcome.closure

    assert (closure.status, closure.request_id, closure.retry_after) == (503, "r-1", 2.0)
    if framing != "chunked" or len(body) < 3000:  # beyond, the chunks' own sizes make it too long to be read whole
        assert (err_code, reason) == (closure.err_code, closure.reason)


def test_a_chunked_body_that_is_cut_short_leaves_the_status() -> None:
    outcome = simulate(answering(b"HTTP/1.1 429 Too Many\r\nTransfer-Encoding: chunked\r\nRetry-After: 9\r\n\r\nff\r\n{", hang_up=True))
    check_refused(outcome)

    assert (outcome.closure.status, outcome.closure.retry_after) == (429, 9.0)


def test_a_refusal_followed_by_a_reset_is_still_read() -> None:
    async def script(server: Server) -> None:
        await server.read_request()
        await server.send(b"HTTP/1.1 503 Busy\r\n\r\nbusy")
        await trio.sleep(1)
        server.stream.reset()
        server.ended = "eof"

    outcome = simulate(script)
    check_refused(outcome, took=1.0)

    assert (outcome.closure.status, outcome.closure.reason) == (503, "busy")


@pytest.mark.parametrize("header, seconds", [
    (b"Retry-After: 7\r\n", 7.0),
    (b"retry-after:0\r\n", 0.0),
    (b"Retry-After: Sun, 06 Nov 1994 08:49:47 GMT\r\n" + DATE, 10.0),
    (b"Retry-After: Sun, 06 Nov 1994 08:49:27 GMT\r\n" + DATE, 0.0),
    (b"Retry-After: Sun, 06 Nov 1994 08:49:47 GMT\r\n", 0.0),
    (b"Retry-After: soon\r\n", 0.0),
    (b"Retry-After: -5\r\n", 0.0),
    (b"Retry-After: \xff\r\n", 0.0),
    (b"Retry-After: 1e9\r\n", 0.0),
    (b"", 0.0),
])  # fmt: skip
def test_how_long_to_stay_away(header: bytes, seconds: float) -> None:
    assert simulate(refusing("503 Busy", header)).closure.retry_after == seconds


def test_early_hints_are_a_refusal_of_their_own_status() -> None:
    async def script(server: Server) -> None:
        await server.read_request()
        await server.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + server.acceptance())

    outcome = simulate(script)
    check_refused(outcome)

    assert (outcome.closure.status, outcome.closure.reason) == (103, "")


def test_a_redirect_keeps_where_to() -> None:
    outcome = simulate(refusing("302 Found", b"Location: https://login.example.com/\r\n"))
    check_refused(outcome)

    assert (outcome.closure.status, outcome.closure.location) == (302, "https://login.example.com/")


@pytest.mark.parametrize("said", [
    b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    b"\x15\x03\x03\x00\x02\x02\x46\r\n\r\n",
    b"\r\n\r\n",
    b"HTTP/1.1 abc What\r\n\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: \xff\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: \xe9\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-Endless: " + b"x" * 100_000,
    b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    b"HTTP/1.1 503 Busy\r\nContent-Length: many\r\n\r\n",
    b"x" * 100_000,
], ids=range(15))  # fmt: skip
def test_nonsense_is_told_apart_at_once(said: bytes) -> None:
    outcome = simulate(answering(said))
    check_refused(outcome)

    assert outcome.closure.reason or outcome.closure.status
    assert outcome.closure.status == (503 if b" 503 " in said else None)


@pytest.mark.parametrize("headers, why", [
    (b"", "Bad accept token"),
    (b"Sec-WebSocket-Protocol: unasked\r\n", "Bad accept token"),
])  # fmt: skip
def test_the_reason_names_what_was_wrong_with_an_upgrade(headers: bytes, why: str) -> None:
    """And not what the library stumbled over while it tried to refuse the server's answer."""
    said = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n"

    assert simulate(answering(said + headers + b"\r\n")).closure.reason == f"the answer is no upgrade to a WebSocket: {why}"


@pytest.mark.parametrize("header, why", [
    (b"Sec-WebSocket-Protocol: unasked\r\n", "unrecognized subprotocol unasked"),
    (b"Sec-WebSocket-Extensions: permessage-deflate\r\n", "unrecognized extension permessage-deflate"),
])  # fmt: skip
def test_an_upgrade_with_what_nobody_asked_for_is_none(header: bytes, why: str) -> None:
    outcome = simulate(lambda server: server.upgrade(header))
    check_refused(outcome)

    assert why in outcome.closure.reason


@pytest.mark.parametrize("head", [b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 500 No\r\nContent-Length: 1000000000\r\n\r\n", b"HTTP/1.1 500 No\r\nX: "])
def test_a_refusal_without_end_is_not_gathered(head: bytes) -> None:
    """A server that pours out megabytes is left after a few kilobytes, with its status."""

    async def script(server: Server) -> None:
        await server.read_request()
        await server.send(head)
        while True:
            await server.send(b"x" * 10_000)

    outcome = simulate(script, capacity=20_000)

    assert outcome.closures == 1
    assert (outcome.closure.status, outcome.took) == (500, 0.0)


@pytest.mark.parametrize("dial_error, reason", [
    (OSError("cannot resolve nowhere: Name or service not known"), "cannot resolve nowhere: Name or service not known"),
    (trio.BrokenResourceError("gone"), "gone"),
])  # fmt: skip
def test_a_dial_that_fails_is_a_closure(dial_error: Exception, reason: str) -> None:
    async def dial() -> object:
        await trio.lowlevel.checkpoint()
        raise dial_error

    async def main() -> None:
        async with connect(Endpoint(dial, "nowhere", "/")):
            pytest.fail("there was nothing to connect to")

    with pytest.raises(Closed) as caught:
        trio.run(main)

    assert caught.value.closure.reason == reason
    assert not caught.value.closure.opened


def test_the_name_of_the_session_is_kept_when_it_opens() -> None:
    async def use(_: Connection) -> None:
        await trio.lowlevel.checkpoint()

    outcome = simulate(lambda server: server.upgrade(b"DG-Request-Id: r-9\r\nX: \xff\r\n"), use)

    assert (outcome.closures, outcome.request_id) == (0, "r-9")


def test_what_comes_in_one_packet_with_the_upgrade_is_heard() -> None:
    async def script(server: Server) -> None:
        await server.upgrade(then=frame(1, b"first") + frame(1, b"second"))
        await server.hang_up()

    outcome = simulate(script)

    assert outcome.heard == ["first", "second"]
    assert (outcome.closure.code, outcome.closure.opened) == (1006, True)
