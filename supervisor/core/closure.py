"""How a session ended: all that was seen, as a value."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

SAID = ("reason", "dg_error", "err_code", "err_msg", "request_id", "location")  # in the other side's words
UNDECODED = 1.0  # seconds sent, from which on a Metadata of duration 0 means that nothing could be decoded


class Verdict(Enum):
    COMPLETE = "complete"  # the server has said all it will say of all the audio
    RETRY = "retry"  # the same audio may fare better on another connection
    ABORT = "abort"  # the same request would always end the same way


@dataclass(frozen=True, slots=True)
class Closure:
    """What was seen when a session ended; what is not known is left empty."""

    code: int | None = None  # the WebSocket close code (RFC 6455 7.4); 1006 when the connection just ended
    reason: str = ""  # the close frame's payload, or the error's own words
    status: int | None = None  # the HTTP status that refused the opening handshake
    dg_error: str = ""  # header dg-error of a refused handshake
    err_code: str = ""  # err_code (or error_code, or category) in the refusal's body
    err_msg: str = ""
    request_id: str = ""  # header dg-request-id: Deepgram's name for the session
    location: str = ""  # of a redirect
    retry_after: float = 0.0  # seconds the server asked us to stay away
    unkeyed: bool = False  # there was no key to dial with
    opened: bool = False  # the upgrade succeeded
    finishing: bool = False  # CloseStream had been sent
    metadata: bool = False  # Metadata had come
    server_heard: float | None = None  # Metadata.duration: seconds of audio the server says it had
    sent: float = 0.0  # seconds of audio put on the wire, silence included
    uptime: float = 0.0  # seconds since the upgrade
    progress: bool = False  # the call's watermark moved over call audio

    @property
    def undecoded(self) -> bool:
        """The server says it had no audio, though a second or more was sent: it could not make anything of it."""
        return self.server_heard is not None and self.server_heard <= 0 and self.sent >= UNDECODED

    def without(self, secret: str) -> Closure:
        """The same, should a server or a proxy have repeated what it was shown.

        >>> Closure(reason="Token 1234 is unknown").without("1234").reason
        'Token *** is unknown'
        """
        said = {name: getattr(self, name).replace(secret, "***") for name in SAID}
        return replace(self, **said) if secret else self


# On the wire the name of a payload has been both "NET-0001" and a sentence ending in "https://dpgr.am/net0001".
PAYLOAD = re.compile(r"\b(DATA|NET)-?(\d{4})\b", re.IGNORECASE)


def payload_of(reason: str) -> str:
    """The name Deepgram gives a closure, or nothing.

    >>> payload_of("... within the timeout window. See https://dpgr.am/net0001")
    'NET-0001'
    """
    found = PAYLOAD.search(reason)
    return f"{found[1].upper()}-{found[2]}" if found else ""
