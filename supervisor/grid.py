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

    def __init__(self) -> None:
        self._epoch = trio.current_time()
        self._bells: dict[int, trio.Event] = {}
        self._due: list[int] = []  # a heap of the ticks in _bells
        self._sleep = trio.CancelScope()
        self.late = 0.0  # seconds the last tick came after its time

    def _now(self) -> int:
        """The last tick whose time has come, to within a microsecond."""
        return int((trio.current_time() - self._epoch) / TICK + 5e-5)

    period = PERIOD

    async def next(self, phase: int) -> None:
        """Wait for the next tick of a phase."""
        now = self._now()
        tick = now + 1 + (phase - now - 1) % PHASES
        bell = self._bells.get(tick)
        if bell is None:
            bell = self._bells[tick] = trio.Event()
            heapq.heappush(self._due, tick)
            if tick == self._due[0]:
                self._sleep.deadline = self._epoch + tick * TICK
        await bell.wait()

    async def run(self) -> None:
        """Ring the bells, until cancelled."""
        while True:
            deadline = self._epoch + self._due[0] * TICK if self._due else float("inf")
            with trio.CancelScope(deadline=deadline) as self._sleep:
                await trio.sleep_forever()
            now = self._now()
            while self._due and self._due[0] <= now:
                tick = heapq.heappop(self._due)
                self.late = trio.current_time() - self._epoch - tick * TICK
                self._bells.pop(tick).set()
