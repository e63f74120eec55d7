"""Asterisk brings calls over AudioSocket: one connection a call, and the caller's own call hangs on it.

Whatever becomes of the transcription, the connection is read to its end and never reset, nothing but audio is ever sent
back, and while nothing arrives a frame of silence goes back each second: Asterisk hangs up after two without either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from structlog.typing import FilteringBoundLogger

from ..config import IntakeConfig
from ..core.absence import Absence
from ..core.audio import AudioFormat
from ..core.codecs.audiosocket import FRAME, AudioSocket, silence
from ..core.problem import Exit, Problem
from ..sources.feed import End, Feed, Filled
from . import Arrival, Reception
from .door import Door
from .line import BROKE_OFF, Line

HANDSHAKE = 5.0  # seconds for the UUID
SIGN_OF_LIFE = 1.0  # seconds without a frame, after which one goes back
SUSPICIOUS = 2.0  # seconds of frames that tell whether they are as long as they say
STEADY = 0.3  # seconds between frames that follow each other; in a longer pause they tell nothing


class AudioSocketIntake(Door):
    """`intakes.Intake` for `kind = "audiosocket"`."""

    def __init__(self, config: IntakeConfig, reception: Reception, *, log: FilteringBoundLogger) -> None:
        super().__init__(config, reception, self._hello, log)

    async def _hello(self, line: Line) -> Arrival | None:
        return await hello(line, self.config, self._reception)


async def hello(line: Line, config: IntakeConfig, reception: Reception) -> Arrival | None:
    """Wait for the UUID, which is the call's id."""
    wire = AudioSocket(config.codec_override)
    early = b""
    with trio.move_on_after(HANDSHAKE) as waiting:
        while wire.uuid is None:
            data = line.take()
            if data is None:
                return None  # who connects and goes, a health check perhaps, is no call
            early += wire.receive(data)
            if wire.fault and wire.uuid is None:  # after it the fault is the call's, and what came before is heard
                reception.rejected("malformed", peer=line.peer, problem=wire.fault)
                return None
            if wire.uuid is None:
                await line.readable()
    if waiting.cancelled_caught:
        reception.rejected("timeout", peer=line.peer, problem=f"no UUID within {HANDSHAKE:g} s")
        return None
    call_id = str(wire.uuid)

    def spoiled(problem: str) -> None:
        reception.rejected("malformed", peer=line.peer, call_id=call_id, problem=problem)

    source = AudioSocketSource(line, wire, early, config.silence, spoiled)
    return Arrival(call_id, source, metadata={"uuid": call_id, "peer": line.peer})


@dataclass
class AudioSocketSource:
    """One connection's audio; open it once."""

    line: Line
    wire: AudioSocket
    early: bytes  # audio that came with the UUID
    signs_of_life: bool
    spoiled: Callable[[str], None]  # with what the sender did wrong
    label: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.label = f"audiosocket:{self.line.peer}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        """Waits for the first frame of audio, which tells the sample rate: a caller who is muted may send none for long.

        Whoever leaves the context has no more use for the caller, whose own call goes on: so does the line's reading.
        """
        try:
            feed = _Feed(self)
            feed.look()
            while self.wire.format is None and not feed.over:
                with trio.CancelScope(deadline=feed.sign_due):
                    await self.line.readable()
                feed.look()
            feed.begin(self.wire.format or AudioFormat("linear16", 8000))
            yield feed
        finally:
            self.line.leave()


class _Feed:
    """`sources.feed.Feed`: all that has come, at each tick."""

    live = True
    duration: float | None = None

    def __init__(self, source: AudioSocketSource) -> None:
        self.warnings: list[str] = []
        self.over = False  # nothing more will come
        self._source, self._line, self._wire = source, source.line, source.wire
        self._early = source.early
        self._items: deque[bytes | int] = deque()
        self._looked = False
        self._end = End()
        self._absence: Absence | None = None
        self._heard: float | None = None  # when audio last came
        self._steady = 0.0  # seconds in which frames have followed each other
        self._sign = trio.current_time()  # when a frame last went either way

    @property
    def sign_due(self) -> float:
        """When a frame has to go back, if none comes."""
        return self._sign + SIGN_OF_LIFE if self._source.signs_of_life else float("inf")

    def begin(self, format: AudioFormat) -> None:  # noqa: A002 - it is what it is called
        self.format = format
        self._absence = Absence(format)
        self._pass(self._early)

    def take(self) -> bytes | Filled | End | None:
        if not self._items and not self._looked and not self.over:
            self.look()
            self._looked = True
        if self._items:
            item = self._items.popleft()
            return Filled(item) if isinstance(item, int) else item
        if self.over:
            return self._end
        self._looked = False
        return None

    def settle(self) -> None:
        """`sources.feed.Hesitant`: an absence is as long as it seems by now."""
        assert self._absence
        if not self.over:
            self.look()
            self._looked = True
        self._items += self._absence.settle()

    def look(self) -> None:
        """Read what has come, and keep the line alive."""
        now, data = trio.current_time(), self._line.take()
        audio = b""
        if data:
            self._sign = now
            audio = self._wire.receive(data)
        elif data is not None and now >= self.sign_due:
            self._line.put(silence(self._wire.kind))
            self._sign = now
        if self._absence is None:
            self._early += audio
        else:
            self._pass(audio)
        if data is None or self._wire.fault or self._wire.ended:
            self._finish()

    def _pass(self, audio: bytes) -> None:
        assert self._absence
        now = trio.current_time()
        self._items += self._absence.came(now, audio)
        if self.over:
            self._items += self._absence.settle()
        if audio:
            if self._heard is not None and now - self._heard <= STEADY:
                self._steady += now - self._heard
            self._heard = now
        if self._wire.mislabelled and not self.warnings and self._steady >= SUSPICIOUS:
            self._suspect()

    def _suspect(self) -> None:
        if self._wire.frames * FRAME <= 1.25 * self._steady:  # of ten milliseconds each there would be twice as many
            self.warnings.append(
                "frames of 160 bytes that are labelled as 16-bit audio: it is G.711, and Asterisk sends it so for "
                'Dial(AudioSocket/...) without c(slin): write c(slin) there, or codec_override = "mulaw" or "alaw" here'
            )

    def _finish(self) -> None:
        self.over = True
        if self._absence:
            self._items += self._absence.settle()
        if self._line.broken:
            self.warnings.append(BROKE_OFF)
        if self._wire.fault:
            self._source.spoiled(self._wire.fault)
            hint = "what came before it is transcribed"
            self._end = End(Problem(f"the sender broke the protocol: {self._wire.fault}", hint, Exit.BAD_AUDIO))
