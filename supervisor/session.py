"""One connection of one call: audio goes out, results come back, and it ends in a closure.

Two tasks, `sender` and `receiver`, that live and die together. The sender wakes once in each period of the grid and
decides everything in one synchronous step, so nothing can come between a decision and its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import trio

from .connection import Closed, Connection, Endpoint, connect
from .core.closure import UNDECODED, Closure
from .core.dialect import Dialect
from .core.hearing import Ended, Hearing, Said, Skipped
from .core.idle import QUIET, Idle, IdleRule
from .core.ledger import Ledger
from .core.messages import Error, Metadata, Other, Results, SpeechStarted, Unreadable, UtteranceEnd
from .core.pacing import Pacer
from .core.settings import SessionSettings
from .core.state import CallState
from .core.timeline import Timeline
from .core.watch import LATE, Watch
from .grid import Grid

HURRY = 2.0  # seconds of audio between two Finalizes while sessions come to nothing
STEADY = 30.0  # seconds after which a session has come to something
LEFTOVER = 0.25  # seconds without new audio after which less than a frame goes out as it is
LAST_WORD = 2.0  # seconds that a server which has told no results has to say why, once it is asked to end


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    channel: int
    at: int


@dataclass(frozen=True, slots=True)
class Complaint:
    """A message that is an error, or is not understood: logged and counted, and survived."""

    what: str


Told = Said | Skipped | Ended | SpeechBegan | Complaint


@dataclass
class Session:
    """Run it once. `told` gets what is news for the call, with the message it came from."""

    endpoint: Endpoint
    state: CallState
    ledger: Ledger
    pacer: Pacer
    dialect: Dialect
    settings: SessionSettings
    grid: Grid
    phase: int
    replay_from: int
    source_ended: Callable[[], bool]
    source_waits: Callable[[], bool]  # it will give no more until some of what was sent is acknowledged
    opened: Callable[[str], None]  # with the request id
    told: Callable[[Told, str | bytes], None]
    progressed: Callable[[], None]
    latency: Callable[[float], None]  # of each interim, in seconds
    tap: Callable[[bytes], None] | None = None  # sees the audio that goes out
    silence: bool = False  # hold an idle session with silence rather than KeepAlive
    hurry: bool = False  # ask for finals often: sessions have come to nothing
    keepalives: int = 0
    request_id: str = ""
    last_audio: float | None = None  # when call audio last went out
    last_result: float | None = None  # when a Results last came
    finishing: bool = False
    progress: bool = False
    connected: bool = False
    answered: bool = False  # the server has said something
    dialled_at: float = 0.0
    _opened_at: float = 0.0
    _heard_at: float = 0.0  # when the server last said something
    _doubt: str = ""  # why the session is being given up, while the server is asked for its last word
    _doubted_at: float = 0.0
    _metadata: Metadata | None = None
    _stepped_at: float = 0.0
    _finalized_at: int = 0  # frames sent when the last Finalize went out
    _written: int = 0
    _grew_at: float = 0.0  # when there was last new audio to send
    _fed_until: float = 0.0  # when the server will have heard all it was sent, in real time

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.ledger.format.sample_rate)
        self.hearing = Hearing(self.state, self.ledger, self.timeline)
        self.reader = self.ledger.reader(self.replay_from)
        frames, period = self.ledger.format.frames, self.grid.period
        self._frame = frames(self.settings.frame)
        self._shortest = min(frames(self.dialect.shortest_frame), self._frame)
        # Who is late catches up with longer frames, unless frames shorter than a period were asked for.
        self._longest = self._frame if self.settings.frame < period else max(self._frame, frames(self.dialect.longest_frame))
        self._least = self._frame if self.settings.frame > period else self._shortest  # worth sending, if more is coming
        # How far each channel has been told of, on the session's clock.
        self._result_ends = [0.0] * len(self.state.channels)
        self._final_ends = [0.0] * len(self.state.channels)

    async def run(self) -> Closure:
        """From dial to closure."""
        self.dialled_at = trio.current_time()
        closures: list[Closure] = []
        try:
            async with connect(self.endpoint) as connection:
                self._begin(connection)
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._send, connection, name="sender")
                        nursery.start_soon(self._receive, connection, name="receiver")
                finally:
                    for message in connection.unheard():
                        self._take(message)
        except* Closed as group:
            closures = _closures(group)
        return self.closure(closures)

    def closure(self, closures: Sequence[Closure] = ()) -> Closure:
        """Both tasks and the library tell of one end: who knows more is believed."""
        seen = max(closures, key=_tells, default=Closure(opened=self.connected))
        if self._doubt and seen.code in (None, 1000, 1005, 1006):  # it ended as it was asked to
            seen = Closure(reason=self._doubt)
        seen = seen.without(self.endpoint.secret.decode("latin-1"))
        return replace(
            seen,
            opened=self.connected,
            request_id=seen.request_id or self.request_id,
            finishing=self.finishing,
            metadata=self._metadata is not None,
            server_heard=self._metadata.duration if self._metadata else None,
            sent=self.sent,
            uptime=trio.current_time() - self._opened_at if self.connected else 0.0,
            progress=self.progress,
        )

    @property
    def sent(self) -> float:
        """Seconds of audio put on the wire, silence included."""
        return self.ledger.format.seconds(self.timeline.heard)

    def _begin(self, connection: Connection) -> None:
        now = trio.current_time()
        self.connected, self.request_id = True, connection.request_id
        self._opened_at = self._heard_at = self._grew_at = self._fed_until = self._stepped_at = now
        self._written = self.ledger.at.written
        self._watch = Watch(self.settings, now)
        self._idle = IdleRule(now, self.settings.keepalive, self.settings.finalize_after, self._wants_silence)
        self.opened(self.request_id)

    @property
    def _wants_silence(self) -> bool:
        return self.silence or self.settings.idle == "silence"

    # The sender

    async def _send(self, connection: Connection) -> None:
        while True:
            if text := self._step(connection, trio.current_time()):
                await connection.say(text)
            await self.grid.next(self.phase)

    def _step(self, connection: Connection, now: float) -> str:
        """One tick: judge, then send what is due. Returns a text message to send, or nothing."""
        sent, watch = self.sent, self._watch
        if self._doubt:
            if now - self._doubted_at >= LAST_WORD:
                connection.abandon()
                raise Closed(Closure(reason=self._doubt, opened=True))
            return ""
        late, self._stepped_at = now - self._stepped_at > LATE, now
        if late:  # the process was stopped: what the server said meanwhile is not read yet
            self._heard_at = now
        why = watch.look(now, connection.received_at, sent, min(self._result_ends), min(self._final_ends))
        if why := why or self._in_vain(now):
            if watch.result_at is None and connection.ready:
                # Audio that cannot be decoded looks like a stall. A server that is asked to end says which it is,
                # by a Metadata that tells of no audio, and sooner than it would by itself (13 s were seen).
                self._doubt, self._doubted_at = why, now
                return self.dialect.close_stream
            connection.abandon()
            raise Closed(Closure(reason=why, opened=True))
        if not connection.ready:
            return ""
        if watch.ping_due(now):
            connection.ping()
        if self.finishing:
            if now - self._heard_at >= self.settings.patience:
                connection.abandon()
                raise Closed(Closure(reason=f"no end within {self.settings.patience:g} s of CloseStream", opened=True))
            return ""
        if self.ledger.at.written != self._written:
            self._written, self._grew_at = self.ledger.at.written, now
        ended = self.source_ended()
        starved = now - (self.last_audio or self._opened_at) >= QUIET  # by a source that gives a little at a time
        if self._send_audio(connection, now, last=ended or starved or now - self._grew_at >= LEFTOVER):
            return self._finalize() if self._finalize_due() else ""
        if ended and not self.reader.backlog:
            self.finishing, self._heard_at = True, now
            return self.dialect.close_stream
        return self._fill(connection, now) if not self.reader.backlog else ""

    def _in_vain(self, now: float) -> str:
        """Nothing is left to send, the source waits for finals, and none come: nobody would ever move again."""
        heard = max(self.last_audio or self._opened_at, self.last_result or 0.0)
        if now - heard < self.settings.results_timeout or self.reader.backlog or not self.source_waits():
            return ""
        return f"no final result for the audio that the source waits for, in {self.settings.results_timeout:g} s"

    def _send_audio(self, connection: Connection, now: float, *, last: bool) -> bool:
        """Put what is due of the call's audio; True if there was any."""
        reader, any_sent = self.reader, False
        while (backlog := reader.backlog) >= self._least or (last and backlog):
            due = min(self.pacer.allowance(now), self._longest)
            if due < min(self._shortest, backlog) or not connection.ready or not (audio := reader.peek(due)):
                break
            frames = len(audio) // self.ledger.format.frame_bytes
            connection.put(audio)
            self.timeline.sent(reader.position, frames)
            reader.advance(frames)
            self._went_out(audio, frames, now)
            any_sent = True
        if any_sent:
            self.last_audio = now
            self._watch.audio(now)
            self._idle.audio(now)
        return any_sent

    def _fill(self, connection: Connection, now: float) -> str:
        """The caller is silent on the wire: what holds the session."""
        match self._idle.next(now, answered=self.answered):
            case Idle.FINALIZE:
                return self._finalize()
            case Idle.KEEPALIVE:
                self.keepalives += 1
                self._idle.text(now)
                return self.dialect.keepalive
            case Idle.SILENCE:
                audio_format = self.ledger.format
                lacking = audio_format.frames(min(now - self._fed_until, self.dialect.longest_frame))
                frames = min(self.pacer.allowance(now), lacking)
                if frames >= self._shortest:
                    silence = audio_format.silence(frames)
                    connection.put(silence)
                    self.timeline.silence(frames)
                    self.ledger.at.injected_frames += frames
                    self._watch.silence(audio_format.seconds(frames))
                    self._idle.text(now)  # it holds the session as well as a KeepAlive does
                    self._went_out(silence, frames, now)
            case Idle.NOTHING:
                pass
        return ""

    def _went_out(self, audio: bytes, frames: int, now: float) -> None:
        self.pacer.take(frames)
        self._fed_until = now
        if self.tap:
            self.tap(audio)

    def _finalize_due(self) -> bool:
        """Finals are wanted sooner than the server would tell them."""
        if not self.dialect.finalize or not self.settings.finalize_after:
            return False
        since = self.ledger.format.seconds(self.timeline.heard - self._finalized_at)
        if self.hurry and trio.current_time() - self._opened_at < STEADY:
            return since >= HURRY
        lag = self.settings.finals_lag / 2
        return since >= lag and self.sent - min(self._final_ends) >= lag

    def _finalize(self) -> str:
        self._finalized_at = self.timeline.heard
        self._idle.text(trio.current_time())
        return self.dialect.finalize

    # The receiver

    async def _receive(self, connection: Connection) -> None:
        while True:
            self._take(await connection.hear())

    def _take(self, text: str | bytes) -> None:
        """What one message means. Nothing a server says may raise here."""
        now = trio.current_time()
        message = self.dialect.parse(text)
        self._heard_at = now
        self.answered = self.answered or not isinstance(message, Unreadable)
        match message:
            case Results():
                self._results(message, text, now)
            case Metadata():
                if self.finishing or self._doubt or self.sent >= UNDECODED:  # else it is too early to mean anything
                    self._metadata = message
            case UtteranceEnd():
                if ended := self.hearing.utterance_end(message):
                    self.told(ended, text)
            case SpeechStarted():
                if (at := self.hearing.speech_started(message)) is not None:
                    self.told(SpeechBegan(message.channel[0], at), text)
            case Error():
                self.told(Complaint(f"{message.variant} {message.code}: {message.description}"), text)
            case Other():
                self.told(Complaint(f"a message of unknown type {message.type}"), text)
            case Unreadable():
                self.told(Complaint(f"a message that cannot be read: {message.problem}"), text)

    def _results(self, results: Results, text: str | bytes, now: float) -> None:
        self._watch.result(now)
        self.last_result = now
        channel = results.channel_index[0]
        if channel < len(self._result_ends):
            self._result_ends[channel] = max(self._result_ends[channel], results.end)
            if results.is_final:
                self._final_ends[channel] = max(self._final_ends[channel], results.end)
        if not results.is_final and not self.finishing:
            self.state.latencies.add(self.sent - results.end)
            self.latency(self.sent - results.end)
        before = self.ledger.at.acknowledged_frames
        for each in self.hearing.results(results):
            self.told(each, text)
        if results.is_final:
            self.timeline.forget(min(self._final_ends))
        if self.ledger.at.acknowledged_frames > before:
            self.progress = True
            self.progressed()


def _closures(group: BaseExceptionGroup[Closed]) -> list[Closure]:
    found: list[Closure] = []
    for error in group.exceptions:
        found += _closures(error) if isinstance(error, BaseExceptionGroup) else [error.closure]
    return found


def _tells(closure: Closure) -> int:
    """How much a closure says: a status or a close frame more than our own judgement, that more than a dead socket."""
    if closure.status is not None or closure.code not in (None, 1006):
        return 2
    return 1 if closure.code is None else 0
