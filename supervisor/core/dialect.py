"""Everything in a session that is one server's way of speaking, as one value.

`/v1/listen` is the first; a server with other words, another way to stay alive or another end is another value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .closure import Closure
from .messages import Message, parse


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a session says and how it reads the answers."""

    keepalive: str
    finalize: str  # empty where the server has no such word
    close_stream: str
    parse: Callable[[str | bytes], Message]
    completes: Callable[[Closure], bool]  # did the server answer CloseStream with all it had?
    shortest_frame: float = 0.08  # seconds of audio; less goes out only when no more is coming
    longest_frame: float = 0.25


def _listen_v1_completes(closure: Closure) -> bool:
    """CloseStream, then Metadata, then 1000 (Deepgram, Close Stream)."""
    return closure.finishing and closure.metadata and closure.code == 1000


LISTEN_V1 = Dialect(
    keepalive='{"type": "KeepAlive"}',
    finalize='{"type": "Finalize"}',
    close_stream='{"type": "CloseStream"}',
    parse=parse,
    completes=_listen_v1_completes,
)
