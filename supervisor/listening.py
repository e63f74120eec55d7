"""A call's source into its ledger: taken at each tick, in memory that is bounded, and never made to wait if it is live.

A source that can wait is read a little ahead of what was sent, and not at all while memory is short. A live one is
taken whole, whatever becomes of the sessions: where there is no room, the oldest audio gives way, and it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio
from structlog.typing import FilteringBoundLogger

from .core.ledger import Ledger, Lost
from .core.pacing import Pacer
from .core.pool import Pool
from .core.problem import Problem
from .core.settings import BufferSettings
from .events import GapReason
from .grid import Grid
from .sources.feed import End, Feed, Filled, Hesitant
from .telling import Telling

AHEAD = 2.0  # seconds of audio that a source which can wait is read ahead of what was sent
OWN = 10.0  # seconds of audio that a live call keeps, however full the memory of all calls is
AMPLE = 40.0  # the same of a source that can wait: with less, a server may never have enough to tell a final of
PIECE = 0.1  # seconds of audio that are worth reading
FILL = 1.0  # seconds of a silence the source has filled in that are sent: the server must hear that there was one


@dataclass(eq=False)
class Listening:
    """Run it once. It is also what the memory of all calls knows of this one (`core.pool.Member`)."""

    feed: Feed
    ledger: Ledger
    telling: Telling
    settings: BufferSettings
    pool: Pool
    log: FilteringBoundLogger
    sent_to: Callable[[], int]  # the position that a session has been sent up to; 0 if there is none
    realtime: bool = False  # take a source that can wait no faster than it was spoken
    ended: bool = field(default=False, init=False)
    problem: Problem | None = field(default=None, init=False)  # the source died of it
    waits: bool = field(default=False, init=False)  # it is not read until some audio is acknowledged
    paused: bool = field(default=False, init=False)  # what comes now is neither sent nor kept
    lost: dict[GapReason, int] = field(default_factory=dict, init=False)  # frames, by reason; their sum is the ledger's
    _stopping: bool = field(default=False, init=False)
    _resuming: bool = field(default=False, init=False)
    _warned: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        frames = self.ledger.format.frames
        self._capacity, self._own, self._ample = frames(self.settings.seconds), frames(OWN), frames(AMPLE)
        self._ahead, self._piece = frames(AHEAD), frames(PIECE)
        paced = self.realtime and not self.feed.live
        self._reading = Pacer(self.ledger.format.sample_rate, rate=1.0, burst=2 * PIECE) if paced else None

    def stop(self) -> None:
        """The source ends here: what it gives at the next tick is its last."""
        self._stopping = True

    def pause(self) -> None:
        self.paused, self._resuming = True, False

    def resume(self) -> None:
        """What has come by the next tick is still the pause's, for it may have been said in it."""
        self._resuming = self.paused

    async def run(self, grid: Grid, phase: int) -> None:
        """Until the source has ended."""
        while not self.ended:
            stopping, resuming = self._stopping, self._resuming
            if (stopping or resuming) and isinstance(self.feed, Hesitant):
                self.feed.settle()
            self._take()
            if resuming:
                self.paused = self._resuming = False
            while self._warned < len(self.feed.warnings):
                self.log.warning("source_suspicious", problem=self.feed.warnings[self._warned])
                self._warned += 1
            self.ended = self.ended or stopping
            self.telling.tick()
            await grid.next(phase)

    def _take(self) -> None:
        live = self.feed.live
        while live or self._wanted():
            taken = self.feed.take()
            if taken is None:
                return
            if isinstance(taken, End):
                self.ended, self.problem = True, taken.problem
                return
            before = self.ledger.at.written
            self._withhold(taken) if self.paused else self._keep(taken)
            if self._reading:
                self._reading.take(self.ledger.at.written - before)
            if live and (excess := self.ledger.kept - self._capacity) > 0:
                self._let_go(excess)
            self.pool.update(self)

    def _keep(self, taken: bytes | Filled) -> None:
        if isinstance(taken, bytes):
            self.ledger.write(taken)
        else:
            sent = min(taken.frames, self.ledger.format.frames(FILL))
            self.ledger.fill(sent)
            self.ledger.pass_over(taken.frames - sent)

    def _withhold(self, taken: bytes | Filled) -> None:
        start = self.ledger.at.written
        if isinstance(taken, bytes):
            self.ledger.withhold_audio(taken)
        else:
            self.ledger.withhold(taken.frames)
        if self.ledger.at.written > start:
            self.telling.gap(start, self.ledger.at.written, "paused")

    def _wanted(self) -> bool:
        """A source that can wait is read a little ahead, and no further."""
        ledger = self.ledger
        held = ledger.unacknowledged
        self.waits = held >= max(self._capacity, self._ample) or (self.pool.full and held >= self._ample)
        unpaced_pause = self.paused and self._reading is None  # it would be over in no time, and withhold everything
        return (
            not (self._stopping or self.waits or unpaced_pause)
            and ledger.at.written - max(self.sent_to(), ledger.at.acknowledged) < self._ahead
            and (self._reading is None or self._reading.allowance(trio.current_time()) >= self._piece)
        )

    # The memory

    @property
    def held(self) -> int:
        """Bytes of audio in memory."""
        return self.ledger.size

    @property
    def spare(self) -> int:
        """Bytes that it may have to lose for other calls."""
        return max(0, self.ledger.kept - self._own) * self.ledger.format.frame_bytes if self.feed.live else 0

    def give_way(self, size: int) -> None:
        """Another call needs the memory more."""
        self._let_go(-(-size // self.ledger.format.frame_bytes))

    def _let_go(self, frames: int) -> None:
        self.tell_lost(self.ledger.let_go(frames, self.sent_to()), "overflow")

    def lose(self, start: int, end: int, reason: GapReason) -> None:
        """Nothing of this that is not settled will be transcribed."""
        self.tell_lost(self.ledger.lose(start, end), reason)

    def tell_lost(self, ranges: Sequence[Lost], reason: GapReason) -> None:
        """The ledger has just settled these as lost."""
        self.telling.lost(ranges, reason)
        fresh = self.ledger.at.lost_frames - sum(self.lost.values())
        if fresh:
            self.lost[reason] = self.lost.get(reason, 0) + fresh
