"""Text on a terminal: finals as they come, and under them one status line that is rewritten in place.

The status line is never wider than the terminal, for a wrapped line cannot be taken back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from supervisor.core.problem import Problem
from supervisor.events import CallEnded, Event, Transcript
from supervisor.sinks.lines import WholeLines, takes_more
from supervisor.sinks.outbox import Boxed
from supervisor.sinks.stdout import standard_output
from supervisor.sinks.text import TextLines, clock
from supervisor.sinks.writing import FULL, InThread, OneThread, Written, not_written, write_out
from supervisor.terminal import columns, fitted, shown

REPAINT = 0.1  # seconds between two status lines, at least


class ScreenSink(Boxed):
    """`progress` moves the status line; the latest interim stands behind it."""

    def __init__(
        self,
        *,
        log: FilteringBoundLogger,
        colour: bool = False,
        interims: bool = True,
        open_lines: Callable[[], WholeLines] = standard_output,
        width: Callable[[], int] = lambda: terminal_width(),
        in_thread: InThread | None = None,
        committed: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._log = log
        self._lines = TextLines(colour=colour)
        super().__init__("screen", interims=interims)
        self._open_lines = open_lines
        self._width = width
        self._in_thread = in_thread or OneThread()
        self._committed = committed
        self._painted = 0  # columns of the status line that stands there
        self._text = ""  # that line
        self._position: float | None = None
        self._left: float | None = None
        self._guess = ""
        self._moved = trio.Event()
        self._over = False

    def progress(self, position: float, left: float | None = None) -> None:
        """Seconds of the call done, and how many more it will take where that is known."""
        self._position, self._left = position, left
        self._moved.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            output = await self._in_thread(self._open_lines)
        except OSError as error:
            raise not_written(error) from error
        failed: Problem | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._repaint, output)
                task_status.started()
                try:
                    await write_out(
                        self._outbox, partial(self._write, output), log=self._log, in_thread=self._in_thread,
                        patience=0, passing=FULL, committed=self._committed,
                    )  # fmt: skip
                except Problem as problem:
                    failed = problem
                nursery.cancel_scope.cancel()
            await self._in_thread(partial(self._clear, output))  # behind a painting that may be under way
        finally:
            self._over = True
            if takes_more(output.fd):  # also when cancelled: what is printed next begins on a line of its own
                self._clear(output)
        await self._in_thread(output.close)
        if failed is not None:
            raise failed

    async def _repaint(self, output: WholeLines) -> None:
        while True:
            await self._moved.wait()
            self._moved = trio.Event()
            await self._in_thread(partial(self._paint, output))
            await trio.sleep(REPAINT)

    def _write(self, output: WholeLines, events: Sequence[Event]) -> Written:
        self._put(output, self._erased())
        count, error = output.append([self._lines.line(event) for event in events])
        for event in events[:count]:
            if isinstance(event, Transcript):
                self._guess = "" if event.is_final else shown(event.text)
            elif isinstance(event, CallEnded):
                self._lines.forget(event.call_id)
                self._position, self._left, self._guess = None, None, ""
        self._paint(output)
        return count, error

    def _clear(self, output: WholeLines) -> None:
        if erased := self._erased():
            self._put(output, erased)

    def _paint(self, output: WholeLines) -> None:
        if self._over:  # this thread was left behind, and has only now come back
            return
        width = self._width() - 1  # in the last column some terminals already wrap
        text = fitted(self._status(width), width)
        if self._painted and text == self._text:
            return
        erased = self._erased()
        self._text, self._painted = text, columns(text)[-1] if text else 0
        self._put(output, erased + text.encode())

    def _status(self, width: int) -> str:
        if self._position is None:
            return ""
        position = clock(self._position) + ("" if self._left is None else f"  {clock(self._left)} left")
        room = width - len(position) - 3
        guess = self._guess
        taken = columns(guess)
        if taken and taken[-1] > room:  # the end of it is what was said last
            guess = guess[sum(columns_so_far <= taken[-1] - room for columns_so_far in taken) :]
        return f"{position}  {guess}" if guess and room > 0 else position

    def _erased(self) -> bytes:
        blank = f"\r{' ' * self._painted}\r".encode() if self._painted else b""
        self._painted = 0
        return blank

    def _put(self, output: WholeLines, data: bytes) -> None:
        with suppress(OSError):  # the next line of the transcript will say so, if it is for good
            os.write(output.fd, data)


def terminal_width(fd: int = 1) -> int:
    try:
        return os.get_terminal_size(fd).columns or 80  # 0 = nobody has said
    except OSError:
        return 80
