"""The faults a connection can suffer, as data; `plan.py` says which connection suffers which.

The name of a fault in TOML is its class's name in lower case with underscores.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from .bounds import check


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Anything that goes wrong."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening(Fault):
    """Goes wrong with the opening handshake, once the request was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Opening):
    """An HTTP answer other than the upgrade, with Deepgram's headers and body."""

    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None  # seconds
    as_date: bool = False  # Retry-After as a date
    err_code: str | None = None
    err_msg: str | None = None
    body: str | None = None  # instead of the JSON one
    unmeasured: bool = False  # no Content-Length: the answer ends with the connection
    cut: bool = False  # the connection ends within the body

    def __post_init__(self) -> None:
        Opening.__post_init__(self)
        if not 100 <= self.status <= 599 or self.status == 101:
            raise ValueError("`status` is one from 100 to 599 other than 101")


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent(Opening):
    """The request is read and never answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow(Opening):
    """The answer takes so long."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Opening):
    """The connection ends before the answer."""

    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Opening):
    """Status 200 and a page of HTML, as from a proxy that asks for a login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonsense(Opening):
    """The answer is no HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream(Fault):
    """Goes wrong after so much audio, so much time since the opening, or with CloseStream; at once if none is given."""

    endless: ClassVar[tuple[str, ...]] = ()  # numbers that may be

    audio: float | None = None
    time: float | None = None
    finishing: bool = False

    def __post_init__(self) -> None:
        check(self, endless=self.endless)
        if (self.audio is not None) + (self.time is not None) + self.finishing > 1:
            raise ValueError("only one of `audio`, `time` and `finishing` can be given")


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Stream):
    """A Close frame. Nothing that was still to be told is told."""

    code: int = 1011  # 1005 = a frame without a code
    reason: str = ""
    hang_up: bool = True  # false: the connection stays open until the peer ends it
    pings: int = 0  # sent after the Close frame, which RFC 6455 forbids

    def __post_init__(self) -> None:
        Stream.__post_init__(self)
        if not 0 <= self.code <= 65535 or len(self.reason.encode()) > 123:
            raise ValueError("`code` is from 0 to 65535, and `reason` at most 123 bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Stream):
    """A TCP reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fin(Stream):
    """TCP ends without a Close frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfFrame(Stream):
    """A frame begins and never ends."""

    then: Literal["fin", "reset", "stay"] = "fin"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReading(Stream):
    """Nothing more is read; what was asked is still answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAnswering(Stream):
    """Everything is read, and nothing more is sent, not even a pong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopResults(Stream):
    """Pings are answered, and nothing is told: for ever, or until everything comes at once."""

    endless = ("seconds",)

    seconds: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class NoFinals(Stream):
    """Interims without finals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole(Stream):
    """The next final but one starts so much audio too late: what lies between is in no final."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage(Stream):
    """Something a client does not expect."""

    what: Literal["text", "json", "unknown", "error", "binary", "utf8", "opcode", "huge"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood(Stream):
    """So many messages at once."""

    messages: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecodable(Stream):
    """The audio is taken for garbage, whatever it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoWordEnd(Stream):
    """UtteranceEnd says -1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finishing(Fault):
    """Goes wrong with the answer to CloseStream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMetadata(Finishing):
    """The last finals and the close come, Metadata does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoClose(Finishing):
    """Metadata comes, the close does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLastFinals(Finishing):
    """Metadata and the close come without the last finals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortTail(Finishing):
    """The last finals end so many seconds before the audio does."""

    seconds: float


_KINDS: tuple[type[Fault], ...] = (
    Refuse, Silent, Slow, Drop, Page, Nonsense, Close, Reset, Fin, HalfFrame, StopReading, StopAnswering, StopResults,
    NoFinals, Hole, Garbage, Flood, Undecodable, NoWordEnd, NoMetadata, NoClose, NoLastFinals, ShortTail,
)  # fmt: skip


def name_of(kind: type[Fault]) -> str:
    """What a fault is called in TOML and in the log.

    >>> name_of(HalfFrame)
    'half_frame'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


FAULTS: Mapping[str, type[Fault]] = {name_of(kind): kind for kind in _KINDS}
