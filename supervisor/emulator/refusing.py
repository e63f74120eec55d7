"""An answer to an opening handshake other than the upgrade, as bytes: Deepgram's headers and body, whole or spoilt."""

from __future__ import annotations

import http
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime

import msgspec

from .faults import Refuse

# Deepgram, Errors: what its bodies say. Where nothing is known the status speaks for itself.
BODIES: Mapping[int, tuple[str, str]] = {
    400: ("Bad Request", "Bad Request: No such model/version combination found."),
    401: ("INVALID_AUTH", "Invalid credentials."),
    402: (
        "ASR_PAYMENT_REQUIRED",
        "Project does not have enough credits for an ASR request and does not have an overage agreement.",
    ),
    403: ("INSUFFICIENT_PERMISSIONS", "Project does not have access to the requested model."),
    404: ("PROJECT_NOT_FOUND", "Project not found."),
    429: ("TOO_MANY_REQUESTS", "Too many requests. Please try again later"),
    503: ("Service Unavailable", "Please try again later"),
}


def answer(refuse: Refuse, request_id: str, now: datetime) -> bytes:
    """The whole response; an informational status (1xx) has neither body nor length.

    >>> from datetime import UTC
    >>> text = answer(Refuse(status=429, retry_after=7.0), "r", datetime(2026, 1, 1, tzinfo=UTC)).decode()
    >>> [line for line in text.splitlines() if line.startswith(("HTTP", "Retry", "dg-error"))]
    ['HTTP/1.1 429 Too Many Requests', 'dg-error: Too many requests. Please try again later', 'Retry-After: 7']
    """
    code, message = BODIES.get(refuse.status, (_phrase(refuse.status), _phrase(refuse.status)))
    code, message = refuse.err_code or code, refuse.err_msg or message
    key = "error_code" if refuse.status == 503 else "err_code"  # so it is in Deepgram's documentation
    body = (
        msgspec.json.encode({key: code, "err_msg": message, "request_id": request_id})
        if refuse.body is None
        else refuse.body.encode()
    )
    headers = {
        "Date": format_datetime(now, usegmt=True),
        "dg-request-id": request_id,
        "dg-error": message.encode("ascii", "replace").decode().replace("\r", " ").replace("\n", " "),
        "Connection": "close",
    }
    if refuse.retry_after is not None:
        until = now + timedelta(seconds=refuse.retry_after)
        headers["Retry-After"] = format_datetime(until, usegmt=True) if refuse.as_date else _seconds(refuse.retry_after)
    if refuse.status >= 200:
        headers["Content-Type"] = "application/json" if refuse.body is None else "text/plain"
        if not refuse.unmeasured:
            headers["Content-Length"] = str(len(body))
    else:
        body = b""
    lines = [f"HTTP/1.1 {refuse.status} {_phrase(refuse.status)}"]
    lines += [f"{name}: {value}" for name, value in {**headers, **refuse.headers}.items()]
    if refuse.cut:
        body = body[: len(body) // 2]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def page(now: datetime) -> bytes:
    """A proxy's page that asks for a login: a 200 where an upgrade was wanted."""
    html = b"<!doctype html><title>Sign in</title><p>Please sign in to use this network."
    head = f"HTTP/1.1 200 OK\r\nDate: {format_datetime(now, usegmt=True)}\r\nContent-Type: text/html\r\n"
    return f"{head}Content-Length: {len(html)}\r\n\r\n".encode() + html


def _seconds(number: float) -> str:
    return str(int(number) if number == int(number) else number)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unassigned"
