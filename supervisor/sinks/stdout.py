"""The events of all calls into one descriptor: standard output, or a file that was named.

A reader that stops reading holds up a thread, never a call; one that has gone ends the output at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from supervisor.core.problem import Problem
from supervisor.events import CallEnded, Event
from supervisor.sinks.encoding import Form, lines_of
from supervisor.sinks.lines import WholeLines, Write, open_named
from supervisor.sinks.outbox import ROOM, Boxed
from supervisor.sinks.writing import FULL, InThread, OneThread, Written, encoded, not_written, write_out


class LinesSink(Boxed):
    """One line for each event, written at once, in the order they came."""

    def __init__(
        self,
        open_lines: Callable[[], WholeLines],
        *,
        log: FilteringBoundLogger,
        name: str = "stdout",
        form: Form = "jsonl",
        interims: bool = False,
        patience: float = 30.0,
        in_thread: InThread | None = None,
        committed: Callable[[Event], None] = lambda _: None,
        room: int = ROOM,
    ) -> None:
        self._open_lines = open_lines
        self._lines = lines_of(form)
        self._log = log
        super().__init__(name, interims=interims, room=room)
        self._patience = patience
        self._in_thread = in_thread or OneThread()
        self._committed = committed

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            output = await self._in_thread(self._open_lines)
        except OSError as error:
            raise not_written(error) from error

        def write(events: Sequence[Event]) -> Written:
            lines, broken = encoded(self._lines, events)
            count, error = output.append(lines)
            for event in events[:count]:
                if isinstance(event, CallEnded):
                    self._lines.forget(event.call_id)
            return count, error or broken

        task_status.started()
        try:
            await write_out(
                self._outbox, write, log=self._log, in_thread=self._in_thread,
                patience=self._patience, passing=FULL, committed=self._committed, refuse=self._refuse,
            )  # fmt: skip
        except Problem:
            output.close()
            raise
        await self._in_thread(output.close)


def standard_output(*, write: Write = os.write) -> WholeLines:
    """Of this process; not the descriptor itself but a copy, which may be closed. Raises OSError where there is none."""
    if sys.stdout is None:  # its number may by now be another file's
        raise OSError(0, "it is closed", "standard output")
    return WholeLines(os.dup(sys.stdout.fileno()), name="standard output", write=write)


def stdout_sink(
    *, log: FilteringBoundLogger, name: str = "stdout", form: Form = "jsonl", interims: bool = False
) -> LinesSink:
    return LinesSink(standard_output, log=log, name=name, form=form, interims=interims)


def named_file_sink(path: Path, *, log: FilteringBoundLogger, form: Form = "jsonl", interims: bool = False) -> LinesSink:
    """What is in the file already stays; the events come after it."""
    return LinesSink(lambda: open_named(path), log=log, form=form, interims=interims, name="file")
