"""Refusals as bytes, and what an emulator is beside its connections: its log, its dial, its end."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
import trio

from supervisor.emulator.faults import Refuse
from supervisor.emulator.server import Emulator
from supervisor.memory import memory_wire

from .client import request, simulate, talk

WALL = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


async def five_seconds(client):
    await client.speak(5)
    client.control("CloseStream")
    await trio.sleep(3)


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
