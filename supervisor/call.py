"""One call, supervised: a source that never stops for a session, and sessions until all of it is said.

The call owns what must survive a session: the ledger, the state, the pacing, the memory of how sessions ended. A
session borrows them and dies. Whatever ends the call, everything heard is accounted for before `call_ended` is told.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import structlog
import trio

from .connection import Endpoint
from .core.account import Account
from .core.audio import AudioFormat
from .core.catalogue import payload_named
from .core.closure import Closure, Verdict
from .core.dialect import LISTEN_V1, Dialect
from .core.fleet import Fleet, OpenFleet
from .core.hearing import Ended, Said, Skipped
from .core.judge import TAIL_ANY, UNDECODABLE, Judge, Judgement
from .core.ledger import Ledger, Lost
from .core.meter import Meter, NoMeter
from .core.pacing import RATE, Pacer
from .core.pool import Pool
from .core.problem import Exit, Problem
from .core.retry import retrying
from .core.settings import Settings
from .core.state import CallState
from .events import CallEnded, Event, GapReason, SessionClosed
from .grid import PHASES, Grid
from .listening import Listening
from .service import Offer
from .session import STEADY, Complaint, Session, SpeechBegan, Told
from .sources.feed import Feed, Source
from .telling import Telling, billed

Outcome = Literal["complete", "aborted", "gave_up", "stopped"]
BEHIND = 30.0  # seconds of backlog that are worth asking for finals often
STARVED = 10.0  # seconds without call audio before a NET closure that make the next session prefer silence
STARVING = ("NET-0000", "NET-0001", "NET-0002")
AWAKE = 0.5  # seconds after which a call that backs off looks whether it still has to
HEARD_DIFFERENTLY = 0.25  # seconds between what we sent and what the server says it heard


@dataclass(frozen=True, slots=True)
class World:
    """What calls share and what they may not reach for themselves: time, chance, the fleet, where events go."""

    grid: Grid
    emit: Callable[[Event], None]
    wall: Callable[[], str]  # RFC 3339, UTC
    chance: random.Random
    log: structlog.typing.FilteringBoundLogger
    fleet: Fleet = field(default_factory=OpenFleet)
    pool: Pool = field(default_factory=Pool)
    meter: Meter = field(default_factory=NoMeter)


@dataclass(frozen=True, slots=True)
class Spec:
    """One call as it was asked for."""

    call_id: str
    source: Source
    offer: Offer
    settings: Settings = field(default_factory=Settings)
    dialect: Dialect = LISTEN_V1
    metadata: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[str] = ()
    intake: str = ""  # that brought it
    hear: Callable[[Event], None] | None = None  # gets its events besides whoever gets all
    realtime: bool = False  # take a source that can wait no faster than it was spoken
    raw: bool = False
    tap: Callable[[AudioFormat], Callable[[bytes], None]] | None = None  # sees the audio that goes out


@dataclass(frozen=True, slots=True)
class Result:
    """How a call came out."""

    outcome: Outcome
    exit_code: Exit
    ended: CallEnded
    problem: Problem | None = None  # of the source


class Call:
    """`run` it once, in a nursery of whoever answers for it."""

    def __init__(self, spec: Spec, world: World, phase: int = 0) -> None:
        self.spec = spec
        self.world = world
        self.log = world.log.bind(call_id=spec.call_id)
        self.began = trio.current_time()
        self.status = "opening"  # for whoever watches: opening, listening, dialling, streaming, waiting, ended
        self.session: Session | None = None
        self.closures: list[SessionClosed] = []
        self._phase = phase % PHASES
        self.opened = trio.Event()
        self._opening = trio.CancelScope()  # until the source has said what its audio is
        self._started = False  # `call_started` is told, and so `call_ended` must be
        self._stalled_since: float | None = None  # the first session that ended since the last progress
        self._barren = 0  # sessions in a row that came to nothing
        self._last_uptime = 0.0
        self._silence = False
        self._judge = Judge(spec.dialect, spec.settings.retry.verdicts)
        self._attempt = 1
        self._last = Judgement(Closure(), Verdict.RETRY)  # of the session that ended last
        self._closing: tuple[Session | None, float] | None = None  # it is not told yet
        self._pausing = False

    # What others may ask

    def stop(self) -> None:
        """Say that the source ends here: what was heard is still delivered."""
        if self._started:
            self.listening.stop()
        else:
            self._opening.cancel("stopped before the source gave any audio")

    def pause(self) -> None:
        """From here on the call's audio is withheld: neither sent nor kept."""
        self._pausing = True
        if self._started:
            self.listening.pause()

    def resume(self) -> None:
        self._pausing = False
        if self._started:
            self.listening.resume()

    @property
    def paused(self) -> bool:
        return self._pausing

    @property
    def begun(self) -> bool:
        """There has been audio."""
        return self._started and self.ledger.at.written > 0

    @property
    def sessions(self) -> int:
        return self.state.sessions if self._started else 0

    @property
    def held(self) -> int:
        """Bytes of audio in memory."""
        return self.ledger.size if self._started else 0

    @property
    def heard(self) -> float:
        return self.format.seconds(self.ledger.at.written)

    @property
    def acknowledged(self) -> float:
        return self.format.seconds(self.ledger.at.acknowledged)

    @property
    def account(self) -> Account:
        """Where its audio has gone so far."""
        if not self._started:
            return Account()
        at, seconds = self.ledger.at, self.format.seconds
        return Account(
            heard=seconds(at.heard_frames),
            acknowledged=seconds(at.acknowledged_frames),
            withheld=seconds(at.withheld_frames),
            replayed=seconds(at.replayed_frames),
            injected=seconds(at.injected_frames),
            lost={reason: seconds(frames) for reason, frames in self.listening.lost.items()},
        )

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take to be heard, where the source knows how much there is."""
        duration = self.listening.feed.duration
        if duration is None:
            return None
        speed = 1.0 if self.spec.realtime else RATE
        return max(0.0, duration - self.acknowledged) / speed

    # The call

    async def run(self) -> Result | None:
        """From the source's opening to `call_ended`; None if it was stopped before there was any audio.

        Raises Problem if the source cannot be opened, or its audio is not what the options say, and whatever else goes
        wrong before `call_started`. Afterwards nothing but cancellation ends it without a result.
        """
        failure: Exception | None = None
        result: Result | None = None
        try:
            async with trio.open_nursery() as nursery:
                try:
                    with self._opening:
                        await nursery.start(self._listen, name="source")
                except Exception as error:
                    failure = error
                if self._started:
                    judgement = await self._sessions()
                nursery.cancel_scope.cancel("the call is over")
            if self._started:
                result = self._result(judgement)
        except Exception:
            self.log.exception("call_crashed")
            result = self._end("aborted", "aborted", Exit.BUG)
        finally:
            self.status = "ended"
            self.world.fleet.leave(self.spec.call_id, trio.current_time())
            if self._started:
                self.world.pool.leave(self.listening)
            if self._started and result is None:  # cancelled
                self._end("stopped", "stopped", Exit.UNDELIVERED)
        if failure:
            raise failure
        return result

    # The source

    async def _listen(self, *, task_status: trio.TaskStatus[None]) -> None:
        """The source from its opening to its end; what it gives is taken at each tick, and never waits for a session."""
        try:
            async with self.spec.source.open() as feed:
                await trio.lowlevel.checkpoint_if_cancelled()  # who was told to stop only now is not begun
                self._begin(feed)
                task_status.started()
                await self.listening.run(self.world.grid, self._phase)
        except Exception:
            if not (self._started and self.listening.ended):
                raise
            self.log.exception("source_broke_when_it_was_left")  # all that it had was taken

    def _begin(self, feed: Feed) -> None:
        """The audio is known, and with it what may be asked of the server."""
        self.format = feed.format
        session_id = str(uuid.UUID(int=self.world.chance.getrandbits(128), version=4))
        self.service = self.spec.offer(self.format, session_id)
        for warning in self.service.warnings:
            self.log.warning("option_suspicious", problem=warning)
        channels = self.format.channels if self.service.multichannel else 1
        self.state = CallState.beginning(self.spec.call_id, session_id, self.format, channels)
        self.ledger = Ledger(self.format, self.state.at)
        self.pacer = Pacer(self.format.sample_rate)
        self.telling = Telling(
            self.spec.call_id, self.format, channels, self._emit, self.world.wall, self.spec.raw
        )
        self.listening = Listening(
            feed,
            self.ledger,
            self.telling,
            self.spec.settings.buffer,
            self.world.pool,
            self.log,
            sent_to=lambda: self.session.reader.position if self.session else 0,
            realtime=self.spec.realtime,
        )
        self.listening.paused = self._pausing
        self._tap = self.spec.tap(self.format) if self.spec.tap else None
        self.telling.call_started(self.spec.source.label, self.spec.labels, self.spec.metadata)
        self.status, self._started = "listening", True
        self.opened.set()

    def _emit(self, event: Event) -> None:
        self.world.emit(event)
        if self.spec.hear:
            self.spec.hear(event)

    # The sessions

    async def _sessions(self) -> Judgement:
        """Sessions, one after the other, until a verdict other than RETRY or too long without progress."""
        loop = retrying(
            self.spec.settings.retry,
            self.world.chance,
            room=self._room,
            stalled=self._stalled,
            before_sleep=self._before_sleep,
            sleep=self._sleep,
        )
        judgement: Judgement = await loop(self._one_session)
        return judgement

    async def _one_session(self) -> Judgement:
        await self._until_needed()
        if self.listening.ended and self._said_enough:
            return Judgement(Closure(), Verdict.COMPLETE)
        self.status = "dialling"
        if not await self._leased():
            return self._last
        closure, session = Closure(reason="stopped by our own side"), None
        try:
            try:
                endpoint = await self.service.endpoint()
            except Problem as problem:
                closure = Closure(reason=str(problem), unkeyed=True)
            else:
                session = self.session = self._new_session(endpoint)
                closure = await session.run()
        except BaseException:
            if session:
                closure = replace(session.closure(), reason=closure.reason)
            self._close(closure, session, final=True)
            raise
        finally:
            self.session = None
        self.world.fleet.report(self.spec.call_id, closure, trio.current_time())
        return self._close(closure, session)

    @property
    def _said_enough(self) -> bool:
        """What is left is too short to be worth another dial; a call that was never sent anything has not had its first."""
        least = self.format.frames(TAIL_ANY) if self.ledger.at.sent else 0
        return self.ledger.unsettled <= least

    async def _leased(self) -> bool:
        """Wait for the fleet's leave to dial; False once the call has waited too long for anything to come of it."""
        running = self.state.sessions > 0
        while (wait := self._lease(running)) > 0:
            if self._stalled_since is None:
                self._stalled_since = trio.current_time()
            left = self.spec.settings.retry.give_up_after - self._stalled()
            if left <= 0:
                return False
            await trio.sleep(min(wait, left))
        return True

    def _lease(self, running: bool) -> float:
        return self.world.fleet.lease(self.spec.call_id, self.service.party, trio.current_time(), running=running)

    def _new_session(self, endpoint: Endpoint) -> Session:
        self.state.sessions += 1
        behind = self.format.seconds(self.ledger.unacknowledged) > BEHIND and self._last_uptime < STEADY
        return Session(
            endpoint=endpoint,
            state=self.state,
            ledger=self.ledger,
            pacer=self.pacer,
            dialect=self.spec.dialect,
            settings=self.spec.settings.session,
            grid=self.world.grid,
            phase=self._phase + 1,
            replay_from=self._replay_from(),
            source_ended=lambda: self.listening.ended,
            source_waits=lambda: self.listening.waits and not self.listening.ended,
            opened=self._opened,
            told=self._told,
            progressed=self._progressed,
            latency=self.world.meter.result,
            tap=self._tap,
            silence=self._silence,
            hurry=self._barren >= 2 or (behind and self.state.sessions > 1),
        )

    async def _until_needed(self) -> None:
        """A session without audio to send dies of it: wait for some, or for the end."""
        if self.spec.settings.session.dial == "eager" and self.state.sessions == 0:
            return
        enough = self.format.frames(TAIL_ANY)
        while self.ledger.unacknowledged <= enough and not self.listening.ended:
            self.status = "listening"
            self._stalled_since = None
            await self.world.grid.next(self._phase + 1)

    def _opened(self, request_id: str) -> None:
        self.status = "streaming"
        assert self.session
        now = trio.current_time()
        self.world.fleet.opened(self.spec.call_id, now)
        self.world.meter.dialled(now - self.session.dialled_at, "101")
        self.telling.session_opened(self.state.sessions, request_id, self._attempt, self.session.reader.position)
        self.log.info("session_opened", session=self.state.sessions, request_id=request_id)

    def _progressed(self) -> None:
        """The watermark moved over call audio: forget the failures, and the audio that no replay will need."""
        if self._stalled_since is not None:
            self.world.meter.recovered(self._stalled())
        self._stalled_since = None
        self._silence = False
        self.ledger.release(self._replay_from())
        self.world.pool.update(self.listening)

    def _replay_from(self) -> int:
        margin = self.format.frames(self.spec.settings.buffer.margin)
        return self.state.replay_from(margin, whole_finals=self.service.whole_finals)

    def _told(self, told: Told, message: str | bytes) -> None:
        session = self.session
        request_id = session.request_id if session else ""
        match told:
            case Said():
                if told.is_final or self.service.interims:
                    self.telling.transcript(told, self.state.sessions, request_id, message)
            case Skipped():
                self.listening.tell_lost([Lost(told.start, told.end, told.channel)], "server_skipped")
            case Ended():
                self.telling.utterance_end(told, self.state.sessions, message)
            case SpeechBegan():
                self.telling.speech_started(told.channel, told.at, self.state.sessions, message)
            case Complaint():
                self.state.complaints += 1
                self.log.warning("server_complained", session=self.state.sessions, request_id=request_id, what=told.what)

    def _close(self, closure: Closure, session: Session | None, *, final: bool = False) -> Judgement:
        """A session has ended: settle what it leaves behind, judge it; told now if no other will follow."""
        self.state.sessions += session is None
        self.state.billed += billed(closure)
        self._last_uptime = closure.uptime
        if closure.progress or self._stalled_since is None:
            self._stalled_since = trio.current_time()
        self._barren = 0 if closure.progress else self._barren + 1
        if session and not closure.opened:
            self.world.meter.dialled(trio.current_time() - session.dialled_at, str(closure.status or "none"))
        self.listening.lose(0, self.ledger.floor, "overflow")  # it was on its way, and cannot be sent again
        if session:
            ended = session.hearing.abandoned()
            for each in ended if self.service.utterances else ():
                self.telling.utterance_end(each, self.state.sessions, None)
        if session and closure.opened:
            self._silence = self._starved(closure, session)
        heard = closure.server_heard
        if heard is not None and abs(heard - closure.sent) > HEARD_DIFFERENTLY:
            self.log.warning(
                "server_heard_differently", sent=round(closure.sent, 3), server_heard=heard, request_id=closure.request_id
            )
        tail = self.format.seconds(self.ledger.unsettled)
        ended_and_sent = self.listening.ended and self.ledger.at.sent > 0
        judgement = self._judge.judge(closure, ended=ended_and_sent, tail=tail)
        if final:
            judgement = replace(judgement, verdict=Verdict.ABORT, advice="")
        elif payload_named(judgement.closure.reason) == UNDECODABLE and self.listening.feed.warnings:
            judgement = replace(judgement, advice=" ".join([judgement.advice, *self.listening.feed.warnings]))
        self._last, self._closing = judgement, (session, trio.current_time())
        if judgement.verdict is not Verdict.RETRY:
            self._tell_closed(None)
        return judgement

    def _starved(self, closure: Closure, session: Session) -> bool:
        """The server ended it for want of audio, and had had none of the caller's for a while."""
        quiet_since = session.last_audio if session.last_audio is not None else trio.current_time() - closure.uptime
        return payload_named(closure.reason) in STARVING and trio.current_time() - quiet_since >= STARVED

    def _tell_closed(self, retry_in: float | None) -> None:
        """Once for each session; it may be known only later that no other follows."""
        if self._closing is None:
            return
        judgement, (session, now), self._closing = self._last, self._closing, None
        self.telling.flush()
        ages = (session.last_audio, session.last_result) if session else (None, None)
        event = self.telling.session_closed(
            judgement,
            session=self.state.sessions,
            attempt=self._attempt,
            retry_in=retry_in,
            keepalives=session.keepalives if session else 0,
            last_audio_age=None if ages[0] is None else now - ages[0],
            last_result_age=None if ages[1] is None else now - ages[1],
            backlog=self.ledger.unacknowledged,
        )
        self.closures.append(event)
        del self.closures[:-100]
        fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in ("v", "call_id", "time")}
        over = retry_in is None and judgement.advice  # and not by our own will
        tell = self.log.info if judgement.verdict is Verdict.COMPLETE else self.log.error if over else self.log.warning
        tell("session_closed", **{name: value for name, value in fields.items() if value not in (None, "")})

    def _before_sleep(self, judgement: Judgement, attempt: int, wait: float) -> None:
        del attempt  # tenacity's own count begins again with a session that made progress, ours after it
        self._tell_closed(wait)
        self._attempt = 1 if judgement.closure.progress else self._attempt + 1
        self.status = "waiting"

    async def _sleep(self, seconds: float) -> None:
        """Back off, but for no longer than the fleet sees a reason to."""
        epoch, until = self.world.fleet.epoch, trio.current_time() + seconds
        while (left := until - trio.current_time()) > 0 and self.world.fleet.epoch == epoch:  # noqa: ASYNC110
            await trio.sleep(min(left, AWAKE))

    def _room(self) -> float:
        """Seconds of audio that the buffer can still take; who can wait needs no room."""
        if not self.listening.feed.live:
            return float("inf")
        return self.spec.settings.buffer.seconds - self.format.seconds(self.ledger.unacknowledged)

    def _stalled(self) -> float:
        return 0.0 if self._stalled_since is None else trio.current_time() - self._stalled_since

    # The end

    def _result(self, judgement: Judgement) -> Result:
        at = self.ledger.at
        if judgement.verdict is Verdict.COMPLETE:
            if judgement.answered:
                for channel, watermark in enumerate(list(at.watermarks)):
                    self.ledger.acknowledge(channel, watermark, at.written)
            if judgement.skipped:
                self.listening.lose(at.acknowledged, at.written, "server_skipped")
            code = Exit.UNDELIVERED if at.lost_frames else Exit.OK
            return self._end("complete", None, self.listening.problem.exit_code if self.listening.problem else code)
        if judgement.verdict is Verdict.ABORT:
            undecodable = judgement.exit_code is Exit.BAD_AUDIO
            return self._end("aborted", "undecodable" if undecodable else "aborted", judgement.exit_code)
        self._tell_closed(None)
        return self._end("gave_up", "gave_up", Exit.GAVE_UP)

    def _end(self, outcome: Outcome, reason: GapReason | None, exit_code: Exit) -> Result:
        """Account for all that was heard, and say so."""
        at = self.ledger.at
        if reason:
            self.listening.lose(at.acknowledged, at.written, reason)
        ended = self.telling.call_ended(outcome, self.state, self.ledger, self.closures[-1] if self.closures else None)
        self.log.info(
            "call_ended",
            outcome=outcome,
            sessions=ended.sessions,
            heard=ended.audio.heard,
            acknowledged=ended.audio.acknowledged,
            lost=ended.audio.lost,
            withheld=ended.audio.withheld,
            replayed=ended.audio.replayed,
            injected=ended.audio.injected,
            complaints=self.state.complaints,
        )
        return Result(outcome, exit_code, ended, self.listening.problem)
