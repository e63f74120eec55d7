"""What is found in a paste, and what is left alone: log lines are full of numbers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.catalogue import TABLE, classify, entry_of
from supervisor.core.catalogue.pasted import read
from supervisor.core.catalogue.refusals import REFUSALS

NET_0001 = "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001"


def keys(text: str) -> list[str]:
    return [entry.key for entry in read(text).entries]


@pytest.mark.parametrize(
    "text, found",
    [
        ("1011", ["1011"]),
        ("1011 NET-0001", ["NET-0001", "1011"]),
        ("NET-0001 1011", ["NET-0001", "1011"]),
        ("net0001", ["NET-0001"]),
        ("Net_0001", ["NET-0001"]),
        ("NET 0001", ["NET-0001"]),
        ("https://dpgr.am/net0001", ["NET-0001"]),
        ("data0000/1008", ["DATA-0000", "1008"]),
        ("net0000 net0001, NET-0000", ["NET-0000", "NET-0001"]),
        ("1000", ["1000", "1000-asked"]),
        ("1005", ["1005", "1005-asked"]),
        ("close code 1006", ["1006"]),
        ("HTTP 503", ["503"]),
        ("status: 429", ["429"]),
        ("503 1006", ["503", "1006"]),
        ("418", ["4xx"]),
        ("4xx", ["4xx"]),
        ("5XX", ["5xx"]),
        ("4400", ["4xxx"]),
        ("3000", ["unknown"]),
        ("200", ["2xx"]),
        ("101", ["1xx"]),
        ("1011-ping", ["1011-ping"]),
        ("1000-asked", ["1000-asked"]),
        ("DNS", ["dns"]),
        ("invalid_auth", ["401"]),
        ("Too Many Requests", ["429"]),
        ("INSUFFICIENT_PERMISSIONS", ["403", "401"]),
        ("401 INSUFFICIENT_PERMISSIONS", ["401"]),
    ],
)
def test_codes_statuses_and_names_in_any_order_and_spelling(text: str, found: list[str]) -> None:
    assert keys(text) == found


@pytest.mark.parametrize(
    "line, found",
    [
        (f"received 1011 (internal error) {NET_0001}", ["NET-0001", "1011"]),
        ("received 1011 (internal error) Deepgram did not provide a response message wi", ["NET-0000", "1011"]),
        ("sent 1011 (internal error) keepalive ping timeout; no close frame received", ["1011-ping", "1011"]),
        ("no close frame received or sent", ["1006"]),
        ("received 1000 (OK); then sent 1000 (OK)", ["1000", "1000-asked"]),
        ("server rejected WebSocket connection: HTTP 401", ["401"]),
        ("Unexpected server response: 402", ["402"]),
        ("Error during WebSocket handshake: Unexpected response code: 400", ["400"]),
        ("WSServerHandshakeError: 403, message='Invalid response status'", ["403"]),
        ("websocket: close 1006 (abnormal closure): unexpected EOF", ["1006"]),
        ("CloseReason<code=1012, name=SERVICE_RESTART, reason=None>", ["1012"]),
        ("ConnectionRejected<status_code=404>", ["404"]),
        ("< HTTP/1.1 503 Service Unavailable", ["503"]),
        ("2026-11-22T10:00:00.401Z [503] ws closed 1006 after 500 ms on port 443", ["1006"]),
        ("Keywords are not supported for Nova-3. Please use `keyterm` instead.", ["400"]),
        ("No such model/version combination found.", ["400"]),
        ("OSError: [Errno 111] Connection refused", ["refused"]),
        ("socket.gaierror: [Errno -2] Name or service not known", ["dns"]),
        ("session ended: no response to a ping", ["ping"]),
    ],
)
def test_lines_of_logs_and_of_other_libraries(line: str, found: list[str]) -> None:
    assert keys(line) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "42",
        "99999",
        "5000",
        "600",
        "NET-0009",
        "in 2026 we had 1024 bytes, 16000 Hz and 4000 frames",
        "took 503 ms and 1006 bytes",
        "10.0.0.5:1006 at 12:30:401",
        '{"hello": "world"}',
        '{"code": true, "status": 12.5, "payload": null}',
        "{",
        '{"code": ',
    ],
)
def test_what_says_nothing_is_left_alone(text: str) -> None:
    assert keys(text) == []


@pytest.mark.parametrize(
    "body, found, refusals",
    [
        ({"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."}, ["401"], ["INVALID_AUTH"]),
        ({"error_code": "Service Unavailable", "err_msg": "Please try again later"}, ["503"], ["SERVICE_UNAVAILABLE"]),
        ({"category": "INVALID_QUERY_PARAMETER", "message": "no"}, ["400"], ["INVALID_QUERY_PARAMETER"]),
        ({"code": "PROJECT_NOT_FOUND", "details": "?"}, ["404"], ["PROJECT_NOT_FOUND"]),
        ({"err_code": "Bad Request", "err_msg": "Bad Request: No such model"}, ["400"], ["BAD_REQUEST"]),
        ({"err_code": "ASR_PAYMENT_REQUIRED"}, ["402"], ["ASR_PAYMENT_REQUIRED"]),
        ({"err_code": "INSUFFICIENT_PERMISSIONS", "status": 401}, ["401"], ["INSUFFICIENT_PERMISSIONS"]),
        ({"err_msg": "`keyterm` is only supported for Nova-3 and Flux"}, ["400"], ["INVALID_QUERY_PARAMETER"]),
        ({"error": {"err_code": "TOO_MANY_REQUESTS"}}, ["429"], ["TOO_MANY_REQUESTS"]),
        ([{"err_code": "FORBIDDEN"}], ["403"], ["FORBIDDEN"]),
        ({"errors": [{"err_code": "FORBIDDEN"}]}, ["403"], ["FORBIDDEN"]),
    ],
)
def test_bodies_of_refusals(body: object, found: list[str], refusals: list[str]) -> None:
    pasted = read(json.dumps(body))

    assert [entry.key for entry in pasted.entries] == found
    assert list(pasted.refusals) == refusals


@pytest.mark.parametrize(
    "fields, found",
    [
        ({"code": 1011, "status": None, "reason": NET_0001, "payload": "NET-0001"}, ["NET-0001", "1011"]),
        ({"code": 1000, "status": None, "reason": "", "verdict": "retry"}, ["1000", "1000-asked"]),
        ({"code": 1000, "status": None, "reason": "", "verdict": "complete"}, ["1000-asked"]),
        ({"code": None, "status": 503, "reason": "", "uptime": 0.0}, ["503"]),
        ({"code": None, "status": None, "reason": "no response to a ping", "uptime": 12.5}, ["ping"]),
        ({"code": None, "status": None, "reason": "as never seen", "uptime": 12.5}, ["ended"]),
        ({"code": None, "status": None, "reason": "as never seen", "uptime": 0.0}, ["dial"]),
        ({"code": None, "status": None, "reason": None}, ["dial"]),
        ({"close_code": "1006", "statusCode": 101}, ["1xx", "1006"]),
        ({"event": "socket closed", "closeCode": 1013}, ["1013"]),
        ({"event": "websocket closed with code 1012"}, ["1012"]),
        ({"level": "error", "msg": "received 1001 (going away)"}, ["1001"]),
        ({"reason": '{"err_code":"INVALID_AUTH"}'}, ["401"]),
        ({"type": "call_ended", "closure": {"code": 1008, "reason": "DATA-0000"}}, ["DATA-0000", "1008"]),
        ({"code": 1006, "msg": "after 503 attempts"}, ["1006"]),
    ],
)
def test_log_lines_in_json(fields: dict[str, object], found: list[str]) -> None:
    assert keys(json.dumps(fields)) == found
    assert keys(f"2026-11-22 10:00:00 supervisor[4321]: {json.dumps(fields)}") == found


def test_several_lines_are_read_together() -> None:
    lines = '{"code": 1006, "reason": ""}\n{"status": 429, "reason": ""}\n{"code": 1006}'

    assert keys(lines) == ["429", "1006"]


def test_the_servers_words_and_the_request_id_are_kept_once_and_made_plain() -> None:
    body = {"err_code": "INVALID_AUTH", "err_msg": "Invalid\n\x1b[31mcredentials.", "request_id": "019f\u202e-1"}
    pasted = read(json.dumps(body) * 2)

    assert pasted.words == ["Invalid [31mcredentials."]
    assert pasted.request_id == "019f -1"


@pytest.mark.parametrize("key", list(TABLE))
def test_each_key_of_the_table_is_found_by_its_name(key: str) -> None:
    assert key in keys(key)
    assert key in keys(key.lower())


@pytest.mark.parametrize("name", list(REFUSALS))
def test_each_name_of_a_refusal_is_found(name: str) -> None:
    assert keys(name) == list(REFUSALS[name].statuses)


@given(st.text() | st.text(alphabet='{}[]":,01456 codeNETDATA-'))
def test_any_text_can_be_read(text: str) -> None:
    pasted = read(text)

    if pasted.entries:
        assert classify(pasted.closure) is entry_of(pasted.closure).verdict


def test_a_hostile_paste_says_nothing() -> None:
    for hostile in ('{"a":' * 30_000, "{" * 200_000, '{"message":"' * 10_000, "http status " * 20_000, "9" * 200_000):
        assert keys(hostile) == []
