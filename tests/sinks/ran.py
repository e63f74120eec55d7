"""Outputs in a run on a simulated clock, and outputs that fail as they are told."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Sequence

import trio
import trio.testing

from supervisor.core.pool import Pool
from supervisor.core.problem import Exit, Problem
from supervisor.events import Event
from supervisor.running import Running, running
from supervisor.sinks import Sink
from supervisor.sinks.memory import MemorySink
from tests.sinks.making import Log, said

FINALS = [said(str(number), segment=number) for number in range(4)]


class Failing(MemorySink):
    """Takes what it is offered and writes none of it, until it fails."""

    def __init__(self, after: float | None) -> None:
        super().__init__()
        self._after = after  # None = at the start

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        if self._after is not None:
            task_status.started()
            await trio.sleep(self._after)
        raise Problem("cannot write the transcript", "mend it", Exit.OUTPUT)

    def undelivered(self) -> list[Event]:
        return self.events


class Slow(MemorySink):
    """Needs some time after it was closed."""

    def __init__(self, takes: float) -> None:
        super().__init__()
        self._takes = takes
        self.done = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await self._closed.wait()
        await trio.sleep(self._takes)
        self.done = True

    def undelivered(self) -> list[Event]:
        return [] if self.done else self.events


class Ran:
    """One run on a simulated clock, and all that came of it."""

    def __init__(
        self, body: Callable[[Running], Awaitable[None]], *sinks: Sink, reserve: Sink | None = None
    ) -> None:
        self.told: list[str] = []
        self.told_of: list[str] = []  # the calls
        self.spilt: list[bytes] = []
        self.log = Log()
        self.took = 0.0

        async def main() -> Exit:
            try:
                return await running(
                    body, sinks, log=self.log.log, tell=self._tell, pool=Pool(),
                    chance=random.Random(1), reserve=reserve, last_resort=self.spilt.append,
                )  # fmt: skip
            finally:
                self.took = trio.current_time() - began

        clock = trio.testing.MockClock(autojump_threshold=0)
        began = clock.current_time()
        self.code = trio.run(main, clock=clock)

    def _tell(self, problem: Problem, call_id: str) -> None:
        self.told.append(str(problem))
        self.told_of.append(call_id)

    @property
    def spilt_texts(self) -> list[str]:
        return [json.loads(line)["text"] for line in self.spilt]


def emitting(events: Sequence[Event], every: float = 0.0, then: float = 0.0) -> Callable[[Running], Awaitable[None]]:
    async def body(these: Running) -> None:
        for event in events:
            these.world.emit(event)
            await trio.sleep(every)
        await trio.sleep(then)

    return body
