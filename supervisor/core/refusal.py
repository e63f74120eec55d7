"""A refused opening handshake, read: what the status, the headers and the body say.

Deepgram answers a refused upgrade with the headers `dg-error` and `dg-request-id` and a JSON body: `err_code` and
`err_msg` as a rule, `error_code` in one documented case, `category` and `message` on newer endpoints.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

import msgspec

from .closure import Closure

Headers = Iterable[tuple[bytes, bytes]]
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


class _Body(msgspec.Struct):
    err_code: str = ""
    error_code: str = ""
    category: str = ""
    err_msg: str = ""
    message: str = ""
    request_id: str = ""


def refusal(status: int, headers: Headers, body: bytes) -> Closure:
    """The closure that a refused upgrade is.

    >>> refusal(429, [(b"Retry-After", b"7"), (b"dg-request-id", b"r")], b'{"err_code":"TOO_MANY_REQUESTS"}').retry_after
    7.0
    """
    named = {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, value in headers}
    try:
        said = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        said = _Body()
    dg_error = named.get("dg-error", "")
    return Closure(
        status=status,
        reason=dg_error or said.err_msg or said.message or body[:300].decode(errors="replace").strip(),
        dg_error=dg_error,
        err_code=said.err_code or said.error_code or said.category,
        err_msg=said.err_msg or said.message,
        request_id=named.get("dg-request-id", "") or said.request_id,
        location=named.get("location", ""),
        retry_after=retry_after(named.get("retry-after", ""), named.get("date", "")),
    )


def refusal_cut_short(head: bytes, why: str) -> Closure:
    """The closure of an answer that ended before it was whole: its status is known if its first line came.

    >>> refusal_cut_short(b"HTTP/1.1 503 Service Unavailable\\r\\nRetry-After: 3\\r\\nContent-Le", "hung up").retry_after
    3.0
    >>> refusal_cut_short(b"", "hung up").reason
    'hung up'
    """
    found = STATUS.match(head)
    if not found or found[1] == b"101":
        return Closure(reason=why)
    lines, _, body = head.partition(b"\r\n\r\n")
    pairs = (line.partition(b":") for line in lines.split(b"\r\n")[1:])
    return refusal(int(found[1]), [(name, value) for name, colon, value in pairs if colon], body)


def retry_after(value: str, date: str) -> float:
    """Seconds to stay away (RFC 9110 10.2.3); a date counts from the response's own, since clocks differ.

    >>> retry_after("Sun, 06 Nov 1994 08:49:47 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"), retry_after("soon", "")
    (10.0, 0.0)
    """
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
