"""Events and a log, in as few words as a test should need."""

from __future__ import annotations

from typing import Any

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from supervisor.events import (
    AudioTotals,
    CallEnded,
    CallStarted,
    Channel,
    Gap,
    Latency,
    SessionClosed,
    Transcript,
    Word,
)

TIME = "2026-01-01T00:00:00.000Z"


def started(call_id: str = "c", *labels: str, source: str = "a.wav") -> CallStarted:
    channels = [Channel(index, label) for index, label in enumerate(labels or ("",))]
    return CallStarted(
        call_id=call_id, time=TIME, source=source, encoding="mulaw", sample_rate=8000, channels=channels,
        metadata={}, version="1",
    )  # fmt: skip


def said(text: str, *, segment: int = 0, is_final: bool = True, call_id: str = "c", **more: Any) -> Transcript:
    fields: dict[str, Any] = {
        "seq": segment if is_final else None, "channel": 0, "start": 0.0, "end": 1.0, "speech_final": is_final,
        "confidence": 1.0, "words": [], "session": 1, "request_id": "r", "replayed": False,
    }  # fmt: skip
    return Transcript(call_id=call_id, time=TIME, text=text, segment=segment, is_final=is_final, **{**fields, **more})


def guessed(text: str, *, segment: int = 0, call_id: str = "c", **more: Any) -> Transcript:
    return said(text, segment=segment, is_final=False, call_id=call_id, **more)


def word(text: str, speaker: int | None = None) -> Word:
    return Word(word=text, start=0.0, end=0.1, confidence=1.0, speaker=speaker)


def gap(start: float = 1.0, end: float = 2.0, *, call_id: str = "c", channel: int | None = None) -> Gap:
    return Gap(call_id=call_id, time=TIME, start=start, end=end, reason="overflow", channel=channel)


def closed(call_id: str = "c", **more: Any) -> SessionClosed:
    fields: dict[str, Any] = {
        "session": 1, "code": 1011, "reason": "", "status": None, "payload": "NET-0001", "dg_error": "", "err_code": "",
        "request_id": "r", "verdict": "retry", "advice": "", "retry_in": 0.5, "attempt": 1, "uptime": 1.0, "sent": 1.0,
        "server_heard": None, "keepalives": 0, "last_audio_age": None, "last_result_age": None, "backlog": 0.0,
    }  # fmt: skip
    return SessionClosed(call_id=call_id, time=TIME, **{**fields, **more})


def ended(call_id: str = "c", *, heard: float = 10.0, acknowledged: float = 10.0) -> CallEnded:
    totals = dict.fromkeys(AudioTotals.__struct_fields__, 0) | {"heard": heard, "acknowledged": acknowledged}
    return CallEnded(
        call_id=call_id, time=TIME, outcome="complete", sessions=1, closure=None, latency=Latency(None, None),
        billed=heard, audio=AudioTotals(**totals),
    )  # fmt: skip


class Log:
    """A logger, and what was logged."""

    def __init__(self) -> None:
        self.entries: list[EventDict] = []
        self.log: FilteringBoundLogger = structlog.wrap_logger(
            None, processors=[self._keep], wrapper_class=structlog.make_filtering_bound_logger(0)
        )

    def _keep(self, _logger: object, method: str, event: EventDict) -> EventDict:
        self.entries.append({**event, "level": method})
        raise structlog.DropEvent

    @property
    def names(self) -> list[str]:
        return [entry["event"] for entry in self.entries]
