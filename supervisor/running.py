"""What every command that runs calls puts around them: a grid, and outputs that are written to the end.

Outputs outlive calls. Whatever ends the calls, each sink gets the time to write what it was given; what it cannot
write goes to standard error rather than nowhere.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from .call import Call, Result, World
from .core.pool import Pool
from .core.problem import Exit, Problem
from .events import Event
from .grid import Grid
from .sinks import Sink
from .sinks.encoding import json_line
from .stopping import Signals, Stage, on_signals

LAST_WRITES = 5.0  # seconds for the outputs, once somebody has said that everything must end now

Tell = Callable[[Problem, str], None]  # a problem, and the id of the call that has it, if it is one call's


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a call."""

    result: Result | None  # None: it ended before there was any audio
    exit_code: Exit
    problem: Problem | None = None


class Running:
    """Calls while they run, and what came of those that have ended."""

    def __init__(self, world: World, tell: Tell) -> None:
        self.world = world
        self.calls: dict[str, Call] = {}  # by id, those that have not ended
        self.exit_code = Exit.OK  # the first that was not 0
        self.stopping = False
        self.sinks: Sequence[Sink] = ()
        self.scope = trio.CancelScope()  # of all calls
        self.steps: list[Stage] = [self.abort]  # what the signals to come mean, each waiting for less than the last
        self.at_least: dict[int, int] = {}  # the step that a signal leads to at once
        self.apart: dict[int, Stage] = {}  # signals that are no step of ending
        self._tell = tell

    async def call(self, call: Call, counts: Callable[[], bool] = lambda: True) -> Came:
        """Run one; what goes wrong with it is told, and is nobody else's business.

        `counts` is asked once it has ended: whether its exit code may be the process's.
        """
        call_id = call.spec.call_id
        self.calls[call_id] = call
        code = Exit.UNDELIVERED  # unless it comes to an end of its own
        result, problem = None, None
        try:
            result = await call.run()
            code, problem = (result.exit_code, result.problem) if result else (Exit.OK, None)
        except Problem as its:
            code, problem = its.exit_code, its
        except Exception:  # a source that breaks when it is opened or left breaks its own call only
            call.log.exception("call_crashed")
            code = Exit.BUG
        finally:
            call.opened.set()
            del self.calls[call_id]
            if code is Exit.UNDELIVERED and not call.begun:
                code = Exit.OK  # there was nothing to deliver
            if counts():
                self.note(code)
        if problem:
            self._tell(problem, call_id)
        return Came(result, code, problem)

    def tell(self, problem: Problem, call_id: str = "") -> None:
        self.note(problem.exit_code)
        self._tell(problem, call_id)

    def note(self, code: Exit) -> None:
        if code is not Exit.OK and self.exit_code is Exit.OK:
            self.exit_code = code

    def stop(self) -> None:
        """End the sources: what they gave is still delivered."""
        self.stopping = True
        for call in list(self.calls.values()):
            call.stop()

    def abort(self) -> None:
        """End everything now."""
        self.stopping = True
        self.scope.cancel("told to end now")


async def running(
    body: Callable[[Running], Awaitable[None]],
    sinks: Sequence[Sink],
    *,
    log: FilteringBoundLogger,
    tell: Tell,
    pool: Pool,
    chance: random.Random,
    last_resort: Callable[[bytes], None] | None = None,
    signals: Signals | None = None,
) -> Exit:
    """Run `body`, which runs calls, with its outputs; the exit code, once all is written that can be.

    The body says what signals mean while it runs (`steps`); one that comes later leaves the outputs little time.
    """

    broken: list[Sink] = []

    def emit(event: Event) -> None:
        # An output that has failed keeps what it had, and no more than that for as long as another one works.
        for sink in [sink for sink in sinks if sink not in broken] or broken[-1:]:
            sink.offer(event)

    grid = Grid()
    these = Running(World(grid, emit, wall, chance, log, pool=pool), tell)
    these.sinks = sinks
    async with trio.open_nursery() as listening:
        if signals:  # from beginning to end, for a moment without a handler would be one in which a signal kills
            await listening.start(
                partial(on_signals, these.steps, at_least=these.at_least, apart=these.apart, signals=signals)
            )
        async with trio.open_nursery() as outputs:

            def hurry() -> None:
                outputs.cancel_scope.deadline = trio.current_time() + LAST_WRITES

            for sink in sinks:
                await outputs.start(partial(_write, sink, these, broken, len(sinks)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(grid.run, name="grid")
                with these.scope:
                    await body(these)
                nursery.cancel_scope.cancel("all calls have ended")
            these.steps[:] = [hurry]
            these.apart.clear()
            if these.scope.cancelled_caught:
                hurry()
            for sink in sinks:
                sink.close()
        listening.cancel_scope.cancel("everything is written that can be")
    left = [event for sink in sinks for event in sink.undelivered()]
    if left:
        these.note(Exit.OUTPUT)
        log.error("events_not_written", count=len(left), hint="they follow, one JSON object a line")
        for event in left:
            (last_resort or standard_error)(json_line(event))
    return these.exit_code


async def _write(
    sink: Sink, these: Running, broken: list[Sink], of: int, *, task_status: trio.TaskStatus[None]
) -> None:
    """A sink from its opening to its end. When the last of them is gone, nobody hears the calls any more."""
    opened = False
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(sink.run)
            opened = True
            task_status.started()
    except* Problem as group:
        problem = group.exceptions[0]
        assert isinstance(problem, Problem)
        these.tell(problem)
        broken.append(sink)
        if len(broken) == of:
            these.abort()
        if not opened:
            task_status.started()


def standard_error(line: bytes) -> None:
    """For what has no other place left."""
    with suppress(OSError):
        os.write(2, line)


def wall() -> str:
    """The time of day, RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
