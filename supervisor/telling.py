"""From what a session learned to the events that the world is told: names, seconds and the wall's time.

The account is kept in sample frames and the events are in seconds; this is the one place where one becomes the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from . import __version__
from .core.audio import AudioFormat
from .core.catalogue import payload_named
from .core.closure import Closure
from .core.hearing import Ended, Said
from .core.judge import Judgement
from .core.ledger import Ledger, Lost
from .core.state import CallState
from .events import (
    AudioTotals,
    CallEnded,
    CallStarted,
    Channel,
    Event,
    Gap,
    GapReason,
    Latency,
    SessionClosed,
    SessionOpened,
    SpeechStarted,
    Transcript,
    UtteranceEnd,
    Word,
)

GAP_AT_MOST = 10.0  # seconds of a growing loss that are told at once, so that nobody waits for its end


@dataclass
class Telling:
    """One call's voice. `emit` gets each event, in order; it may not wait."""

    call_id: str
    format: AudioFormat
    channels: int  # that results come in
    emit: Callable[[Event], None]
    wall: Callable[[], str]  # RFC 3339, UTC
    raw: bool = False
    _gap: Gap | None = field(default=None, init=False)  # told when it stops growing
    _grew: bool = field(default=False, init=False)

    def call_started(self, source: str, labels: Sequence[str], metadata: Mapping[str, str]) -> None:
        self.emit(
            CallStarted(
                call_id=self.call_id,
                time=self.wall(),
                source=source,
                encoding=self.format.encoding,
                sample_rate=self.format.sample_rate,
                channels=[
                    Channel(index, labels[index] if index < len(labels) else "")
                    for index in range(self.channels)
                ],
                metadata=dict(metadata),
                version=__version__,
            )
        )

    def session_opened(self, session: int, request_id: str, attempt: int, replay_from: int) -> None:
        self.emit(
            SessionOpened(
                call_id=self.call_id,
                time=self.wall(),
                session=session,
                request_id=request_id,
                attempt=attempt,
                replay_from=self._seconds(replay_from),
            )
        )

    def transcript(self, said: Said, session: int, request_id: str, message: str | bytes) -> None:
        if said.is_final:
            self.flush()
        self.emit(
            Transcript(
                call_id=self.call_id,
                time=self.wall(),
                seq=said.seq,
                segment=said.segment,
                channel=said.channel,
                start=self._seconds(said.start),
                end=self._seconds(said.end),
                text=said.text,
                is_final=said.is_final,
                speech_final=said.speech_final,
                confidence=said.confidence,
                words=[
                    Word(
                        word=word.word,
                        punctuated_word=word.punctuated_word,
                        start=self._seconds(word.start),
                        end=self._seconds(word.end),
                        confidence=word.confidence,
                        speaker=word.speaker,
                    )
                    for word in said.words
                ],
                session=session,
                request_id=request_id,
                replayed=said.replayed,
                raw=self._raw(message),
            )
        )

    def utterance_end(self, ended: Ended, session: int, message: str | bytes | None) -> None:
        self.emit(
            UtteranceEnd(
                call_id=self.call_id,
                time=self.wall(),
                channel=ended.channel,
                last_word_end=None if ended.at is None else self._seconds(ended.at),
                session=session,
                synthesized=ended.synthesized,
                raw=self._raw(message),
            )
        )

    def speech_started(self, channel: int, at: int, session: int, message: str | bytes) -> None:
        self.emit(
            SpeechStarted(
                call_id=self.call_id,
                time=self.wall(),
                channel=channel,
                start=self._seconds(at),
                session=session,
                raw=self._raw(message),
            )
        )

    def gap(self, start: int, end: int, reason: GapReason, channel: int | None = None) -> None:
        """Told once for each range: a loss that grows tick by tick is told when it stops, or every ten seconds."""
        first, last = self._seconds(start), self._seconds(end)
        held = self._gap
        if held and (held.end, held.reason, held.channel) == (first, reason, channel):
            held.end = last
        else:
            self.flush()
            self._gap = held = Gap(
                call_id=self.call_id, time=self.wall(), start=first, end=last, reason=reason, channel=channel
            )
        self._grew = True
        if held.end - held.start >= GAP_AT_MOST:
            self.flush()

    def lost(self, ranges: Sequence[Lost], reason: GapReason) -> None:
        """What the ledger has just settled as lost."""
        for each in ranges:
            self.gap(each.start, each.end, reason, each.channel)

    def tick(self) -> None:
        """Time has passed in which a loss could have grown."""
        if not self._grew:
            self.flush()
        self._grew = False

    def flush(self) -> None:
        """The loss that was growing has stopped."""
        if held := self._gap:
            self._gap = None
            self.emit(held)

    def session_closed(
        self,
        judgement: Judgement,
        *,
        session: int,
        attempt: int,
        retry_in: float | None,
        keepalives: int,
        last_audio_age: float | None,
        last_result_age: float | None,
        backlog: int,
    ) -> SessionClosed:
        closure = judgement.closure
        event = SessionClosed(
            call_id=self.call_id,
            time=self.wall(),
            session=session,
            code=closure.code,
            reason=closure.reason,
            status=closure.status,
            payload=payload_named(closure.reason),
            dg_error=closure.dg_error,
            err_code=closure.err_code,
            request_id=closure.request_id,
            verdict=judgement.verdict.value,
            advice=judgement.advice,
            retry_in=None if retry_in is None else round(retry_in, 3),
            attempt=attempt,
            uptime=round(closure.uptime, 3),
            sent=round(closure.sent, 6),
            server_heard=closure.server_heard,
            keepalives=keepalives,
            last_audio_age=_rounded(last_audio_age),
            last_result_age=_rounded(last_result_age),
            backlog=self._seconds(backlog),
        )
        self.emit(event)
        return event

    def call_ended(
        self, outcome: str, state: CallState, ledger: Ledger, closure: SessionClosed | None
    ) -> CallEnded:
        self.flush()
        at = ledger.at
        frames = {
            "heard": at.heard_frames,
            "filled": at.filled_frames,
            "acknowledged": at.acknowledged_frames,
            "lost": at.lost_frames,
            "withheld": at.withheld_frames,
            "unfinished": ledger.unfinished(),
            "replayed": at.replayed_frames,
            "injected": at.injected_frames,
            "duplicate": at.duplicate_frames,
        }
        both = {f"{name}_frames": count for name, count in frames.items()} | {
            name: self._seconds(count) for name, count in frames.items()
        }
        event = CallEnded(
            call_id=self.call_id,
            time=self.wall(),
            outcome=outcome,  # type: ignore[arg-type]  # one of the four words, by the type of who calls
            sessions=state.sessions,
            closure=closure,
            latency=Latency(state.latencies.percentile(0.5), state.latencies.percentile(0.95)),
            billed=round(state.billed, 6),
            audio=msgspec.convert(both, AudioTotals),
        )
        self.emit(event)
        return event

    def _seconds(self, frames: int) -> float:
        return round(self.format.seconds(frames), 6)

    def _raw(self, message: str | bytes | None) -> msgspec.Raw | msgspec.UnsetType:
        """The message as it came, on one line whatever its sender thinks of lines."""
        return msgspec.Raw(msgspec.json.format(message, indent=-1)) if self.raw and message else msgspec.UNSET


def billed(closure: Closure) -> float:
    """The audio of a session that the server will charge for: what it told, or else what it was sent."""
    return closure.sent if closure.server_heard is None else closure.server_heard


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
