"""Every number a call is run with: the defaults are here and nowhere else.

Durations are seconds, on trio's clock unless it says audio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """One connection of one call."""

    dial: Literal["audio", "eager"] = "audio"  # the first dial waits for audio: an empty session dies of NET-0001
    idle: Literal["keepalive", "silence"] = "keepalive"  # what holds a session whose caller is silent on the wire
    frame: float = 0.1  # audio in one WebSocket frame; Deepgram advises 0.02 to 0.25
    keepalive: float = 4.0  # without traffic; the server's limit is 10 s
    finalize_after: float = 1.0  # silent on the wire before one Finalize; 0 = never
    connect_timeout: float = 10.0  # name, TCP, TLS and the upgrade together
    send_timeout: float = 5.0  # a frame that the network has not taken by then ends the session
    ping: float = 4.0  # between pings
    pong: float = 5.0  # a ping that nothing has followed by then ends the session
    results_timeout: float = 8.0  # without Results while call audio is being sent
    results_lag: float = 20.0  # of audio, between what was sent and the last result's end
    finals_lag: float = 30.0  # of audio, between what was sent and the last final's end; half of it asks for a Finalize
    patience: float = 10.0  # from the server's last message, once CloseStream was sent


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """From one session to the next."""

    first: float = 0.25  # the longest first wait after progress
    initial: float = 0.5  # the wait that then doubles
    longest: float = 30.0
    retry_after_longest: float = 60.0  # a server's Retry-After is a floor up to here
    give_up_after: float = 900.0  # without progress
    verdicts: Mapping[str, str] = field(default_factory=dict)  # "1008", "DATA-0000" or "503" -> "retry" or "abort"


@dataclass(frozen=True, slots=True)
class BufferSettings:
    """The audio that may still be needed."""

    seconds: float = 600.0  # of audio, for each call; older live audio becomes a gap
    total: int = 0  # bytes, all calls; 0 = half of the memory there is
    margin: float = 1.0  # of audio, before the watermark, sent again to a new session


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """All calls of the process together."""

    dials: int = 16  # at a time
    rate: float = 50.0  # dials begun in a second, at most; running calls go before new ones
    burst: int = 16  # dials that may be begun at one instant
    failures: int = 5  # dials in a row that fail, from which on one call at a time tries (an endpoint's circuit breaker)
    probe: float = 2.0  # from one of those tries to the next
    raise_every: float = 10.0  # after a 429, until one more session is tried than there were
    linger: float = 15.0  # that a server still counts a session whose connection broke


@dataclass(frozen=True, slots=True)
class Settings:
    session: SessionSettings = field(default_factory=SessionSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    buffer: BufferSettings = field(default_factory=BufferSettings)
    fleet: FleetSettings = field(default_factory=FleetSettings)
