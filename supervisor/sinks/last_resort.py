"""For what another sink cannot take: one file for all calls, and behind that standard error.

Events come here seldom and out of the middle of calls, so there is no file for each: a line names its call. One that two
sinks could not take is there twice. The file is opened anew for each batch, and is on its disk before the next one:
whoever works it off may move it away at any time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from supervisor.events import Event
from supervisor.sinks.encoding import ENDINGS, Form, json_line, lines_of
from supervisor.sinks.lines import Write, open_private
from supervisor.sinks.outbox import ROOM, Boxed
from supervisor.sinks.part import private_directory
from supervisor.sinks.writing import PASSING, InThread, OneThread, Written, encoded, not_written, write_out

UNDELIVERED = "undelivered"
SPARE_ROOM = 10 * ROOM  # events: several sinks may fail at once, each with a full outbox


class ReserveSink(Boxed):
    """Appends to `undelivered.jsonl` in the directory, for its owner alone."""

    def __init__(
        self,
        directory: Path,
        *,
        log: FilteringBoundLogger,
        form: Form = "jsonl",
        patience: float = 30.0,
        in_thread: InThread | None = None,
        write: Write = os.write,
        name: str = "files",
        room: int = SPARE_ROOM,
    ) -> None:
        super().__init__(name, interims=False, room=room)
        self.path = directory / (UNDELIVERED + ENDINGS[form])
        self._lines = lines_of(form)
        self._log = log
        self._patience = patience
        self._in_thread = in_thread or OneThread()
        self._write_bytes = write

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            await self._in_thread(partial(private_directory, self.path.parent))
        except OSError as error:
            raise not_written(error) from error
        task_status.started()
        await write_out(
            self._outbox, self._write, log=self._log, in_thread=self._in_thread, patience=self._patience,
            passing=PASSING, committed=lambda _: None, refuse=self._refuse,
        )  # fmt: skip

    def _write(self, events: Sequence[Event]) -> Written:
        lines, broken = encoded(self._lines, events)
        try:
            file = open_private(self.path, write=self._write_bytes)
        except OSError as error:
            return 0, error
        try:
            count, failure = file.append(lines)
            file.sync()
        except OSError as error:
            return 0, error  # twice in the file is better than not at all
        finally:
            file.close()
        return count, failure or broken


class Spill(Boxed):
    """JSON Lines into what takes bytes, by a thread of its own; nothing comes after it, so it does not fail."""

    def __init__(self, put: Callable[[bytes], None], *, in_thread: InThread | None = None, room: int = SPARE_ROOM) -> None:
        super().__init__("standard error", interims=False, room=room)
        self._put = put
        self._in_thread = in_thread or OneThread()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            if events := self._outbox.take(100):
                await self._in_thread(partial(self._write, events))
                self._outbox.written(len(events))
            elif self._outbox.closed:
                return
            else:
                await self._outbox.wait()

    def _write(self, events: Sequence[Event]) -> None:
        for event in events:
            with suppress(Exception):  # an event that cannot be told has been told of by whoever gave it up
                self._put(json_line(event))


def standard_error(line: bytes) -> None:
    """For what has no other place left. Waits for whoever reads it, who may never come."""
    with suppress(OSError):
        os.write(2, line)
