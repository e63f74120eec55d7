"""The events a call tells, one JSON object a line: a contract that other programs rely on.

Times of audio are seconds on the call's own clock; `time` is the wall's, for information. Fields may be added in
any release; none changes its meaning within a major version.
"""

from __future__ import annotations

from typing import Literal

import msgspec

GapReason = Literal[
    "overflow", "source_gap", "paused", "undecodable", "server_skipped", "gave_up", "aborted", "stopped"
]


class Event(msgspec.Struct, kw_only=True, omit_defaults=False):
    """What every event has; `type` is the class's tag."""

    v: int = 1
    call_id: str
    time: str  # RFC 3339, UTC


class Channel(msgspec.Struct):
    index: int
    label: str


class CallStarted(Event, tag_field="type", tag="call_started", kw_only=True):
    source: str
    encoding: str
    sample_rate: int
    channels: list[Channel]
    metadata: dict[str, str]
    version: str


class SessionOpened(Event, tag_field="type", tag="session_opened", kw_only=True):
    session: int  # counted from 1 within the call, one for each dial
    request_id: str
    attempt: int  # since the last progress
    replay_from: float


class Word(msgspec.Struct, kw_only=True, omit_defaults=True):
    word: str
    start: float
    end: float
    confidence: float
    punctuated_word: str | None = None
    speaker: int | None = None  # means the same person within one session only


class Transcript(Event, tag_field="type", tag="transcript", kw_only=True):
    """What was said. One with the same channel and segment replaces the earlier."""

    seq: int | None  # finals only: counted from 0 within the call, without holes
    segment: int  # the finals of this channel so far
    channel: int
    start: float
    end: float
    text: str
    is_final: bool
    speech_final: bool
    confidence: float
    words: list[Word]
    session: int
    request_id: str
    replayed: bool  # some of its audio had been sent to an earlier session
    raw: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # Deepgram's own message, where asked for


class SpeechStarted(Event, tag_field="type", tag="speech_started", kw_only=True):
    channel: int
    start: float
    session: int
    raw: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class UtteranceEnd(Event, tag_field="type", tag="utterance_end", kw_only=True):
    channel: int
    last_word_end: float | None
    session: int
    synthesized: bool = False  # the session that had begun it died; it is ended here so that nobody waits for it
    raw: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Gap(Event, tag_field="type", tag="gap", kw_only=True):
    """Audio that will not be transcribed; told once for each lost or withheld range."""

    start: float
    end: float
    reason: GapReason
    channel: int | None = None  # None = every channel


class SessionClosed(Event, tag_field="type", tag="session_closed", kw_only=True):
    session: int
    code: int | None
    reason: str
    status: int | None
    payload: str
    dg_error: str
    err_code: str
    request_id: str
    verdict: str
    advice: str
    retry_in: float | None
    attempt: int
    uptime: float
    sent: float  # seconds of audio put on the wire, silence included
    server_heard: float | None  # Metadata.duration
    keepalives: int
    last_audio_age: float | None
    last_result_age: float | None
    backlog: float  # seconds of audio not yet acknowledged


class Latency(msgspec.Struct):
    p50: float | None
    p95: float | None


class AudioTotals(msgspec.Struct, kw_only=True):
    """heard = acknowledged + lost + withheld + unfinished, to the sample frame."""

    heard: float
    filled: float  # of heard: silence the source put in for time that it knows has passed
    acknowledged: float
    lost: float
    withheld: float
    unfinished: float
    replayed: float
    injected: float  # silence of ours, which is no part of the call
    duplicate: float  # results for audio that had been acknowledged before
    heard_frames: int
    filled_frames: int
    acknowledged_frames: int
    lost_frames: int
    withheld_frames: int
    unfinished_frames: int
    replayed_frames: int
    injected_frames: int
    duplicate_frames: int


class CallEnded(Event, tag_field="type", tag="call_ended", kw_only=True):
    outcome: Literal["complete", "aborted", "gave_up", "stopped"]
    sessions: int
    closure: SessionClosed | None
    latency: Latency
    billed: float  # seconds of audio over all sessions, as told by the server, or as sent where it told nothing
    audio: AudioTotals
