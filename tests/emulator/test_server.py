"""A whole connection with the emulator over a stream in memory: handshake, frames, limits, and peers that lie."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import UUID

import pytest
import trio
from wsproto.events import BytesMessage, TextMessage

from supervisor.emulator.faults import Refuse, Reset
from supervisor.emulator.habits import Habits
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator
from supervisor.emulator.speech import Speech
from supervisor.memory import memory_wire

from .client import LISTEN, Client, converse, end_of, request, simulate, talk

WALL = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


async def wait(_):
    await trio.sleep(2)


def spoken(seconds):
    return [each.word for each in Speech(7, 8000).between(0, round(seconds * 8000))]


async def five_seconds(client):
    await client.speak(5)
    client.control("CloseStream")
    await trio.sleep(3)


# The handshake


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


# Frames


def test_frames_that_come_with_the_request_are_heard():
    """A client may not do so, but some do not wait for the answer."""
    early = Client(*memory_wire())
    sent = []
    early.raw = lambda data: sent.append(bytes(data))
    early.audio(b"\x80" * 100)

    async def nothing(_):
        await trio.sleep(1)

    assert talk(nothing, opening=request() + b"".join(sent)).record.size == 100


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_lines_may_end_either_way(end):
    opening = request().replace(b"\r\n", end.encode())

    assert talk(None, opening=opening).client.answer.status == 101


def test_a_message_may_come_in_many_frames():
    async def script(client):
        for number in range(0, 16000, 100):
            part = BytesMessage(b"\x80" * 100, message_finished=number == 15900)
            client.raw(bytes(client.frames.send(part)))
            if number % 1000 == 0:
                client.ping()
        for at, letter in enumerate(text := '{"type": "KeepAlive"}'):
            client.raw(bytes(client.frames.send(TextMessage(letter, message_finished=at == len(text) - 1))))
        await trio.sleep(3)

    talked = talk(script)

    assert (talked.record.size, list(talked.record.sizes)) == (16000, [16000])
    assert talked.record.kinds == {"KeepAlive": 1}
    assert talked.client.pongs == 16
    assert talked.client.of("Error") == []


def test_pings_are_answered_and_hold_nothing():
    async def script(client):
        await client.speak(1.5)
        for _ in range(12):
            client.ping()
            await trio.sleep(1)

    talked = talk(script, stays=True)

    assert talked.client.pongs >= 11
    assert talked.client.closed[0] == 1011
    assert talked.client.closed[1].endswith("net0001")
    assert 13.3 < talked.client.closed_at < 13.5


@pytest.mark.parametrize(
    "data, code",
    [
        (b"\x82\x03abc", 1002),  # not masked
        (b"\x83\x83maskabc", 1002),  # no such opcode
        (b"\xc2\x83maskabc", 1002),  # an extension that nobody agreed on
        (b"\x80\x83maskabc", 1002),  # goes on with nothing
        (b"\x89\xfe\x00\xffmask" + bytes(255), 1002),  # a ping too long
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),  # not UTF-8
        (b"\x88\x81\0\0\0\0x", 1002),  # half a code
    ],
)
def test_a_frame_that_is_wrong_is_told_by_the_servers_own_close(data, code):
    async def script(client):
        await trio.sleep(0.1)
        client.raw(data)

    talked = talk(script, stays=True)

    assert code == talked.client.closed[0]
    assert code == talked.record.close_sent[0]
    assert talked.record.close_received in (None, (code, ""))  # it was not the peer who said so first


def test_a_message_without_an_end_is_not_kept_for_ever():
    async def script(client):
        client.raw(b"\x02\xff" + (1 << 40).to_bytes(8, "big") + bytes(4))
        for _ in range(40):
            client.raw(bytes(1 << 20))
            await trio.sleep(0.1)

    talked = talk(script, stays=True, capacity=1 << 21)

    assert talked.client.closed[0] == 1009


def test_a_client_that_closes_is_answered_and_told_no_more():
    async def script(client):
        await client.speak(3)
        client.close(4000)
        await trio.sleep(3)

    talked = talk(script)

    assert (talked.record.close_received, talked.record.end) == ((4000, ""), "close")
    assert talked.client.closed[0] == 4000
    assert talked.client.of("Metadata") == []


def test_a_peer_that_never_reads_is_cut_off():
    async def script(client):
        client.may_read = trio.Event()
        for _ in range(30):
            client.text("x" * 1000)  # each is answered by an error that quotes it
            await trio.sleep(0.1)
        await trio.sleep(60)
        client.may_read.set()

    talked = talk(script, capacity=20_000, stays=True)

    assert talked.record.end == "unread"
    assert talked.client.end == "reset"
    assert 30 <= talked.record.closed - talked.record.answered <= 60


def test_the_same_audio_again_is_told_in_other_pieces():
    """A replay finds its finals elsewhere, and is a connection of its own."""
    emulator = Emulator()

    async def script(client):
        await client.speak(40)
        client.control("CloseStream")
        await trio.sleep(2)

    async def main():
        opening = request(LISTEN + "&endpointing=false")
        return [await converse(emulator, script, opening, stays=True) for _ in range(2)]

    one, two = simulate(main)

    assert one.words == two.words == spoken(40)
    assert [end_of(each) for each in one.finals] != [end_of(each) for each in two.finals]
    assert one.answer.headers["dg-request-id"] != two.answer.headers["dg-request-id"]


# Limits


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


# Refusals


@pytest.mark.parametrize(
    "refuse, body",
    [
        (Refuse(status=429), {"err_code": "TOO_MANY_REQUESTS", "err_msg": "Too many requests. Please try again later"}),
        (Refuse(status=503), {"error_code": "Service Unavailable", "err_msg": "Please try again later"}),
        (Refuse(status=401), {"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."}),
        (Refuse(status=402, err_code="X", err_msg="Y"), {"err_code": "X", "err_msg": "Y"}),
        (Refuse(status=599), {"err_code": "Unassigned", "err_msg": "Unassigned"}),
        (Refuse(status=418, err_msg="t\r\nea: \N{SNOWMAN}"), {"err_msg": "t\r\nea: \N{SNOWMAN}"}),
    ],
)
def test_a_refusal_has_deepgrams_body(refuse, body):
    talked = talk(None, [refuse])
    answer = talked.client.answer

    assert refuse.status == answer.status
    assert body.items() <= answer.json.items()
    assert talked.record.request_id == answer.json["request_id"] == answer.headers["dg-request-id"]
    assert len(answer.body) == int(answer.headers["content-length"])
    assert "dg-error" in answer.headers
    assert talked.record.faults == ["refuse"]


@pytest.mark.parametrize(
    "seconds, written", [(7.0, "7"), (7.5, "7.5"), (0.0, "0"), (1_234_567.0, "1234567")]
)
def test_retry_after_in_seconds(seconds, written):
    answer = talk(None, [Refuse(status=429, retry_after=seconds)]).client.answer

    assert written == answer.headers["retry-after"]


def test_retry_after_as_a_date_is_relative_to_the_servers_own_clock():
    answer = talk(None, [Refuse(status=429, retry_after=90.0, as_date=True)], wall=lambda: WALL).client.answer
    date, until = (parsedate_to_datetime(answer.headers[name]) for name in ("date", "retry-after"))

    assert (date, (until - date).total_seconds()) == (WALL, 90.0)


def test_a_refusal_may_have_other_headers_and_another_body():
    refuse = Refuse(status=302, headers={"Location": "http://elsewhere/", "Server": "a proxy"}, body="moved")
    answer = talk(None, [refuse]).client.answer

    assert (answer.status, answer.body, answer.headers["location"]) == (302, b"moved", "http://elsewhere/")
    assert answer.headers["content-type"] == "text/plain"


def test_a_refusal_may_end_with_the_connection():
    answer = talk(None, [Refuse(status=503, unmeasured=True)]).client.answer

    assert "content-length" not in answer.headers
    assert answer.json["err_msg"] == "Please try again later"


def test_a_refusal_may_be_cut_short():
    answer = talk(None, [Refuse(status=503, cut=True)]).client.answer

    assert 0 < len(answer.body) < int(answer.headers["content-length"])


def test_an_informational_answer_has_no_body():
    answer = talk(None, [Refuse(status=103)]).client.answer

    assert (answer.status, answer.body) == (103, b"")
    assert "content-length" not in answer.headers


def test_what_is_logged_of_a_peer_is_a_record_of_every_connection():
    told = []

    class Log:
        def info(self, what, **fields):
            told.append((what, fields))

    talk(five_seconds, stays=True, log=Log())
    talk(None, [Refuse(status=503)], log=Log())

    assert [
        what for what, _ in told
    ] == ["connection_opened", "connection_closed", "connection_refused", "connection_closed"]
    assert told[1][1]["seconds"] == 5.0
    assert math.isfinite(told[1][1]["seconds"])


def test_dialling_in_gives_a_wire_that_is_served():
    async def main():
        emulator = Emulator()
        async with trio.open_nursery() as nursery:
            wire = await emulator.dial_in(nursery, latency=0.5)()
            wire.put(request())
            data = await wire.receive()
            at = trio.current_time()
            wire.close()
            await trio.sleep(20)
            assert not nursery.child_tasks
        return data, at

    data, at = simulate(main)

    assert data.startswith(b"HTTP/1.1 101")
    assert pytest.approx(at) == 1.0


def test_the_emulator_that_is_cancelled_closes_its_connection():
    async def main():
        emulator = Emulator()
        wire, peer = memory_wire()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(emulator.serve, peer)
            wire.put(request())
            await wire.receive()
            nursery.cancel_scope.cancel()
        return await wire.receive(), emulator.proof.connections[0].closed

    assert (lambda data, closed: (data, closed is not None))(*simulate(main)) == (b"", True)
