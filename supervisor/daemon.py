"""Many calls in one process: who is let in, who is told to end, and what an operator sees and changes.

A call is the unit of isolation: whatever becomes of one is nobody else's business. What new calls are made from (the
config, the key, the options) is a `Generation`; a reload puts another one in its place, and calls that run keep theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import trio
from structlog.typing import FilteringBoundLogger

from . import __version__
from .call import Call, Spec, World
from .config import CallConfig, Config, IntakeConfig
from .control import CallView, Health
from .core.account import Account
from .core.options.spelling import Value
from .core.problem import Exit, Problem
from .core.settings import Settings
from .events import Event, SessionClosed
from .intakes import Arrival, Rejection, Taken
from .lag import Lag
from .running import Running
from .service import Deepgram
from .sources import Source, source_from

FULL = 0.95  # of the memory for audio, from which on no new call is let in: those that run come first
FILLING, EASED = 0.8, 0.7  # of it: from where somebody should know, and until it is less than this
LOOKS = 1.0  # seconds between two looks at the memory
HELD = {"401": "retry", "402": "retry", "403": "retry"}  # a bad key must not end all calls: the fleet holds them, loudly
CONFIGURED = "config"  # the intake of calls that the config lists

Hear = Callable[[Event, str], None]  # an event, and the intake that its call came by


@dataclass(frozen=True)
class Generation:
    """What new calls are made from."""

    config: Config
    deepgram: Deepgram

    @property
    def settings(self) -> Settings:
        settings = self.config.settings
        return replace(settings, retry=replace(settings.retry, verdicts={**HELD, **settings.retry.verdicts}))


@dataclass
class Daemon:
    """What operators (`control.Control`), intakes (through a `Desk`) and meters see; it has no task of its own but `watch`."""

    these: Running
    world: World
    now: Generation
    lag: Lag
    log: FilteringBoundLogger
    hear: Hear
    ended: Callable[[str, Account], None] = lambda _intake, _account: None
    notes: Callable[[], Iterable[str]] = tuple  # what an operator should know of the fleet
    begin_drain: Callable[[], None] = lambda: None  # as the first signal does
    stop_sources: Callable[[], None] = lambda: None  # as the second one does
    reload: Callable[[], Awaitable[list[str]]] = field(kw_only=True)
    draining: bool = field(default=False, init=False)
    _taken: int = field(default=0, init=False)
    _began: float = field(default_factory=trio.current_time, init=False)
    _filling: bool = field(default=False, init=False)

    # Calls that come

    def refusal(self) -> str:
        """Why no call can be taken now; empty: come in."""
        calls, most = len(self.these.calls), self.now.config.limits.max_calls
        if self.draining or self.these.stopping:
            return "draining"
        if calls >= most:
            return f"{calls} of {most} calls"
        if self._used >= FULL:
            return "the memory for audio is full"
        return ""

    @property
    def _used(self) -> float:
        pool = self.world.pool
        return pool.used / pool.limit if pool.limit else 0.0

    def configured(self, call: CallConfig) -> Spec:
        """A call that the config lists; raises Problem where its source cannot be one."""
        return self._spec(
            CONFIGURED,
            self._unused(call.name),
            source_from(
                call.source, encoding=call.encoding, sample_rate=call.sample_rate, channels=call.channels, live=call.live
            ),
            self.now.config.options(call),
            metadata=call.metadata,
            labels=call.labels,
            realtime=call.pace != "max",
        )

    def brought(self, intake: IntakeConfig, arrival: Arrival) -> Spec:
        """A call that an intake brings."""
        return self._spec(
            intake.name,
            self._unused(arrival.call_id),
            arrival.source,
            {**self.now.config.options(intake), **arrival.options},
            metadata={**intake.metadata, **arrival.metadata},
            labels=arrival.labels or intake.labels,
            realtime=arrival.realtime,
            hear=arrival.hear,
        )

    def _spec(
        self,
        intake: str,
        call_id: str,
        source: Source,
        options: Mapping[str, Value],
        *,
        metadata: Mapping[str, str],
        labels: Sequence[str],
        realtime: bool,
        hear: Callable[[Event], None] | None = None,
    ) -> Spec:
        def heard(event: Event) -> None:
            self.hear(event, intake)
            if hear:
                hear(event)

        return Spec(
            call_id=call_id,
            source=source,
            offer=self.now.deepgram.offer(options),
            settings=self.now.settings,
            metadata=metadata,
            labels=labels,
            intake=intake,
            hear=heard,
            realtime=realtime,
        )

    def _unused(self, call_id: str) -> str:
        """Two calls that run at once are told apart, whatever their senders call them."""
        names = (call_id if number == 1 else f"{call_id}~{number}" for number in range(1, len(self.these.calls) + 2))
        return next(name for name in names if name not in self.these.calls)

    def call(self, spec: Spec) -> Call:
        """Its name is its own from here on; `run` it."""
        call = self.these.calls[spec.call_id] = Call(spec, self.world, phase=self._taken)
        self._taken += 1
        return call

    async def run(self, call: Call) -> Taken:
        """One call, to its end. Its exit code is the process's too where it is listed, or kept a drain waiting."""
        intake = call.spec.intake
        try:
            came = await self.these.call(call, counts=lambda: intake == CONFIGURED or self.draining)
        finally:
            self.ended(intake, call.account)
        outcome = came.result.outcome if came.result else "failed" if came.exit_code is not Exit.OK else "stopped"
        return Taken(outcome, came.exit_code, came.problem)

    # Operators

    def calls(self) -> list[CallView]:
        return [_view(call) for call in self.these.calls.values()]

    def end(self, call_id: str) -> bool:
        return self._with(call_id, Call.stop)

    def pause(self, call_id: str) -> bool:
        return self._with(call_id, Call.pause)

    def resume(self, call_id: str) -> bool:
        return self._with(call_id, Call.resume)

    def _with(self, call_id: str, act: Callable[[Call], None]) -> bool:
        call = self.these.calls.get(call_id)
        if call:
            act(call)
        return call is not None

    def drain(self, *, now: bool = False) -> None:
        self.begin_drain()
        if now:
            self.stop_sources()

    def health(self) -> Health:
        refusal = self.refusal()
        return Health(
            ok=True,  # or nobody would answer
            ready=not refusal,
            reasons=[refusal] if refusal else [],
            calls=len(self.these.calls),
            version=__version__,
            uptime=trio.current_time() - self._began,
            loop_lag=self.lag.worst,
            notes=list(self.notes()),
        )

    # Housekeeping

    async def watch(self) -> None:
        """Say when the memory for audio fills up, before calls give way."""
        while True:
            pool, used = self.world.pool, self._used
            if used >= FILLING and not self._filling:
                self._filling = True
                self.log.warning(
                    "buffer_filling",
                    bytes=pool.used,
                    limit=pool.limit,
                    hint="when it is full, new calls are refused and the longest backlog loses its oldest audio",
                )
            elif used < EASED and self._filling:
                self._filling = False
                self.log.info("buffer_eased", bytes=pool.used, limit=pool.limit)
            await trio.sleep(LOOKS)


@dataclass
class Desk:
    """What one intake sees of the daemon (`intakes.Reception`)."""

    daemon: Daemon
    intake: IntakeConfig
    count: Callable[[str, Rejection], None]

    def refusal(self) -> str:
        return self.daemon.refusal()

    async def take(self, arrival: Arrival) -> Taken:
        if self.refusal():
            return Taken("refused")
        try:
            spec = self.daemon.brought(self.intake, arrival)
        except Problem as problem:
            self.daemon.log.error("call_failed", call_id=arrival.call_id, problem=problem.cause, hint=problem.hint)
            return Taken("failed", problem.exit_code, problem)
        return await self.daemon.run(self.daemon.call(spec))

    def rejected(self, reason: Rejection, **details: object) -> None:
        self.count(self.intake.name, reason)
        self.daemon.log.warning("connection_rejected", intake=self.intake.name, reason=reason, **details)


def _view(call: Call) -> CallView:
    account, session = call.account, call.session
    last = call.closures[-1] if call.closures else None
    return CallView(
        call_id=call.spec.call_id,
        intake=call.spec.intake,
        source=call.spec.source.label,
        state=call.status,
        paused=call.paused,
        age=trio.current_time() - call.began,
        heard=account.heard,
        acknowledged=account.acknowledged,
        behind=account.behind,
        lost=sum(account.lost.values()),
        withheld=account.withheld,
        sessions=call.sessions,
        request_id=session.request_id if session else last.request_id if last else "",
        held_bytes=call.held,
        last_closure=_briefly(last) if last else "",
        metadata=dict(call.spec.metadata),
    )


def _briefly(closed: SessionClosed) -> str:
    code = f"HTTP {closed.status}" if closed.status is not None else str(closed.code) if closed.code is not None else ""
    return " ".join(part for part in (code, closed.payload or closed.reason) if part)
