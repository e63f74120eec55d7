"""All outputs of a process: who gets which events, and what becomes of those that one of them cannot take.

An output is nobody else's trouble. What it gives up (its outbox is full, its disk, its receiver) goes to the last
resort: the sink that is configured as such, which gets nothing else, and behind that standard error. An output that
fails for good, or breaks by a bug, is left out; when the last one is gone, nobody hears the calls any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import trio
from structlog.typing import FilteringBoundLogger

from .core.problem import Exit, Problem
from .events import Event
from .sinks import Sink
from .sinks.last_resort import Spill
from .sinks.outbox import Boxed, is_guess

LAST_WRITES = 5.0  # seconds for the outputs, once somebody has said that everything must end now
SAY_AGAIN = 60.0  # seconds between two lines about what one output gives up


class Calls(Protocol):
    """The calls, as far as an output can end them."""

    def tell(self, problem: Problem, call_id: str = "") -> None: ...

    def note(self, code: Exit) -> None: ...

    def fail(self, call_id: str, problem: Problem) -> bool:
        """End the call, with this for its problem; False if that has been done."""

    def abort(self) -> None: ...


class Output:
    """A sink as it runs."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.works = True
        self.settled = False  # what it has not written is given up
        self.scope = trio.CancelScope()
        self.ended = trio.Event()


class Outputs:
    """`run` it beside the calls; then `emit` is where their events go."""

    def __init__(self, sinks: Sequence[Sink], reserve: Sink | None, spill: Spill, log: FilteringBoundLogger) -> None:
        self._sinks = [Output(sink) for sink in sinks]
        self._reserve = [Output(reserve)] if reserve else []
        self._spill = [Output(spill)]
        self._log = log
        self._closing = trio.Event()
        self._last: list[Output] = []  # those that are writing what they have left
        self._hurried = False
        self._unsaid: Counter[str] = Counter()  # events that a sink has given up
        self._say_next: dict[str, float] = {}

    def emit(self, event: Event) -> None:
        """Offer it to each output that works; never raises."""
        failed: Output | None = None
        for output in self._sinks:
            if output.works:
                self._offer(output.sink, event)
            else:
                failed = output
        if failed and _works(self._reserve):
            self.given_up(failed.sink, [event])
        elif failed and not _works(self._sinks):  # the calls' last words
            waits = next((output for output in self._sinks if not output.settled), self._spill[0])
            self._offer(waits.sink, event)

    def _offer(self, sink: Sink, event: Event) -> None:
        try:
            sink.offer(event)
        except Exception as error:
            problem = Problem(f"the output {sink.name} broke over an event: {type(error).__name__}", "this is a bug of ours", Exit.BUG)
            if self._calls.fail(event.call_id, problem):
                self._log.exception("sink_broke_over_event", sink=sink.name, call_id=event.call_id)
            self.given_up(sink, [event])

    # From their opening to their end

    async def run(self, calls: Calls, *, task_status: trio.TaskStatus[None]) -> None:
        """Started once each is open, or has failed to. Returns when, after `close`, all is written that can be."""
        self._calls = calls
        async with trio.open_nursery() as nursery:
            for output in (*self._spill, *self._reserve, *self._sinks):
                if isinstance(output.sink, Boxed):
                    output.sink.owner = self
                await nursery.start(self._run, output)
            task_status.started()
            await self._closing.wait()
            await self._end(self._sinks)
            await self._end(self._reserve)
            for output in (*self._sinks, *self._reserve):
                self._say(output.sink)
            self._hurried = True  # whoever does not read standard error is not waited for
            await self._end(self._spill)
            self._say(self._spill[0].sink)

    def close(self) -> None:
        """Nothing more will come."""
        self._closing.set()

    def hurry(self) -> None:
        """Little time is left for what is not written yet."""
        self._hurried = True
        for output in self._last or self._sinks:
            output.scope.deadline = trio.current_time() + LAST_WRITES

    async def _end(self, outputs: Sequence[Output]) -> None:
        self._last = list(outputs)
        for output in outputs:
            output.sink.close()
        if self._hurried:
            self.hurry()
        for output in outputs:
            await output.ended.wait()
        for output in outputs:
            self._settle(output)

    async def _run(self, output: Output, *, task_status: trio.TaskStatus[None]) -> None:
        started = False
        try:
            with output.scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(output.sink.run)
                    started = True
                    task_status.started()
            if not self._closing.is_set():
                raise RuntimeError(f"the output {output.sink.name} has ended by itself")
        except* Problem as group:
            problem = group.exceptions[0]
            assert isinstance(problem, Problem)
            self._broke(output, problem)
        except* Exception as group:
            self._log.error("sink_crashed", sink=output.sink.name, exc_info=group)
            self._broke(output, Problem(f"the output {output.sink.name} broke", "this is a bug of ours", Exit.BUG))
        finally:
            output.ended.set()
            if not started:
                task_status.started()

    def _broke(self, output: Output, problem: Problem) -> None:
        output.works = False
        self._calls.tell(problem)
        if _works(self._sinks) or _works(self._reserve):
            self._settle(output)
        else:
            self._calls.abort()

    def _settle(self, output: Output) -> None:
        if not output.settled:
            output.settled = True
            self.given_up(output.sink, output.sink.undelivered())

    # What a sink tells (`sinks.outbox.Owner`)

    def given_up(self, sink: Sink | Boxed, events: Sequence[Event]) -> None:
        """These go to the first that takes them: the reserve, or standard error; nobody wants their interims any more."""
        left = [event for event in events if not is_guess(event)]
        if not left:
            return
        spare = self._spare(sink)
        if not (spare and spare in self._reserve):
            self._calls.note(Exit.OUTPUT)
        self._unsaid[sink.name] += len(left)
        if trio.current_time() >= self._say_next.get(sink.name, 0.0):
            self._say(sink)
        if spare:
            for event in left:
                self._offer(spare.sink, event)

    def _spare(self, sink: Sink | Boxed) -> Output | None:
        spares = [*self._reserve, *self._spill]
        sinks = [output.sink for output in spares]
        behind_it = spares[sinks.index(sink) + 1 :] if sink in sinks else spares
        return next((output for output in behind_it if output.works), None)

    def call_failed(self, sink: Boxed, call_id: str, problem: Problem) -> None:
        del sink
        self._calls.fail(call_id, problem)

    def behind(self, sink: Boxed, behind: bool) -> None:
        if behind:
            hint = "it is too slow, or fails; when its outbox is full, its oldest events go to the last resort"
            self._log.warning("sink_backlog", sink=sink.name, backlog=sink.backlog, hint=hint)
        else:
            self._log.info("sink_caught_up", sink=sink.name, backlog=sink.backlog)

    def _say(self, sink: Sink | Boxed) -> None:
        """How many, but not once for each: a sink that fails may give up thousands, one after another."""
        self._say_next[sink.name] = trio.current_time() + SAY_AGAIN
        count = self._unsaid.pop(sink.name, 0)
        spare = self._spare(sink)
        where = "they are lost" if spare is None else f"they go to {spare.sink.name}, one line each"
        if count:
            self._log.error("events_not_written", sink=sink.name, count=count, hint=where)


def _works(outputs: Sequence[Output]) -> bool:
    return any(output.works for output in outputs)
