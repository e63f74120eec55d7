"""The demo on a terminal, and the only module that knows rich: a picture that is drawn anew eight times a second.

It is drawn on the terminal's other screen, which a window of any size may become at any time without leaving anything
behind; what should stay is printed once the first screen is back. Drawing happens in a thread, because a terminal may
be stopped (Ctrl-S), and no call may be.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ..call import Call
from ..core.problem import Problem
from ..events import Event
from ..sinks.writing import InThread, OneThread, not_written
from .drawing import Line, Standing, picture
from .story import Story

EVERY = 0.125  # seconds between two pictures
FAREWELL = 1.0  # seconds that a stopped terminal is waited for


class LiveView:
    name = "demo"

    def __init__(self, console: Console, length: float, *, in_thread: InThread | None = None) -> None:
        self.story = Story()
        self._console = console
        self._length = length
        self._in_thread = in_thread or OneThread()
        self._call: Call | None = None
        self._closed = trio.Event()
        self._live = Live(
            self.drawn(), console=console, screen=True, auto_refresh=False,
            redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop",
        )  # fmt: skip

    def watch(self, call: Call) -> None:
        self._call = call

    def offer(self, event: Event) -> None:
        self.story.told(event)

    def close(self) -> None:
        self._closed.set()

    @property
    def backlog(self) -> int:
        return 0

    def undelivered(self) -> list[Event]:
        return []

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            await self._in_thread(self._live.start)
            task_status.started()
            while not self._closed.is_set():
                drawn = self.drawn()  # here, where nothing changes meanwhile
                await self._in_thread(partial(self._live.update, drawn, refresh=True))
                with trio.move_on_after(EVERY):
                    await self._closed.wait()
        except OSError as error:
            raise _gone(error) from error
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(FAREWELL):
                await self._in_thread(self.restore)

    def restore(self) -> None:
        """Give the first screen back, if that has not been done; waits for a terminal that is stopped."""
        with suppress(OSError):
            self._live.stop()

    def drawn(self) -> Group:
        """The picture for the window as it is now."""
        width, height = self._console.size
        return Group(*(_text(line) for line in picture(self.story, self._standing(), width, height)))

    def _standing(self) -> Standing:
        call = self._call
        if call is None or not hasattr(call, "ledger"):
            return Standing(length=self._length)
        session = call.session
        quiet = trio.current_time() - session.last_result if session and session.last_result else 0.0
        return Standing(call.status, call.heard, call.acknowledged, self._length, quiet)


def _gone(error: OSError) -> Problem:
    problem = not_written(error)
    return Problem(problem.cause.replace("the transcript", "what the demo shows"), problem.hint, problem.exit_code)


def _text(line: Line) -> Text:
    return Text.assemble(*((text, style) for style, text in line), no_wrap=True, overflow="crop", end="\n")
