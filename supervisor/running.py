"""What every command that runs calls puts around them: a grid, and outputs that are written to the end.

Outputs outlive calls. Whatever ends the calls, each sink gets the time to write what it was given; what it cannot
write goes to the last resort rather than nowhere.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from .call import Call, Result, World
from .core.pool import Pool
from .core.problem import Exit, Problem
from .grid import Grid
from .outputs import Outputs
from .sinks import Sink
from .sinks.last_resort import Spill, standard_error
from .sinks.writing import at_once
from .stopping import Signals, Stage, on_signals

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
        self._scopes: dict[str, trio.CancelScope] = {}  # of the calls, by id
        self._failed: dict[str, Problem] = {}  # what ends them

    async def call(self, call: Call, counts: Callable[[], bool] = lambda: True) -> Came:
        """Run one; what goes wrong with it is told, and is nobody else's business.

        `counts` is asked once it has ended: whether its exit code may be the process's.
        """
        call_id = call.spec.call_id
        self.calls[call_id] = call
        code = Exit.UNDELIVERED  # unless it comes to an end of its own
        result, problem = None, None
        try:
            with trio.CancelScope() as self._scopes[call_id]:
                result = await call.run()
                code, problem = (result.exit_code, result.problem) if result else (Exit.OK, None)
        except Problem as its:
            code, problem = its.exit_code, its
        except Exception:  # a source that breaks when it is opened or left breaks its own call only
            call.log.exception("call_crashed")
            code = Exit.BUG
        finally:
            call.opened.set()
            del self.calls[call_id], self._scopes[call_id]
            if its_output := self._failed.pop(call_id, None):
                code, problem = its_output.exit_code, its_output
            elif code is Exit.UNDELIVERED and not call.begun:
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

    def fail(self, call_id: str, problem: Problem) -> bool:
        """End one call, of which that is the problem; False if it has one already. One that has ended is told of."""
        if call_id in self._failed:
            return False
        if call_id in self._scopes:
            self._failed[call_id] = problem
            self._scopes[call_id].cancel(problem.cause)
        else:
            self.tell(problem, call_id)
        return True

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
    reserve: Sink | None = None,
    last_resort: Callable[[bytes], None] | None = None,
    signals: Signals | None = None,
) -> Exit:
    """Run `body`, which runs calls, with its outputs; the exit code, once all is written that can be.

    `reserve` gets what the sinks cannot take, and nothing else; `last_resort`, standard error unless it is given, gets
    what the reserve cannot take, and never holds up anybody. The body says what signals mean while it runs (`steps`);
    one that comes later leaves the outputs little time.
    """
    spill = Spill(last_resort, in_thread=at_once) if last_resort else Spill(standard_error)
    outputs = Outputs(sinks, reserve, spill, log)
    grid = Grid()
    these = Running(World(grid, outputs.emit, wall, chance, log, pool=pool), tell)
    these.sinks = [*sinks, reserve] if reserve else sinks
    crash: Exception | None = None
    async with trio.open_nursery() as listening:
        if signals:  # from beginning to end, for a moment without a handler would be one in which a signal kills
            await listening.start(
                partial(on_signals, these.steps, at_least=these.at_least, apart=these.apart, signals=signals)
            )
        async with trio.open_nursery() as writing:
            await writing.start(outputs.run, these)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(grid.run, name="grid")
                    with these.scope:
                        await body(these)
                    nursery.cancel_scope.cancel("all calls have ended")
            except Exception as error:  # what was heard until then is still written
                crash = error
            these.steps[:] = [outputs.hurry]
            if these.scope.cancelled_caught or crash:
                outputs.hurry()
            outputs.close()
        listening.cancel_scope.cancel("everything is written that can be")
    if crash:
        raise crash
    return these.exit_code


def wall() -> str:
    """The time of day, RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
