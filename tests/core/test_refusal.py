"""A refused upgrade, read from whatever came of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.closure import Closure
from supervisor.core.refusal import refusal, refusal_cut_short, retry_after

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    "status, headers, body, expected",
    [
        (
            401,
            [(b"dg-error", b"Invalid credentials."), (b"dg-request-id", b"r-1")],
            b'{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials.","request_id":"r-2"}',
            Closure(
                status=401,
                reason="Invalid credentials.",
                dg_error="Invalid credentials.",
                err_code="INVALID_AUTH",
                err_msg="Invalid credentials.",
                request_id="r-1",
            ),
        ),
        (
            402,
            [],
            b'{"err_code":"ASR_PAYMENT_REQUIRED","err_msg":"No credit.","request_id":"r-2"}',
            Closure(status=402, reason="No credit.", err_code="ASR_PAYMENT_REQUIRED", err_msg="No credit.", request_id="r-2"),
        ),
        (
            429,
            [(b"RETRY-AFTER", b" 7 ")],
            b'{"error_code":"TOO_MANY_REQUESTS"}',
            Closure(
                status=429, reason='{"error_code":"TOO_MANY_REQUESTS"}', err_code="TOO_MANY_REQUESTS", retry_after=7.0
            ),
        ),
        (
            400,
            [],
            b'{"category":"INVALID_JSON","message":"Malformed.","details":"x"}',
            Closure(status=400, reason="Malformed.", err_code="INVALID_JSON", err_msg="Malformed."),
        ),
        (301, [(b"Location", b"wss://elsewhere")], b"", Closure(status=301, location="wss://elsewhere")),
        (502, [], b"<html>Bad Gateway</html>\r\n", Closure(status=502, reason="<html>Bad Gateway</html>")),
        (503, [], b"\xff\xfe", Closure(status=503, reason="\ufffd\ufffd")),
        (503, [], b'{"err_code": 5}', Closure(status=503, reason='{"err_code": 5}')),
        (503, [(b"dg-error", b"caf\xe9")], b"", Closure(status=503, reason="caf\xe9", dg_error="caf\xe9")),
    ],
)
def test_what_a_refusal_says_is_kept(status, headers, body, expected):
    assert expected == refusal(status, headers, body)


def test_a_body_without_end_is_not_kept_whole():
    assert len(refusal(500, [], b"x" * 100_000).reason) == 300


def test_a_body_as_deep_as_it_is_long_is_no_crash():
    assert refusal(500, [], b'{"err_msg":' + b"[" * 100_000).status == 500


@pytest.mark.parametrize(
    "head, expected",
    [
        (b"", Closure(reason="hung up")),
        (b"HTTP/1.1 50", Closure(reason="hung up")),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Closure(reason="hung up")),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgr", Closure(reason="hung up")),  # accepted, and then cut
        (b"HTTP/1.0 503", Closure(status=503)),
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nno colon\r\n", Closure(status=503, retry_after=3.0)),
        (
            b'HTTP/1.1 401 Unauthorized\r\ndg-request-id: r\r\n\r\n{"err_code":"INVALID_AUTH","err_m',
            Closure(status=401, request_id="r", reason='{"err_code":"INVALID_AUTH","err_m'),
        ),
    ],
)
def test_an_answer_that_ended_too_soon_tells_what_it_can(head, expected):
    assert expected == refusal_cut_short(head, "hung up")


WHOLE = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 12\r\ndg-error: Too many.\r\n\r\n"
    b'{"err_code":"TOO_MANY_REQUESTS","err_msg":"Too many."}'
)


@pytest.mark.parametrize("length", range(len(WHOLE) + 1))
def test_an_answer_cut_at_any_byte_has_its_status_once_that_has_come(length):
    closure = refusal_cut_short(WHOLE[:length], "hung up")

    assert (429 if length >= len(b"HTTP/1.1 429") else None) == closure.status


@pytest.mark.parametrize(
    "value, date, seconds",
    [
        ("0", "", 0.0),
        ("120", "", 120.0),
        ("1.5", "", 1.5),
        ("999999999", "", 999999999.0),
        ("9999999999", "", 0.0),  # not to be taken seriously
        ("-5", "", 0.0),
        ("1e3", "", 0.0),
        ("inf", "", 0.0),
        ("soon", "", 0.0),
        ("", "", 0.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", DATE, 60.0),
        ("Sun, 06 Nov 1994 08:48:37 GMT", DATE, 0.0),  # gone by
        ("Sun, 06 Nov 1994 08:50:37 GMT", "", 0.0),  # from when? clocks differ
        ("Sun, 06 Nov 1994 08:50:37 GMT", "yesterday", 0.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", "Sun, 06 Nov 1994 08:49:37 -0000", 0.0),  # one of them without a zone
        ("Sun, 06 Nov 1994 09:49:37 +0100", DATE, 0.0),
        ("Sun, 06 Nov 1994 09:50:07 +0100", DATE, 30.0),
    ],
)
def test_how_long_to_stay_away(value, date, seconds):
    assert seconds == retry_after(value, date)


PARTS = st.lists(st.sampled_from([*"0123456789", " ", ",", ":", "-", "+", "Sun", "Nov", "GMT", "1994", "99999", "\x00"]))


@given(PARTS.map("".join), PARTS.map("".join) | st.just(DATE))
def test_no_header_is_a_crash_and_none_sends_us_into_the_past(value, date):
    assert retry_after(value.strip(), date) >= 0.0


@given(st.lists(st.tuples(st.binary(), st.binary())), st.binary())
def test_any_refusal_can_be_read(headers, body):
    assert refusal(500, headers, body).status == 500
