"""One clock for all calls: integer ticks of 20 ms, and one task that sleeps to the next one somebody waits for.

Every call wakes on its own phase, each fifth tick, so that many calls share few wake-ups and spread over the 100 ms.
Nothing else in a call owns a timer. A tick that was missed is skipped, never replayed: who was late finds more audio
waiting and sends a longer frame. Ticks are integers because the float next to a multiple of 0.02 may be on either side.
"""

from __future__ import annotations

import heapq

import trio

TICK = 0.02  # seconds
PHASES = 5
PERIOD = TICK * PHASES  # seconds between two ticks of one phase


class Grid:
    """Pass one to everything that waits; run it in the nursery that outlives them all."""

    period = PERIOD

    def __init__(self) -> None:
        self._epoch = trio.current_time()
        self._rung = 0  # the last tick that is over
        self._bells: dict[int, trio.Event] = {}
        self._due: list[int] = []  # a heap of the ticks in _bells
        self._sleep = trio.CancelScope()
        self.late = 0.0  # seconds the last tick came after its time

    def _at(self, tick: int) -> float:
        """When a tick comes: the one expression that is slept to and compared with, so that both agree to the bit."""
        return self._epoch + tick * TICK

    async def next(self, phase: int) -> None:
        """Wait for the next tick of a phase."""
        # A tick that has been rung is over, even where the division falls just short of it.
        now = max(self._rung, int((trio.current_time() - self._epoch) / TICK))
        tick = now + 1 + (phase - now - 1) % PHASES
        bell = self._bells.get(tick)
        if bell is None:
            bell = self._bells[tick] = trio.Event()
            heapq.heappush(self._due, tick)
            if tick == self._due[0]:
                self._sleep.deadline = self._at(tick)
        await bell.wait()

    async def run(self) -> None:
        """Ring the bells, until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._at(self._due[0]) if self._due else float("inf")) as self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            while self._due and self._at(self._due[0]) <= now:
                self._rung = heapq.heappop(self._due)
                self.late = now - self._at(self._rung)
                self._bells.pop(self._rung).set()
