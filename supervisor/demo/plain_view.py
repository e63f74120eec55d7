"""The demo as plain lines, for a pipe, a file, or whoever does not want a view that moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from structlog.typing import FilteringBoundLogger

from ..call import Call
from ..core.problem import Problem
from ..events import Event
from ..sinks.lines import WholeLines
from ..sinks.outbox import Boxed
from ..sinks.stdout import standard_output
from ..sinks.writing import FULL, InThread, OneThread, Written, not_written, write_out
from .story import Story


class PlainView(Boxed):
    """A line for each thing that happens. A reader that has gone ends the demo."""

    def __init__(
        self,
        *,
        log: FilteringBoundLogger,
        open_lines: Callable[[], WholeLines] = standard_output,
        in_thread: InThread | None = None,
    ) -> None:
        self.story = Story()
        self._log = log
        self._open_lines = open_lines
        self._in_thread = in_thread or OneThread()
        super().__init__("demo", interims=False)
        self._lines: dict[int, str] = {}  # by the event

    def watch(self, call: Call) -> None:
        """Lines need no more than events."""

    def offer(self, event: Event) -> None:
        line = self.story.told(event)
        if line:
            self._lines[id(event)] = line
            self._outbox.offer(event)

    def undelivered(self) -> list[Event]:
        """None that anybody would want as JSON: what was not shown of a demo is nobody's loss."""
        return []

    def _forget(self, event: Event) -> None:
        del self._lines[id(event)]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            output = await self._in_thread(self._open_lines)
        except OSError as error:
            raise not_written(error) from error

        def write(events: Sequence[Event]) -> Written:
            return output.append([f"{self._lines[id(event)]}\n".encode("utf-8", "replace") for event in events])

        task_status.started()
        failed: Problem | None = None
        try:
            await write_out(
                self._outbox, write, log=self._log, in_thread=self._in_thread,
                patience=0, passing=FULL, committed=self._forget,
            )  # fmt: skip
        except Problem as problem:
            failed = Problem(
                problem.cause.replace("the transcript", "what the demo shows"), problem.hint, problem.exit_code
            )
        await self._in_thread(output.close)
        if failed:
            raise failed
