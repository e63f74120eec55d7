"""The opening handshake with the emulator: what is asked, who may, and peers that speak something else."""

from contextlib import suppress
from uuid import UUID

import pytest
import trio

from supervisor.emulator.server import Emulator
from supervisor.emulator.speech import Speech
from supervisor.memory import memory_wire

from .client import LISTEN, Client, request, simulate, talk


def spoken(seconds):
    return [each.word for each in Speech(7, 8000).between(0, round(seconds * 8000))]


async def five_seconds(client):
    await client.speak(5)
    client.control("CloseStream")
    await trio.sleep(3)


def test_a_connection_from_its_opening_to_its_end():
    talked = talk(five_seconds, stays=True)
    client, record = talked.client, talked.record

    assert client.answer.status == 101
    assert client.answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert UUID(client.answer.headers["dg-request-id"]).version == 4
    assert {client.answer.headers["dg-request-id"]} == {each["metadata"]["request_id"] for each in client.results}
    assert spoken(5) == client.words
    assert (client.closed, client.end) == ((1000, ""), "eof")
    assert (record.end, record.close_sent, record.close_received) == ("close", (1000, ""), (1000, ""))
    assert record.received == [(0, 40000)]
    assert record.closed is not None


@pytest.mark.parametrize(
    "target, status, code",
    [
        ("/v2/listen?model=flux-general-en", 404, "NOT_FOUND"),
        ("/", 404, "NOT_FOUND"),
        ("//[/v1/listen", 404, "NOT_FOUND"),
        ("/v1/listen?model=whisper-large", 405, "METHOD_NOT_ALLOWED"),
        ("/v1/listen?model=nova-9", 400, "Bad Request"),
        ("/v1/listen?model=flux-general-en", 400, "Bad Request"),
        ("/v1/listen?model=nova-3&language=english", 400, "Bad Request"),
        ("/v1/listen?model=nova-3&keywords=a", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?model=nova-2&keyterm=a", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?diarize_model=v2", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?smart_format=True", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?endpointing=", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?utterance_end_ms=1000", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?interim_results=true&utterance_end_ms=999", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?encoding=linear17&sample_rate=8000", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?encoding=linear16", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?encoding=linear16&sample_rate=0", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?encoding=linear16&sample_rate=8000&channels=21", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?encoding=linear16&sample_rate=8000&channels=0", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?encoding=opus&sample_rate=8000", 400, "INVALID_QUERY_PARAMETER"),
        ("/v1/listen?callback=http://example.com", 400, "INVALID_QUERY_PARAMETER"),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_deepgrams_body_and_headers(target, status, code):
    talked = talk(None, opening=request(target))
    answer = talked.client.answer

    assert (status, code) == (answer.status, answer.json["err_code"])
    assert answer.headers["dg-error"] == answer.json["err_msg"]
    assert answer.headers["dg-request-id"] == answer.json["request_id"] == talked.record.request_id
    assert answer.headers["content-type"] == "application/json"
    assert ("refused", status) == (talked.record.end, talked.record.status)


@pytest.mark.parametrize(
    "target",
    [LISTEN, LISTEN + "&something=new", LISTEN + "&endpointing=false&no_delay=true", LISTEN + "&diarize_model=v1",
     LISTEN + "&keyterm=a&keyterm=b", "/v1/listen", "/v1/listen?model=2-general-nova".replace("2-general-nova", "nova-2"),
     "http://127.0.0.1" + LISTEN],
)  # fmt: skip
def test_a_request_that_is_right_or_unknown_is_accepted(target):
    assert talk(None, opening=request(target)).client.answer.status == 101


def test_what_was_asked_is_kept():
    record = talk(None, opening=request(LISTEN + "&keyterm=a%20b&keyterm=c")).record

    assert list(record.query)[-2:] == [("keyterm", "a b"), ("keyterm", "c")]


@pytest.mark.parametrize(
    "headers, echoed",
    [
        (["Authorization: Token right"], None),
        (["authorization: token right"], None),
        (["Authorization: Bearer right"], None),
        (["Sec-WebSocket-Protocol: token, right"], "token"),
        (["Sec-WebSocket-Protocol: bearer, right"], "bearer"),
        (["Sec-WebSocket-Protocol: token, right, x-deepgram-session-id, some"], "token"),
    ],
)
def test_a_key_is_taken_from_either_header_and_its_subprotocol_echoed(headers, echoed):
    answer = talk(None, opening=request(headers=headers), api_key="right").client.answer

    assert (101, echoed) == (answer.status, answer.headers.get("sec-websocket-protocol"))


@pytest.mark.parametrize(
    "headers",
    [[], ["Authorization: Token wrong"], ["Authorization: right"], ["Authorization: Basic right"],
     ["Sec-WebSocket-Protocol: token, wrong"], ["Sec-WebSocket-Protocol: token"], ["Sec-WebSocket-Protocol: right"]],
)  # fmt: skip
def test_another_key_is_401(headers):
    answer = talk(None, opening=request(headers=headers), api_key="right").client.answer

    assert (
        answer.status, answer.json["err_code"], answer.json["err_msg"]
    ) == (401, "INVALID_AUTH", "Invalid credentials.")  # fmt: skip


def test_without_a_key_of_its_own_any_is_right():
    for headers in ([], ["Authorization: Token any"]):
        assert talk(None, opening=request(headers=headers)).client.answer.status == 101


@pytest.mark.parametrize(
    "opening",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n\r\n",
        b"GET /v1/listen HTTP/9.9\r\n\r\n",
        b"\xff" * 50,
        request().replace(b"GET", b"POST"),
        request(leave_out="Upgrade"),
        request(leave_out="Host"),
        request(leave_out="Sec-WebSocket-Key"),
        request().replace(b"Version: 13", b"Version: 8"),
        request(headers=["X: " + "y" * 100_000]),
        request(headers=["Host: twice"]),
        request().replace(b"Host: 127.0.0.1", b"Host: \xff\xfe.example"),
        request().replace(b"Host: 127.0.0.1", b"Host: xn--\xff"),
        request(headers=["Sec-WebSocket-Protocol: \xe4"]),
        request(headers=["Connection: \xe4"]),
        request(headers=["Content-Length: -1"]),
        request(headers=["no header"]),
        request("/v1/listen?\x7f"),
    ],
)
def test_what_is_no_websocket_handshake_is_400_or_an_end(opening):
    talked = talk(None, opening=opening + b"\r\n\r\n")

    assert talked.client.answer is None or talked.client.answer.status in (400, 404)
    assert talked.record.end


@pytest.mark.parametrize(
    "headers",
    [["Content-Length: 5"], ["Transfer-Encoding: chunked"], ["Expect: 100-continue"], ["Authorization: Token \xe4\xff"],
     ["X-Deepgram-Session-Id: \x9b31m"], ["Sec-WebSocket-Protocol: , ,"], ["Sec-WebSocket-Extensions: permessage-deflate"]],
)  # fmt: skip
def test_odd_headers_end_in_some_answer(headers):
    talked = talk(None, opening=request(headers=headers))

    assert talked.record.end


def test_headers_without_an_end_are_not_waited_for():
    async def main():
        emulator = Emulator()
        wire, peer = memory_wire()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(emulator.serve, peer)
            wire.put(b"GET /v1/listen HTTP/1.1\r\n")
            with trio.move_on_after(60):
                while not emulator.proof.connections or emulator.proof.connections[0].closed is None:
                    await trio.sleep(1)
                    with suppress(trio.BrokenResourceError):
                        wire.put(b"X: y\r\n")
        return emulator.proof.connections[0]

    assert 15 <= simulate(main).closed <= 16


@pytest.mark.parametrize("size", range(0, len(request()), 7))
def test_a_peer_that_leaves_within_its_request(size):
    talked = talk(None, opening=request()[:size] or b"G")
    # Leaving is what `talk` does once nothing more comes: here the server's deadline ends it first.

    assert talked.record.end


def end_after(data, *, reset=False):
    """A client that sends so much and is gone."""

    async def main():
        emulator = Emulator()
        wire, peer = memory_wire(1 << 20)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(emulator.serve, peer)
                wire.put(data)
                await trio.sleep(0.01)
                if reset:
                    peer.reset()
                wire.close()
        return emulator.proof.connections[0]

    return simulate(main)


def whole_conversation():
    client = Client(*memory_wire())
    sent = [request()]
    client.raw = sent.append
    client.audio(b"\x80" * 300)
    client.control("Finalize")
    client.ping()
    client.audio(b"\x80" * 10)
    client.close()
    return b"".join(bytes(each) for each in sent)


@pytest.mark.parametrize("reset", [False, True])
def test_a_peer_may_end_at_every_byte(reset):
    data = whole_conversation()

    for size in range(len(data) + 1):
        record = end_after(data[:size], reset=reset)
        assert record.end in ("eof", "reset", "close", "refused")
        assert record.closed is not None

    assert end_after(data).close_received == (1000, "")
