"""What a conversation asks to be done: a text, a Close frame, or a fault that its socket suffers."""

from __future__ import annotations

from typing import NamedTuple

from .faults import Stream

NO_CODE = 1005


class Say(NamedTuple):
    """A text message."""

    text: bytes
    final: tuple[int, int, int] | None = None  # the channel and the span that it makes final
    metadata: bool = False


class End(NamedTuple):
    """A Close frame; 1005 is one without a code."""

    code: int
    reason: str


Action = Say | End | Stream
