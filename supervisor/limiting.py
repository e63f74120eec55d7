"""Log lines that repeat are limited: what is left out is counted, and the count is a line or a field of one.

Whoever reads the log of a bad night must find its cause, and the disk must outlive it. The lines that are contracts are
never left out: one for each session and for each call, and one for each change that an operator makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Lock

import structlog
import trio
from structlog.typing import EventDict, Processor, WrappedLogger

from .core.repeats import About, Kind, Left, Repeats

ALWAYS = frozenset({"call_ended", "session_closed", "admin"})
ABOUT = ("call_id", "sink", "intake", "listener", "key", "path", "to", "problem")  # what tells one trouble from another
LONGEST = 200  # characters of each that are compared
SOON = 0.1  # seconds; a clock may be a little behind the one that woke us


class Limiter:
    """A processor for structlog, which stands before whatever takes time: a traceback of a line left out is not made.

    `finish` is what makes an event into a line. `clock` is in seconds and does not go back; under trio a task of its own
    tells what is due where no line comes to do it. May be called from any thread.
    """

    def __init__(self, finish: Processor, clock: Callable[[], float], repeats: Repeats | None = None) -> None:
        self._finish, self._clock = finish, clock
        self._repeats = repeats or Repeats()
        self._lock = Lock()
        self._waiting = False

    def __call__(self, logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The event, perhaps with `suppressed`, how many like it were left out before; raises DropEvent for another."""
        kind, about = _kind(event)
        with self._lock:
            now = self._clock()
            left = 0 if kind[0] in ALWAYS else self._repeats.admit(kind, about, now)
            due = self._repeats.due(now)
        self._tell(logger, due)
        if left is None:
            self._wake(logger)
            raise structlog.DropEvent
        if left:
            event["suppressed"] = left
        return event

    def _tell(self, logger: WrappedLogger, due: Iterable[Left]) -> None:
        for (of, level), about, lines in due:
            event = {"level": level, "event": "log_lines_suppressed", "of": of, **dict(about or ())}
            logger.msg(self._finish(logger, level, {**event, "suppressed": lines}))

    def _wake(self, logger: WrappedLogger) -> None:
        """Have somebody tell what is left out, though nothing else be logged for hours."""
        if not self._waiting:
            with suppress(RuntimeError):  # no trio in this thread: the next line tells it
                trio.lowlevel.spawn_system_task(self._wait, logger)
                self._waiting = True

    async def _wait(self, logger: WrappedLogger) -> None:
        try:
            while (seconds := self._seconds()) is not None:
                await trio.sleep(max(seconds, SOON))
                self._tell_due(logger, self._clock())
        finally:
            self._waiting = False
            self._tell_due(logger, float("inf"))  # trio ends, and nobody comes after

    def _seconds(self) -> float | None:
        with self._lock:
            return self._repeats.wait(self._clock())

    def _tell_due(self, logger: WrappedLogger, now: float) -> None:
        with self._lock:
            due = self._repeats.due(now)
        with suppress(Exception):  # from a system task it would end all of trio
            self._tell(logger, due)


def _kind(event: EventDict) -> tuple[Kind, About]:
    """Records of other libraries have a sentence for a name: their kind is who says it, and the sentence what it is about."""
    about = tuple((name, value[:LONGEST]) for name in ABOUT if isinstance(value := event.get(name), str))
    name = str(event.get("event"))[:LONGEST]
    if isinstance(library := event.get("logger"), str):
        return (library, event["level"]), (("problem", name), *about)
    return (name, event["level"]), about
