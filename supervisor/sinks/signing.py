"""How whoever receives our messages knows that they are ours, whole, and not somebody's copy of last week.

Each message has a header `Stream-Supervisor-Signature: t=SECONDS,v1=HEX`. SECONDS is the time of sending (Unix), HEX the
HMAC-SHA256 of SECONDS, a dot and the body as it came, under the secret that both sides have. A receiver in Python:

    time_of, _, theirs = header.removeprefix("t=").partition(",v1=")
    ours = hmac.new(secret, time_of.encode() + b"." + body, "sha256").hexdigest()
    genuine = hmac.compare_digest(ours, theirs) and abs(time.time() - int(time_of)) < 300

The same events may come twice, when the answer to them was lost: then they have the same `Idempotency-Key`.
"""

from __future__ import annotations

import hmac

HEADER = "Stream-Supervisor-Signature"


def signature(secret: bytes, seconds: int, body: bytes) -> str:
    """The header's value.

    >>> signature(b"secret", 1767225600, b"[]")
    't=1767225600,v1=27f6fcd3d4b090a4ebb89aa17fc4c20ee469f9a04de9e278bf1a103daadb529a'
    """
    return f"t={seconds},v1={hmac.new(secret, b'%d.' % seconds + body, 'sha256').hexdigest()}"
